import gymnasium
import numpy as np
import pytest
from gymnasium.envs.classic_control.cartpole import CartPoleVectorEnv
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from pendio.descent.task import SourceFailed
from pendio.errors import InputError
from pendio.reinforcement.worlds.arena import Arena, GymEnvironments
from pendio.reinforcement.worlds.environments import open_world
from pendio.reinforcement.worlds.tables import TableEnvironments

from . import worlds
from .worlds import opened


def told(side, count, rule, steps):
    """What each environment did, episode step by episode step, without the steps that are none."""
    seen, stories = side.reset(range(count)), [[] for _ in range(count)]
    for _ in range(steps):
        step, seen = side.step(rule(seen))
        for number in np.flatnonzero(step.valid):
            stories[number].append(tuple(np.asarray(column)[number].tolist() for column in step[:6]))
    return stories


def vector(name, count, limit, mode, **settings):
    return gymnasium.make_vec(
        name, count, "sync", vector_kwargs={"autoreset_mode": mode}, max_episode_steps=limit, **settings
    )


def test_three_ways_of_beginning_anew_give_the_same_transitions():
    world = open_world("FrozenLake-v1", "is_slippery=false", limit=7)
    table = np.random.default_rng(2).integers(4, size=(3, 16))
    modes = (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP)
    sides = [GymEnvironments(world, 3, vector("FrozenLake-v1", 3, 7, mode, is_slippery=False)) for mode in modes]
    sides += [GymEnvironments(world, 3), TableEnvironments(world.mdp, 3, 7)]
    stories = [told(side, 3, lambda seen: table[np.arange(3), seen], 60) for side in sides]
    for number in range(3):
        least = min(len(story[number]) for story in stories)
        assert least > 35
        assert all(story[number][:least] == stories[0][number][:least] for story in stories)
        assert any(step[4] or step[5] for step in stories[0][number])
    assert len(stories[1][0]) == len(stories[3][0]) == 60
    assert len(stories[0][0]) == len(stories[2][0]) < 60
    ends = [step[4:] for story in stories[0] for step in story]
    assert (True, False) in ends
    assert (False, True) in ends
    assert (True, True) not in ends


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_an_episodes_end_shows_its_own_last_observation(mode):
    world = opened(worlds.Counting, "length=3")
    side = GymEnvironments(world, 2, SyncVectorEnv([world.make] * 2, autoreset_mode=mode))
    for story in told(side, 2, worlds.always(0), 13):
        assert [step[0][0] for step in story][:9] == [0, 1, 2] * 3
        assert [step[3][0] for step in story][:9] == [1, 2, 3] * 3
        assert [step[4] for step in story][:9] == [False, False, True] * 3
        firsts = [(step[0][1], step[3][1]) for step in story]
        assert all(first == last for first, last in firsts)
        assert len({first for first, _ in firsts}) == -(-len(story) // 3)


def test_vectors_that_do_not_begin_anew_are_refused():
    world = opened(worlds.Counting)
    with pytest.raises(InputError, match="its autoreset is disabled"):
        GymEnvironments(world, 2, SyncVectorEnv([world.make] * 2, autoreset_mode=AutoresetMode.DISABLED))


def played(arena, rule, steps):
    """All transitions and episodes of some steps."""
    pairs = [arena.step(rule(arena.observations)) for _ in range(steps)]
    return [step for step, _ in pairs], [over for _, over in pairs]


def test_returns_and_lengths_are_of_whole_episodes():
    arena = Arena(opened(worlds.Counting, "length=4"), 3)
    steps, episodes = played(arena, worlds.always(0), 14)
    ended = [over for over in episodes if len(over.returns)]
    assert [over.returns.tolist() for over in ended] == [[10.0] * 3] * 3
    assert [over.lengths.tolist() for over in ended] == [[4] * 3] * 3
    assert [over.environments.tolist() for over in ended] == [[0, 1, 2]] * 3
    assert all(over.terminated.all() for over in ended)
    assert [len(over.returns) for over in episodes].index(3) == 3
    assert [bool(step.valid.all()) for step in steps] == [True, True, True, True, False] * 2 + [True] * 4
    assert [step.rewards[0] for step in steps] == [1, 2, 3, 4, 0] * 2 + [1, 2, 3, 4]
    assert (arena.steps, arena.episodes) == (3 * 12, 9)


def test_an_end_at_the_limit_is_an_end():
    for length, terminated in ((4, True), (5, False)):
        arena = Arena(opened(worlds.Counting, f"length={length}", limit=4), 2)
        steps, episodes = played(arena, worlds.always(0), 4)
        assert steps[-1].terminated.tolist() == [terminated] * 2
        assert steps[-1].truncated.tolist() == [not terminated] * 2
        assert episodes[-1].terminated.tolist() == [terminated] * 2
        assert episodes[-1].lengths.tolist() == [4, 4]


def test_environments_end_each_in_its_own_time():
    arena = Arena(open_world("CartPole-v1"), 16, seed=1)
    random = np.random.default_rng(0)
    returns = np.zeros(16)
    for _ in range(300):
        step, over = arena.step(random.integers(2, size=16))
        assert not step.rewards[~step.valid].any()
        assert not (step.terminated | step.truncated)[~step.valid].any()
        returns += step.valid
        np.testing.assert_array_equal(over.returns, returns[over.environments])
        np.testing.assert_array_equal(over.lengths, returns[over.environments])
        np.testing.assert_array_equal(over.environments, np.flatnonzero(step.terminated | step.truncated))
        returns[over.environments] = 0
    assert arena.episodes > 100
    assert arena.steps == 300 * 16 - (arena.episodes - len(over.returns))


@pytest.mark.parametrize(
    ("name", "settings", "stack"),
    [("CartPole-v1", "", 1), ("Acrobot-v1", "", 1), ("Pendulum-v1", "", 1), ("FrozenLake-v1", "", 1), ("Frames", "", 2),
     ("UnseededReused", "", 1)],
)  # fmt: skip
def test_what_was_given_is_not_changed_by_later_steps(name, settings, stack, monkeypatch):
    if name == "UnseededReused":  # one array for all observations, but seeded
        monkeypatch.setattr(worlds.UnseededReused, "reset", worlds.Counting.reset)
    own = getattr(worlds, name, None)
    world = open_world(name, settings) if own is None else opened(own, settings)
    arena = Arena(world, 4, stack=stack)
    random, before, kept, copies = np.random.default_rng(0), arena.observations, [], []
    first = before.copy()
    for _ in range(40):
        actions = (
            random.integers(world.actions, size=4) if world.actions else random.uniform(-2, 2, (4, len(world.low)))
        )
        step, over = arena.step(actions)
        kept.append((*step, *over, arena.observations))
        copies.append([np.array(column) for column in kept[-1]])
    np.testing.assert_array_equal(before, first)
    for step, copied in zip(kept, copies, strict=True):
        for column, copy in zip(step, copied, strict=True):
            np.testing.assert_array_equal(column, copy)


@pytest.mark.parametrize("name", ["CartPole-v1", "Acrobot-v1", "FrozenLake-v1"])
def test_transitions_follow_on_each_other(name):
    arena = Arena(open_world(name, limit=12), 6)
    random, last = np.random.default_rng(0), None
    for _ in range(60):
        now = arena.observations
        step, _ = arena.step(random.integers(2, size=6))
        np.testing.assert_array_equal(step.observations, now)
        if last is not None:
            ended = last.terminated | last.truncated
            np.testing.assert_array_equal(step.observations[~ended], last.next_observations[~ended])
        last = step


def test_the_vector_form_obeys_the_same_laws_and_limit():
    arena, single = Arena(open_world("CartPole-v1", limit=9), 3), gymnasium.make("CartPole-v1").unwrapped
    single.reset(seed=0)
    lengths = []
    for number in range(40):
        step, over = arena.step(np.full(3, number % 2))
        lengths += over.lengths.tolist()
        for row in np.flatnonzero(step.valid):
            single.state, single.steps_beyond_terminated = step.observations[row].astype(np.float64), None
            successor, reward, terminated, _, _ = single.step(step.actions[row])
            np.testing.assert_allclose(step.next_observations[row], successor, atol=1e-6)
            assert (step.rewards[row], step.terminated[row]) == (reward, terminated)
    assert lengths == [9] * 12


def test_the_vector_form_is_taken_where_it_shows_the_same():
    assert isinstance(GymEnvironments(open_world("CartPole-v1"), 2)._vector, CartPoleVectorEnv)
    gymnasium.register("tests-Twofold-v0", worlds.Counting, vector_entry_point=CartPoleVectorEnv)
    try:
        side = GymEnvironments(open_world("tests-Twofold-v0", limit=3), 2)
        assert [step[3][0] for step in told(side, 2, worlds.always(0), 3)[0]] == [1, 2, 3]
    finally:
        del gymnasium.registry["tests-Twofold-v0"]


def test_settings_of_the_limit_reach_the_vector_form_too():
    arena = Arena(open_world("CartPole-v1", "max_episode_steps=5,sutton_barto_reward=true"), 2)
    steps, episodes = played(arena, lambda seen: np.array([0, 1]), 5)
    assert episodes[-1].lengths.tolist() == [5, 5]
    assert not steps[0].rewards.any()


def frames_of(observations):
    """The number in each stacked frame ``(N, stack)``."""
    return observations[:, ::3, 0, 0].tolist()


def test_stacked_frames_never_cross_episodes():
    arena = Arena(opened(worlds.Frames, "length=4"), 2, stack=3)
    assert arena.observations.shape == (2, 9, 4, 5)
    assert frames_of(arena.observations) == [[0, 0, 0]] * 2
    pairs = []
    for _ in range(9):
        step, _ = arena.step(np.zeros(2, np.int64))
        if step.valid.all():
            pairs.append((frames_of(step.observations)[0], frames_of(step.next_observations)[1]))
    assert pairs == [
        ([0, 0, 0], [0, 0, 1]), ([0, 0, 1], [0, 1, 2]), ([0, 1, 2], [1, 2, 3]), ([1, 2, 3], [2, 3, 4]),
        ([100, 100, 100], [100, 100, 101]), ([100, 100, 101], [100, 101, 102]), ([100, 101, 102], [101, 102, 103]),
        ([101, 102, 103], [102, 103, 104]),
    ]  # fmt: skip


def test_frames_are_stacked_alike_where_the_next_episode_begins_at_once():
    world = opened(worlds.Frames, "length=2")
    arena = Arena(world, 1, stack=2)
    arena._side = GymEnvironments(world, 1, SyncVectorEnv([world.make], autoreset_mode=AutoresetMode.SAME_STEP))
    arena._side.reset([0])
    pairs = [(frames_of(step.observations)[0], frames_of(step.next_observations)[0])
             for step in played(arena, worlds.always(0), 4)[0]]  # fmt: skip
    assert pairs == [([0, 0], [0, 1]), ([0, 1], [1, 2]), ([100, 100], [100, 101]), ([100, 101], [101, 102])]


def test_actions_are_clipped_to_their_bounds_but_told_as_they_were():
    arena = Arena(opened(worlds.Continuous), 2)
    actions = np.array([[-9.0, 5.0], [0.5, -0.5]])
    step, _ = arena.step(actions)
    np.testing.assert_array_equal(step.actions, actions)
    assert step.rewards.tolist() == [1.0, 0.5]


@pytest.mark.parametrize("count", [1, 3])
def test_an_environment_that_raises_is_told_with_its_step(count):
    arena = Arena(opened(worlds.Raising, "at=30"), count)
    played(arena, worlds.always(0), 29)
    with pytest.raises(
        SourceFailed, match="Raising' raised in an episode, at step 30: RuntimeError: the motor is hot$"
    ):
        arena.step(np.zeros(count, np.int64))
    assert arena.steps == 29 * count


def test_where_episodes_differ_the_step_is_told_as_far_as_it_is_known():
    arena = Arena(open_world("CartPole-v1"), 8)
    played(arena, lambda seen: np.arange(8) % 2, 12)
    with pytest.raises(SourceFailed, match=r"raised in an episode, at one of its steps \d+ to \d+: AssertionError"):
        arena.step(np.full(8, 5))


@pytest.mark.parametrize(
    ("made", "settings", "message"),
    [
        (worlds.BadReward, "at=30", "gave the reward nan at step 30 of an episode"),
        (worlds.BadReward, "at=30,reward=-.inf", "gave the reward -inf at step 30 of an episode"),
        (worlds.Leaving, "at=30,value=.nan", "left its observation_space at step 30 of an episode: nan"),
        (worlds.Leaving, "at=30,value=.inf", "left its observation_space at step 30 of an episode: inf"),
        (worlds.Outgrown, "", "left its observation_space at step 30 of an episode: 3"),
    ],
)
def test_what_is_no_number_or_no_state_stops_play(made, settings, message):
    arena = Arena(opened(made, settings), 2)
    played(arena, worlds.always(0), 29)
    with pytest.raises(SourceFailed, match=message) as caught:
        arena.step(np.zeros(2, np.int64))
    assert "\n" not in str(caught.value)


def test_one_bad_environment_among_good_ones_stops_play():
    arena = Arena(opened(worlds.SometimesBad, "at=30"), 9)
    assert 0 < (arena.observations[:, 1] % 3 == 0).sum() < 9
    played(arena, worlds.always(0), 29)
    with pytest.raises(SourceFailed, match="gave the reward nan at step 30 of an episode"):
        arena.step(np.zeros(9, np.int64))


def test_what_fails_while_environments_are_made_is_told():
    with pytest.raises(InputError, match="'tests-Gone-v0'"):
        Arena(_vanished(), 2)


def _vanished():
    gymnasium.register("tests-Gone-v0", worlds.Counting)
    world = open_world("tests-Gone-v0")
    del gymnasium.registry["tests-Gone-v0"]
    return world


NAMES = ("CartPole-v1", "Acrobot-v1", "FrozenLake-v1", worlds.name_of(worlds.Walk))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", [0, 1, 2**40])
def test_a_seed_decides_on_everything(name, seed):
    world = open_world(name)
    first, second, other = (
        played(Arena(world, 3, seed=number), worlds.always(1), 30)[0] for number in (seed, seed, seed + 1)
    )
    same = [
        all(np.array_equal(*pair) for pair in zip(one, two, strict=True))
        for one, two in zip(first, second, strict=True)
    ]
    assert all(same)
    assert any(
        not np.array_equal(one.next_observations, two.next_observations) for one, two in zip(first, other, strict=True)
    )


def test_neighbouring_seeds_share_no_episode():
    firsts = [Arena(opened(worlds.Counting), 8, seed=seed).observations[:, 1].tolist() for seed in range(4)]
    assert len({first for each in firsts for first in each}) == 32
    np.testing.assert_array_equal(Arena(opened(worlds.Counting), 8).observations[:, 1], firsts[0])


@pytest.mark.parametrize("name", NAMES)
def test_one_environment_alone_plays_too(name):
    arena = Arena(open_world(name, limit=5), 1)
    played(arena, worlds.always(0), 12)
    assert arena.episodes == 2


@pytest.mark.parametrize("name", NAMES)
def test_environments_side_by_side_differ(name):
    steps, _ = played(Arena(open_world(name), 3), worlds.always(1), 30)
    stories = {np.stack([step.next_observations[number] for step in steps]).tobytes() for number in range(3)}
    assert len(stories) == 3


def test_seeds_may_be_of_any_kind_of_whole_number_but_not_negative():
    world = opened(worlds.Counting)
    given = Arena(world, 2, seeds=np.array([3, 4])).observations
    np.testing.assert_array_equal(given, Arena(world, 2, seeds=[3, 4]).observations)
    assert given[0, 1] != given[1, 1]
    with pytest.raises(InputError, match="--seed must be 0 or more, got -2"):
        Arena(world, 2, seed=-2)
    with pytest.raises(InputError, match="--seed must be 0 or more, got -1"):
        Arena(open_world("FrozenLake-v1"), 2, seeds=[5, -1])


def test_seeds_of_tables_are_read_whole():
    world = open_world("Taxi-v4")
    starts = [Arena(world, 64, seeds=[seed] * 64).observations.tolist() for seed in (1, 1 + 2**32, 1 + 2**33)]
    assert starts[0] != starts[1] != starts[2] != starts[0]
