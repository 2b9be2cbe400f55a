import time
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pendio.data.text.windows import TokenWindows
from pendio.errors import InputError

CPU = torch.device("cpu")
unhurried = settings(max_examples=50, deadline=None)
lengths, sizes = st.integers(1, 9), st.integers(1, 12)


def text(count):
    """Tokens that tell where they stand."""
    return np.arange(count)


@st.composite
def sources(draw, carried=None):
    length = draw(lengths)
    count = draw(st.integers(length + 1, 200))
    return TokenWindows(text(count), length, carried=draw(st.booleans()) if carried is None else carried)


@unhurried
@given(sources(), sizes, st.integers(0, 5))
def test_every_target_is_the_token_that_follows_its_input(source, size, epoch):
    for chosen in (None, epoch):
        for batch in source.batches(size, epoch=chosen):
            assert batch.inputs.dtype == batch.targets.dtype == torch.int64
            assert batch.fresh.dtype == torch.bool
            assert batch.fresh.shape == batch.inputs.shape[:1]
            assert torch.equal(batch.targets, batch.inputs + 1)
            assert bool((batch.inputs.diff(dim=1) == 1).all()), "a window is an unbroken stretch of the text"


@unhurried
@given(sources(), sizes, st.integers(1, 3))
def test_an_evaluation_gives_every_target_exactly_once(source, size, world):
    targets = [
        batch.targets.flatten() for rank in range(world) for batch in source.batches(size, rank=rank, world=world)
    ]
    assert sorted(torch.cat(targets).tolist()) == list(range(1, len(source.tokens)))


@unhurried
@given(sources(), sizes, st.integers(1, 3), st.integers(0, 4))
def test_an_epoch_has_as_many_batches_as_it_says_for_each_process(source, size, world, epoch):
    size = max(size, world)
    steps = source.steps(size, world)
    ranks = [list(source.batches(size, epoch=epoch, rank=rank, world=world)) for rank in range(world)]
    if steps:
        assert {len(batches) for batches in ranks} == {steps}
        assert all(len(batch.inputs) for batches in ranks for batch in batches), "no process stands idle"
    if world == 1:
        assert steps >= 1
    together = [list(source.batches(size, epoch=epoch))[step].inputs for step in range(steps)]
    for rank, batches in enumerate(ranks):
        for step, whole in enumerate(together):
            assert torch.equal(batches[step].inputs, whole[rank::world])


def test_a_last_batch_too_small_for_all_processes_is_left_out():
    source = TokenWindows(text(12), 1, carried=False)
    assert len(source) == 11
    shares = [[len(batch.inputs) for batch in source.batches(3, epoch=0, rank=rank, world=3)] for rank in range(3)]
    assert shares == [[1, 1, 1]] * 3
    assert source.steps(3, 3) == 3


@unhurried
@given(sources(carried=False), sizes, st.integers(0, 5))
def test_shuffled_windows_tile_the_text_from_one_phase_without_overlap(source, size, epoch):
    rows = torch.cat([batch.inputs for batch in source.batches(size, epoch=epoch, seed=3)])
    starts = rows[:, 0].sort().values
    assert rows.shape == (len(source), source.length)
    assert bool((starts.diff() == source.length).all())
    unread = len(source.tokens) - 1 - rows.numel()
    assert 0 <= unread < 2 * source.length
    assert 0 <= int(starts[0]) <= unread


@unhurried
@given(sources(carried=True), sizes, st.integers(0, 5))
def test_carried_lanes_go_on_row_by_row_and_are_fresh_at_the_start_alone(source, size, epoch):
    batches = list(source.batches(size, epoch=epoch))
    assert [bool(batch.fresh.all()) for batch in batches] == [True] + [False] * (len(batches) - 1)
    assert not any(bool(batch.fresh.any()) for batch in batches[1:])
    for earlier, later in pairwise(batches):
        assert torch.equal(later.inputs[:, 0], earlier.targets[:, -1])
    rows = torch.cat([batch.inputs for batch in batches])
    assert len(rows.flatten().unique()) == rows.numel(), "lanes do not overlap"
    lanes = torch.cat([batch.inputs for batch in batches], 1)
    assert torch.equal(lanes[1:, 0], lanes[:-1, -1] + 1), "and leave nothing out between them"
    assert len(lanes) == min(size, len(source))


@unhurried
@given(sources(carried=True), sizes)
def test_a_carried_evaluation_loses_little_to_fresh_starts(source, size):
    batches = list(source.batches(size))
    whole = (len(source.tokens) - 1) // source.length
    fresh = sum(int(batch.fresh.sum()) for batch in batches)
    lanes = max(1, min(size, whole // 8))
    assert len(batches[0].inputs) == lanes
    assert fresh <= 2 * lanes, "one for each lane, fewer than one a lane for the rest, and one for the last tokens"
    for earlier, later in pairwise(batches):
        assert bool(later.fresh.all()) or torch.equal(later.inputs[:, 0], earlier.targets[:, -1])
    assert max(len(batch.inputs) for batch in batches) <= size


@unhurried
@given(sources(), sizes, st.integers(0, 3), st.integers(0, 12), st.sampled_from([None, 0, 4]))
def test_starting_later_gives_the_rest_of_the_same_epoch(source, size, seed, start, epoch):
    whole = list(source.batches(size, seed=seed, epoch=epoch))
    rest = list(source.batches(size, seed=seed, epoch=epoch, start=start))
    assert len(rest) == max(0, len(whole) - start)
    for mine, theirs in zip(rest, whole[start:], strict=True):
        assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))


@pytest.mark.parametrize("carried", [False, True])
def test_the_phase_changes_with_epoch_and_seed_and_reaches_both_ends_of_the_text(carried):
    source = TokenWindows(text(10 * 7 + 3), 7, carried=carried)

    def first(seed, epoch):
        return min(int(batch.inputs.min()) for batch in source.batches(3, seed=seed, epoch=epoch))

    phases = {first(0, epoch) for epoch in range(60)}
    spare = len(source.tokens) - 1 - 9 * 7
    assert phases == set(range(spare + 1)), "every phase, from the first token to the one that ends with the last"
    assert {first(seed, 0) for seed in range(10)} != {first(0, 0)}
    assert first(5, 5) == first(5, 5)


def test_shuffled_epochs_differ_in_order():
    source = TokenWindows(text(1000), 4, carried=False)
    one, two = (torch.cat([b.inputs[:, 0] for b in source.batches(8, epoch=epoch)]) for epoch in (0, 1))
    assert not torch.equal(one - one.min(), two - two.min())
    assert not torch.equal(one, one.sort().values)


def test_a_small_example_by_hand():
    source = TokenWindows(np.array([5, 6, 7, 8, 9, 10]), 2, carried=False)
    batches = list(source.batches(2))
    assert [batch.inputs.tolist() for batch in batches] == [[[5, 6], [7, 8]], [[9]]]
    assert [batch.targets.tolist() for batch in batches] == [[[6, 7], [8, 9]], [[10]]]
    assert (len(source), source.steps(1), source.steps(2)) == (2, 2, 1)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.int64])
@pytest.mark.parametrize("carried", [False, True])
def test_memory_mapped_and_resident_tokens_give_the_same_windows(tmp_path, dtype, carried):
    tokens = (text(500) % 251).astype(dtype)
    np.save(tmp_path / "tokens.npy", tokens)
    mapped = TokenWindows(np.load(tmp_path / "tokens.npy", mmap_mode="r"), 6, carried=carried)
    assert mapped.to(CPU) is mapped
    assert mapped.failures == ()
    for resident in (tokens, torch.from_numpy(tokens.astype(np.int64))):
        source = TokenWindows(resident, 6, carried=carried).to(CPU)
        for epoch in (None, 0):
            pairs = zip(mapped.batches(7, epoch=epoch), source.batches(7, epoch=epoch), strict=True)
            assert all(torch.equal(a, b) for one, two in pairs for a, b in zip(one, two, strict=True))


def test_large_token_numbers_survive(tmp_path):
    tokens = np.array([0, 70_000, 65_535, 1_000_000], dtype=np.uint32)
    (batch,) = TokenWindows(tokens, 3, carried=False).batches(1)
    assert batch.targets.tolist() == [[70_000, 65_535, 1_000_000]]


def test_processes_without_a_lane_are_told_of(tmp_path):
    source = TokenWindows(text(20), 6, carried=True)
    assert len(source) == 2
    assert source.steps(8, 2) == 1
    assert source.steps(8, 3) == 0


@pytest.mark.parametrize(
    ("count", "length", "message"),
    [
        (10, 10, "--context 10 does not fit a text of 10 tokens, which must hold a window and the token that follows it: "
                 "at most --context 9"),
        (1, 1, "the text has 1 tokens; predicting one from another takes 2"),
        (0, 4, "the text has 0 tokens; predicting one from another takes 2"),
        (9, 0, "--context 0: a window holds at least 1 token"),
    ],
)  # fmt: skip
def test_a_text_that_is_too_short(count, length, message):
    with pytest.raises(InputError) as caught:
        TokenWindows(text(count), length, carried=False)
    assert str(caught.value) == message
    if count > 1 and length > 1:
        assert len(list(TokenWindows(text(count), count - 1, carried=True).batches(4, epoch=0))) == 1


def test_a_batch_takes_less_than_a_millisecond():
    source = TokenWindows(text(1_000_000) % 65, 128, carried=True)
    batches = list(source.batches(64, epoch=0))
    fastest = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        count = sum(1 for _ in source.batches(64, epoch=0))
        fastest = min(fastest, (time.perf_counter() - began) / count)
    assert count == len(batches) == source.steps(64)
    assert fastest < 1e-3
