import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pendio.reinforcement.policy.advantages import explained_variance, generalized_advantages, standardized
from pendio.reinforcement.processes.planning import discounted_returns


def column(*numbers):
    return np.array(numbers, dtype=float)[:, None]


def flags(*numbers):
    return np.array(numbers, dtype=bool)[:, None]


def double_sum(errors, ended, valid, decay):
    sums = np.zeros(errors.shape)
    for t, n in zip(*np.nonzero(valid), strict=True):
        for later in range(t, len(errors)):
            sums[t, n] += decay ** (later - t) * errors[later, n]
            if ended[later, n]:
                break
    return sums


@st.composite
def rollouts(draw):
    steps, count = draw(st.integers(1, 12)), draw(st.integers(1, 3))
    random = np.random.default_rng(draw(st.integers(0, 10_000)))
    rewards, values, next_values = random.normal(size=(3, steps, count))
    chance = random.random((steps, count))
    valid = np.ones((steps, count), dtype=bool)
    for t, n in zip(*np.nonzero(chance[:-1] < 0.3), strict=True):
        if valid[t, n] and random.random() < 0.5:
            valid[t + 1, n] = False
    return rewards, values, next_values, (chance < 0.15) & valid, (chance < 0.3) & valid, valid


@settings(max_examples=60, deadline=None)
@given(rollouts(), st.floats(0, 1), st.floats(0, 1))
def test_advantages_are_the_sum_of_decaying_errors_within_the_episode(rollout, discount, gae_lambda):
    rewards, values, next_values, terminated, ended, valid = rollout
    errors = np.where(valid, rewards + discount * ~terminated * next_values - values, 0.0)
    expected = double_sum(errors, ended, valid, discount * gae_lambda)
    np.testing.assert_allclose(generalized_advantages(*rollout, discount, gae_lambda), expected, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(rollouts(), st.floats(0, 1))
def test_with_lambda_1_they_are_the_return_less_the_value(rollout, discount):
    rewards, values, next_values, terminated, ended, valid = rollout
    # The value of a state in the middle of an episode has no part in its return, whatever it is.
    next_values[:-1] = np.where(ended[:-1], next_values[:-1], values[1:])
    returns = discounted_returns(rewards, discount, ended, np.where(terminated, 0.0, next_values))
    expected = np.where(valid, returns - values, 0.0)
    np.testing.assert_allclose(generalized_advantages(*rollout, discount, 1.0), expected, atol=1e-12)


def test_a_worked_example():
    found = generalized_advantages(
        column(1, 2, 3),
        column(10, 20, 30),
        column(20, 30, 40),
        flags(0, 0, 1),
        flags(0, 0, 1),
        flags(1, 1, 1),
        0.5,
        0.5,
    )
    # δ = 1 + 10 − 10, 2 + 15 − 20, 3 − 30; then each a quarter of the next.
    assert found[:, 0].tolist() == [1 - 3 / 4 - 27 / 16, -3 - 27 / 4, -27]


def test_a_cut_counts_the_value_of_the_last_state_and_a_terminal_state_is_worth_nothing():
    values, after, ones = column(0, 0), column(7, 100), flags(1, 1)
    cut = generalized_advantages(column(0, 0), values, after, flags(0, 0), flags(1, 1), ones, 0.5, 1.0)
    over = generalized_advantages(column(0, 0), values, after, flags(1, 1), flags(1, 1), ones, 0.5, 1.0)
    assert cut[:, 0].tolist() == [3.5, 50]
    assert over[:, 0].tolist() == [0, 0]


def test_nothing_leaks_from_what_is_no_transition_nor_from_the_next_episode():
    rewards = column(1, np.nan, 5)
    nothing = column(0, np.nan, 0)
    found = generalized_advantages(
        rewards, nothing, nothing, flags(0, 0, 0), flags(1, 0, 0), flags(1, 0, 1), 1.0, 1.0
    )  # fmt: skip
    assert found[:, 0].tolist() == [1, 0, 5]
    # Not even where a reset follows what was not marked as an end.
    found = generalized_advantages(
        column(1, 2, 5), column(0, 0, 0), column(0, 0, 0), flags(0, 0, 0), flags(0, 0, 0), flags(1, 0, 1), 1.0, 1.0
    )
    assert found[:, 0].tolist() == [1, 0, 5]


def test_environments_do_not_mix():
    rewards = np.arange(8.0).reshape(4, 2)
    zeros, no, yes = np.zeros((4, 2)), np.zeros((4, 2), dtype=bool), np.ones((4, 2), dtype=bool)
    found = generalized_advantages(rewards, zeros, zeros, no, no, yes, 1.0, 1.0)
    assert found.tolist() == [[12, 16], [12, 15], [10, 12], [6, 7]]


def test_standardised_numbers_have_mean_0_and_deviation_1_and_equal_ones_are_0():
    found = standardized(np.array([3.0, 5.0, 10.0]))
    assert found.mean() == pytest.approx(0)
    assert found.std() == pytest.approx(1)
    assert standardized(np.full(4, 2.5)).tolist() == [0, 0, 0, 0]


def test_explained_variance_is_1_for_a_prophet_0_for_a_constant_and_nothing_where_there_is_nothing_to_explain():
    returns = np.array([1.0, 2.0, 4.0])
    assert explained_variance(returns + 7, returns) == 1
    assert explained_variance(np.full(3, 9.0), returns) == 0
    assert explained_variance(-returns, returns) == pytest.approx(-3)
    assert np.isnan(explained_variance(returns, np.ones(3)))
