"""Sequences of unequal length in batches of about equal cost: examples of like length are padded together."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pendio.data.randomness import order

__all__ = ["Bucketed", "Ragged"]


@dataclass(frozen=True)
class Ragged:
    """Sequences of tokens, one behind the other in a single array.

    Attributes:
        tokens: ``(total,)`` int32 tokens of all sequences.
        bounds: ``(N + 1,)`` int64: sequence ``i`` goes from ``bounds[i]`` up to ``bounds[i + 1]``.
        lengths: ``(N,)`` how many tokens each has, 1 or more. They stay on the CPU, where batches are planned: asking a
            GPU for the width of every batch would make it wait.
    """

    tokens: Tensor
    bounds: Tensor
    lengths: NDArray[np.int64]

    @staticmethod
    def of(sequences: Sequence[NDArray[Any]]) -> "Ragged":
        """From one array of tokens a sequence, none of them empty.

        Raises:
            ValueError: a sequence is empty.
        """
        lengths = np.fromiter((len(sequence) for sequence in sequences), np.int64, len(sequences))
        if (lengths == 0).any():
            raise ValueError(f"sequence {int(np.argmin(lengths))} is empty")
        tokens = np.concatenate(sequences) if len(sequences) else np.zeros(0)
        bounds = np.concatenate([np.zeros(1, np.int64), lengths.cumsum()])
        return Ragged(torch.from_numpy(tokens.astype(np.int32)), torch.from_numpy(bounds), lengths)

    def __len__(self) -> int:
        return len(self.lengths)

    def row(self, index: int) -> Tensor:
        """The sequence at ``index``: ``(T,)`` int64."""
        start, end = self.bounds[index : index + 2].tolist()
        return self.tokens[start:end].long()

    def padded(self, chosen: Tensor) -> Tensor:
        """The sequences at positions ``chosen`` ``(n,)``: ``(n, T)`` int64, with zeros behind those not the longest."""
        width = int(self.lengths[chosen.numpy()].max(initial=0))
        rows = chosen.to(self.tokens.device, non_blocking=True)[:, None]
        place = self.bounds[rows] + torch.arange(width, device=self.tokens.device)
        within = place < self.bounds[rows + 1]
        return torch.where(within, self.tokens[torch.where(within, place, 0)], 0).long()

    def to(self, device: torch.device) -> "Ragged":
        """The same sequences on ``device``."""
        return Ragged(self.tokens.to(device), self.bounds.to(device), self.lengths)


@dataclass(frozen=True)
class Bucketed:
    """A source (see :class:`pendio.data.examples.Split`) of examples that hold one sequence or several.

    The examples of an epoch are shuffled, then sorted by length, first of the first sequence, then of the second; those
    of equal length stay shuffled. A batch is cut off where its *padded* tokens would exceed ``size`` × the mean length
    of an example. So a batch of ``size`` is ``size`` examples on average, rather fewer for the padding, and all cost
    about the same; then the batches are shuffled. As the lengths are the same in every epoch, so is the number of
    batches. A batch of 1 is one example for each process, and a batch as large as the split is the whole of it. No
    example is left out: a last batch with fewer examples than processes joins the one before it.

    Attributes:
        sequences: one of tokens for each field of a batch that is padded, with N sequences each.
        values: ``(N, …)`` for each further field.
        make: what a batch is made of: the padded sequences ``(B, T)`` int64, the values ``(B, …)`` and the positions
            ``(B,)`` in the split, in this order.
    """

    sequences: tuple[Ragged, ...]
    values: tuple[Tensor, ...]
    make: Callable[..., Any]

    def __post_init__(self) -> None:
        counts = [len(column) for column in self.sequences] + [len(column) for column in self.values]
        if len(set(counts)) != 1 or not self.sequences:
            raise ValueError(f"an example needs a sequence and one value of each kind, got {counts} of them")

    def __len__(self) -> int:
        return len(self.sequences[0])

    def lengths(self) -> NDArray[np.int64]:
        """How many tokens each example has in each of its sequences: ``(N, K)``."""
        return np.stack([column.lengths for column in self.sequences], 1)

    def steps(self, size: int, world: int = 1) -> int:
        """Batches of ``size`` in an epoch; 0 where there are fewer examples than processes."""
        if len(self) < world:
            return 0
        lengths = self.lengths()
        return len(_cut(lengths[_by_length(lengths)], size, world))

    def batches(
        self,
        size: int,
        *,
        seed: int = 0,
        epoch: int | None = None,
        start: int = 0,
        rank: int = 0,
        world: int = 1,
        workers: int = 0,
    ) -> Iterator[Any]:
        """See :class:`pendio.data.examples.Split`; without an epoch all examples come, from the shortest on.

        ``workers`` changes nothing here: there is nothing to read.
        """
        for chosen in self._places(size, seed, epoch, world)[start:]:
            yield self.take(chosen[rank::world])

    def take(self, indices: Tensor) -> Any:
        """The examples at these positions in this order, padded to the longest of them; ``indices`` on the CPU."""
        values = [value[indices.to(value.device, non_blocking=True)] for value in self.values]
        return self.make(*(column.padded(indices) for column in self.sequences), *values, indices)

    def waste(self, size: int) -> float:
        """The share of an epoch's tokens that are padding, in batches of ``size``: 0 (none) to below 1."""
        lengths = self.lengths()
        batches = [lengths[chosen.numpy()] for chosen in self._places(size, 0, None, 1)]
        padded = sum(len(batch) * int(batch.max(0).sum()) for batch in batches)
        return 1 - int(lengths.sum()) / padded if padded else 0.0

    def to(self, device: torch.device) -> "Bucketed":
        """The same examples on ``device``."""
        return Bucketed(
            tuple(column.to(device) for column in self.sequences),
            tuple(column.to(device) for column in self.values),
            self.make,
        )

    @property
    def failures(self) -> tuple[()]:
        """Always empty: what is in memory has been read."""
        return ()

    def _places(self, size: int, seed: int, epoch: int | None, world: int) -> list[Tensor]:
        """Which examples each batch holds, over all processes."""
        lengths = self.lengths()
        if epoch is None:
            visit = _by_length(lengths)
        elif len(self) < world:
            return []
        else:
            shuffled = order(seed, epoch, len(self)).numpy()
            visit = shuffled[_by_length(lengths[shuffled])]
        ends = _cut(lengths[visit], size, world)
        batches = [torch.from_numpy(visit[left:right]) for left, right in itertools.pairwise([0, *ends])]
        return batches if epoch is None else [batches[number] for number in order(seed, epoch, len(batches)).tolist()]


def _by_length(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions from the shortest example to the longest, of the first sequence first; the sort is stable."""
    # lexsort takes its first key from the last column.
    return np.lexsort(lengths.T[::-1])


def _cut(lengths: NDArray[np.int64], size: int, world: int) -> list[int]:
    """Where each batch of the sorted examples ``(N, K)`` ends; each but a sole one has ``world`` examples or more."""
    count = len(lengths)
    if size >= count:
        return [count] if count else []
    totals = lengths.sum(1)
    budget = size * totals.mean()
    ends, start = [], 0
    while start < count:
        # No batch can hold more examples than would fit if all were as short as its first.
        most = world if size == 1 else max(world, int(budget / totals[start]))
        widths = np.maximum.accumulate(lengths[start : start + most]).sum(1)
        costs = widths * np.arange(1, len(widths) + 1)
        start += min(len(widths), max(world, int(np.searchsorted(costs, budget, side="right"))))
        ends.append(start)
    if len(ends) > 1 and ends[-1] - ends[-2] < world:
        del ends[-2]
    return ends
