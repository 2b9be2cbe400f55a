"""Watching an agent play: as a moving picture, or as text in the terminal."""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pendio.data.frames import MOVING, write_frames
from pendio.descent.task import SourceFailed
from pendio.errors import InputError
from pendio.reinforcement.agent import Agent
from pendio.reinforcement.worlds.checking import playing
from pendio.reinforcement.worlds.environments import Environment

__all__ = ["Shown", "film", "watch"]

_USUAL_RATE = 30.0


@dataclass(frozen=True)
class Shown:
    """An episode that was watched.

    Attributes:
        seed: it was played from.
        value: its return, not discounted.
        length: its steps.
        terminated: whether the environment ended it, rather than a limit of steps.
    """

    seed: int
    value: float
    length: int
    terminated: bool

    def to_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {"seed": self.seed, "return": self.value, "length": self.length, "terminated": self.terminated}


def film(agent: Agent, path: Path, episodes: int = 1, seed: int = 0, rate: float | None = None) -> list[Shown]:
    """Play episodes and write them to one moving picture, frame by frame.

    Args:
        agent: who plays.
        path: ends in .gif, .mp4 or another of ``MOVING``.
        episodes: how many.
        seed: of the first episode; the others follow.
        rate: frames a second; by default the environment's own.

    Raises:
        InputError: the ending is unknown, the file cannot be written, or the environment draws no pictures; or it raised.
    """
    if path.suffix.lower() not in MOVING:
        raise InputError(f"'{path}' is no moving picture; end it in .gif or .mp4")
    if "rgb_array" not in (modes := _modes(agent)):
        raise InputError(f"environment '{agent.world.name}' draws no pictures: its render_modes are {modes}; "
                         "give it the mode 'rgb_array', or watch it as text without --gif")  # fmt: skip
    # Pictures are drawn into memory: without this, pygame looks for a screen and complains where there is none.
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    environment = agent.world.make("rgb_array")
    own = float(environment.metadata.get("render_fps") or _USUAL_RATE)
    shown: list[Shown] = []
    frames = (
        _pixels(_drawn(agent, environment))
        for number in range(episodes) for _ in _moments(agent, environment, seed + number, shown)
    )  # fmt: skip
    try:
        write_frames(path, frames, rate or own)
    finally:
        environment.close()
    return shown


def watch(agent: Agent, episodes: int = 1, seed: int = 0) -> Iterator[str | Shown]:
    """Play episodes and give each scene as text, and then the episode.

    Worlds that are not drawn as text are told of in numbers: step, action, reward.
    """
    text = "ansi" in _modes(agent)
    environment = agent.world.make("ansi" if text else None)
    try:
        for number in range(episodes):
            shown: list[Shown] = []
            for moment in _moments(agent, environment, seed + number, shown):
                if text:
                    yield str(_drawn(agent, environment))
                elif moment.step:
                    yield f"step {moment.step:>4}  {_word(agent, moment.action):<14} reward {moment.reward:+.4g}"
            yield shown[0]
    finally:
        environment.close()


def _modes(agent: Agent) -> list[str]:
    environment = agent.world.make()
    try:
        return list(environment.unwrapped.metadata.get("render_modes") or [])
    finally:
        environment.close()


class _Moment(NamedTuple):
    step: int
    action: Any
    reward: float


def _moments(agent: Agent, environment: Environment, seed: int, shown: list[Shown]) -> Iterator[_Moment]:
    """Each moment of an episode, the first included; when it is over, it is among those shown."""
    stack, name = agent.stack, agent.world.name
    if seed < 0:
        raise InputError(f"--seed must be 0 or more, got {seed}")
    with playing(name, f"in reset(seed={seed})"):
        seen = np.asarray(environment.reset(seed=seed)[0])
    observation = np.concatenate([seen] * stack) if stack > 1 else seen
    total, step, over, terminated = 0.0, 0, False, False
    yield _Moment(0, None, 0.0)
    while not over:
        taken = _taken(agent, observation)
        with playing(name, f"at step {step + 1} of the episode of seed {seed}"):
            frame, reward, terminated, truncated, _ = environment.step(taken)
        if not math.isfinite(reward):
            raise SourceFailed(f"environment '{name}' gave the reward {reward} at step {step + 1} of the episode of "
                               f"seed {seed}")  # fmt: skip
        seen = np.asarray(frame)
        observation = np.concatenate([observation[len(seen) :], seen]) if stack > 1 else seen
        total, step, over = total + float(reward), step + 1, bool(terminated or truncated)
        yield _Moment(step, taken, float(reward))
    shown.append(Shown(seed, total, step, bool(terminated)))


def _taken(agent: Agent, observation: NDArray[Any]) -> Any:
    action, world = agent.act(observation[None])[0], agent.world
    return int(action) if world.actions else np.clip(action, *np.array([world.low, world.high], np.float32))


def _drawn(agent: Agent, environment: Environment) -> Any:
    with playing(agent.world.name, "in render()"):
        return environment.render()


def _word(agent: Agent, action: Any) -> str:
    return agent.world.action_names[action] if agent.world.actions else np.array2string(action, precision=3)


def _pixels(frame: Any) -> Tensor:
    if not (isinstance(frame, np.ndarray) and frame.ndim == 3 and frame.shape[2] == 3):
        what = f"an array of shape {frame.shape}" if isinstance(frame, np.ndarray) else f"a {type(frame).__name__}"
        raise InputError(f"the environment drew {what}; render() must return a picture (H, W, 3)")
    return torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1)
