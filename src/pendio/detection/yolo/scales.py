"""The grids that a single-shot detector answers on."""

from dataclasses import dataclass

__all__ = ["Scale"]


@dataclass(frozen=True)
class Scale:
    """One grid: how coarse it is, and the shapes that it expects.

    Attributes:
        stride: pixels of the network's input from one cell to the next.
        anchors: width and height of each expected shape, in pixels of the network's input.
    """

    stride: int
    anchors: tuple[tuple[float, float], ...]
