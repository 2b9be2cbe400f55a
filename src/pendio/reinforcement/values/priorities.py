"""Prioritised replay: rows drawn in proportion to how much there was to learn from them (Schaul et al., 2016)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pendio.errors import InputError

__all__ = ["Priorities", "PrioritySampler", "SumTree", "saved_array"]

_BRANCHES = 16
"""Children of a node. With two there would be four times as many levels, each a few calls whatever the batch."""


@dataclass(frozen=True)
class Priorities:
    """How rows are preferred: P(i) = pᵢ^α / Σ p^α with pᵢ = |δᵢ| + ε, corrected by weights (N·P(i))^−β.

    Attributes:
        alpha: from 0, uniform, to 1, proportional to the error.
        beta: how much of the bias is corrected at first, in [0, 1].
        anneal: after how many batches all of it is, on a straight line; 0 is at once.
        epsilon: what is added to errors, so that no transition is lost for good.

    Raises:
        InputError: a value is out of its range.
    """

    alpha: float = 0.6
    beta: float = 0.4
    anneal: int = 100_000
    epsilon: float = 1e-6

    def __post_init__(self) -> None:
        for name in ("alpha", "beta"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} of priorities must be 0 to 1, got {getattr(self, name):g}")
        if self.anneal < 0:
            raise InputError(f"anneal of priorities is a number of batches, 0 or more, got {self.anneal}")
        if not 1e-12 <= self.epsilon < math.inf:
            raise InputError(f"epsilon of priorities must be 1e-12 or more and finite, got {self.epsilon:g}")

    def beta_after(self, batches: int) -> float:
        """β when that many batches have been drawn.

        >>> Priorities(beta=0.4, anneal=10).beta_after(5)
        0.7
        """
        return self.beta + (1 - self.beta) * min(1.0, batches / self.anneal if self.anneal else 1.0)


class SumTree:
    """Sums of ``size`` numbers ≥ 0, kept so that one can be changed, or found by a prefix sum, in O(log size).

    Each node is the sum of its children, computed anew whenever one of them changes and never by adding differences, so
    that rounding does not pile up. All levels lie in one array, the root first.

    Raises:
        InputError: there is not even one leaf.
    """

    def __init__(self, size: int) -> None:
        if size < 1:
            raise InputError(f"a sum tree has one leaf or more, got {size}")
        counts = [-(-size // _BRANCHES)]
        while counts[-1] > 1:
            counts.append(-(-counts[-1] // _BRANCHES))
        self.size = size
        self._sums = np.zeros(1 + _BRANCHES * sum(counts))
        self._levels: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
        start, above = 1, self._sums[:1]
        for count in reversed(counts):
            level = self._sums[start : start + count * _BRANCHES]
            self._levels.append((above, level.reshape(count, _BRANCHES)))
            start, above = start + len(level), level
        self.leaves = above[:size]
        """The numbers ``(size,)``, to be read only."""

    @property
    def total(self) -> float:
        """The sum of all."""
        return float(self._sums[0])

    def update(self, indices: NDArray[np.int64], values: NDArray[np.float64] | float) -> None:
        """Set leaves ``(B,)``; of an index that is given twice, the last value remains."""
        self.leaves[indices] = values
        for above, children in reversed(self._levels):
            indices = indices // _BRANCHES
            above[indices] = children.take(indices, axis=0).sum(1)

    def find(self, prefixes: NDArray[np.float64]) -> NDArray[np.int64]:
        """For each number in [0, total) the first leaf up to which the sum is larger, ``(B,)``: never one that is 0.

        A number that rounding has brought to a node's sum or beyond counts as just below it. Meaningless if all are 0.
        """
        every = np.arange(len(prefixes))
        found = np.zeros(len(prefixes), np.int64)
        for _, children in self._levels:
            sums = children.take(found, axis=0).cumsum(1)
            prefixes = np.minimum(prefixes, np.nextafter(sums[:, -1], 0))
            child = (sums <= prefixes[:, None]).sum(1)
            prefixes = prefixes - np.where(child > 0, sums[every, child - 1], 0.0)
            found = found * _BRANCHES + child
        return found

    def fill(self, values: NDArray[np.float64]) -> None:
        """Set the first leaves to ``values`` and the others to 0."""
        self.leaves[: len(values)] = values
        self.leaves[len(values) :] = 0
        for above, children in reversed(self._levels):
            above[: len(children)] = children.sum(1)


class PrioritySampler:
    """Draws rows by their priorities and learns these from errors.

    What is new has the largest priority so far, and so is soon seen once. Rows that cannot be drawn have priority 0.

    Args:
        settings: how rows are preferred.
        size: how many rows there are.
    """

    def __init__(self, settings: Priorities, size: int) -> None:
        self.settings = settings
        self._tree = SumTree(size)
        self._largest = 1.0
        self._batches = 0

    @property
    def priorities(self) -> NDArray[np.float64]:
        """p^α of each row ``(size,)``, 0 where it cannot be drawn; to be read only."""
        return self._tree.leaves

    def change(self, new: NDArray[np.int64], gone: NDArray[np.int64]) -> None:
        """Rows that can be drawn from now on, and rows that no longer can; no row is both."""
        values = np.zeros(len(new) + len(gone))
        values[: len(new)] = self._largest
        self._tree.update(np.concatenate((new, gone)), values)

    def draw(
        self, size: int, generator: torch.Generator | np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Rows ``(size,)``, one of each of ``size`` equal parts of the whole sum, and their weights.

        Weights are divided by the largest *of the batch*, which leaves (min P / P)^β: N cancels, and none exceeds 1.
        """
        if isinstance(generator, np.random.Generator):
            within = generator.random(size)
        else:
            within = torch.rand(size, generator=generator, dtype=torch.float64).numpy()
        rows = self._tree.find((np.arange(size) + within) * (self._tree.total / size))
        priorities = self._tree.leaves[rows]
        weights = (priorities.min() / priorities) ** self.settings.beta_after(self._batches)
        self._batches += 1
        return rows, weights.astype(np.float32)

    def learn(self, rows: NDArray[np.int64], errors: NDArray[Any]) -> None:
        """Set the priorities of rows that have been drawn; those that can no longer be drawn keep 0.

        Raises:
            InputError: an error is not a finite number.
        """
        if not np.isfinite(errors).all():
            raise InputError("errors for priorities must be finite: learning has diverged, lower the learning rate")
        values = (np.abs(errors, dtype=np.float64) + self.settings.epsilon) ** self.settings.alpha
        self._largest = max(self._largest, float(values.max(initial=0)))
        self._tree.update(rows, np.where(self._tree.leaves[rows] > 0, values, 0))

    def state_dict(self, filled: int) -> dict[str, Any]:
        """What :meth:`load_state_dict` needs; of the first ``filled`` rows alone, the others being 0."""
        leaves = torch.from_numpy(self._tree.leaves[:filled])
        return {"priorities": leaves, "largest": self._largest, "batches": self._batches}

    def load_state_dict(self, state: Mapping[str, Any], possible: NDArray[np.bool_]) -> None:
        """Take over a state whose rows are those of ``possible`` ``(filled,)``: which of them can be drawn.

        Raises:
            InputError: the state is none, or does not fit.
        """
        values = saved_array(state, "priorities", self._tree.leaves)
        largest, batches = state.get("largest"), state.get("batches")
        if not (isinstance(largest, float) and 0 < largest < math.inf and isinstance(batches, int) and batches >= 0):
            raise InputError(
                "the saved replay's largest priority or number of batches is damaged: begin with an empty one"
            )
        if values.shape != possible.shape or not np.isfinite(values).all() or (np.sign(values) != possible).any():
            raise InputError("the saved replay's priorities do not fit its transitions: begin with an empty replay")
        self._tree.fill(values)
        self._largest, self._batches = largest, batches


def saved_array(state: Mapping[str, Any], name: str, like: NDArray[Any]) -> NDArray[Any]:
    """A tensor of a saved state as an array, of the format of ``like`` and of no more rows.

    Raises:
        InputError: there is none of that name, or it has another format.
    """
    tensor = state.get(name)
    try:
        array: NDArray[Any] | None = tensor.numpy() if isinstance(tensor, torch.Tensor) else None
    except (RuntimeError, TypeError):  # sparse, of another device, or of a format that NumPy does not have
        array = None
    if array is None:
        raise InputError(f"the saved replay has no {name}, or not as plain numbers: begin with an empty replay")
    if array.dtype != like.dtype or array.shape[1:] != like.shape[1:] or not array.ndim or len(array) > len(like):
        raise InputError(
            f"{name} of the saved replay are {array.dtype} {array.shape}, expected {like.dtype} {like.shape} or fewer "
            "rows: use the options it was saved with"
        )
    return array
