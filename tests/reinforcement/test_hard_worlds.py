"""Worlds that take minutes to learn."""

import pytest

import pendio
from pendio.reinforcement.evaluation import evaluate_agent

pytestmark = pytest.mark.slow


@pytest.mark.timeout(900)
def test_a_lander_learns_to_land(tmp_path):
    pytest.importorskip("Box2D")
    run = pendio.train("ppo", progress=False, env="LunarLander-v3", out=str(tmp_path / "run"))
    assert evaluate_agent(pendio.load(run.folder), 100).to_dict()["return"] >= 200


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(5))
def test_a_deep_q_network_balances_the_pole_from_every_seed(seed, tmp_path):
    run = pendio.train("dqn", progress=False, env="CartPole-v1", seed=seed, out=str(tmp_path / "run"))
    assert evaluate_agent(pendio.load(run.folder), 100).to_dict()["return"] >= 475


def test_q_learning_comes_near_the_optimum_of_the_slippery_lake(tmp_path):
    run = pendio.train("qlearn", progress=False, env="FrozenLake-v1", out=str(tmp_path / "run"))
    evaluation = evaluate_agent(pendio.load(run.folder), 1_000).to_dict()
    assert evaluation["return"] >= 0.72
    assert evaluation["optimal"] == pytest.approx(0.744190, abs=1e-6)
