import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pendio.errors import InputError
from pendio.sequences.decoding.sampling import Sampling, choose, continued, probabilities
from tests.sequences.decoding.conftest import FAMILIES, build

LOGITS = st.lists(st.floats(-8, 8), min_size=2, max_size=12, unique_by=lambda value: round(value, 3))


def by_hand(logits, temperature, top_k, top_p):
    """What the definitions say, in plain Python."""
    powers = [math.exp(value / temperature) for value in logits]
    order = sorted(range(len(logits)), key=lambda token: -powers[token])[:top_k]
    total, kept, reached = sum(powers[token] for token in order), [], 0.0
    for token in order:
        kept.append(token)
        reached += powers[token] / total
        if reached >= top_p:
            break
    total = sum(powers[token] for token in kept)
    return [powers[token] / total if token in kept else 0.0 for token in range(len(logits))]


@given(LOGITS, st.floats(0.2, 3), st.integers(1, 12), st.floats(0.01, 0.999))
def test_probabilities_are_those_of_the_definitions(logits, temperature, top_k, top_p):
    sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p)
    found = probabilities(torch.tensor([logits], dtype=torch.float64), sampling)
    expected = torch.tensor([by_hand(logits, temperature, top_k, top_p)], dtype=torch.float64)
    # Where the sum meets top_p to the last bit, rounding decides; that token's neighbours must still agree.
    if ((found > 0) == (expected > 0)).all():
        torch.testing.assert_close(found, expected)
    else:
        assert abs(int((found > 0).sum()) - int((expected > 0).sum())) == 1


def test_a_nucleus_ends_with_the_token_that_reaches_it():
    logits = torch.tensor([[0.5, 0.25, 0.125, 0.125]]).log()
    kept = probabilities(logits, Sampling(top_p=0.6))
    torch.testing.assert_close(kept, torch.tensor([[2 / 3, 1 / 3, 0, 0]], dtype=torch.float64))
    kept = probabilities(logits, Sampling(top_p=0.01))
    assert kept.tolist() == [[1, 0, 0, 0]]


def test_each_row_has_its_own_nucleus():
    logits = torch.tensor([[0.9, 0.05, 0.05], [0.1, 0.1, 0.8]]).log()
    assert (probabilities(logits, Sampling(top_p=0.7)) > 0).tolist() == [[True, False, False], [False, False, True]]
    assert (probabilities(logits, Sampling(top_k=1)) > 0).tolist() == [[True, False, False], [False, False, True]]


@given(LOGITS, st.floats(0.001, 1), st.floats(0.1, 5))
def test_the_likeliest_is_always_in_the_nucleus(logits, top_p, temperature):
    found = probabilities(torch.tensor([logits]), Sampling(top_p=top_p, temperature=temperature))
    assert found[0, int(torch.tensor(logits).argmax())] > 0
    assert abs(float(found.sum()) - 1) < 1e-9


@given(LOGITS, st.integers(0, 100))
def test_without_temperature_the_likeliest_is_taken(logits, step):
    one = torch.tensor([logits])
    sampling = Sampling(temperature=0, top_k=3, top_p=0.5)
    assert choose(one, sampling, step).tolist() == one.argmax(1).tolist()
    assert probabilities(one, sampling).argmax(1).tolist() == one.argmax(1).tolist()
    assert float(probabilities(one, sampling).max()) == 1


def test_tokens_come_as_often_as_they_are_probable():
    chances = torch.tensor([0.05, 0.4, 0.15, 0.1, 0.3])
    draws = 4000
    rows = chances.log().expand(draws, -1)
    counts = torch.bincount(choose(rows, Sampling(seed=3), 5), minlength=5)
    steps = torch.cat([choose(chances.log()[None], Sampling(seed=3), step) for step in range(draws)])
    for found in (counts, torch.bincount(steps, minlength=5)):
        chi = float(((found - draws * chances) ** 2 / (draws * chances)).sum())
        assert chi < 18.5  # exceeded once in a thousand with 4 degrees of freedom


def test_a_token_left_out_never_comes():
    rows = torch.tensor([[1.0, 3.0, 2.0, 0.0]]).expand(2000, -1)
    assert set(choose(rows, Sampling(top_k=2), 0).tolist()) == {1, 2}
    barred = rows.index_fill(1, torch.tensor([0, 3]), float("-inf"))
    assert set(choose(barred, Sampling(temperature=5.0), 0).tolist()) == {1, 2}


def test_seeds_steps_and_rows_draw_apart():
    rows = torch.zeros(64, 100)
    first = choose(rows, Sampling(seed=1), 0)
    assert torch.equal(first, choose(rows, Sampling(seed=1), 0))
    assert not torch.equal(first, choose(rows, Sampling(seed=2), 0))
    assert not torch.equal(first, choose(rows, Sampling(seed=1), 1))
    assert len(set(first.tolist())) > 30


@pytest.mark.parametrize(
    ("options", "option"),
    [
        ({"temperature": -0.1}, "--temperature"),
        ({"temperature": float("inf")}, "--temperature"),
        ({"temperature": float("nan")}, "--temperature"),
        ({"top_k": 0}, "--top-k"),
        ({"top_p": 0.0}, "--top-p"),
        ({"top_p": 1.5}, "--top-p"),
        ({"seed": -1}, "--seed"),
    ],
)
def test_options_out_of_range_are_refused(options, option):
    with pytest.raises(InputError, match=option):
        Sampling(**options)


PROMPTS = [torch.tensor([1, 2, 3, 4, 5]), torch.tensor([6]), torch.tensor([7, 8, 9])]
RANDOM = Sampling(temperature=1.5, seed=4)


def tokens_of(model, prompts, sampling, most, never=()):
    return torch.stack(list(continued(model, prompts, sampling, most, never)), 1)


def recomputed(model, prompt, sampling, most, row=0):
    """Without a state: the whole text is read again for each token."""
    written, length = prompt, len(prompt)
    for step in range(most):
        with torch.no_grad():
            logits = model(written[None])[0][:, -1]
        stacked = torch.cat([logits.new_zeros(row, logits.shape[1]), logits])
        written = torch.cat([written, choose(stacked, sampling, step)[row:]])
    return written[length:]


@pytest.mark.parametrize("sampling", [Sampling(temperature=0), RANDOM], ids=["greedy", "random"])
def test_a_kept_state_writes_what_reading_all_again_writes(model, sampling):
    found = tokens_of(model, PROMPTS, sampling, 20)
    for row, prompt in enumerate(PROMPTS):
        assert found[row].tolist() == recomputed(model, prompt, sampling, 20, row).tolist()
    assert len(set(found.flatten().tolist())) > 2


@pytest.mark.parametrize("positions", ["sinusoidal", "learned", "rotary"])
def test_positions_go_on_behind_padding(positions):
    model = build("transformer", positions=positions)
    found = tokens_of(model, PROMPTS, RANDOM, 20)
    for row, prompt in enumerate(PROMPTS):
        assert found[row].tolist() == recomputed(model, prompt, RANDOM, 20, row).tolist()


def test_the_first_row_is_written_alike_alone_and_beside_others(model):
    beside = tokens_of(model, PROMPTS, RANDOM, 12)
    assert beside[:1].tolist() == tokens_of(model, PROMPTS[:1], RANDOM, 12).tolist()
    assert tokens_of(model, PROMPTS, RANDOM, 12).tolist() == beside.tolist()
    assert tokens_of(model, PROMPTS, replace(RANDOM, seed=5), 12).tolist() != beside.tolist()


def test_some_tokens_are_never_chosen(model):
    found = tokens_of(model, PROMPTS, Sampling(temperature=3.0), 60, never=(0, 4, 10))
    assert set(found.flatten().tolist()) == {1, 2, 3, 5, 6, 7, 8, 9}


def windowed(model, prompt, sampling, most, context):
    """What a text longer than the context is, by the rule: when it is full, its latter half is read again."""
    written = prompt[-context:]
    found = []
    for step in range(most):
        with torch.no_grad():
            found.append(choose(model(written[None])[0][:, -1], sampling, step))
        written = torch.cat([written, found[-1]])
        if len(written) > context:
            written = written[-(context // 2) :]
    return torch.cat(found)


@pytest.mark.parametrize("length", [1, 3, 7, 8, 9, 21])
def test_a_text_longer_than_the_context_goes_on_from_its_latter_half(length):
    model = build("transformer", context=8)
    prompt = torch.arange(length) % 11
    found = tokens_of(model, [prompt], RANDOM, 40)
    assert found[0].tolist() == windowed(model, prompt, RANDOM, 40, 8).tolist()


def test_beside_longer_texts_a_text_is_read_again_when_it_is_full_itself():
    model = build("transformer", context=8)
    greedy = Sampling(temperature=0)
    found = tokens_of(model, PROMPTS, greedy, 30)
    for row, prompt in enumerate(PROMPTS):
        assert found[row].tolist() == windowed(model, prompt, greedy, 30, 8).tolist()


def test_a_context_of_one_token_is_enough():
    model = build("transformer", context=1)
    found = tokens_of(model, [torch.tensor([3, 2])], RANDOM, 5)
    written = torch.tensor([2])
    for step in range(5):
        with torch.no_grad():
            written = choose(model(written[None])[0][:, -1], RANDOM, step)
        assert int(found[0, step]) == int(written)


def test_the_model_is_asked_no_more_than_it_must(model):
    calls = []
    model.register_forward_hook(lambda *_: calls.append(1))
    assert len(list(continued(model, [torch.tensor([1, 2])], RANDOM, 5))) == 5
    assert len(calls) == (5 if model.context is None else 0)  # a Transformer is asked past its modules
    assert list(continued(model, [torch.tensor([1, 2])], RANDOM, 0)) == []


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from(FAMILIES),
    st.lists(st.lists(st.integers(0, 10), min_size=1, max_size=9), min_size=1, max_size=4),
)
def test_prompts_of_any_lengths_are_read_as_if_alone(family, prompts):
    model = build(family)
    rows = [torch.tensor(prompt) for prompt in prompts]
    with torch.no_grad():
        logits, _ = model.read(rows)
        for row, prompt in enumerate(rows):
            torch.testing.assert_close(logits[row], model(prompt[None])[0][0, -1], atol=2e-5, rtol=1e-4)
