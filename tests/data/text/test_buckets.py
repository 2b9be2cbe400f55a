import itertools
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pendio.data.text.buckets import Bucketed, Ragged


class Batch(NamedTuple):
    inputs: Tensor
    targets: Tensor
    number: Tensor
    indices: Tensor


def bucketed(pairs):
    """Row ``i`` holds tokens ``100 i + 1, 100 i + 2, …``; the second sequence their negatives."""
    rows = [np.arange(1, first + 1) + 100 * index for index, (first, _) in enumerate(pairs)]
    others = [-np.arange(1, second + 1) - 100 * index for index, (_, second) in enumerate(pairs)]
    return Bucketed((Ragged.of(rows), Ragged.of(others)), (torch.arange(len(pairs)) * 7,), Batch)


lengths = st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), min_size=1, max_size=60)
sizes = st.integers(1, 8) | st.integers(1, 70)


@given(lengths, sizes, st.integers(1, 4), st.integers(0, 3))
def test_every_example_comes_once_an_epoch_whole_and_padded_with_zeros(pairs, size, world, epoch):
    source = bucketed(pairs)
    ranks = [list(source.batches(size, seed=3, epoch=epoch, rank=rank, world=world)) for rank in range(world)]
    assert {len(rank) for rank in ranks} == {source.steps(size, world)}
    if len(pairs) < world:
        assert source.steps(size, world) == 0
        return
    seen = []
    for batch in (batch for rank in ranks for batch in rank):
        assert len(batch.indices) > 0
        assert batch.inputs.dtype == batch.targets.dtype == torch.int64
        for row, index in enumerate(batch.indices.tolist()):
            first, second = pairs[index]
            assert batch.inputs[row, :first].tolist() == list(range(100 * index + 1, 100 * index + first + 1))
            assert batch.targets[row, :second].tolist() == [-100 * index - step for step in range(1, second + 1)]
            assert not batch.inputs[row, first:].any()
            assert not batch.targets[row, second:].any()
        assert batch.inputs[:, -1].any(), "a batch is as wide as its longest example"
        assert batch.targets[:, -1].any()
        assert torch.equal(batch.number, batch.indices * 7)
        seen += batch.indices.tolist()
    assert sorted(seen) == list(range(len(pairs)))


@given(lengths, st.integers(2, 70), st.integers(1, 3))
def test_no_batch_costs_more_than_its_size_at_the_mean_length(pairs, size, world):
    source = bucketed(pairs)
    batches = list(source.batches(size, epoch=1, world=1))
    budget = size * sum(map(sum, pairs)) / len(pairs)
    for batch in batches:
        cost = batch.inputs.numel() + batch.targets.numel()
        assert cost <= budget or len(batch.indices) == 1 or size >= len(pairs)


@given(lengths, st.integers(2, 70))
def test_batches_are_cut_as_late_as_the_budget_allows(pairs, size):
    source = bucketed(pairs)
    batches = list(source.batches(size))
    budget = size * sum(map(sum, pairs)) / len(pairs)
    for batch, following in itertools.pairwise(batches):
        both = torch.cat([batch.indices, following.indices[:1]])
        with_one_more = source.take(both)
        assert with_one_more.inputs.numel() + with_one_more.targets.numel() > budget


@given(lengths, sizes, st.integers(1, 3))
def test_all_epochs_have_the_same_shapes(pairs, size, world):
    source = bucketed(pairs)

    def shapes(epoch):
        return sorted(
            (tuple(batch.inputs.shape), tuple(batch.targets.shape))
            for rank in range(world)
            for batch in source.batches(size, seed=5, epoch=epoch, rank=rank, world=world)
        )

    assert shapes(0) == shapes(1) == shapes(2)


@given(lengths, sizes, st.integers(0, 10))
def test_starting_later_gives_the_rest_of_the_same_epoch(pairs, size, start):
    source = bucketed(pairs)
    whole = [batch.indices.tolist() for batch in source.batches(size, seed=2, epoch=4)]
    rest = [batch.indices.tolist() for batch in source.batches(size, seed=2, epoch=4, start=start)]
    assert rest == whole[start:]


@given(lengths, sizes, st.integers(2, 4))
def test_processes_share_each_batch_row_by_row(pairs, size, world):
    source = bucketed(pairs)
    for epoch in (None, 0):
        shares = [list(source.batches(size, epoch=epoch, rank=rank, world=world)) for rank in range(world)]
        for together in zip(*shares, strict=True):
            counts = [len(batch.indices) for batch in together]
            assert max(counts) - min(counts) <= 1
            assert counts == sorted(counts, reverse=True)
    seen = [index for share in shares for batch in share for index in batch.indices.tolist()]
    assert sorted(seen) == (list(range(len(pairs))) if len(pairs) >= world else [])


def test_evaluation_sees_all_from_the_shortest_on():
    source = bucketed([(5, 1), (2, 2), (9, 1), (2, 1), (1, 7)])
    assert torch.cat([batch.indices for batch in source.batches(2)]).tolist() == [4, 3, 1, 0, 2]
    assert source.take(torch.tensor([2, 4])).inputs.shape == (2, 9)


def test_epochs_differ_in_order_and_company():
    source = bucketed([(4, 4)] * 12 + [(9, 9)] * 12)
    first, again, other, seeded = (
        [batch.indices.tolist() for batch in source.batches(4, seed=seed, epoch=epoch)]
        for seed, epoch in ((0, 0), (0, 0), (0, 1), (1, 0))
    )
    assert first == again
    assert {frozenset(batch) for batch in first} != {frozenset(batch) for batch in other}
    assert first != seeded
    widths = [[len(batch.inputs[0]) for batch in source.batches(4, epoch=epoch)] for epoch in range(8)]
    assert any(row != sorted(row) for row in widths), "short batches must not always come first"


def test_one_is_one_at_a_time_and_all_is_one_batch():
    source = bucketed([(length, 3) for length in range(1, 41)])
    assert [len(batch.indices) for batch in source.batches(1, epoch=0)] == [1] * 40
    assert [len(batch.indices) for batch in source.batches(40, epoch=0)] == [40]
    assert source.steps(1) == 40
    assert source.steps(40) == 1


def test_batches_hold_nearly_their_size_on_average():
    rng = np.random.default_rng(0)
    source = bucketed([(int(length), int(length) + 2) for length in rng.integers(5, 60, 3000)])
    mean = 3000 / source.steps(64)
    assert 60 < mean <= 64
    assert source.waste(64) < 0.03


def test_waste_is_the_share_of_padding():
    # Of a batch of all: 4 rows of 5 and of 2 tokens, in which 1 + 1 + 1 + 5 and 4 × 2 are real.
    source = bucketed([(1, 2), (1, 2), (1, 2), (5, 2)])
    assert source.waste(4) == pytest.approx(1 - 16 / 28)
    assert source.waste(1) == 0


def test_a_sequence_too_long_for_any_batch_has_one_of_its_own():
    source = bucketed([(1, 1)] * 20 + [(80, 80)])
    widths = {len(batch.indices) for batch in source.batches(3, epoch=0) if batch.inputs.shape[1] == 80}
    assert widths == {1}


def test_rows_are_kept_apart():
    ragged = Ragged.of([np.array([3, 1]), np.array([4]), np.array([1, 5, 9])])
    assert [ragged.row(index).tolist() for index in range(3)] == [[3, 1], [4], [1, 5, 9]]
    assert ragged.padded(torch.tensor([2, 1])).tolist() == [[1, 5, 9], [4, 0, 0]]
    with pytest.raises(ValueError, match="sequence 1 is empty"):
        Ragged.of([np.array([3]), np.array([], dtype=np.int64)])


def test_columns_of_unequal_number_are_refused():
    ragged = Ragged.of([np.array([3, 1]), np.array([4])])
    with pytest.raises(ValueError, match=r"\[2, 3\]"):
        Bucketed((ragged,), (torch.zeros(3),), Batch)


def test_alike_examples_fill_batches_of_exactly_their_size():
    source = bucketed([(4, 4)] * 30)
    assert sorted(len(batch.indices) for batch in source.batches(8, epoch=0)) == [6, 8, 8, 8]


def test_every_process_has_an_example_of_each_batch():
    alike = bucketed([(4, 4)] * 7)
    assert [len(batch.indices) for batch in alike.batches(2)] == [2, 2, 2, 1]
    for rank, counts in ((0, [1, 1, 2]), (1, [1, 1, 1])):
        assert [len(batch.indices) for batch in alike.batches(2, rank=rank, world=2)] == counts
    assert alike.steps(2, world=2) == 3
    uneven = bucketed([(1, 1)] * 20 + [(80, 80)] * 4)
    long = [batch.indices.tolist() for batch in uneven.batches(3, world=2) if batch.inputs.shape[1] == 80]
    assert sum(map(len, long)) == 2, "half of the four"
    assert all(long)
