"""What a network keeps of the steps it has read, so that the next step need not read them again."""

from collections.abc import Sequence
from typing import Protocol, Self

import torch
from torch import Tensor

__all__ = ["Carried", "KeyValues", "LayerCache", "State"]


class State(Protocol):
    """What was kept of each row of a batch."""

    def select(self, rows: Tensor) -> Self:
        """The same of other rows: ``rows (M,)`` numbers of those that are kept, in order, with repetitions."""
        ...


class Carried:
    """A state that is a few tensors with one row an example, such as an LSTM's hidden and cell states.

    Args:
        tensors: each ``(N, …)``.
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self.tensors = tuple(tensors)

    def select(self, rows: Tensor) -> "Carried":
        """See :class:`State`."""
        return Carried([tensor.index_select(0, rows) for tensor in self.tensors])

    def detach(self) -> "Carried":
        """The same, where no gradient goes further back: backpropagation through time is truncated here."""
        return Carried([tensor.detach() for tensor in self.tensors])

    def renewed(self, fresh: Tensor, initial: "Carried") -> "Carried":
        """The same with the rows where ``fresh (N,)`` is true as they are in ``initial``."""
        pairs = zip(self.tensors, initial.tensors, strict=True)
        return Carried([torch.where(fresh.view(-1, *[1] * (old.ndim - 1)), new, old) for old, new in pairs])


class LayerCache:
    """The keys and values that one attention layer has seen, in memory that is set aside once.

    Attributes:
        keys: ``(N, heads, capacity, d_k)``, of which the first ``length`` are in use.
        values: ``(N, heads, capacity, d_v)``.
        length: positions in use.
    """

    def __init__(self, keys: Tensor, values: Tensor, length: int = 0) -> None:
        self.keys, self.values, self.length = keys, values, length

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Take in ``(N, heads, T, d)`` more, and give back all there are.

        Raises:
            ValueError: there is no room for them.
        """
        start, count = self.length, keys.shape[2]
        self.length = start + count
        if self.length > self.keys.shape[2]:
            raise ValueError(f"a cache for {self.keys.shape[2]} positions cannot take in {self.length}")
        # Not by subscripts: for one token they cost more than the copy.
        self.keys.narrow(2, start, count).copy_(keys)
        self.values.narrow(2, start, count).copy_(values)
        return self.keys.narrow(2, 0, self.length), self.values.narrow(2, 0, self.length)

    def select(self, rows: Tensor) -> "LayerCache":
        """See :class:`State`."""
        return LayerCache(self.keys.index_select(0, rows), self.values.index_select(0, rows), self.length)


class KeyValues:
    """The caches of all layers of a decoder.

    Attributes:
        layers: one a layer.
        present: ``(N, capacity)`` false where a row was padded on the left; None where none was.
    """

    def __init__(self, layers: Sequence[LayerCache], present: Tensor | None = None) -> None:
        self.layers, self.present = list(layers), present

    @property
    def length(self) -> int:
        """Positions that were read, padding included."""
        return self.layers[0].length

    @property
    def capacity(self) -> int:
        """Positions there is room for."""
        return self.layers[0].keys.shape[2]

    def places(self, count: int) -> Tensor:
        """Which positions the next ``count`` tokens have: ``(count,)``, or ``(N, count)`` where rows were padded."""
        new = torch.arange(self.length, self.length + count, device=self.layers[0].keys.device)
        if self.present is None:
            return new
        padding = (~self.present).sum(1, keepdim=True)
        return (new - padding).clamp_min(0)

    def select(self, rows: Tensor) -> "KeyValues":
        """See :class:`State`."""
        present = None if self.present is None else self.present.index_select(0, rows)
        return KeyValues([layer.select(rows) for layer in self.layers], present)
