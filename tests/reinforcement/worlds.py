"""Environments as users write them, well and badly, and agents that follow a rule."""

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.envs.toy_text import FrozenLakeEnv
from gymnasium.wrappers import TimeLimit, TransformReward

from pendio.reinforcement.agent import Agent
from pendio.reinforcement.worlds.environments import open_world

LIMITED = "tests-Counting-v0"


def name_of(made):
    """What to open it by: module:factory."""
    return f"{__name__}:{made.__name__}"


def opened(made, settings="", **options):
    return open_world(name_of(made), settings, **options)


class Rule(Agent):
    """An agent that follows a rule, and expects what it is told to."""

    def __init__(self, world, rule, stack=1, discount=1.0, expected=None):
        super().__init__(world, stack, discount)
        self.rule, self.expected = rule, expected

    def loss(self, batch):
        raise AssertionError("it learns nothing")

    def act(self, observations):
        return self.rule(observations)

    def first_values(self, observations):
        return None if self.expected is None else self.expected(observations)


def always(action):
    """The same action, whatever is seen."""
    return lambda observations: np.full(len(observations), action)


class Counting(gymnasium.Env):
    """Counts its steps, earns their number, and is over after so many; action 1 counts on, and earns nothing."""

    metadata = {"render_modes": ["ansi"]}  # noqa: RUF012
    observation_space = spaces.Box(0, np.inf, (2,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, length=5, render_mode=None):
        self.length, self.render_mode, self.count, self.first = length, render_mode, 0, 0

    def seen(self):
        return np.array([self.count, self.first], np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count, self.first = 0, int(self.np_random.integers(1_000_000))
        return self.seen(), {}

    def step(self, action):
        self.count += 1
        return self.seen(), self.earned(action), self.count >= self.length, False, {}

    def earned(self, action):
        return float(self.count) if action == 0 else 0.0

    def render(self):
        return f"count {self.count}"


gymnasium.register(LIMITED, Counting, max_episode_steps=4)


class Raising(Counting):
    """Raises at a step."""

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, at=3, length=1_000):
        super().__init__(length)
        self.at = at

    def step(self, action):
        if self.count + 1 == self.at:
            raise RuntimeError("the motor\nis hot")
        return super().step(action)


class RaisingAtStart(Counting):
    def reset(self, *, seed=None, options=None):
        raise KeyError("map")


class BadReward(Counting):
    """Earns something else at a step."""

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, at=3, length=1_000, reward=float("nan")):
        super().__init__(length)
        self.at, self.reward = at, reward

    def earned(self, action):
        return self.reward if self.count == self.at else 1.0


class SometimesBad(BadReward):
    """Earns no number at a step, in every third episode by its first observation."""

    def earned(self, action):
        return super().earned(action) if self.first % 3 == 0 else 1.0


class ListReward(Counting):
    def earned(self, action):
        return np.array([1.0])


class TextReward(Counting):
    def earned(self, action):
        return "1.0"


class Leaving(Counting):
    """Shows something outside its space at a step."""

    def __init__(self, at=3, value=-7.0, length=1_000):
        super().__init__(length)
        self.at, self.value = at, value

    def seen(self):
        return np.array([self.value if self.count == self.at else self.count, 0], np.float32)


class WrongType(Counting):
    def seen(self):
        return np.array([self.count, 0], np.float64)


class WrongShape(Counting):
    def seen(self):
        return np.zeros(3, np.float32)


class Ragged(Counting):
    def seen(self):
        return [1, [2, 3]]


class Lists(Counting):
    """Shows lists, which Gymnasium takes for arrays."""

    def seen(self):
        return [self.count, self.first]


class Unseeded(Counting):
    """Starts from a generator of its own."""

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.first = int(np.random.default_rng().integers(1_000_000))
        return self.seen(), {}


class UnseededReused(Unseeded):
    """The same, and writes every observation into one array."""

    def __init__(self):
        super().__init__()
        self.array = np.zeros(2, np.float32)

    def seen(self):
        self.array[:] = self.count, self.first
        return self.array


class UnseededParts(UnseededReused):
    """The same in a dictionary."""

    observation_space = spaces.Dict({"both": Counting.observation_space, "still": spaces.Discrete(2)})

    def seen(self):
        return {"both": super().seen(), "still": 1}


class Trembling(UnseededReused):
    """Starts as it should, and then shows noise of its own, always in the same array."""

    reset = Counting.reset

    def step(self, action):
        self.first = int(np.random.default_rng().integers(1_000_000))
        return super().step(action)


class Slippery(Counting):
    """Starts as it should, but slips by a generator of its own."""

    def earned(self, action):
        return float(np.random.default_rng().random())


class OldStep(Counting):
    def step(self, action):
        observation, reward, terminated, _, info = super().step(action)
        return observation, reward, terminated, info


class OldReset(Counting):
    def reset(self, *, seed=None, options=None):
        return super().reset(seed=seed)[0]


class OldInfo(Counting):
    def reset(self, *, seed=None, options=None):
        return super().reset(seed=seed)[0], None


class LongReset(Counting):
    def reset(self, *, seed=None, options=None):
        return (*super().reset(seed=seed), {})


class NoInfo(Counting):
    def step(self, action):
        return (*super().step(action)[:4], None)


class WordEnd(Counting):
    def step(self, action):
        observation, reward, terminated, truncated, info = super().step(action)
        return observation, reward, int(terminated), truncated, info


class Spaceless(gymnasium.Env):
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        return 0, {}

    def step(self, action):
        return 0, 0.0, False, False, {}


class BadClose(Counting):
    def close(self):
        raise OSError("port is busy")


class Of(Counting):
    """Shows random members of a space; takes actions of a space."""

    def __init__(self, shown=None, taken=None):
        super().__init__()
        self.observation_space = shown or self.observation_space
        self.action_space = taken or self.action_space

    def seen(self):
        self.observation_space.seed(self.first + self.count)
        return self.observation_space.sample()

    def earned(self, action):
        return 1.0


def whole_numbers():
    return Of(spaces.MultiDiscrete([3, 4, 2], start=[1, 0, -1]))


def many_numbers():
    return Of(spaces.MultiDiscrete([10] * 300))


def too_many():
    return Of(spaces.MultiDiscrete([20_000_000, 20_000_000]))


def one_too_many():
    return Of(spaces.Discrete(10_000_001))


def tuple_of_numbers():
    return Of(spaces.Tuple([spaces.Discrete(3), spaces.Discrete(2, start=5)]))


def dictionary():
    return Of(spaces.Dict({"place": spaces.Box(-1, 1, (2, 2), np.float64), "door": spaces.Discrete(3)}))


def nested():
    return Of(spaces.Tuple([spaces.Box(0, 1, (2,), np.float32), spaces.Dict({"a": spaces.MultiBinary(3)})]))


def mixed():
    return Of(spaces.Tuple([spaces.Discrete(3), spaces.Box(0, 1, (2,), np.float32)]))


def table_of_floats():
    return Of(spaces.Box(-1, 1, (2, 3), np.float64))


def single_float():
    return Of(spaces.Box(-1, 1, (), np.float32))


class WideFloats(Counting):
    """Its bounds are none in float32."""

    observation_space = spaces.Box(-1.7e308, 1.7e308, (2,), np.float64)

    def seen(self):
        return np.array([self.count, self.first / 7])


def grey():
    return Of(spaces.Box(0, 255, (6, 7), np.uint8))


def channels_first():
    return Of(spaces.Box(0, 255, (4, 6, 7), np.uint8))


def stacked_last():
    return Of(spaces.Box(0, 255, (6, 7, 4), np.uint8))


def bytes_in_a_row():
    return Of(spaces.Box(0, 255, (4,), np.uint8))


def words():
    return Of(spaces.Sequence(spaces.Discrete(3)))


def several_actions():
    return Of(taken=spaces.MultiDiscrete([2, 2]))


def a_square_of_actions():
    return Of(taken=spaces.Box(-1, 1, (2, 2)))


def whole_actions():
    return Of(taken=spaces.Box(0, 5, (2,), np.int32))


def unbounded_actions():
    return Of(taken=spaces.Box(-np.inf, np.inf, (2,)))


def boxless():
    raise gymnasium.error.DependencyNotInstalled("Box2D is not installed, run `pip install swig`")


def jointless():
    raise gymnasium.error.DependencyNotInstalled('Joints are missing,\nrun `pip install "joints"`')


def actions_without_an_end():
    return Of(taken=spaces.Box(np.float32([-1, -1]), np.float32([1, np.inf])))


def actions_without_a_beginning():
    return Of(taken=spaces.Box(np.float32([-np.inf, -1]), np.float32([1, 1])))


def no_environment():
    return "an environment"


def cut_short():
    return TimeLimit(Counting(50), 7)


class Lying(Of):
    """A dictionary, one part of which is wrong."""

    def __init__(self):
        super().__init__(spaces.Dict({"door": spaces.Discrete(3), "place": spaces.Box(0, 1, (2,), np.float32)}))

    def seen(self):
        return {"door": 1, "place": np.array([1, 2], np.float32)}


class Partless(Lying):
    def seen(self):
        return {"door": 1}


class TooFew(Of):
    def __init__(self):
        super().__init__(spaces.Tuple([spaces.Discrete(3), spaces.Discrete(3)]))

    def seen(self):
        return (1,)


class Strange(spaces.Space):
    """A space of someone's own, which compares as it likes."""

    def contains(self, x):
        raise TypeError("cannot compare")

    def sample(self, mask=None, probability=None):
        return 0


def strange():
    return Of(Strange())


class FromOne(gymnasium.Env):
    """States and actions from 1 to 3: an action is the next state, and what it earns; over at step 4."""

    observation_space = spaces.Discrete(3, start=1)
    action_space = spaces.Discrete(3, start=1)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count = 0
        return 1, {}

    def step(self, action):
        assert self.action_space.contains(action)
        self.count += 1
        return int(action), float(action), self.count == 4, False, {}


class Outgrown(FromOne):
    """Shows a state that it does not have, at step 30."""

    def step(self, action):
        self.count += 1
        return 4 if self.count == 30 else 1, 1.0, False, False, {}


class Continuous(Counting):
    """Two actions in [−1, 1] and [0, 2], and nothing beyond; earns their sum."""

    action_space = spaces.Box(np.float32([-1, 0]), np.float32([1, 2]))

    def step(self, action):
        assert self.action_space.contains(np.asarray(action, np.float32)), action
        return super().step(action)

    def earned(self, action):
        return float(np.sum(action))


class Frames(Counting):
    """Frames ``(H, W, 3)`` of one number each: 100 · episode + step, and the column in the last channel."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012
    observation_space = spaces.Box(0, 255, (4, 5, 3), np.uint8)

    def __init__(self, length=4, render_mode=None):
        super().__init__(length, render_mode)
        self.episode = -1

    def seen(self):
        frame = np.full((4, 5, 3), min(self.episode, 1) * 100 + self.count, np.uint8)
        frame[:, :, 2] = np.arange(5)
        return frame

    def reset(self, *, seed=None, options=None):
        self.episode += 1 if seed is None else -self.episode
        return super().reset(seed=seed)

    def render(self):
        return np.full((16, 24, 3), 20 * self.count, np.uint8)

    def state_dict(self):
        return {"count": self.count, "episode": np.int64(self.episode)}

    def load_state_dict(self, state):
        self.count, self.episode = state["count"], state["episode"]


class Undrawn(Counting):
    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012

    def render(self):
        return None


class BrokenPicture(Undrawn):
    def render(self):
        raise ValueError("no screen")


class Walk(Counting):
    """A random walk that can be saved, its generator by itself."""

    def __init__(self, length=6):
        super().__init__(length)
        self.places = []

    def reset(self, *, seed=None, options=None):
        self.places = []
        return super().reset(seed=seed)

    def step(self, action):
        self.first += int(self.np_random.integers(-5, 6))
        self.places.append(self.first)
        return super().step(action)

    def earned(self, action):
        return float(self.np_random.random() + sum(self.places))

    def state_dict(self):
        return {"count": self.count, "first": self.first, "places": self.places}

    def load_state_dict(self, state):
        self.count, self.first, self.places = state["count"], state["first"], list(state["places"])


class Tensors(Counting):
    """Adds up its actions in a tensor, in place."""

    def reset(self, *, seed=None, options=None):
        self.sum = torch.zeros(1)
        return super().reset(seed=seed)

    def earned(self, action):
        self.sum += int(action) + 1
        return float(self.sum)

    def state_dict(self):
        return {"count": self.count, "first": self.first, "sum": self.sum}

    def load_state_dict(self, state):
        self.count, self.first, self.sum = state["count"], state["first"], state["sum"].clone()


class Unstorable(Walk):
    def state_dict(self):
        return {"places": np.array(self.places)}


class Momentum(gymnasium.Wrapper):
    """A wrapper that remembers."""


def remembered():
    return Momentum(gymnasium.make("Pendulum-v1"))


def doubled():
    """The lake, but every reward counts double: its table is no longer true."""
    return TransformReward(gymnasium.make("FrozenLake-v1", is_slippery=False), lambda reward: 2 * reward)


def lake():
    return gymnasium.make("FrozenLake-v1", is_slippery=False)


class Toll(FrozenLakeEnv):
    """The lake, where steps cost something that the table it inherits does not know."""

    def step(self, action):
        state, reward, *rest = super().step(action)
        return (state, reward - 0.1, *rest)


class Detour(FrozenLakeEnv):
    """The lake, where every action leads where another should."""

    def step(self, action):
        return super().step((action + 1) % 4)


class Settings(Counting):
    """Its attribute P is no transition table."""

    P = {"friction": 0.1}  # noqa: RUF012
