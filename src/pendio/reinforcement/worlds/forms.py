"""The simple forms of environments: observations and actions that networks and tables can be given."""

import math
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import AtariPreprocessing, FlattenObservation, TimeLimit, TransformAction, TransformObservation

from pendio.errors import InputError
from pendio.reinforcement.worlds.checking import one_line, short

__all__ = ["Environment", "is_atari", "needed_package", "own_limit", "simplified"]

Environment = gymnasium.Env[Any, Any]

_MOST_STATES = 10_000_000

_EXTRAS = {"box2d": "box2d", "ale": "atari", "atari": "atari", "cv2": "atari", "opencv": "atari"}


def simplified(environment: Environment, name: str, limit: int) -> Environment:
    """The environment with its observations and actions in one of the simple forms, and with a limit."""
    if is_atari(environment):
        try:
            environment = AtariPreprocessing(environment, scale_obs=False)
        except gymnasium.error.DependencyNotInstalled as error:
            raise InputError(f"environment '{name}' needs a package: {needed_package('atari')}") from error
    own = own_limit(environment)
    if own is None or own > limit:
        environment = TimeLimit(environment, limit)
    return _simple_actions(_simple_observations(environment, name), name)


def _simple_observations(environment: Environment, name: str) -> Environment:
    space = environment.observation_space
    sizes = _sizes(space)
    if sizes is not None and (count := math.prod(size for size, _ in sizes)) <= _MOST_STATES:
        if isinstance(space, spaces.Discrete) and space.start == 0:
            return environment
        return TransformObservation(environment, lambda seen: _number(seen, sizes), spaces.Discrete(count))
    if sizes is not None and sum(size for size, _ in sizes) > _MOST_STATES:
        raise InputError(
            f"environment '{name}' has {count:,} states, more than {_MOST_STATES:,}; describe them by a Box"
        )
    if isinstance(space, spaces.Box) and space.dtype == np.uint8 and len(space.shape) in (2, 3):
        return _channels_first(environment, space.shape)
    if not (isinstance(space, spaces.Box) and len(space.shape) == 1):
        try:
            environment = FlattenObservation(environment)
        except Exception as error:  # spaces of users' own raise what they like
            raise InputError(f"environment '{name}': observations of {short(space)} cannot be laid out as numbers: "
                             f"{one_line(error)}; give it an observation_space of Box") from error  # fmt: skip
        space = environment.observation_space
    if not isinstance(space, spaces.Box):
        raise InputError(f"environment '{name}': observations of {short(space)} cannot be laid out as a vector of numbers; "
                         "give it an observation_space of Box")  # fmt: skip
    if space.dtype == np.float32:
        return environment
    with np.errstate(over="ignore"):  # bounds beyond float32 are none
        low, high = space.low.astype(np.float32), space.high.astype(np.float32)
    return TransformObservation(
        environment, lambda seen: np.asarray(seen, dtype=np.float32), spaces.Box(low, high, dtype=np.float32)
    )


def _sizes(space: spaces.Space[Any]) -> list[tuple[int, int]] | None:
    """Size and first value of each part of a space of whole numbers; None for another space."""
    if isinstance(space, spaces.Discrete):
        return [(int(space.n), int(space.start))]
    if isinstance(space, spaces.MultiDiscrete):
        return [(int(size), int(start)) for size, start in zip(space.nvec.ravel(), space.start.ravel(), strict=True)]
    if isinstance(space, spaces.Tuple) and all(isinstance(part, spaces.Discrete) for part in space):
        return [(int(part.n), int(part.start)) for part in space]
    return None


def _number(seen: Any, sizes: list[tuple[int, int]]) -> int:
    """The number of a state that is given in parts, the last part counting fastest."""
    number = 0
    for value, (size, start) in zip(np.ravel(seen), sizes, strict=True):
        number = number * size + int(value) - start
    return number


def _channels_first(environment: Environment, shape: tuple[int, ...]) -> Environment:
    if len(shape) == 2:
        space = spaces.Box(0, 255, (1, *shape), np.uint8)
        return TransformObservation(environment, lambda seen: np.asarray(seen)[None], space)
    if shape[2] not in (1, 3) and shape[2] > shape[0]:
        return environment  # they come first already
    space = spaces.Box(0, 255, (shape[2], *shape[:2]), np.uint8)
    return TransformObservation(environment, lambda seen: np.moveaxis(np.asarray(seen), 2, 0), space)


def _simple_actions(environment: Environment, name: str) -> Environment:
    space = environment.action_space
    if isinstance(space, spaces.Discrete):
        if space.start == 0:
            return environment
        start = int(space.start)
        return TransformAction(environment, lambda action: int(action) + start, spaces.Discrete(int(space.n)))
    if isinstance(space, spaces.Box) and len(space.shape) == 1 and np.issubdtype(space.dtype, np.floating):
        return environment
    raise InputError(f"environment '{name}': actions of {short(space)} cannot be learned; give it an action_space of "
                     "Discrete, or a Box of one dimension and floats")  # fmt: skip


def is_atari(environment: Environment) -> bool:
    """Whether it is one of the Arcade Learning Environment's."""
    return environment.spec is not None and environment.spec.id.startswith("ALE/")


def own_limit(environment: Environment) -> int | None:
    """The least limit of steps that is wrapped around an environment."""
    limits, wrapper = [], environment
    while isinstance(wrapper, gymnasium.Wrapper):
        if isinstance(wrapper, TimeLimit):
            limits.append(int(wrapper._max_episode_steps))
        wrapper = wrapper.env
    return min(limits, default=None)


def needed_package(text: str) -> str:
    """What to install, from an error's text that says what is missing."""
    extra = next((extra for word, extra in _EXTRAS.items() if word in text.lower()), None)
    return f"pip install 'pendio[{extra}]'" if extra else " ".join(text.split())
