import numpy as np
import pytest
import torch

from pendio.descent.loop import evaluate
from pendio.reinforcement.agent import Games, play
from pendio.reinforcement.worlds.environments import open_world

from . import worlds
from .worlds import Rule, always, opened


def test_returns_are_exact():
    world = opened(worlds.Counting, "length=5")
    played = play(always(0), world, [3, 1, 4], discount=0.5)
    assert played.returns.tolist() == [15.0] * 3
    assert played.discounted.tolist() == [1 + 2 / 2 + 3 / 4 + 4 / 8 + 5 / 16] * 3
    assert played.lengths.tolist() == [5] * 3
    assert played.terminated.tolist() == [True] * 3
    assert play(always(1), world, [0]).returns.tolist() == [0.0]
    cut = play(always(0), opened(worlds.Counting, "length=5", limit=3), [0])
    assert (cut.returns[0], cut.lengths[0], cut.terminated[0]) == (6.0, 3, False)


def test_each_seed_is_one_episode_in_the_order_of_the_seeds():
    world = opened(worlds.Counting)
    played = play(always(0), world, [7, 8, 7])
    alone = [play(always(0), world, [seed]).first[0].tolist() for seed in (7, 8)]
    assert played.first.tolist() == [alone[0], alone[1], alone[0]]
    assert alone[0] != alone[1]


def test_only_the_first_episode_of_each_counts():
    """Episodes of 1, 2, … 8 steps: the early ones are played again and again while the last goes on."""

    def rule(observations):
        # Balanced by how far the pole leans, each cart from another moment on never again.
        return np.where(np.arange(len(observations)) < 4, 0, (observations[:, 2] + observations[:, 3] > 0).astype(int))

    played = play(rule, open_world("CartPole-v1", limit=200), range(8))
    assert played.lengths[:4].max() < 12
    assert played.lengths[4:].min() > 100
    np.testing.assert_array_equal(played.returns, played.lengths)
    np.testing.assert_array_equal(played.terminated, played.lengths < 200)


@pytest.mark.parametrize("name", ["CartPole-v1", "Taxi-v4", "Acrobot-v1"])
def test_the_same_seeds_give_the_same_episodes(name):
    world = open_world(name, limit=60)
    runs = [play(always(0), world, seeds) for seeds in (range(6), range(6), range(1, 7))]
    assert all(np.array_equal(*pair) for pair in zip(runs[0], runs[1], strict=True))
    assert not np.array_equal(runs[0].first, runs[2].first)


def test_frames_are_stacked_for_who_sees_several():
    shapes = []

    def rule(observations):
        shapes.append(observations.shape)
        return np.zeros(len(observations), np.int64)

    played = play(rule, opened(worlds.Frames), [0, 1], stack=3)
    assert set(shapes) == {(2, 9, 4, 5)}
    assert played.first.shape == (2, 9, 4, 5)
    assert not played.first[:, 0].any()


@pytest.mark.parametrize(
    ("count", "size", "world"), [(20, 256, 1), (300, 256, 1), (7, 2, 3), (2, 5, 4), (129, 1_000, 2), (20, 4, 2)]
)
def test_seeds_are_shared_among_processes_without_loss(count, size, world):
    games = Games(count, 50)
    shares = [[part for (part,) in games.batches(size, rank=rank, world=world)] for rank in range(world)]
    assert sorted(torch.cat([part for share in shares for part in share]).tolist()) == list(range(50, 50 + count))
    assert max(len(part) for share in shares for part in share) <= min(size, 128)
    assert len(games) == count
    assert torch.cat([part for (part,) in games.batches(size)]).tolist() == list(range(50, 50 + count))
    assert max(len(share) for share in shares) == games.steps(size, world)


def test_metrics_are_exact_means_and_begin_anew():
    world = opened(worlds.Continuous, "length=1")
    agent = Rule(world, lambda seen: np.full((len(seen), 2), 0.1 if len(seen) == 1 else 0.3), discount=0.9)
    for seeds in ([5], [6, 7]):
        agent.measure((torch.tensor(seeds),))
    reward = [0.2, 0.6, 0.6]
    metrics = agent.metrics()
    assert metrics == {
        "return": pytest.approx(np.mean(reward), abs=1e-15), "return_sd": pytest.approx(np.std(reward), abs=1e-15),
        "discounted": pytest.approx(np.mean(reward), abs=1e-15), "length": 1.0, "terminated": 1.0,
    }  # fmt: skip
    agent.rule = lambda seen: np.full((len(seen), 2), 0.25)
    agent.measure((torch.tensor([1, 2]),))
    assert agent.metrics()["return"] == 0.5
    assert agent.metrics() == {}


def test_what_was_expected_stands_beside_what_came():
    world = opened(worlds.Counting, "length=5", limit=4)
    agent = Rule(world, always(0), discount=0.5, expected=lambda seen: seen[:, 1])
    agent.measure((torch.arange(3),))
    assert agent.metrics() == {
        "return": 10.0, "return_sd": 0.0, "discounted": 1 + 1 + 0.75 + 0.5, "length": 4.0, "terminated": 0.0,
        "expected": pytest.approx(play(always(0), world, range(3)).first[:, 1].astype(np.float64).mean(), rel=1e-15),
    }  # fmt: skip


def test_the_loop_measures_all_games():
    agent = Rule(open_world("CartPole-v1", limit=30), lambda seen: (seen[:, 2] > 0).astype(int))
    agent.weight = torch.nn.Parameter(torch.zeros(1))
    found = evaluate(agent, Games(300, 0))
    parts = [play(agent.rule, agent.world, range(first, min(first + 128, 300))) for first in (0, 128, 256)]
    lengths = np.concatenate([part.lengths for part in parts])
    assert len(lengths) == 300
    assert found["length"] == pytest.approx(lengths.mean(), abs=1e-12)
    assert found["return_sd"] == pytest.approx(lengths.std(), abs=1e-12)


def test_better_is_more_and_then_steadier():
    agent = Rule(opened(worlds.Counting), always(0))
    scores = [agent.score({"return": mean, "return_sd": sd}) for mean, sd in ((1.0, 0.0), (2.0, 3.0), (2.0, 1.0))]
    assert sorted(scores) == scores


def test_predictions_are_actions():
    agent = Rule(opened(worlds.Counting), lambda seen: seen[:, 0].astype(int) % 2)
    assert agent.predict(torch.tensor([[0.0, 1.0], [1.0, 1.0], [2.0, 0.0]])).tolist() == [0, 1, 0]
