import pytest
import torch

from pendio.data.text.tokens import MARKS
from pendio.sequences.models.bodies import FAMILIES, Architecture
from pendio.sequences.tagging.network import Reader, last_step, mean_step, present_steps

from .conftest import TINY, make_tagger


def random_tokens(*shape, seed=0):
    return torch.randint(len(MARKS), 12, shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("model", FAMILIES)
def test_padding_never_changes_an_answer(model):
    tagger = make_tagger(model)
    lengths = [1, 2, 7, 13, 20]
    rows = [random_tokens(length, seed=length) for length in lengths]
    together = tagger(torch.nn.utils.rnn.pad_sequence(rows, batch_first=True))
    for row, answer in zip(rows, together, strict=True):
        assert torch.allclose(answer, tagger(row[None])[0], atol=1e-9)


@pytest.mark.parametrize("model", FAMILIES)
def test_every_step_that_is_seen_counts(model):
    tagger, tokens = make_tagger(model), random_tokens(1, 9)
    reach = tagger.encoder.reach or 9
    for step in range(9):
        changed = tokens.clone()
        changed[0, step] = 4 + (tokens[0, step] - 3) % 8
        same = torch.equal(tagger(changed), tagger(tokens))
        assert same == (step < 9 - reach), step


def test_a_window_on_a_text_sees_its_last_steps_and_not_its_padding():
    tagger = make_tagger("window")
    assert tagger.encoder.reach == 4
    tokens = torch.tensor([[4, 5, 6, 7, 8, 9, 0, 0, 0, 0]])
    assert torch.allclose(tagger(tokens), tagger(tokens[:, 2:6]), atol=1e-12)


def test_pooling_by_hand():
    features = torch.arange(24.0).view(2, 4, 3)
    present = torch.tensor([[True, True, False, False], [True, True, True, True]])
    assert mean_step(features, present).tolist() == [[1.5, 2.5, 3.5], [16.5, 17.5, 18.5]]
    assert last_step(features, present).tolist() == [[3.0, 4.0, 5.0], [21.0, 22.0, 23.0]]
    assert mean_step(features, None).tolist() == [[4.5, 5.5, 6.5], [16.5, 17.5, 18.5]]
    assert last_step(features, None).tolist() == [[9.0, 10.0, 11.0], [21.0, 22.0, 23.0]]


def test_presence_is_told_by_token_zero_and_numbers_are_always_there():
    assert present_steps(torch.tensor([[3, 1, 0], [5, 0, 0]])).tolist() == [[True, True, False], [True, False, False]]
    assert present_steps(torch.zeros(2, 3, 1)) is None


def test_nothing_but_padding_has_a_finite_answer():
    for model in FAMILIES:
        assert make_tagger(model)(torch.zeros(1, 5, dtype=torch.long)).isfinite().all()


@pytest.mark.parametrize("model", FAMILIES)
def test_answers_at_the_last_steps_are_those_of_these_steps(model):
    tokens = random_tokens(2, 10)
    several, one = make_tagger(model, asked=3), make_tagger(model)
    answers = several(tokens)
    assert answers.shape == (2, 3, 3)
    if model != "transformer":
        # Where nothing looks ahead, the answer at a step is that of the sequence up to there.
        for step in range(3):
            assert torch.allclose(answers[:, step], one(tokens[:, : 8 + step]), atol=1e-9)
    else:
        assert torch.allclose(answers.mean(1), several.head(several.encoder.read(
            several.embed(tokens), None)[:, 7:]).mean(1), atol=1e-9)  # fmt: skip


@pytest.mark.parametrize("model", FAMILIES)
def test_numbers_are_read_too(model):
    tagger = make_tagger(model, features=2, outputs=1)
    values = torch.rand(4, 11, 2, dtype=torch.float64)
    assert tagger(values).shape == (4, 1)
    assert torch.allclose(tagger(values)[1], tagger(values[1:2])[0], atol=1e-9)
    zeros = values.clone()
    zeros[:, -1] = 0  # a step of zeros is a step like any other
    assert not torch.allclose(tagger(zeros), tagger(values[:, :-1]))


def test_marks_say_nothing_before_they_are_learnt_and_padding_never_learns():
    reader = Reader(Architecture(model="rnn", **TINY), 5, tokens=9)
    assert not reader.first.weight[: len(MARKS)].any()
    assert (reader.first.weight[len(MARKS) :] != 0).all()
    reader.read(reader.embed(torch.tensor([[0, 3, 4]])), None).sum().backward()
    gradient = reader.first.weight.grad
    assert not gradient[0].any()
    assert gradient[3].any()


def test_dropout_drops_only_while_training():
    tagger = make_tagger("transformer")
    tagger.dropout.p = 0.5
    tokens = random_tokens(3, 8)
    assert torch.equal(tagger(tokens), tagger(tokens))
    tagger.train()
    assert not torch.equal(tagger(tokens), tagger(tokens))


@pytest.mark.parametrize("model", ["window", "rnn", "lstm", "tcn"])
def test_the_other_families_drop_their_inputs(model):
    tagger = make_tagger(model, dropout=0.5)
    assert tagger.encoder.dropout.p == 0.5


@pytest.mark.parametrize("model", FAMILIES)
def test_a_transformer_alone_looks_ahead(model):
    tagger, tokens = make_tagger(model), random_tokens(1, 6)
    changed = tokens.clone()
    changed[0, -1] = 4 + (tokens[0, -1] - 3) % 8
    first, other = (tagger.encoder.read(tagger.embed(row), None)[0, 0] for row in (tokens, changed))
    assert torch.equal(first, other) == (model != "transformer")
