import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pendio.errors import InputError
from pendio.reinforcement.values.priorities import Priorities, PrioritySampler, SumTree

sizes = st.sampled_from([1, 2, 15, 16, 17, 255, 256, 257, 4097])


@st.composite
def changes(draw, values):
    """A size, and rounds of indices with values, some indices twice."""
    size = draw(sizes)
    pairs = st.lists(st.tuples(st.integers(0, size - 1), values), min_size=1, max_size=12)
    return size, draw(st.lists(pairs, min_size=1, max_size=5))


def changed(size, rounds):
    tree, leaves = SumTree(size), [0.0] * size
    for pairs in rounds:
        tree.update(np.array([index for index, _ in pairs]), np.array([float(value) for _, value in pairs]))
        for index, value in pairs:
            leaves[index] = float(value)
    return tree, leaves


# The sum tree


@given(changes(st.integers(0, 9)))
def test_a_tree_is_a_list_with_prefix_sums(case):
    """With whole numbers nothing is rounded, so that every prefix is found exactly."""
    tree, leaves = changed(*case)
    assert tree.leaves.tolist() == leaves
    assert tree.total == sum(leaves)
    prefixes = np.arange(sum(leaves))
    assert tree.find(prefixes).tolist() == np.searchsorted(np.cumsum(leaves), prefixes, side="right").tolist()


@given(changes(st.floats(0, 1e9)), st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_no_leaf_of_zero_is_ever_found_however_sums_were_rounded(case, shares):
    tree, leaves = changed(*case)
    if tree.total > 0:
        found = tree.find(tree.total * np.array([*shares, 1.0, math.nextafter(1.0, 0)]))
        assert all(leaves[index] > 0 for index in found.tolist())


@given(changes(st.floats(0, 1e9)))
def test_a_tree_filled_at_once_equals_one_that_grew_bit_for_bit(case):
    """Otherwise a resumed run would draw other rows."""
    grown, leaves = changed(*case)
    filled = SumTree(case[0])
    filled.fill(np.array([1.0] * case[0]))
    last = max((index for index, value in enumerate(leaves) if value), default=-1)
    filled.fill(np.array(leaves[: last + 1]))
    assert filled._sums.tolist() == grown._sums.tolist()


def test_a_tree_of_no_leaves_is_refused():
    with pytest.raises(InputError, match="one leaf or more, got 0"):
        SumTree(0)


# Settings


def test_beta_rises_on_a_line_to_one_and_stays():
    values = [Priorities(beta=0.5, anneal=4).beta_after(batches) for batches in (0, 1, 2, 4, 9)]
    assert values == [0.5, 0.625, 0.75, 1.0, 1.0]
    assert Priorities(beta=0.5, anneal=0).beta_after(0) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alpha": 1.5}, "alpha of priorities must be 0 to 1, got 1.5"),
        ({"beta": -0.1}, "beta of priorities must be 0 to 1, got -0.1"),
        ({"alpha": math.nan}, "alpha of priorities must be 0 to 1, got nan"),
        ({"anneal": -1}, "anneal of priorities is a number of batches, 0 or more, got -1"),
        ({"epsilon": 0.0}, "epsilon of priorities must be 1e-12 or more and finite, got 0"),
        ({"epsilon": math.inf}, "epsilon of priorities must be 1e-12 or more and finite, got inf"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        Priorities(**settings)


# Drawing and learning


def sampler_of(rows, **options):
    sampler = PrioritySampler(Priorities(**options), rows)
    sampler.change(np.arange(rows), np.array([], np.int64))
    return sampler


def test_priorities_are_powers_of_errors_and_the_largest_is_given_to_what_is_new():
    sampler = PrioritySampler(Priorities(alpha=0.5, epsilon=1.0), 6)
    sampler.change(np.array([0, 1, 2, 3]), np.array([4]))
    assert sampler.priorities.tolist() == [1, 1, 1, 1, 0, 0]
    sampler.learn(np.array([0, 1]), np.array([-8.0, 3.0]))
    sampler.learn(np.array([0]), np.array([0.0]))
    sampler.change(np.array([4]), np.array([2, 5]))
    assert sampler.priorities.tolist() == [1, 2, 0, 1, 3, 0]


def test_rows_that_are_gone_learn_nothing_and_the_last_of_equal_rows_counts():
    sampler = sampler_of(4, alpha=1.0, epsilon=1.0)
    sampler.change(np.array([], np.int64), np.array([1]))
    sampler.learn(np.array([1, 2, 2, 2]), np.array([5.0, 6.0, 8.0, 7.0]))
    assert sampler.priorities.tolist() == [1, 0, 8, 1]


def test_an_error_that_is_not_finite_is_refused_and_changes_nothing():
    sampler = sampler_of(3)
    for bad in (math.nan, -math.inf):
        with pytest.raises(InputError, match="errors for priorities must be finite: learning has diverged"):
            sampler.learn(np.array([0, 1]), np.array([2.0, bad]))
    assert sampler.priorities.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    "generator", [np.random.default_rng(3), torch.Generator().manual_seed(3)], ids=["numpy", "torch"]
)
def test_each_of_equal_parts_of_the_sum_gives_one_row(generator):
    """Equal priorities, as many draws as rows: each row once. One that has half of the sum: half of the draws."""
    sampler = sampler_of(300)
    assert sampler.draw(300, generator)[0].tolist() == list(range(300))
    sampler = sampler_of(9, alpha=1.0, epsilon=1e-12)
    sampler.learn(np.array([4]), np.array([8.0]))
    rows, _ = sampler.draw(16, generator)
    assert np.count_nonzero(rows == 4) == 8


def test_places_within_parts_are_drawn_too():
    """Of one draw from five equal rows, each comes up as often."""
    sampler, generator = sampler_of(5), np.random.default_rng(0)
    counts = np.bincount([int(sampler.draw(1, generator)[0][0]) for _ in range(1000)])
    assert counts.tolist() == pytest.approx([200] * 5, abs=4 * math.sqrt(200 * 0.8))


def test_weights_undo_the_preference_as_far_as_beta_says():
    """(N·P)^−β over the largest of the batch."""
    sampler = sampler_of(4, alpha=1.0, beta=0.5, anneal=2, epsilon=1e-12)
    sampler.learn(np.arange(4), np.array([1.0, 2.0, 3.0, 10.0]))
    probabilities = np.array([1, 2, 3, 10]) / 16
    for beta in (0.5, 0.75, 1.0, 1.0):
        rows, weights = sampler.draw(64, np.random.default_rng(0))
        raw = (4 * probabilities[rows]) ** -beta
        np.testing.assert_allclose(weights, raw / raw.max(), rtol=1e-6)
        assert weights.dtype == np.float32


# Saving


def test_a_loaded_sampler_goes_on_as_the_saved_one():
    sampler = sampler_of(40, anneal=10)
    sampler.learn(np.arange(40), np.arange(40.0))
    sampler.draw(8, np.random.default_rng(0))
    state = sampler.state_dict(40)
    loaded = PrioritySampler(Priorities(anneal=10), 50)
    loaded.load_state_dict(state, np.ones(40, bool))
    for _ in range(3):
        one, other = (either.draw(16, np.random.default_rng(1)) for either in (sampler, loaded))
        assert one[0].tolist() == other[0].tolist()
        assert one[1].tolist() == other[1].tolist()
        for either in (sampler, loaded):
            either.change(np.array([3]), np.array([9]))


@pytest.mark.parametrize(
    "damage",
    [
        {"priorities": None}, {"priorities": torch.ones(3)}, {"priorities": torch.ones(2, dtype=torch.float64)},
        {"priorities": torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64)},
        {"priorities": torch.tensor([1.0, 0.0, -1.0], dtype=torch.float64)},
        {"priorities": torch.tensor([1.0, 0.0, math.nan], dtype=torch.float64)},
        {"priorities": torch.tensor([1.0, 0.0, math.inf], dtype=torch.float64)},
        {"priorities": torch.ones(3, dtype=torch.float64).to_sparse()}, {"priorities": torch.tensor(1.0).double()},
        {"largest": 0.0}, {"largest": math.nan}, {"largest": "1"}, {"batches": -1}, {"batches": 1.5},
    ],
)  # fmt: skip
def test_a_damaged_state_is_refused(damage):
    sampler = PrioritySampler(Priorities(), 3)
    sampler.change(np.array([0, 2]), np.array([1]))
    state = sampler.state_dict(3)
    possible = np.array([True, False, True])
    PrioritySampler(Priorities(), 3).load_state_dict(state, possible)
    with pytest.raises(InputError):
        PrioritySampler(Priorities(), 3).load_state_dict(state | damage, possible)


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_rounding_never_leads_beyond_the_rows_that_can_be_drawn(seed):
    generator = np.random.default_rng(seed)
    sampler = sampler_of(1000)
    sampler.learn(np.arange(1000), 10.0 ** generator.uniform(-9, 9, 1000))
    gone = generator.choice(1000, 500, replace=False)
    sampler.change(np.array([], np.int64), gone)
    assert not set(gone.tolist()) & set(sampler.draw(512, generator)[0].tolist())
