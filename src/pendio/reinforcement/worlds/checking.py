"""Trying out an environment before anything is learned in it."""

import copy
import math
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from pendio.descent.task import SourceFailed
from pendio.errors import InputError

__all__ = ["check", "one_line", "playing", "short"]

_STEPS = 20
"""Random steps that are tried: mistakes show at once or late."""

_LONGEST = 120


def one_line(error: BaseException) -> str:
    """What was raised, and what it says, in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def short(value: Any) -> str:
    """A value as it is shown in messages: in one line, its middle left out where it is long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 20]} … {text[-15:]}"


@contextmanager
def playing(name: str, when: str) -> Iterator[None]:
    """Say of which environment it is, and when, that something was raised.

    Raises:
        SourceFailed: anything was raised but an InputError, which says enough.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # whatever a user's environment may raise
        raise SourceFailed(f"environment '{name}' raised {when}: {one_line(error)}") from error


def check(environment: gymnasium.Env[Any, Any], name: str) -> None:
    """Play some random steps, twice from the same seed.

    Args:
        environment: to be tried.
        name: what to call it in messages.

    Raises:
        InputError: it raises, leaves its own spaces, starts or goes on differently from the same seed, or answers in another
            form than (observation, reward, terminated, truncated, info).
    """
    for word in ("observation_space", "action_space"):
        if not isinstance(getattr(environment, word, None), spaces.Space):
            raise InputError(f"environment '{name}' has no {word}; set self.{word} to one of gymnasium.spaces")
    _check_actions(environment.action_space, name)
    with warnings.catch_warnings():
        # What Gymnasium warns of here is checked here.
        warnings.filterwarnings("ignore", message=r".*WARN: ")
        first, second = (list(_random_steps(environment, name)) for _ in range(2))
    step = next((step for step, pair in enumerate(zip(first, second, strict=False)) if not _same(*pair)), None)
    if step is not None:
        where = "starts differently" if step == 0 else f"goes on differently at step {step}"
        raise InputError(f"environment '{name}' {where} from the same seed; in reset(), call super().reset(seed=seed), and "
                         "draw from self.np_random alone")  # fmt: skip


def _random_steps(environment: gymnasium.Env[Any, Any], name: str) -> Iterator[Any]:
    """The first observation, and what each random step gives; at an episode's end also the next one's first observation.

    All are copied, because environments may write the next ones into the same arrays.
    """
    actions = environment.action_space
    actions.seed(0)
    yield copy.deepcopy(_reset(environment, name))
    for step in range(1, _STEPS + 1):
        *seen, over = _step(environment, name, actions.sample(), step)
        yield copy.deepcopy((seen, _reset(environment, name) if over else None))


def _reset(environment: gymnasium.Env[Any, Any], name: str) -> Any:
    with playing(name, "in reset(seed=0)"):
        answer = environment.reset(seed=0)
    if not (isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[1], dict)):
        raise InputError(f"environment '{name}': reset() must return (observation, info), info a dictionary, "
                         f"got {_form(answer)}")  # fmt: skip
    _check_observation(environment.observation_space, answer[0], name, "reset()")
    return answer[0]


def _step(environment: gymnasium.Env[Any, Any], name: str, action: Any, number: int) -> tuple[Any, float, bool]:
    """Observation, reward, and whether the episode is over."""
    with playing(name, f"at step {number} of a random episode, for action {short(action)}"):
        answer = environment.step(action)
    if not (isinstance(answer, tuple) and len(answer) == 5 and isinstance(answer[4], dict)):
        raise InputError(f"environment '{name}': step() must return (observation, reward, terminated, truncated, info), "
                         f"info a dictionary, got {_form(answer)}")  # fmt: skip
    observation, reward, terminated, truncated, _ = answer
    _check_observation(environment.observation_space, observation, name, f"step {number}")
    if not _finite(reward):
        raise InputError(
            f"environment '{name}' gave the reward {short(reward)} at step {number}; expected a finite number"
        )
    for word, value in (("terminated", terminated), ("truncated", truncated)):
        if not isinstance(value, bool | np.bool_):
            raise InputError(
                f"environment '{name}': {word} must be true or false, got {short(value)} at step {number}; write "
                f"bool({word})"
            )
    return observation, float(reward), bool(terminated or truncated)


def _finite(reward: Any) -> bool:
    try:
        return not isinstance(reward, str | bytes) and math.isfinite(float(reward))
    except (TypeError, ValueError, OverflowError):
        return False


def _check_observation(space: spaces.Space[Any], observation: Any, name: str, when: str) -> None:
    problem = _problem(space, observation)
    if problem:
        raise InputError(f"environment '{name}': the observation of {when} is not in observation_space: {problem}")


def _problem(space: spaces.Space[Any], seen: Any) -> str:
    """Why something is not in a space; empty where it is."""
    parts: Iterable[tuple[Any, spaces.Space[Any]]] = ()
    if isinstance(space, spaces.Dict) and isinstance(seen, Mapping) and set(seen) == set(space.spaces):
        parts = space.spaces.items()
    elif isinstance(space, spaces.Tuple) and isinstance(seen, tuple) and len(seen) == len(space.spaces):
        parts = enumerate(space.spaces)
    if parts:
        problems = ((key, _problem(part, seen[key])) for key, part in parts)
        return next((f"in its part {key!r}, {problem}" for key, problem in problems if problem), "")
    try:
        inside = space.contains(seen)
    except Exception:  # spaces compare what they are given, whatever it is
        inside = False
    if isinstance(space, spaces.Box):
        return _box_problem(space, seen, inside)
    return "" if inside else f"it is {short(seen)}, the space says {short(space)}"


def _box_problem(space: spaces.Box, seen: Any, inside: bool) -> str:
    try:
        given = seen if isinstance(seen, np.ndarray) else np.asarray(seen, dtype=space.dtype)
        numbers = given.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        return f"it is {short(seen)}, which is no array of numbers"
    if inside and np.isfinite(numbers).all():
        return ""
    if given.shape != space.shape or not np.can_cast(given.dtype, space.dtype):
        return (f"it has shape {given.shape} and type {given.dtype}, the space says {space.shape} and {space.dtype}; "
                "make both alike")  # fmt: skip
    outside = (given < space.low) | (given > space.high) | ~np.isfinite(numbers)
    place = tuple(int(index) for index in np.argwhere(outside)[0])
    bounds = f"[{space.low[place]:.4g}, {space.high[place]:.4g}]"
    where = f"its value{f' at {list(place)}' if place else ''} is {given[place]:.4g}"
    if not np.isfinite(numbers[place]):
        return f"{where}, which is no finite number"
    return f"{where}, outside {bounds}; widen the space's bounds"


def _check_actions(space: spaces.Space[Any], name: str) -> None:
    if isinstance(space, spaces.Box) and not (np.isfinite(space.low).all() and np.isfinite(space.high).all()):
        raise InputError(f"environment '{name}': its actions have no bounds; give action_space finite low and high")


def _same(first: Any, second: Any) -> bool:
    """Whether two observations, or answers, are equal, but for what a processor's rounding may change."""
    if first is None or second is None:
        return first is second
    if isinstance(first, Mapping):
        return isinstance(second, Mapping) and all(_same(value, second.get(key)) for key, value in first.items())
    if isinstance(first, tuple | list):
        return (
            isinstance(second, tuple | list)
            and len(first) == len(second)
            and all(_same(*pair) for pair in zip(first, second, strict=True))
        )
    if isinstance(first, str):
        return bool(first == second)
    one, other = np.asarray(first), np.asarray(second)
    if not np.issubdtype(one.dtype, np.floating):
        return np.array_equal(one, other)
    return one.shape == other.shape and np.allclose(one, other, rtol=1e-4, atol=1e-6)


def _form(answer: Any) -> str:
    """What kind of answer it is, in words."""
    if not isinstance(answer, tuple) or not answer:
        return f"a {type(answer).__name__}"
    return f"{len(answer)} values, the last a {type(answer[-1]).__name__}"
