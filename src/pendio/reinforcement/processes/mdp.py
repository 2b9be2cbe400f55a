"""Finite Markov decision processes: from arrays, from a file, from an environment that shows its transition table."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from pendio.errors import InputError
from pendio.reinforcement.processes.transitions import assemble, read_rows

if TYPE_CHECKING:
    from gymnasium import Env

__all__ = ["MDP", "random_mdp"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]

ACTIONS = {
    "FrozenLakeEnv": ("left", "down", "right", "up"),
    "CliffWalkingEnv": ("up", "right", "down", "left"),
    "TaxiEnv": ("down", "up", "right", "left", "pick up", "drop off"),
}
"""Class of Gymnasium environment → names of its actions, by number."""


@dataclass(frozen=True, eq=False)
class MDP:
    """A finite Markov decision process (S, A, P, R, γ), each (s, a) with up to K branches (Bellman, 1957).

    Arrays are copied and cannot be written to.

    Attributes:
        next_states: ``(S, A, K)``, where a branch leads.
        probabilities: ``(S, A, K)``; those of each (s, a) sum to 1, unused branches have 0.
        rewards: ``(S, A, K)``.
        terminal: ``(S, A, K)``, T: whether the episode is over after the branch, so that nothing that follows counts.
        start: ``(S,)``, the distribution of the first state.
        discount: γ in (0, 1].
        horizon: the step limit of the environment, which cuts episodes off and is no part of the process.
        states, actions: names, or empty.
        grid: rows and columns, where the states lie on a grid row by row.

    Raises:
        InputError: shapes that do not fit, probabilities that do not sum to 1 within 1e-9, values that are not finite,
            states that do not exist, or a discount outside (0, 1].
    """

    next_states: Integers
    probabilities: Floats
    rewards: Floats
    terminal: Booleans
    start: Floats
    discount: float = 1.0
    horizon: int | None = None
    states: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    grid: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        kinds = {"next_states": np.int64, "rewards": float, "probabilities": float, "terminal": bool, "start": float}
        for name, kind in kinds.items():
            value = np.array(getattr(self, name), dtype=kind)
            value.setflags(write=False)
            object.__setattr__(self, name, value)
        self._check_shapes()
        self._check_values()

    def _check_shapes(self) -> None:
        shape = self.next_states.shape
        if len(shape) != 3 or 0 in shape:
            raise InputError(f"next_states must have shape (S, A, K), got {shape}")
        for name in ("probabilities", "rewards", "terminal"):
            if getattr(self, name).shape != shape:
                raise InputError(f"{name} must have the shape of next_states, {shape}, got {getattr(self, name).shape}")
        if self.start.shape != shape[:1]:
            raise InputError(f"start must have shape {shape[:1]}, a probability a state, got {self.start.shape}")
        for name, count in (("states", shape[0]), ("actions", shape[1])):
            names = getattr(self, name)
            if names and (len(names) != count or len(set(names)) != count):
                raise InputError(f"there are {count} {name}, but {len(set(names))} different names for them")
        if self.grid is not None and (min(self.grid) < 1 or self.grid[0] * self.grid[1] != shape[0]):
            raise InputError(f"a grid of {self.grid[0]} × {self.grid[1]} cells does not hold {shape[0]} states")

    def _check_values(self) -> None:
        if not 0 < self.discount <= 1:
            raise InputError(f"--discount must lie in (0, 1], got {self.discount}")
        if self.horizon is not None and self.horizon < 1:
            raise InputError(f"--horizon, a step limit, must be 1 or more, got {self.horizon}")
        if self.next_states.min() < 0 or self.next_states.max() >= self.state_count:
            raise InputError(f"transitions lead to states outside 0 … {self.state_count - 1}")
        if not (np.abs(self.rewards) <= 1e100).all():
            raise InputError("rewards must be finite numbers of at most 1e100")
        if not (self.probabilities >= 0).all() or not (self.start >= 0).all():
            raise InputError("probabilities must be 0 or more")
        sums = self.probabilities.sum(2)
        if (wrong := np.argwhere(~(np.abs(sums - 1) <= 1e-9))).size:
            state, action = wrong[0].tolist()
            place = f"state {self.state_name(state)}, action {self.action_name(action)}"
            raise InputError(f"the probabilities of {place} sum to {sums[state, action]:.10g}, not to 1")
        if not abs(self.start.sum() - 1) <= 1e-9:
            raise InputError(f"the probabilities of the first state sum to {self.start.sum():.10g}, not to 1")

    @property
    def state_count(self) -> int:
        """S."""
        return int(self.next_states.shape[0])

    @property
    def action_count(self) -> int:
        """A."""
        return int(self.next_states.shape[1])

    def state_name(self, state: int) -> str:
        """Its name, or its number."""
        return self.states[state] if self.states else str(state)

    def action_name(self, action: int) -> str:
        """Its name, or its number."""
        return self.actions[action] if self.actions else str(action)

    @cached_property
    def cumulative(self) -> Floats:
        """``(S, A, K)`` sums of probabilities up to each branch; the last used one is exactly 1.

        For a number u drawn from [0, 1) the branch is the first whose entry exceeds u; unused ones are never drawn.
        """
        used = self.probabilities > 0
        last = used.shape[2] - 1 - used[:, :, ::-1].argmax(2)
        sums: Floats = self.probabilities.cumsum(2)
        sums[np.arange(used.shape[2]) >= last[:, :, None]] = 1.0
        return sums

    @cached_property
    def expected_rewards(self) -> Floats:
        """``(S, A)``: Σ p r."""
        expected: Floats = np.einsum("sak,sak->sa", self.probabilities, self.rewards)
        return expected

    @cached_property
    def continuation(self) -> Any:
        """A sparse matrix ``(S · A, S)``: the probability p(1 − T) to be in a state after (s, a) and go on from there."""
        states, actions, branches = self.next_states.shape
        weights = np.where(self.terminal, 0.0, self.probabilities).ravel()
        starts = np.arange(states * actions + 1) * branches
        matrix = sparse.csr_array((weights, self.next_states.flatten(), starts), shape=(states * actions, states))
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
        return matrix

    @cached_property
    def letters(self) -> tuple[str, ...]:
        """What each state is on a map, read off the transitions.

        ``S`` a first state; ``G`` one that is only ever entered at an episode's end, for the best reward that ends earn;
        ``H`` (hole) another such; ``#`` one that no episode enters, such as a wall or a cliff; otherwise empty.
        """
        letters = np.full(self.state_count, "", dtype="<U1")
        used = self.probabilities > 0
        elsewhere = used & (self.next_states != np.arange(self.state_count)[:, None, None])
        ends = np.full(self.state_count, -np.inf)
        over = elsewhere & self.terminal
        np.maximum.at(ends, self.next_states[over], self.rewards[over])
        ends[self.next_states[elsewhere & ~self.terminal]] = -np.inf
        letters[np.isfinite(ends)] = "H"
        letters[np.isfinite(ends) & (ends == ends.max())] = "G"
        letters[~self._visited()] = "#"
        letters[self.start > 0] = "S"
        return tuple(letters.tolist())

    def _visited(self) -> Booleans:
        used = self.probabilities > 0
        visited = self.start > 0
        frontier = np.flatnonzero(visited)
        while frontier.size:
            reached, over = self.next_states[frontier][used[frontier]], self.terminal[frontier][used[frontier]]
            fresh = np.unique(reached[~over])
            frontier = fresh[~visited[fresh]]
            visited[frontier] = True
        # What lies behind an end counts as entered, but nothing goes on from there.
        ends = self.next_states[visited][(used & self.terminal)[visited]]
        visited[ends] = True
        return visited

    @classmethod
    def from_rows(
        cls,
        rows: ArrayLike,
        shape: tuple[int, int],
        *,
        start: ArrayLike | None = None,
        discount: float = 1.0,
        horizon: int | None = None,
        states: Sequence[str] = (),
        actions: Sequence[str] = (),
        grid: tuple[int, int] | None = None,
    ) -> Self:
        """From branches (s, a, next, probability, reward, done). Equal ones are merged, those of probability 0 dropped.

        Args:
            rows: ``(N, 6)`` in any order; every (s, a) needs at least one.
            shape: S and A.
            start: ``(S,)`` probabilities; without them all states are equally likely.
            discount, horizon, states, actions, grid: as the attributes.

        Raises:
            InputError: as above, or there are more than 20 million branches.
        """
        try:
            table = np.array(rows, dtype=float).reshape(-1, 6)
        except (TypeError, ValueError) as error:
            raise InputError("transitions must be rows of six numbers") from error
        first = np.full(shape[0], 1 / shape[0]) if start is None else np.asarray(start, dtype=float)
        arrays = assemble(table, shape)
        return cls(*arrays, first, discount, horizon, tuple(states), tuple(actions), grid)

    @classmethod
    def from_arrays(
        cls,
        probabilities: ArrayLike,
        rewards: ArrayLike,
        discount: float = 1.0,
        *,
        terminal: ArrayLike | None = None,
        start: ArrayLike | None = None,
        horizon: int | None = None,
        states: Sequence[str] = (),
        actions: Sequence[str] = (),
        grid: tuple[int, int] | None = None,
    ) -> Self:
        """From dense tables.

        Args:
            probabilities: ``(S, A, S)``, P(s′ | s, a). Rows of terminal states may be all 0.
            rewards: ``(S, A)``, or ``(S, A, S)`` where they depend on the next state.
            discount: γ.
            terminal: ``(S,)``, states that end the episode when they are entered.
            start, horizon, states, actions, grid: as in :meth:`from_rows`.

        Raises:
            InputError: as above.
        """
        chances, gains = np.array(probabilities, dtype=float), np.asarray(rewards, dtype=float)
        if chances.ndim != 3 or chances.shape[0] != chances.shape[2]:
            raise InputError(f"probabilities must have shape (S, A, S), got {chances.shape}")
        count, action_count = chances.shape[:2]
        if gains.shape not in (chances.shape, chances.shape[:2]):
            raise InputError(f"rewards must have shape {chances.shape[:2]} or {chances.shape}, got {gains.shape}")
        ends = np.zeros(count, dtype=bool) if terminal is None else np.asarray(terminal, dtype=bool)
        if ends.shape != (count,):
            raise InputError(f"terminal must have shape {(count,)}, got {ends.shape}")
        gains = np.broadcast_to(gains if gains.ndim == 3 else gains[:, :, None], chances.shape)
        idle = ends & (chances == 0).all((1, 2))
        chances[idle, :, idle] = 1.0
        s, a, following = np.nonzero(chances)
        rows = np.stack([s, a, following, chances[s, a, following], gains[s, a, following], ends[following]], 1)
        return cls.from_rows(
            rows, (count, action_count), start=start, discount=discount, horizon=horizon, states=states, actions=actions,
            grid=grid,
        )  # fmt: skip

    @classmethod
    def from_environment(cls, env: "Env[Any, Any]", discount: float = 1.0) -> Self:
        """From a Gymnasium environment whose ``unwrapped.P`` is {s: {a: [(probability, s′, reward, done)]}}.

        The first state comes from its ``initial_state_distrib`` (without one, all are equally likely), the horizon from
        its registered step limit, the grid from its ``desc`` or ``shape``.

        Raises:
            InputError: it has no such table, or one that leaves something out.
        """
        bare = env.unwrapped
        name = env.spec.id if env.spec else type(bare).__name__
        table = getattr(bare, "P", None)
        if not isinstance(table, Mapping) or not table:
            raise InputError(
                f"'{name}' has no transition table (unwrapped.P) and cannot be solved, only learnt; FrozenLake-v1, "
                "CliffWalking-v1 and Taxi-v4 have one"
            )
        if getattr(bare, "fickle_passenger", False):
            raise InputError(f"the transition table of '{name}' leaves the fickle passenger out; solve it without")
        try:
            rows = [
                (s, a, following, chance, reward, done)
                for s, choices in table.items() for a, branches in choices.items()
                for chance, following, reward, done in branches
            ]  # fmt: skip
            shape = len(table), len(table[0])
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise InputError(
                f"unwrapped.P of '{name}' is no {{s: {{a: [(p, s′, reward, done)]}}}}: {error!r}"
            ) from error
        names = next((ACTIONS[kind.__name__] for kind in type(bare).__mro__ if kind.__name__ in ACTIONS), ())
        sides: tuple[int, ...] = getattr(getattr(bare, "desc", bare), "shape", ())
        grid = (int(sides[0]), int(sides[1])) if len(sides) == 2 and sides[0] * sides[1] == shape[0] else None
        return cls.from_rows(
            rows, shape, start=getattr(bare, "initial_state_distrib", None), discount=discount,
            horizon=env.spec.max_episode_steps if env.spec else None, actions=names, grid=grid,
        )  # fmt: skip

    @classmethod
    def from_json(cls, path: Path) -> Self:
        """From a file that holds an object of these entries.

        - ``states`` and ``actions``: how many, or a list of different names.
        - ``transitions``: rows [state, action, next state, probability, reward, done], states and actions by name or
          number. A state without any row is an end, and may be entered only with done.
        - ``start``: a state, or a list of probabilities, one a state. Without it all are equally likely.
        - ``discount`` (1 without it), ``horizon`` (a step limit) and ``grid`` ([rows, columns]), each optional.

        Raises:
            InputError: the file is missing, larger than 64 MB, or anything in it is wrong.
        """
        arguments = read_rows(path)
        try:
            return cls.from_rows(**arguments)
        except InputError as error:
            raise InputError(f"'{path}': {error}") from error

    def to_json(self, path: Path) -> None:
        """Write what :meth:`from_json` reads back: the same process."""
        from pendio.runs.files import write_text

        s, a, k = np.nonzero(self.probabilities)
        columns = [
            array[s, a, k].tolist() for array in (self.next_states, self.probabilities, self.rewards, self.terminal)
        ]
        content = {
            "states": list(self.states) or self.state_count, "actions": list(self.actions) or self.action_count,
            "discount": self.discount, "start": self.start.tolist(), "horizon": self.horizon, "grid": self.grid,
            "transitions": list(zip(s.tolist(), a.tolist(), *columns, strict=True)),
        }  # fmt: skip
        write_text(path, json.dumps(content, ensure_ascii=False))


def random_mdp(states: int, actions: int, branches: int, discount: float, seed: int) -> MDP:
    """Branches to random states with random probabilities, standard normal rewards, one in ten an episode's end."""
    generator = np.random.default_rng(seed)
    shape = states, actions, branches
    return MDP(
        next_states=generator.integers(states, size=shape), probabilities=generator.dirichlet(np.ones(branches), shape[:2]),
        rewards=generator.standard_normal(shape), terminal=generator.random(shape) < 0.1,
        start=np.full(states, 1 / states), discount=discount,
    )  # fmt: skip
