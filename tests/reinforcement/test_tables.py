import warnings

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from scipy import stats

from pendio.reinforcement.processes.mdp import MDP, random_mdp
from pendio.reinforcement.worlds.tables import TableEnvironment, TableEnvironments


def chi_squared(counts, probabilities):
    """p-value of counts; what cannot happen must not have."""
    assert not counts[probabilities == 0].any()
    counts, probabilities = counts[probabilities > 0], probabilities[probabilities > 0]
    return stats.chisquare(counts, counts.sum() * probabilities).pvalue if len(counts) > 1 else 1.0


@pytest.fixture(scope="module")
def mdp():
    """Random, with unused branches in the middle and at the end."""
    full = random_mdp(6, 3, 4, 0.9, seed=1)
    probabilities = full.probabilities.copy()
    probabilities[::2, :, 1] = probabilities[1::2, 1, 3] = 0
    probabilities /= probabilities.sum(2, keepdims=True)
    rewards = np.arange(72.0).reshape(6, 3, 4)  # each branch has its own, by which it is known
    return MDP(full.next_states, probabilities, rewards, full.terminal, np.array([0.5, 0, 0.2, 0.3, 0, 0]), 0.9)


def branches_of_many(mdp, count=500, steps=400):
    side = TableEnvironments(mdp, count, limit=1_000_000)
    seen, random, counts = side.reset([7]), np.random.default_rng(0), np.zeros(mdp.rewards.shape)
    starts = np.bincount(seen, minlength=6)
    for _ in range(steps):
        step, seen = side.step(random.integers(3, size=count))
        place = step.observations, step.actions, (step.rewards % 4).astype(int)
        np.testing.assert_array_equal(mdp.rewards[place], step.rewards)
        np.testing.assert_array_equal(mdp.next_states[place], step.next_observations)
        np.testing.assert_array_equal(mdp.terminal[place], step.terminated)
        np.add.at(counts, place, 1)
        np.testing.assert_array_equal(seen[~step.terminated], step.next_observations[~step.terminated])
        starts += np.bincount(seen[step.terminated], minlength=6)
        assert step.valid.all()
        assert not step.truncated.any()
    return counts, starts


def branches_of_one(mdp, steps=30_000):
    environment, random, counts = TableEnvironment(mdp), np.random.default_rng(0), np.zeros(mdp.rewards.shape)
    state, starts = environment.reset(seed=4)[0], np.zeros(6)
    starts[state] += 1
    for action in random.integers(3, size=steps):
        successor, reward, over, truncated, _ = environment.step(action)
        place = state, action, int(reward % 4)
        assert (successor, reward, over) == (mdp.next_states[place], mdp.rewards[place], mdp.terminal[place])
        assert not truncated
        counts[place] += 1
        state = successor
        if over:
            state = environment.reset()[0]
            starts[state] += 1
    return counts, starts


@pytest.mark.parametrize("play", [branches_of_many, branches_of_one])
def test_branches_and_first_states_come_as_often_as_the_table_says(mdp, play):
    counts, starts = play(mdp)
    values = [chi_squared(counts[s, a], mdp.probabilities[s, a]) for s in range(6) for a in range(3)]
    assert min(values) > 1e-3
    assert np.mean(values) > 0.3
    assert chi_squared(starts, mdp.start) > 1e-2
    assert starts.sum() > 1_000


def test_a_state_behind_the_last_possible_first_one_is_never_drawn():
    shares = np.append(np.full(10, 0.1), 0.0)
    assert shares.cumsum()[9] < 1
    mdp = MDP.from_rows([[s, 0, s, 1, 0, False] for s in range(11)], (11, 1), start=shares)
    side = TableEnvironments(mdp, 1, 5)
    side._random = Drawn(np.nextafter(1, 0))
    assert side._first(3).tolist() == [9, 9, 9]


class Drawn:
    """A generator of one number."""

    def __init__(self, number):
        self.number = number

    def random(self, count=None):
        return self.number if count is None else np.full(count, self.number)


@pytest.mark.parametrize(
    ("number", "branch"), [(0.0, 1), (0.25, 3), (np.nextafter(0.25, 0), 1), (np.nextafter(1, 0), 3)]
)
def test_branches_that_cannot_happen_are_never_drawn(number, branch):
    shape = (1, 1, 5)
    chances = np.array([0, 0.25, 0, 0.75, 0]).reshape(shape)
    rewards = np.arange(5.0).reshape(shape)
    mdp = MDP(np.zeros(shape), chances, rewards, np.zeros(shape), np.ones(1))
    side, environment = TableEnvironments(mdp, 2, 9), TableEnvironment(mdp)
    side.reset([0])
    environment.reset(seed=0)
    side._random, environment.np_random = Drawn(number), Drawn(number)
    assert side.step(np.zeros(2, np.int64))[0].rewards.tolist() == [branch, branch]
    assert environment.step(0)[1] == branch


def circle(**options):
    """Five states in a circle."""
    return MDP.from_rows([[s, 0, (s + 1) % 5, 1, s, False] for s in range(5)], (5, 1), start=[1, 0, 0, 0, 0], **options)


def test_the_limit_cuts_and_a_new_episode_begins_at_once():
    side = TableEnvironments(circle(), 2, limit=3)
    side.reset([0, 1])
    steps = [side.step(np.zeros(2, np.int64)) for _ in range(7)]
    assert [step.truncated.tolist() for step, _ in steps] == [[number % 3 == 2] * 2 for number in range(7)]
    assert [step.observations[0] for step, _ in steps] == [0, 1, 2, 0, 1, 2, 0]
    assert [step.next_observations[0] for step, _ in steps] == [1, 2, 3, 1, 2, 3, 1]
    assert [seen[1] for _, seen in steps] == [1, 2, 0, 1, 2, 0, 1]
    assert not any(step.terminated.any() for step, _ in steps)


def test_an_end_at_the_limit_is_an_end():
    mdp = MDP.from_rows([[0, 0, 1, 1, 0, False], [1, 0, 0, 1, 1, True]], (2, 1), start=[1, 0])
    side = TableEnvironments(mdp, 1, limit=2)
    side.reset([0])
    steps = [side.step(np.zeros(1, np.int64))[0] for _ in range(4)]
    assert [step.terminated[0] for step in steps] == [False, True, False, True]
    assert not any(step.truncated[0] for step in steps)


def test_a_reset_begins_everything_anew():
    side = TableEnvironments(random_mdp(9, 2, 3, 0.9, seed=0), 4, limit=5)
    runs = []
    for _ in range(2):
        seen = [side.reset([3, 4, 5, 6])]
        for _ in range(13):
            step, after = side.step(np.ones(4, np.int64))
            seen += [after, step.truncated]
        runs.append(np.stack(seen).tolist())
    assert runs[0] == runs[1]
    assert side.reset([4, 3, 5, 6]).tolist() != runs[0][0] or side.reset([9]).tolist() != runs[0][0]


def test_it_is_an_environment_in_gymnasiums_sense():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*Not able to test alternative render modes")  # it has no id
        check_env(TableEnvironment(random_mdp(9, 2, 3, 0.9, seed=0), "ansi"))


def test_it_is_told_in_words():
    environment = TableEnvironment(circle(states=("a", "b", "c", "d", "e"), actions=("on",)), "ansi")
    environment.reset(seed=0)
    assert environment.render() == "a"
    environment.step(0)
    environment.step(0)
    assert environment.render() == "on: c (reward 1)"
