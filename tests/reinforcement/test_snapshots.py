import io

import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from pendio.errors import InputError
from pendio.reinforcement.worlds.arena import Arena, GymEnvironments
from pendio.reinforcement.worlds.environments import open_world
from pendio.reinforcement.worlds.snapshots import generator_state, restore_generator

from . import worlds
from .worlds import name_of, opened


def through_a_file(state):
    """As a checkpoint does."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


def played_on(arena, seed, steps):
    """Everything that happens, as bytes."""
    random, told = np.random.default_rng(seed), []
    for _ in range(steps):
        shape = (arena.count,) if arena.world.actions else (arena.count, len(arena.world.low))
        actions = random.integers(arena.world.actions, size=shape) if arena.world.actions else random.normal(size=shape)
        step, over = arena.step(actions.astype(np.float32) if not arena.world.actions else actions)
        told.append([np.asarray(column).tobytes() for column in (*step, *over, arena.observations)])
    return told


WORLDS = [
    ("FrozenLake-v1", "", 9, 1), ("Taxi-v4", "", 9, 1), ("CartPole-v1", "", None, 1), ("CartPole-v1", "", 7, 1),
    ("Acrobot-v1", "", 7, 1), ("MountainCar-v0", "", 7, 1), ("MountainCarContinuous-v0", "", 7, 1),
    ("Pendulum-v1", "", 7, 1), ("gymnasium.envs.classic_control:CartPoleEnv", "", None, 1), (name_of(worlds.Walk), "", 7, 1),
    (name_of(worlds.Walk), "length=20", 7, 1), (name_of(worlds.Frames), "length=6", None, 3),
]  # fmt: skip


@pytest.mark.parametrize(("name", "settings", "limit", "stack"), WORLDS)
@pytest.mark.parametrize("before", [0, 3, 6, 7, 8, 20])
def test_play_goes_on_to_the_bit(name, settings, limit, stack, before):
    world = open_world(name, settings, limit=limit)
    arena = Arena(world, 3, seed=1, stack=stack)
    played_on(arena, 0, before)
    state = through_a_file(arena.state_dict())
    counts, seen = (arena.steps, arena.episodes), arena.observations.copy()
    told = played_on(arena, 1, 40)
    again = Arena(world, 3, seed=2, stack=stack)
    played_on(again, 2, 5)
    assert again.load_state_dict(state) is True
    assert (again.steps, again.episodes) == counts
    np.testing.assert_array_equal(again.observations, seen)
    assert again.observations.dtype == seen.dtype
    assert played_on(again, 1, 40) == told
    assert (again.steps, again.episodes) == (arena.steps, arena.episodes)


def test_a_snapshot_is_not_changed_by_playing_on():
    arena = Arena(opened(worlds.Walk, "length=30"), 2)
    played_on(arena, 0, 4)
    state = arena.state_dict()
    kept = through_a_file(state)
    played_on(arena, 0, 4)
    assert through_a_file(state) == kept


def test_tensors_of_a_snapshot_are_copies():
    arena = Arena(opened(worlds.Tensors), 2)
    played_on(arena, 0, 3)
    state = arena.state_dict()
    kept = through_a_file(state)
    told = played_on(arena, 1, 4)
    again = Arena(arena.world, 2, seed=5)
    assert again.load_state_dict(state) is True
    assert played_on(again, 1, 4) == told
    again.load_state_dict(kept)
    assert played_on(again, 1, 4) == told


def test_frames_of_a_snapshot_are_not_changed_by_playing_on():
    arena = Arena(opened(worlds.Frames), 2, stack=2)
    state = arena.state_dict()
    kept = state["observations"].clone()
    played_on(arena, 0, 3)
    assert torch.equal(state["observations"], kept)
    again = Arena(arena.world, 2, stack=2)
    again.load_state_dict(state)
    played_on(again, 0, 3)
    assert torch.equal(state["observations"], kept)


@pytest.mark.parametrize("made", [worlds.Counting, worlds.remembered])
def test_others_begin_new_episodes(made):
    arena = Arena(opened(made), 2)
    first = arena.observations.copy()
    played_on(arena, 0, 3)
    state = through_a_file(arena.state_dict())
    assert state["side"] is None
    again = Arena(arena.world, 2)
    played_on(again, 0, 2)
    assert again.load_state_dict(state) is False
    assert (again.steps, again.episodes) == (6, 0)
    assert not np.array_equal(again.observations, first)
    assert not np.array_equal(again.observations[0], again.observations[1])
    same = Arena(arena.world, 2, seed=9)
    same.load_state_dict(state)
    np.testing.assert_array_equal(same.observations, again.observations)
    if made is worlds.Counting:
        _, over = [again.step(np.zeros(2, np.int64)) for _ in range(5)][-1]
        assert over.returns.tolist() == [15.0, 15.0]
        assert over.lengths.tolist() == [5, 5]


def test_a_wrapper_with_a_memory_of_its_own_is_not_taken_for_granted():
    assert Arena(open_world("Pendulum-v1"), 1).state_dict()["side"] is not None
    assert Arena(opened(worlds.remembered), 1).state_dict()["side"] is None


def test_vectors_that_begin_anew_at_once_tell_no_state():
    world = open_world("Pendulum-v1")
    side = GymEnvironments(world, 1, SyncVectorEnv([world.make], autoreset_mode=AutoresetMode.SAME_STEP))
    side.reset([0])
    assert side.state() is None


def test_what_a_checkpoint_cannot_hold_is_told_at_once():
    arena = Arena(opened(worlds.Unstorable), 1)
    with pytest.raises(InputError, match=r"state_dict\(\) of Unstorable holds a ndarray, .* torch.from_numpy\(array\)"):
        arena.state_dict()


def test_another_number_of_environments_cannot_go_on():
    state = Arena(open_world("CartPole-v1"), 3).state_dict()
    with pytest.raises(InputError, match="3 environments were saved, and 4 are to go on; give the same --environments"):
        Arena(open_world("CartPole-v1"), 4).load_state_dict(state)


def test_a_generator_goes_on_where_it_was():
    generator = np.random.default_rng(5)
    generator.random(3)
    generator.integers(5, dtype=np.int32)  # leaves half a word in hand
    state = through_a_file(generator_state(generator))
    expected = generator.integers(100, size=5, dtype=np.int32).tolist()
    other = np.random.default_rng(0)
    restore_generator(other, state)
    assert other.integers(100, size=5, dtype=np.int32).tolist() == expected
