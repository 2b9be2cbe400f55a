"""The state of environments, where it can be had: of tables, of Gymnasium's classic control, and of those that offer it.

An environment of the user's takes part if it has ``state_dict()``, of plain values and tensors, and
``load_state_dict(state)``. The generator ``self.np_random`` is taken care of. What is wrapped around an environment must
have no state of its own but a count of steps.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium.envs.classic_control import (
    AcrobotEnv,
    CartPoleEnv,
    Continuous_MountainCarEnv,
    MountainCarEnv,
    PendulumEnv,
)
from gymnasium.envs.classic_control.cartpole import CartPoleVectorEnv
from gymnasium.vector import SyncVectorEnv
from gymnasium.wrappers import (
    FlattenObservation,
    OrderEnforcing,
    PassiveEnvChecker,
    RecordEpisodeStatistics,
    TimeLimit,
    TransformAction,
    TransformObservation,
)
from numpy.typing import NDArray

from pendio.errors import InputError

__all__ = ["generator_state", "restore", "restore_generator", "snapshot"]

_CLASSIC = (AcrobotEnv, CartPoleEnv, Continuous_MountainCarEnv, MountainCarEnv, PendulumEnv)
"""Those whose attribute ``state`` is all there is to know."""

_WRAPPERS = (
    FlattenObservation, OrderEnforcing, PassiveEnvChecker, RecordEpisodeStatistics, TimeLimit, TransformAction,
    TransformObservation,
)  # fmt: skip
"""Those that have no state, or only a count of steps."""


def generator_state(generator: np.random.Generator) -> dict[str, Any]:
    """The state of a generator in whole numbers and words, as a checkpoint can hold it."""
    state: dict[str, Any] = _plain(generator.bit_generator.state)
    return state


def restore_generator(generator: np.random.Generator, state: Mapping[str, Any]) -> None:
    """Set a generator to :func:`generator_state`."""
    generator.bit_generator.state = dict(state)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return value.item() if isinstance(value, np.generic) else value


def _storable(value: Any, owner: str) -> Any:
    """A copy of what an environment tells of itself, such as a checkpoint can hold."""
    if isinstance(value, Mapping):
        return {_storable(key, owner): _storable(item, owner) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_storable(item, owner) for item in value)
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if isinstance(value, np.generic):
        return value.item()
    if value is None or type(value) in (bool, int, float, str, bytes):
        return value
    raise InputError(f"state_dict() of {owner} holds a {type(value).__name__}, which no checkpoint can hold; give numbers, "
                     "words, lists, dictionaries, or tensors: torch.from_numpy(array)")  # fmt: skip


def snapshot(vector: Any) -> dict[str, Any] | None:
    """The state of environments side by side, in plain values; None where any cannot tell it."""
    if _is_cart_poles(vector):
        return {
            "state": np.asarray(vector.state).tolist(), "steps": vector.steps.tolist(),
            "over": vector.prev_done.tolist(), "random": generator_state(vector.np_random),
        }  # fmt: skip
    if not isinstance(vector, SyncVectorEnv):
        return None
    states = [_one(environment) for environment in vector.envs]
    if any(state is None for state in states):
        return None
    return {
        "environments": states, "reset_next": vector._autoreset_envs.tolist(),
        "seen": np.asarray(vector._observations).tolist(),
    }  # fmt: skip


def restore(vector: Any, state: Mapping[str, Any]) -> NDArray[Any]:
    """Bring environments to a :func:`snapshot` of them; the observations seen there."""
    if _is_cart_poles(vector):
        vector.reset(seed=0)
        vector.state = np.array(state["state"], dtype=np.float64)
        vector.steps = np.array(state["steps"], dtype=np.int32)
        vector.prev_done = np.array(state["over"], dtype=np.bool_)
        restore_generator(vector.np_random, state["random"])
        return np.asarray(vector.state.T.astype(np.float32))
    vector.reset(seed=0)
    for environment, own in zip(vector.envs, state["environments"], strict=True):
        _restore_one(environment, own)
    vector._autoreset_envs[:] = state["reset_next"]
    observations = np.asarray(vector._observations)
    observations[:] = state["seen"]
    return observations.copy()


def _is_cart_poles(vector: Any) -> bool:
    return type(vector) is CartPoleVectorEnv


def _one(environment: Any) -> dict[str, Any] | None:
    inner, wrapper = environment.unwrapped, environment
    while type(wrapper) in _WRAPPERS:
        wrapper = wrapper.env
    if wrapper is not inner:
        return None
    if hasattr(inner, "state_dict") and hasattr(inner, "load_state_dict"):
        generator = getattr(inner, "_np_random", None)
        return {
            "own": _storable(inner.state_dict(), type(inner).__name__), "elapsed": _limits(environment),
            "random": None if generator is None else generator_state(generator),
        }  # fmt: skip
    if type(inner) not in _CLASSIC or inner.state is None:
        return None
    # Sums round differently in float32, in which one of them keeps its state.
    return {
        "state": np.asarray(inner.state, dtype=np.float64).tolist(), "type": str(np.asarray(inner.state).dtype),
        "elapsed": _limits(environment), "last": _plain(getattr(inner, "last_u", None)),
        "random": generator_state(inner.np_random), "beyond": getattr(inner, "steps_beyond_terminated", None),
    }  # fmt: skip


def _restore_one(environment: Any, state: Mapping[str, Any]) -> None:
    inner = environment.unwrapped
    if "own" in state:
        inner.load_state_dict(state["own"])
        if state["random"] is not None:
            restore_generator(inner.np_random, state["random"])
    else:
        inner.state = np.array(state["state"], dtype=state["type"])
        restore_generator(inner.np_random, state["random"])
        if hasattr(inner, "last_u"):
            inner.last_u = state["last"]
        if hasattr(inner, "steps_beyond_terminated"):
            inner.steps_beyond_terminated = state["beyond"]
    wrapper, counts = environment, list(state["elapsed"])
    while wrapper is not inner:
        if isinstance(wrapper, TimeLimit):
            wrapper._elapsed_steps = counts.pop(0)
        wrapper = wrapper.env


def _limits(environment: Any) -> list[int]:
    """Steps that each limit around an environment has counted, the outermost first."""
    counts, wrapper = [], environment
    while wrapper is not environment.unwrapped:
        if isinstance(wrapper, TimeLimit):
            counts.append(int(wrapper._elapsed_steps or 0))
        wrapper = wrapper.env
    return counts
