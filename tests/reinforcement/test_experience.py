"""The source that plays: how it explores, when it learns, and that it can be saved between any two batches."""

import io

import numpy as np
import pytest
import torch

from pendio.errors import InputError
from pendio.reinforcement.networks import ActionValues
from pendio.reinforcement.options import DQNOptions, QLearnOptions
from pendio.reinforcement.values.dqn import DQN, QLearning
from pendio.reinforcement.values.experience import Experience, epsilon_at, explored
from pendio.reinforcement.worlds.environments import open_world


def options(**given):
    return QLearnOptions.of({
        "env": "FrozenLake-v1", "env_steps": 1_000, "environments": 4, "start": 100, "train_every": 8, "updates": 2,
        "epochs": 3, "replay": 500, **given,
    })  # fmt: skip


def experience(**given):
    chosen = options(**given)
    return Experience(QLearning(open_world("FrozenLake-v1")), chosen, 0)


def test_the_share_of_random_actions_falls_in_a_straight_line_and_stays():
    chosen = options(epsilon=1.0, epsilon_end=0.2, explore=0.5)
    assert [epsilon_at(step, chosen) for step in (0, 250, 500, 1_000, 5_000)] == pytest.approx(
        [1.0, 0.6, 0.2, 0.2, 0.2]
    )


def test_each_environment_tosses_its_own_coin_and_any_action_may_come():
    random = np.random.default_rng(0)
    best = np.full(20_000, 3)
    taken = explored(best, 0.4, 5, random)
    shares = np.bincount(taken, minlength=5) / len(taken)
    assert shares == pytest.approx([0.08, 0.08, 0.08, 0.68, 0.08], abs=0.01)
    assert (explored(best, 0.0, 5, random) == 3).all()


def test_steps_are_played_before_each_bout_of_learning():
    source = experience()
    played = [source.arena().steps for _ in source.batches(16)]
    assert source.steps(16) == source.updates_per_epoch == (900 // 8) * 2 // 3 == len(played)
    assert played[:6] == [100, 100, 108, 108, 116, 116]
    later = [source.arena().steps for _ in source.batches(16, epoch=1)]
    # 74 updates before: bout 37 begins.
    assert later[0] == 100 + 37 * 8


def test_the_whole_training_plays_no_more_than_was_asked():
    source = experience()
    for epoch in range(3):
        for _ in source.batches(16, epoch=epoch):
            pass
    assert 1_000 - 32 <= source.arena().steps <= 1_000


def saved(source):
    buffer = io.BytesIO()
    torch.save(source.state_dict(), buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


def batches_equal(first, second):
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("priority", [0.0, 0.7])
def test_it_goes_on_to_the_bit_from_between_any_two_batches(priority):
    def learn(source, batch):
        source.agent.loss(batch)

    reference = experience(priority=priority)
    walk = reference.batches(16)
    taken = []
    for number in range(40):
        batch = next(walk)
        learn(reference, batch)
        taken.append(batch)
        if number == 19:
            state = saved(reference)
    other = experience(priority=priority)
    other.load_state_dict(state)
    again = other.batches(16, start=20)
    for expected in taken[20:]:
        batch = next(again)
        learn(other, batch)
        assert batches_equal(batch, expected)


def test_errors_become_priorities_before_the_next_draw():
    source = experience(priority=1.0, replay=400)
    walk = source.batches(64)
    drawn = next(walk)
    source.agent.errors = torch.where(drawn.indices == drawn.indices[0], 1_000.0, 0.0)
    following = next(walk)
    assert (following.indices == drawn.indices[0]).float().mean() > 0.9
    assert following.weights.min() == pytest.approx(0.001**0.4, rel=0.05)


def test_it_tells_what_was_played_and_what_is_remembered():
    source = experience(epsilon_end=1.0)
    for _ in source.batches(16):
        pass
    told = source.tell()
    assert told["env_steps"] == source.arena().steps
    assert told["episodes"] > 0
    assert 0 < told["train_return"] < 0.5
    assert 0.2 < told["rarest_action"] < 0.27
    assert told["reward_largest"] == 1.0
    assert 0 < told["remembered_ends"] < 0.5
    assert "train_return" not in source.tell()


def test_processes_play_apart_and_share_a_batch():
    first, second = experience(), experience()
    one, two = next(first.batches(16, rank=0, world=2)), next(second.batches(16, rank=1, world=2))
    assert len(one.actions) == len(two.actions) == 8
    assert not torch.equal(one.actions, two.actions) or not torch.equal(one.indices, two.indices)


def test_frames_are_stored_once_and_stacked_again():
    from tests.reinforcement.frames import world

    frames = world()
    chosen = DQNOptions.of({
        "env": "frames", "env_steps": 400, "environments": 2, "start": 60, "train_every": 2, "updates": 1, "epochs": 1,
        "replay": 200, "stack": 3, "hidden": "8",
    })  # fmt: skip
    agent = DQN(frames, ActionValues(frames, (8,), stack=3), stack=3)
    source = Experience(agent, chosen, 0)
    for number, batch in enumerate(source.batches(32)):
        assert batch.observations.shape[1] == 3
        # Frames count the steps of their episode: a stack shows three in a row, or repeats the first.
        shown = batch.observations[:, :, 0, 0].long()
        assert ((shown[:, 2] - shown[:, 1] == 1) | (shown[:, 2] == 0)).all()
        assert (batch.next_observations[:, 2, 0, 0].long() - shown[:, 2] == 1).all()
        if number == 20:
            break


def test_too_little_play_is_refused():
    with pytest.raises(InputError, match="fewer than 30 --epochs"):
        experience(env_steps=200, epochs=30, updates=1)
