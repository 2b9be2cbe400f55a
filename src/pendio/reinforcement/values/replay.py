"""A replay buffer: transitions of several environments in one ring, each observation stored once."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from pendio.errors import InputError
from pendio.reinforcement.values.priorities import Priorities, PrioritySampler, saved_array

__all__ = ["Outcomes", "Replay", "Sample", "Stored", "Transitions", "stored_of"]

_CLOSED, _GOES_ON, _TERMINATES = 0, 1, 2
"""What a row is: none that can be drawn, a transition, or one that ends in a terminal state."""

_MOST_FRAMES = 255


class Transitions(NamedTuple):
    """One step of ``N`` environments.

    Attributes:
        observations: before the step, ``(N, …)``.
        actions: ``(N,)`` of whole numbers, or ``(N, D)``.
        rewards: ``(N,)``.
        next_observations: the true successors ``(N, …)``: at an episode's end its final ones, not those of a reset.
        terminated: whether a terminal state was reached, ``(N,)``.
        truncated: whether the episode was only cut off, ``(N,)``.
        valid: False for the reset of Gymnasium's NEXT_STEP mode, which is no transition, ``(N,)``.
    """

    observations: NDArray[Any]
    actions: NDArray[Any]
    rewards: NDArray[Any]
    next_observations: NDArray[Any]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    valid: NDArray[np.bool_]


class Sample(NamedTuple):
    """Drawn transitions over k ≤ n steps, on the CPU.

    Attributes:
        observations: ``(B, …)``, or stacks ``(B, stack · C, …)``, the oldest frame first.
        actions: ``(B,)`` or ``(B, D)``.
        rewards: Σ γⁱ rᵢ over the k steps, ``(B,)``.
        next_observations: after the k steps, like ``observations``.
        discounts: γᵏ, what the value of ``next_observations`` counts, ``(B,)``; 0 after a terminal state.
        weights: of the losses, ``(B,)``: 1, or smaller for what priorities draw too often.
        indices: where they are, for :meth:`Replay.update`, ``(B,)``.
    """

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    next_observations: Tensor
    discounts: Tensor
    weights: Tensor
    indices: Tensor


class Outcomes(NamedTuple):
    """What came of the transitions that a replay remembers.

    Attributes:
        actions: ``(M,)`` or ``(M, D)``.
        rewards: of single steps, ``(M,)``.
        terminated: whether a terminal state followed, ``(M,)``.
    """

    actions: NDArray[Any]
    rewards: NDArray[Any]
    terminated: NDArray[np.bool_]


class Stored(NamedTuple):
    """What a replay remembers.

    Attributes:
        observations: ``(M, …)``, of frames the newest alone.
        outcomes: what came of each.
    """

    observations: NDArray[Any]
    outcomes: Outcomes


class Replay:
    """The latest transitions, drawn with replacement: all alike, or by priority.

    A row holds an observation and what was done there; its successor is in the next row of the same environment, and an
    episode's final observation in a row of its own, which closes it. Row ``t`` of environment ``e`` is at ``t · N + e``,
    so what has been filled is one piece. The newest observation is written ahead of time, so that the newest transition
    can be drawn at once. Returns over several steps stop at an episode's end and at the newest observation.

    Memory is reserved at once but taken up only as rows are filled.

    Args:
        capacity: rows in all; each environment has ``capacity // environments``.
        environments: how many there are, N.
        observation: shape and number format of one observation, which is kept; of the newest frame where they are stacked.
        action: shape and number format of one action.
        discount: γ in [0, 1].
        steps: n of the n-step returns (Watkins, 1989; Sutton, 1988).
        stack: how many frames make an observation: joined along their first axis, an episode's first frame standing in
            for those before it.
        priorities: draw in proportion to errors rather than uniformly.

    Raises:
        InputError: a value is out of its range, the capacity is too small or too large, or a number format unknown.
    """

    def __init__(
        self, capacity: int, environments: int, observation: tuple[Sequence[int], DTypeLike],
        action: tuple[Sequence[int], DTypeLike], *, discount: float, steps: int = 1, stack: int = 1,
        priorities: Priorities | None = None,
    ) -> None:  # fmt: skip
        self._length = _length(capacity, environments, stack)
        if not 0 <= discount <= 1:
            raise InputError(f"the discount must be 0 to 1, got {discount:g}")
        if not 1 <= steps <= self._length:
            raise InputError(f"returns over {steps} steps: must be 1 to {self._length}, an environment's rows")
        if stack > 1 and not observation[0]:
            raise InputError("single numbers cannot be stacked: observations need an axis, at least (1,)")
        self.environments, self.discount, self.steps, self.stack = environments, discount, steps, stack
        rows = self._length * environments
        self._observations = _reserve(rows, observation)
        self._actions = _reserve(rows, action)
        self._rewards = np.zeros(rows, np.float32)
        self._kinds = np.zeros(rows, np.uint8)
        self._ages = np.zeros(rows if stack > 1 else 0, np.uint8)  # earlier frames of the episode, at most stack − 1
        self._sampler = PrioritySampler(priorities, rows) if priorities else None
        self._heads = np.arange(environments)
        self._fresh = np.ones(environments, np.bool_)
        self._filled = 0
        self._count = 0
        self._powers = np.float64(discount) ** np.arange(steps + 1)
        self._ahead = environments * np.arange(steps)
        self._behind = np.arange(stack - 1, -1, -1, dtype=np.uint8)
        self._factors = np.array([0, discount, 0], np.float32)
        flags = np.zeros(environments, np.bool_)
        columns = (self._observations, self._actions, self._rewards, self._observations, flags, flags, flags)
        self._forms = [((environments, *column.shape[1:]), column.dtype) for column in columns]
        self._accepted: list[tuple[tuple[int, ...], np.dtype[Any]]] = []

    def __len__(self) -> int:
        """How many transitions can be drawn."""
        return self._count

    def add(self, transitions: Transitions) -> None:
        """Store a step of all environments whose transition is valid, over the oldest where the ring is full.

        Raises:
            InputError: an array has another shape, or its numbers do not fit the format that was announced.
        """
        forms = [(field.shape, field.dtype) for field in transitions]
        if forms != self._accepted:
            self._check(transitions)
            self._accepted = forms
        chosen: slice | NDArray[np.int64] = slice(None)
        if np.count_nonzero(transitions.valid) < self.environments:
            chosen = np.flatnonzero(transitions.valid)
            transitions = Transitions(*(field[chosen] for field in transitions))
        observations, actions, rewards, next_observations, terminated, truncated, _ = transitions
        rows = self._heads[chosen]
        successors = self._wrapped(rows + self.environments)
        self._observations[rows] = observations
        self._observations[successors] = next_observations
        self._actions[rows] = actions
        self._rewards[rows] = rewards
        self._mark(rows, successors, terminated, self._fresh[chosen])
        ended = terminated | truncated
        self._fresh[chosen] = ended
        self._heads[chosen] = (
            self._wrapped(successors + self.environments * ended) if np.count_nonzero(ended) else successors
        )

    def cut(self) -> None:
        """End all episodes that go on, as truncated: the environments have been reset from outside."""
        self._heads = np.where(self._fresh, self._heads, self._wrapped(self._heads + self.environments))
        self._fresh[:] = True

    def _mark(
        self, rows: NDArray[np.int64], successors: NDArray[np.int64], terminated: NDArray[np.bool_],
        fresh: NDArray[np.bool_],
    ) -> None:  # fmt: skip
        """Note which rows can be drawn now, and which no longer because they, or frames they need, were overwritten."""
        if self._filled < self._length and len(rows):
            self._filled = min(self._length, max(self._filled, int(rows.max()) // self.environments + 2))
        kinds = self._kinds
        self._count += len(rows) - int(np.count_nonzero(kinds[rows]) + np.count_nonzero(kinds[successors]))
        kinds[rows] = terminated + np.uint8(_GOES_ON)
        kinds[successors] = _CLOSED
        gone = successors
        if self.stack > 1:
            ages = np.where(fresh, np.uint8(0), self._ages[rows])
            self._ages[rows] = ages
            self._ages[successors] = np.minimum(ages + np.uint8(1), np.uint8(self.stack - 1))
            distance = np.arange(1, self.stack)
            old = self._wrapped(successors[:, None] + self.environments * distance)
            lost = old[(self._ages[old] >= distance) & (kinds[old] != _CLOSED)]
            kinds[lost] = _CLOSED
            self._count -= len(lost)
            gone = np.concatenate((successors, lost))
        if self._sampler:
            self._sampler.change(rows, gone)

    def _check(self, transitions: Transitions) -> None:
        for name, given, (shape, dtype) in zip(Transitions._fields, transitions, self._forms, strict=True):
            if given.shape != shape or not np.can_cast(given.dtype, dtype, "same_kind"):
                raise InputError(
                    f"{name} of {given.dtype} {given.shape} do not fit a replay for {dtype} {shape}: "
                    "announce their shape and number format when making it"
                )

    def _wrapped(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        return rows % len(self._kinds)

    def sample(self, size: int, generator: torch.Generator | np.random.Generator) -> Sample:
        """``size`` transitions, drawn with replacement; the same from equal replays and generators.

        Raises:
            InputError: there is nothing to draw, or the size is not 1 or more.
        """
        if size < 1:
            raise InputError(f"a sample has one transition or more, got {size}")
        if not self._count:
            raise InputError("nothing can be drawn from an empty replay: add transitions first")
        if self._sampler:
            rows, weights = self._sampler.draw(size, generator)
        else:
            rows, weights = self._draw(size, generator), np.ones(size, np.float32)
        rewards, ends, discounts = self._returns(rows)
        return Sample(
            torch.from_numpy(self._seen(rows)), torch.from_numpy(self._actions.take(rows, axis=0)),
            torch.from_numpy(rewards), torch.from_numpy(self._seen(ends)), torch.from_numpy(discounts),
            torch.from_numpy(weights), torch.from_numpy(rows),
        )  # fmt: skip

    def update(self, indices: Tensor, errors: Tensor) -> None:
        """Learn the priorities of what was drawn from its errors δ ``(B,)``; nothing where all are drawn alike.

        Raises:
            InputError: an error is not a finite number.
        """
        if self._sampler:
            self._sampler.learn(indices.cpu().numpy(), errors.detach().cpu().double().numpy())

    def outcomes(self) -> Outcomes:
        """What came of all transitions that can be drawn, each once; observations, which may be large, are not copied."""
        return _outcomes(self._actions, self._rewards, self._kinds[: self._filled * self.environments])

    def _draw(self, size: int, generator: torch.Generator | np.random.Generator) -> NDArray[np.int64]:
        """Of all filled rows alike; those that are no transition are drawn again, so that all transitions are alike."""
        rows = _integers(self._filled * self.environments, size, generator)
        while np.count_nonzero(possible := self._kinds.take(rows)) < size:
            wrong = np.flatnonzero(possible == _CLOSED)
            rows[wrong] = _integers(self._filled * self.environments, len(wrong), generator)
        return rows

    def _returns(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
        """Discounted sums over k steps, the rows after them, and γᵏ or 0, ``(B,)`` each."""
        if self.steps == 1:
            kinds = self._kinds.take(rows)
            return self._rewards.take(rows), self._wrapped(rows + self.environments), self._factors.take(kinds)
        walk = self._wrapped(rows[:, None] + self._ahead)
        kinds = self._kinds.take(walk)
        counted = np.logical_and.accumulate(kinds != _CLOSED, axis=1)
        rewards = np.where(counted, self._rewards.take(walk), 0) @ self._powers[:-1]
        steps = counted.sum(1)
        terminated = ((kinds == _TERMINATES) & counted).any(1)
        discounts = np.where(terminated, 0, self._powers[steps])
        ends = self._wrapped(rows + self.environments * steps)
        return rewards.astype(np.float32), ends, discounts.astype(np.float32)

    def _seen(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Observations of rows, their frames stacked."""
        if self.stack == 1:
            return self._observations.take(rows, axis=0)
        back = np.minimum(self._behind, self._ages[rows][:, None])
        frames = self._observations.take(self._wrapped(rows[:, None] - self.environments * back), axis=0)
        channels, *rest = frames.shape[2:]
        return frames.reshape(len(rows), self.stack * channels, *rest)

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values that :meth:`load_state_dict` takes; of the rows, only those that have been filled.

        The tensors share their memory with the replay: save or clone them before adding more.
        """
        rows = self._filled * self.environments
        arrays = {name: torch.from_numpy(array[:rows]) for name, array in self._columns().items()}
        heads, fresh = torch.from_numpy(self._heads), torch.from_numpy(self._fresh)
        sampler = self._sampler.state_dict(rows) if self._sampler else None
        return {**arrays, "heads": heads, "fresh": fresh, "length": self._length, "sampler": sampler}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a state of a replay with the same capacity, environments, formats, stack, and priorities or none.

        Raises:
            InputError: the state is none, or of another replay.
        """
        columns = self._columns() | {"heads": self._heads, "fresh": self._fresh}
        saved = {name: saved_array(state, name, column) for name, column in columns.items()}
        rows = len(saved["kinds"])
        heads, each = saved["heads"], np.arange(self.environments)
        sound = (
            state.get("length") == self._length and rows % self.environments == 0
            and all(len(saved[name]) == min(rows, len(column)) for name, column in self._columns().items())
            and len(heads) == len(saved["fresh"]) == self.environments
            and (heads % self.environments == each).all() and ((heads >= 0) & (heads < len(self._kinds))).all()
            and (saved["kinds"] <= _TERMINATES).all() and (saved["ages"] < self.stack).all()
            and (state.get("sampler") is None) == (self._sampler is None)
        )  # fmt: skip
        if not sound:
            raise InputError(
                f"the saved replay does not fit one of {self._length} rows for each of {self.environments} environments, "
                f"{self.stack} frames a stack, {'with' if self._sampler else 'without'} priorities: use the same options"
            )
        if self._sampler:
            self._sampler.load_state_dict(state["sampler"], saved["kinds"] != _CLOSED)
        self._kinds[rows:] = _CLOSED
        for name, column in columns.items():
            column[: len(saved[name])] = saved[name]
        self._filled = rows // self.environments
        self._count = int(np.count_nonzero(self._kinds))

    def _columns(self) -> dict[str, NDArray[Any]]:
        return {
            "observations": self._observations, "actions": self._actions, "rewards": self._rewards,
            "kinds": self._kinds, "ages": self._ages,
        }  # fmt: skip


def _length(capacity: int, environments: int, stack: int) -> int:
    """How many rows an environment has."""
    if environments < 1:
        raise InputError(f"a replay is of one environment or more, got {environments}")
    if not 1 <= stack <= _MOST_FRAMES:
        raise InputError(f"a stack has 1 to {_MOST_FRAMES} frames, got {stack}")
    least = environments * (stack + 1)
    if capacity < least:
        raise InputError(
            f"capacity {capacity} is too small: {environments} environments with {stack} frames a stack need {least}"
        )  # fmt: skip
    return capacity // environments


def _reserve(rows: int, form: tuple[Sequence[int], DTypeLike]) -> NDArray[Any]:
    shape, dtype = form
    try:
        torch.from_numpy(np.empty(0, dtype))
        return np.empty((rows, *shape), dtype)
    except TypeError as error:
        raise InputError(f"a replay cannot hold {dtype!r}: give a format that torch has, such as uint8") from error
    except (MemoryError, ValueError) as error:
        size = "×".join(str(side) for side in (rows, *shape))
        raise InputError(f"a replay of {size} numbers exceeds the memory: lower the capacity") from error


def _integers(high: int, size: int, generator: torch.Generator | np.random.Generator) -> NDArray[np.int64]:
    """Whole numbers from 0 to below ``high``, ``(size,)``."""
    if isinstance(generator, np.random.Generator):
        return generator.integers(high, size=size)
    drawn: NDArray[np.int64] = torch.randint(high, (size,), generator=generator).numpy()
    return drawn


def stored_of(state: Mapping[str, Any]) -> Stored:
    """What a replay remembered when its ``state`` was taken.

    Raises:
        InputError: the state is none of a replay.
    """
    columns = [state.get(name) for name in ("observations", "actions", "rewards", "kinds")]
    if not all(isinstance(column, Tensor) for column in columns) or len({len(column) for column in columns}) != 1:  # type: ignore[arg-type]
        raise InputError("the saved replay is damaged: its columns do not fit together")
    observations, actions, rewards, kinds = (column.numpy() for column in columns)  # type: ignore[union-attr]
    return Stored(observations[np.flatnonzero(kinds)], _outcomes(actions, rewards, kinds))


def _outcomes(actions: NDArray[Any], rewards: NDArray[Any], kinds: NDArray[np.uint8]) -> Outcomes:
    rows = np.flatnonzero(kinds)
    return Outcomes(actions[rows], rewards[rows], kinds[rows] == _TERMINATES)
