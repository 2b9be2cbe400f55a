"""Many environments played side by side, whatever they are: each step gives transitions with true successors."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import gymnasium
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from numpy.typing import NDArray

from pendio.descent.task import SourceFailed
from pendio.errors import InputError
from pendio.reinforcement.values.replay import Transitions
from pendio.reinforcement.worlds.checking import one_line
from pendio.reinforcement.worlds.environments import World
from pendio.reinforcement.worlds.snapshots import restore, snapshot
from pendio.reinforcement.worlds.tables import TableEnvironments

__all__ = ["Arena", "Episodes", "GymEnvironments", "Side"]


class Side(Protocol):
    """Environments side by side, each starting anew when its episode ends."""

    def reset(self, seeds: Sequence[int]) -> NDArray[Any]:
        """First observations ``(N, …)``; a seed for each."""
        ...

    def step(self, actions: NDArray[Any]) -> tuple[Transitions, NDArray[Any]]:
        """What the actions ``(N,)`` led to, and what is seen next: a new episode's first observation where one ended."""
        ...

    def state(self) -> dict[str, Any] | None:
        """Everything needed to go on, in plain values and tensors; None where it cannot be had."""
        ...

    def restore(self, state: Mapping[str, Any]) -> NDArray[Any]:
        """Go on from :meth:`state`; what is seen there."""
        ...


class Episodes(NamedTuple):
    """Episodes that came to an end.

    Attributes:
        returns: Σ r of each, not discounted ``(E,)``.
        lengths: their steps.
        terminated: whether the environment ended it, rather than a limit of steps.
        environments: which of the side's environments played it.
    """

    returns: NDArray[np.float64]
    lengths: NDArray[np.int64]
    terminated: NDArray[np.bool_]
    environments: NDArray[np.int64]


class Arena:
    """Plays ``count`` environments and keeps account of their episodes.

    Args:
        world: what is played.
        count: how many side by side.
        seed: of the first episodes.
        stack: how many of the latest frames an observation holds; earlier ones repeat an episode's first.
        seeds: a seed for each environment, instead of ``seed``.

    Attributes:
        observations: what is seen now ``(N, …)``; frames are stacked along their channels, the newest last.
        steps: taken by all environments together.
        episodes: ended by all together.
    """

    def __init__(
        self, world: World, count: int, seed: int = 0, stack: int = 1, seeds: Sequence[int] | None = None
    ) -> None:
        self.world, self.count, self.stack = world, count, stack
        # Within 32 bits, which is as much as many environments take for a seed.
        base = seed * 1_000_003 % 2**31
        chosen = [int(each) for each in (range(base, base + count) if seeds is None else seeds)]
        if (least := min([seed, *chosen])) < 0:
            raise InputError(f"--seed must be 0 or more, got {least}")
        self.steps = self.episodes = 0
        self._returns = np.zeros(count)
        self._lengths = np.zeros(count, dtype=np.int64)
        self._side: Side = self._guarded(lambda: _side(world, count))
        self.observations: NDArray[Any]
        self.begin(chosen)

    def begin(self, seeds: Sequence[int]) -> None:
        """Begin new episodes, whatever was going on: a seed for each environment."""
        self._returns[:] = 0.0
        self._lengths[:] = 0
        self.observations = self._first(self._guarded(lambda: self._side.reset(seeds)))

    def step(self, actions: NDArray[Any]) -> tuple[Transitions, Episodes]:
        """Take an action in each environment.

        Returns:
            The transitions, their observations stacked, and the episodes that ended with them.

        Raises:
            SourceFailed: an environment raised, gave a reward that is not finite, or left its observation space.
        """
        step, seen = self._guarded(lambda: self._side.step(actions))
        if self.world.mdp is None:
            self._check(step)
        ended = step.terminated | step.truncated
        if self.stack > 1:
            successors = self._pushed(step.next_observations)
            step = step._replace(observations=self.observations, next_observations=successors)
            # An environment that is reset by its next step shows its last frame once more: nothing new to push.
            seen = np.where(_wide(ended | ~step.valid, successors), self._first(seen), successors)
        self.observations = seen
        return step, self._account(step, ended)

    def _check(self, step: Transitions) -> None:
        """What would do harm unnoticed; that all else is in its space was tried when the world was opened."""
        if not np.isfinite(step.rewards).all():
            bad = int(np.argmin(np.isfinite(step.rewards)))
            raise SourceFailed(f"environment '{self.world.name}' gave the reward {step.rewards[bad]} at step "
                               f"{int(self._lengths[bad]) + 1} of an episode")  # fmt: skip
        seen = step.next_observations
        if self.world.kind == "state":
            fine = (seen >= 0) & (seen < self.world.states)
        elif self.world.kind == "vector":
            fine = np.isfinite(seen)
        else:
            return
        if not fine.all():
            place = tuple(np.argwhere(~fine)[0])
            raise SourceFailed(f"environment '{self.world.name}' left its observation_space at step "
                               f"{int(self._lengths[place[0]]) + 1} of an episode: {seen[place]}")  # fmt: skip

    def _account(self, step: Transitions, ended: NDArray[np.bool_]) -> Episodes:
        self._returns += step.rewards * step.valid
        self._lengths += step.valid
        self.steps += int(step.valid.sum())
        where = np.flatnonzero(ended)
        over = Episodes(self._returns[where], self._lengths[where], step.terminated[where], where)
        if len(where):
            self._returns[where] = 0.0
            self._lengths[where] = 0
            self.episodes += len(where)
        return over

    def _guarded(self, play: Any) -> Any:
        try:
            return play()
        except InputError:
            raise
        except Exception as error:  # whatever a user's environment may raise
            steps = sorted({int(length) + 1 for length in self._lengths})
            when = f"step {steps[0]}" if len(steps) == 1 else f"one of its steps {steps[0]} to {steps[-1]}"
            raise SourceFailed(
                f"environment '{self.world.name}' raised in an episode, at {when}: {one_line(error)}"
            ) from error

    def _first(self, seen: NDArray[Any]) -> NDArray[Any]:
        return np.concatenate([seen] * self.stack, axis=1) if self.stack > 1 else seen

    def _pushed(self, frames: NDArray[Any]) -> NDArray[Any]:
        return np.concatenate([self.observations[:, frames.shape[1] :], frames], axis=1)

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on; without the environments' own state where that cannot be had."""
        return {
            "side": self._guarded(self._side.state), "steps": self.steps, "episodes": self.episodes,
            "returns": self._returns.tolist(), "lengths": self._lengths.tolist(),
            "observations": torch.from_numpy(self.observations) if self.stack > 1 else None,
        }  # fmt: skip

    def load_state_dict(self, state: Mapping[str, Any]) -> bool:
        """Go on where :meth:`state_dict` was taken; False where new episodes had to begin instead."""
        self.steps, self.episodes = int(state["steps"]), int(state["episodes"])
        if state["side"] is None:
            # New episodes, and not those that have been played already.
            self.begin([self.steps + number + 1 for number in range(self.count)])
            return False
        if len(state["returns"]) != self.count:
            raise InputError(f"{len(state['returns'])} environments were saved, and {self.count} are to go on; "
                             "give the same --environments")  # fmt: skip
        seen = self._guarded(lambda: self._side.restore(state["side"]))
        self._returns = np.array(state["returns"], dtype=np.float64)
        self._lengths = np.array(state["lengths"], dtype=np.int64)
        self.observations = state["observations"].numpy().copy() if self.stack > 1 else seen
        return True


class GymEnvironments:
    """Gymnasium's environments side by side: the environment's own vector form where it has one, one by one otherwise.

    After an episode's last step Gymnasium's NEXT_STEP mode spends a step on the reset, which is no transition, and its
    SAME_STEP mode hides the last observation among the infos. Here both give the same transitions.

    Args:
        world: what is played.
        count: how many.
        vector: play this one instead.
    """

    def __init__(self, world: World, count: int, vector: VectorEnv[Any, Any, Any] | None = None) -> None:
        self._vector = vector if vector is not None else _vectorized(world, count)
        self._native = not isinstance(self._vector, SyncVectorEnv)
        mode = self._vector.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP)
        if mode == AutoresetMode.DISABLED:
            raise InputError(
                f"environment '{world.name}' does not begin new episodes itself: its autoreset is disabled"
            )
        self._same_step = mode == AutoresetMode.SAME_STEP
        self._continuous = world.actions == 0
        self._low, self._high = (np.array(bound, dtype=np.float32) for bound in (world.low, world.high))
        self._over = np.zeros(count, dtype=np.bool_)
        self._seen: NDArray[Any] = np.zeros(0)

    def reset(self, seeds: Sequence[int]) -> NDArray[Any]:
        """First observations; an environment with a vector form of its own takes the first seed for all."""
        chosen: Any = seeds[0] if self._native else list(seeds)
        self._seen = np.array(self._vector.reset(seed=chosen)[0])
        self._over[:] = False
        return self._seen

    def step(self, actions: NDArray[Any]) -> tuple[Transitions, NDArray[Any]]:
        """See :meth:`Side.step`; actions that are vectors are clipped to their bounds."""
        taken = np.clip(actions, self._low, self._high) if self._continuous else actions
        seen, rewards, terminated, truncated, infos = self._vector.step(taken)
        before, seen = self._seen, np.array(seen)
        ended = np.logical_or(terminated, truncated)
        successors = seen
        if self._same_step and ended.any():
            successors = seen.copy()
            for number in np.flatnonzero(ended):
                successors[number] = infos["final_obs"][number]
        valid = ~self._over
        step = Transitions(
            before, actions, rewards.astype(np.float64), successors, terminated.copy(), truncated & ~terminated, valid
        )  # fmt: skip
        self._over = np.zeros_like(ended) if self._same_step else ended.copy()
        self._seen = seen
        return step, seen

    def state(self) -> dict[str, Any] | None:
        """Where the environments can tell it: see :mod:`pendio.reinforcement.worlds.snapshots`."""
        inner = None if self._same_step else snapshot(self._vector)
        return None if inner is None else {"vector": inner, "over": self._over.tolist()}

    def restore(self, state: Mapping[str, Any]) -> NDArray[Any]:
        """Go on from :meth:`state`."""
        self._seen = restore(self._vector, state["vector"])
        self._over = np.array(state["over"], dtype=np.bool_)
        return self._seen


def _side(world: World, count: int) -> Side:
    return TableEnvironments(world.mdp, count, world.limit) if world.mdp is not None else GymEnvironments(world, count)


def _vectorized(world: World, count: int) -> VectorEnv[Any, Any, Any]:
    spec = gymnasium.registry.get(world.name)
    if spec is not None and spec.vector_entry_point is not None and world.kind == "vector":
        settings = dict(world.settings) | {"max_episode_steps": world.limit}
        vector = gymnasium.make_vec(world.name, count, "vector_entry_point", **settings)
        space = vector.single_observation_space
        if (space.shape, space.dtype) == (world.shape, world.dtype):
            return vector
    return SyncVectorEnv([world.make] * count)


def _wide(mask: NDArray[np.bool_], like: NDArray[Any]) -> NDArray[np.bool_]:
    return mask.reshape(-1, *[1] * (like.ndim - 1))
