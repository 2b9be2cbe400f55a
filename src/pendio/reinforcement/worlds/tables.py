"""A known decision process played by many at once: one table look-up a step for all of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from pendio.reinforcement.processes.mdp import MDP
from pendio.reinforcement.values.replay import Transitions
from pendio.reinforcement.worlds.snapshots import generator_state, restore_generator

__all__ = ["TableEnvironment", "TableEnvironments"]


class TableEnvironments:
    """Plays a decision process from its table, which can be left and taken up again to the bit.

    Args:
        mdp: what is played.
        count: how many side by side.
        limit: steps after which an episode is truncated.
    """

    def __init__(self, mdp: MDP, count: int, limit: int) -> None:
        actions = mdp.next_states.shape[1]
        # Rows of (state, action) pairs, so that one index finds a row.
        self._next, self._rewards, self._terminal, self._cumulative = (
            np.ascontiguousarray(table.reshape(-1, table.shape[2]))
            for table in (mdp.next_states, mdp.rewards, mdp.terminal, mdp.cumulative)
        )
        self._certain = self._next.shape[1] == 1
        self._actions, self._count, self._limit = actions, count, limit
        self._start = np.cumsum(mdp.start)
        # Rounding must not leave room for states behind the last possible one.
        self._start[np.flatnonzero(mdp.start)[-1] :] = 1.0
        self._random = np.random.default_rng(0)
        self._states = np.zeros(count, dtype=np.int64)
        self._elapsed = np.zeros(count, dtype=np.int64)

    def reset(self, seeds: Sequence[int]) -> NDArray[Any]:
        """First states ``(N,)``; the seeds together seed the one generator of all."""
        self._random = np.random.default_rng(list(seeds))
        self._states = self._first(self._count)
        self._elapsed[:] = 0
        return self._states

    def _first(self, count: int) -> NDArray[np.int64]:
        return np.searchsorted(self._start, self._random.random(count), side="right").astype(np.int64)

    def step(self, actions: NDArray[Any]) -> tuple[Transitions, NDArray[Any]]:
        """See :meth:`pendio.reinforcement.worlds.arena.Side.step`; an episode that ends gives way to a new one at once."""
        rows = self._states * self._actions + actions
        if self._certain:
            branch: Any = 0
        else:
            branch = (self._random.random(self._count)[:, None] >= self._cumulative[rows]).sum(1)
        successors = self._next[rows, branch]
        terminated = self._terminal[rows, branch]
        self._elapsed = self._elapsed + 1
        truncated = (self._elapsed >= self._limit) & ~terminated
        step = Transitions(
            self._states, actions, self._rewards[rows, branch], successors, terminated, truncated,
            np.ones(self._count, dtype=np.bool_),
        )  # fmt: skip
        over = np.flatnonzero(terminated | truncated)
        seen = successors
        if len(over):
            seen = successors.copy()
            seen[over] = self._first(len(over))
            self._elapsed[over] = 0
        self._states = seen
        return step, seen

    def state(self) -> dict[str, Any]:
        """States, steps and the generator."""
        return {
            "states": self._states.tolist(), "elapsed": self._elapsed.tolist(), "random": generator_state(self._random)
        }  # fmt: skip

    def restore(self, state: Mapping[str, Any]) -> NDArray[Any]:
        """Go on from :meth:`state`."""
        self._states = np.array(state["states"], dtype=np.int64)
        self._elapsed = np.array(state["elapsed"], dtype=np.int64)
        restore_generator(self._random, state["random"])
        return self._states


class TableEnvironment(gymnasium.Env[Any, Any]):
    """A decision process as one environment of Gymnasium's form, told of in text.

    Args:
        mdp: what is played.
        render_mode: "ansi" or None.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi"], "render_fps": 4}  # noqa: RUF012  (Gymnasium declares it so)

    def __init__(self, mdp: MDP, render_mode: str | None = None) -> None:
        self.mdp, self.render_mode = mdp, render_mode
        self.observation_space = gymnasium.spaces.Discrete(mdp.state_count)
        self.action_space = gymnasium.spaces.Discrete(mdp.action_count)
        self._state, self._told = 0, ""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """The first state, drawn."""
        super().reset(seed=seed)
        self._state = int(self.np_random.choice(self.mdp.state_count, p=self.mdp.start))
        self._told = self.mdp.state_name(self._state)
        return self._state, {}

    def step(self, action: Any) -> tuple[int, float, bool, bool, dict[str, Any]]:
        """Follow a branch, drawn."""
        branch = int((self.np_random.random() >= self.mdp.cumulative[self._state, action]).sum())
        place = self._state, int(action), branch
        self._state, reward = int(self.mdp.next_states[place]), float(self.mdp.rewards[place])
        self._told = f"{self.mdp.action_name(int(action))}: {self.mdp.state_name(self._state)} (reward {reward:g})"
        return self._state, reward, bool(self.mdp.terminal[place]), False, {}

    def render(self) -> str:
        """Where it stands, and how it came there."""
        return self._told
