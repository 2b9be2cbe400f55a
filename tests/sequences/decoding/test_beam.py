import itertools

import pytest
import torch

from pendio.nn.cache import Carried
from pendio.sequences.decoding.beam import beam_search
from tests.sequences.decoding.conftest import build

END = 0


class Table:
    """A model whose logits depend on all tokens so far, which its state holds: every sequence has its own."""

    def __init__(self, rows, size, seed=0, spread=2.0):
        self.rows, self.size, self.seed, self.spread = rows, size, seed, spread

    def _logits(self, key):
        generator = torch.Generator().manual_seed(hash((self.seed, *key)) % (1 << 31))
        return torch.randn(self.size, generator=generator, dtype=torch.float64) * self.spread

    def begin(self):
        logits = torch.stack([self._logits((row,)) for row in range(self.rows)])
        return logits, Carried([torch.arange(self.rows)[:, None]])

    def step(self, tokens, state):
        seen = torch.cat([state.tensors[0], tokens], 1)
        logits = torch.stack([self._logits(tuple(row.tolist())) for row in seen])
        return logits[:, None], Carried([seen])

    def search(self, **options):
        return beam_search(self.step, *self.begin(), **options)

    def log_probability(self, row, tokens):
        return sum(
            float(self._logits((row, *tokens[:place])).log_softmax(0)[token]) for place, token in enumerate(tokens)
        )


def all_sequences(table, row, most, penalty, end=END):
    """Every sequence that ends, or has ``most`` tokens, with its score; the best first."""
    found = []
    for length in range(1, most + 1):
        for tokens in itertools.product(range(table.size), repeat=length):
            if end is not None and end in tokens[:-1]:
                continue
            ended = end is not None and tokens[-1] == end
            if ended or length == most:
                total = table.log_probability(row, tokens)
                found.append((total / length**penalty, list(tokens[:-1] if ended else tokens), total))
    return sorted(found, key=lambda one: -one[0])


@pytest.mark.parametrize("penalty", [0.0, 0.6, 1.0, 2.0])
@pytest.mark.parametrize(("size", "most"), [(3, 4), (4, 3), (2, 4)])
def test_with_as_many_beams_as_sequences_it_is_exhaustive(size, most, penalty):
    table = Table(2, size)
    found = table.search(beams=size**most, most=most, end=END, penalty=penalty)
    for row in range(2):
        expected = all_sequences(table, row, most, penalty)
        assert [one.tokens for one in found[row]] == [tokens for _, tokens, _ in expected]
        for one, (score, _, total) in zip(found[row], expected, strict=True):
            assert one.score == pytest.approx(score)
            assert one.log_probability == pytest.approx(total)


def test_without_an_end_all_have_the_full_length():
    table = Table(1, 3)
    found = table.search(beams=27, most=3, end=None)[0]
    assert [one.tokens for one in found] == [tokens for _, tokens, _ in all_sequences(table, 0, 3, 1.0, end=None)]
    assert len(found) == 27


@pytest.mark.parametrize("seed", range(8))
def test_one_beam_is_greedy(seed):
    table = Table(3, 5, seed)
    found = table.search(beams=1, most=6, end=END)
    for row in range(3):
        tokens = []
        while len(tokens) < 6 and END not in tokens:
            tokens.append(int(table._logits((row, *tokens)).argmax()))
        assert [one.tokens for one in found[row]] == [[token for token in tokens if token != END]]


@pytest.mark.parametrize("seed", range(6))
def test_scores_are_of_the_sequences_that_are_given(seed):
    table = Table(2, 4, seed)
    for row, hypotheses in enumerate(table.search(beams=3, most=5, end=END, penalty=0.7)):
        assert len({tuple(one.tokens) for one in hypotheses}) == len(hypotheses) == 3
        assert [one.score for one in hypotheses] == sorted((one.score for one in hypotheses), reverse=True)
        for one in hypotheses:
            whole = [*one.tokens, END] if len(one.tokens) < 5 else one.tokens
            assert one.log_probability == pytest.approx(table.log_probability(row, whole))
            assert one.score == pytest.approx(one.log_probability / len(whole) ** 0.7)


def test_a_row_is_searched_alike_alone_and_beside_others():
    together = Table(3, 4).search(beams=2, most=5, end=END)
    alone = Table(1, 4).search(beams=2, most=5, end=END)
    assert together[0] == alone[0]


def test_a_beam_finds_what_greed_misses():
    first = torch.tensor([[0.0, 0.6, 0.4]]).log()
    after = torch.tensor([[1.0, 0, 0], [0.34, 0.33, 0.33], [0.98, 0.01, 0.01]]).log()

    def step(tokens, state):
        return after[tokens], state

    found = [beam_search(step, first, Carried([]), beams=beams, most=2, end=0, penalty=0.0)[0][0] for beams in (1, 2)]
    assert found[0].tokens == [1]
    assert found[1].tokens == [2]
    assert found[1].log_probability == pytest.approx(float(torch.tensor(0.4 * 0.98).log()), abs=1e-6)


def test_the_penalty_moves_from_short_to_long():
    # Ends at once with probability 0.3, or goes on with 0.7 and then 0.4 each, to end after three more.
    logits = torch.tensor([[0.3, 0.7]]).log()
    after = torch.tensor([[0.5, 0.5], [0.6, 0.4]]).log()

    def best(penalty):
        found = beam_search(lambda tokens, state: (after[tokens], state), logits, Carried([]), beams=8, most=4, end=0,
                            penalty=penalty)  # fmt: skip
        return len(found[0][0].tokens)

    lengths = [best(penalty) for penalty in (0.0, 1.0, 3.0)]
    assert lengths[0] == 1
    assert lengths == sorted(lengths)
    assert lengths[-1] > lengths[0]


@pytest.mark.parametrize("family", ["lstm", "transformer"])
def test_states_follow_their_beams(family):
    model = build(family, vocabulary=5)
    prompts = [torch.tensor([1, 2, 3]), torch.tensor([4])]
    with torch.no_grad():
        logits, state = model.read(prompts)
        found = beam_search(model, logits, state, beams=4, most=6, end=None)
        for row, prompt in enumerate(prompts):
            for one in found[row]:
                text = torch.cat([prompt, torch.tensor(one.tokens)])
                chances = model(text[None])[0][0].double().log_softmax(1)
                steps = range(len(prompt) - 1, len(text) - 1)
                total = sum(float(chances[step, text[step + 1]]) for step in steps)
                assert one.log_probability == pytest.approx(total, abs=1e-4)
