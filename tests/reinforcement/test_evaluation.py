import numpy as np
import pytest

from pendio.errors import InputError
from pendio.reinforcement.agent import play
from pendio.reinforcement.evaluation import evaluate_agent, optimal_return, random_actions
from pendio.reinforcement.processes.planning import policy_at_limit, value_iteration
from pendio.reinforcement.worlds.environments import open_world

from . import worlds
from .worlds import Rule, always, opened


@pytest.mark.parametrize(
    ("name", "limit", "best"),
    [
        ("FrozenLake-v1", None, 0.744190), ("FrozenLake-v1", 5, None), ("Taxi-v4", None, 7.93),
        ("CliffWalking-v1", None, -13.0),
        ("CliffWalking-v1", 12, -12.0),
    ],
)  # fmt: skip
def test_the_best_there_can_be(name, limit, best):
    found = optimal_return(open_world(name, limit=limit, discount=0.9))
    if best is None:
        assert found == 0.0  # the goal is six steps away
    else:
        assert found == pytest.approx(best, abs=1e-6)


def test_without_a_table_the_best_is_not_known():
    assert optimal_return(open_world("CartPole-v1")) is None


@pytest.mark.parametrize("episodes", [1, 128, 129, 300])
def test_every_seed_is_played_once(episodes):
    agent = Rule(opened(worlds.Counting, "length=3"), always(0), discount=0.5)
    found = evaluate_agent(agent, episodes, seed=40)
    assert found.played.returns.tolist() == [6.0] * episodes
    assert found.played.discounted.tolist() == [2.75] * episodes
    alone = play(always(0), agent.world, range(40, 40 + episodes)).first
    np.testing.assert_array_equal(found.played.first, alone)
    np.testing.assert_array_equal(found.random.first, alone)
    assert found.first_seed == 40
    assert len(np.unique(found.random.first[:, 1])) > 0.99 * episodes


def test_chance_is_another_player():
    agent = Rule(opened(worlds.Counting, "length=3"), always(0))
    found = evaluate_agent(agent, 400)
    assert set(found.random.returns) == {0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0}
    assert found.random.returns.mean() == pytest.approx(3, abs=5 * np.sqrt((1 + 4 + 9) / 4 / 400))
    result = found.to_dict()
    assert {name: result[name] for name in ("episodes", "return", "return_sd", "return_least", "return_most", "length")} == {
        "episodes": 400, "return": 6.0, "return_sd": 0.0, "return_least": 6.0, "return_most": 6.0, "length": 3.0,
    }  # fmt: skip
    assert (result["terminated"], result["first_seed"], result["optimal"]) == (1.0, 0, None)
    assert result["random"] == found.random.returns.mean()
    assert result["random_sd"] == found.random.returns.std()


def test_least_and_most_are_told():
    agent = Rule(opened(worlds.Walk, "length=2"), always(0))
    result = evaluate_agent(agent, 20).to_dict()
    assert result["return_least"] < result["return"] < result["return_most"]


def test_the_best_policy_comes_near_the_best_return():
    world = open_world("FrozenLake-v1")
    policy = value_iteration(world.mdp).policy
    found = evaluate_agent(Rule(world, lambda seen: policy[seen]), 2_000)
    error = found.played.returns.std() / np.sqrt(2_000)
    assert abs(found.played.returns.mean() - policy_at_limit(world.mdp, policy, 100)) < 3 * error
    assert found.optimal == pytest.approx(0.744190, abs=1e-6)
    assert found.random.returns.mean() < 0.05


def test_the_same_seed_gives_the_same_evaluation():
    agent = Rule(open_world("CartPole-v1", limit=40), always(0))
    runs = [evaluate_agent(agent, 150, seed) for seed in (3, 3, 4)]
    assert runs[0].to_dict() == runs[1].to_dict()
    assert runs[0].random.returns.tolist() != runs[2].random.returns.tolist()


def test_random_actions_are_even_and_within_bounds():
    choices = random_actions(open_world("Taxi-v4"), 0)(np.zeros(60_000))
    np.testing.assert_allclose(np.bincount(choices, minlength=6) / 10_000, 1, atol=0.05)
    vectors = random_actions(opened(worlds.Continuous), 0)(np.zeros((50_000, 2)))
    assert vectors.shape == (50_000, 2)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors.min(0), [-1, 0], atol=1e-3)
    np.testing.assert_allclose(vectors.max(0), [1, 2], atol=1e-3)
    np.testing.assert_allclose(vectors.mean(0), [0, 1], atol=0.02)


def test_there_must_be_episodes_and_seeds():
    agent = Rule(opened(worlds.Counting), always(0))
    with pytest.raises(InputError, match="--episodes must be at least 1, got 0"):
        evaluate_agent(agent, 0)
    with pytest.raises(InputError, match="--seed must be 0 or more, got -3"):
        evaluate_agent(agent, 5, seed=-3)
