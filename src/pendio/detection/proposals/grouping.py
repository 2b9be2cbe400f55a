"""Regions of an image, and their grouping into ever larger ones (Uijlings et al., 2013, section 3)."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["Grouping", "Measure", "Regions", "describe", "group", "neighbors", "similarities"]

_Number = TypeVar("_Number", np.int64, np.float64)

Measure = Literal["color", "texture", "size", "fill"]
"""In what two regions are alike: see :func:`similarities`."""


@dataclass(frozen=True)
class Regions:
    """What is known of n regions of an image.

    Histograms are counts of pixels, so that those of two regions add up to exactly those of both together.

    Attributes:
        pixels: of the whole image.
        sizes: ``(n,)`` pixels of each region.
        boxes: ``(n, 4)`` x1, y1, x2, y2, edges in pixels.
        colors: ``(n, B)`` histograms of all channels side by side.
        textures: ``(n, T)`` histograms of all channels and orientations side by side.
    """

    pixels: int
    sizes: NDArray[np.int64]
    boxes: NDArray[np.int64]
    colors: NDArray[np.int64]
    textures: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.sizes)


class Grouping(NamedTuple):
    """All regions of a hierarchy: the n that were given, then each in the order in which it was made.

    The last is the whole image.

    Attributes:
        sizes: ``(2n − 1,)`` pixels of each region.
        boxes: ``(2n − 1, 4)`` x1, y1, x2, y2, edges in pixels.
        histograms: ``(2n − 1, …)`` counts of pixels, of those among colour and texture that regions were compared by.
        merges: ``(n − 1, 2)`` the two that make up region n, n + 1, …
    """

    sizes: NDArray[np.int64]
    boxes: NDArray[np.int64]
    histograms: NDArray[np.int64]
    merges: NDArray[np.int64]


def describe(labels: NDArray[np.int64], colors: Sequence[NDArray[np.int64]], color_bins: int,
             textures: Sequence[NDArray[np.int64]], texture_bins: int) -> Regions:  # fmt: skip
    """Size, box and histograms of each region.

    Args:
        labels: ``(H, W)`` number of the region that a pixel is in, from 0 without gaps.
        colors: of each channel ``(H, W)``, the bin that a pixel's value is in.
        color_bins: how many bins a channel has.
        textures: of each channel and orientation ``(H, W)``, the bin that a pixel's derivative is in.
        texture_bins: how many bins a channel and orientation has.
    """
    places = ndimage.find_objects(labels + 1)
    boxes = [[columns.start, rows.start, columns.stop, rows.stop] for rows, columns in places]
    return Regions(
        labels.size, np.bincount(labels.ravel()), np.array(boxes, dtype=np.int64),
        _histograms(labels, colors, color_bins), _histograms(labels, textures, texture_bins),
    )  # fmt: skip


def _histograms(labels: NDArray[np.int64], codes: Sequence[NDArray[np.int64]], bins: int) -> NDArray[np.int64]:
    count = int(labels.max()) + 1
    base = labels * bins
    counted = [np.bincount((base + code).ravel(), minlength=count * bins).reshape(count, bins) for code in codes]
    return np.concatenate(counted or [np.zeros((count, 0), dtype=np.int64)], axis=1)


def neighbors(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """``(E, 2)`` all pairs of regions in which a pixel of one shares a side with a pixel of the other, the lower first.

    Together they connect all regions of an image.
    """
    beside = np.stack([labels[:, :-1].ravel(), labels[:, 1:].ravel()])
    below = np.stack([labels[:-1].ravel(), labels[1:].ravel()])
    pairs = np.concatenate([beside, below], axis=1)
    pairs = np.sort(pairs[:, pairs[0] != pairs[1]], axis=0)
    count = int(labels.max()) + 1
    codes = np.unique(pairs[0] * count + pairs[1])
    return np.stack(np.divmod(codes, count), axis=1)


def similarities(
    regions: Regions, first: NDArray[np.int64], second: NDArray[np.int64], measures: Sequence[Measure]
) -> NDArray[np.float64]:  # fmt: skip
    """How alike regions are, the sum of measures in [0, 1] each:

    - colour and texture: Σ min(aₖ, bₖ) of histograms that sum to 1;
    - size: 1 − (size(a) + size(b)) / size(image), so that small regions merge early;
    - fill: 1 − (size(box around both) − size(a) − size(b)) / size(image), so that what fits together merges.

    Args:
        regions: all of them.
        first, second: ``(P,)`` numbers of regions, one pair beside the other.
        measures: which.
    """
    return _Table.of(regions, len(regions), measures).alike(first, second)


@dataclass
class _Table:
    """The regions of a hierarchy as they are made, with room for all of them."""

    pixels: int
    sizes: NDArray[np.int64]
    boxes: NDArray[np.int64]
    counts: NDArray[np.int64]
    weights: NDArray[np.float64]
    shares: NDArray[np.float64]
    by_size: bool
    by_fill: bool

    @staticmethod
    def of(regions: Regions, room: int, measures: Sequence[Measure]) -> "_Table":
        kinds = [(regions.colors, "color" in measures), (regions.textures, "texture" in measures)]
        used = [histogram for histogram, wanted in kinds if wanted]
        counts = np.concatenate([np.zeros((len(regions), 0), dtype=np.int64), *used], axis=1)
        # A pixel counts once in each channel and orientation: the weights bring the sum over all of them to 1.
        weights = [np.full(one.shape[1], regions.sizes[0] / one[0].sum()) for one in used]
        wide = np.concatenate([np.zeros(0), *weights])
        shares = counts * wide / regions.sizes[:, None]
        return _Table(
            regions.pixels, _with_room(regions.sizes, room), _with_room(regions.boxes, room), _with_room(counts, room),
            wide, _with_room(shares, room), "size" in measures, "fill" in measures,
        )  # fmt: skip

    def merge(self, first: int, second: int, made: int) -> None:
        self.sizes[made] = self.sizes[first] + self.sizes[second]
        np.minimum(self.boxes[first, :2], self.boxes[second, :2], out=self.boxes[made, :2])
        np.maximum(self.boxes[first, 2:], self.boxes[second, 2:], out=self.boxes[made, 2:])
        np.add(self.counts[first], self.counts[second], out=self.counts[made])
        np.multiply(self.counts[made], self.weights / self.sizes[made], out=self.shares[made])

    def alike(self, first: NDArray[np.int64] | int, second: NDArray[np.int64]) -> NDArray[np.float64]:
        alike = np.minimum(self.shares[first], self.shares[second]).sum(-1)
        both = self.sizes[first] + self.sizes[second]
        if self.by_size:
            alike += 1 - both / self.pixels
        if self.by_fill:
            boxes, others = self.boxes[first], self.boxes[second]
            sides = np.maximum(boxes[..., 2:], others[..., 2:]) - np.minimum(boxes[..., :2], others[..., :2])
            alike += 1 - (sides[..., 0] * sides[..., 1] - both) / self.pixels
        return cast("NDArray[np.float64]", alike)


def _with_room(values: NDArray[_Number], room: int) -> NDArray[_Number]:
    grown = np.zeros((room, *values.shape[1:]), dtype=values.dtype)
    grown[: len(values)] = values
    return grown


def group(regions: Regions, pairs: NDArray[np.int64], measures: Sequence[Measure]) -> Grouping:
    """Merge the two most similar neighbours again and again until one region is left.

    Similarities wait in a heap. A region never changes after it was made, so those of regions that are gone can stay
    there and are passed over: for E pairs of neighbours the work grows as E log E.

    Args:
        regions: to begin with.
        pairs: ``(E, 2)`` which of them touch, so that all are connected.
        measures: what the similarity is the sum of.
    """
    count = len(regions)
    total = 2 * count - 1
    table = _Table.of(regions, total, measures)
    touching: list[set[int]] = [set() for _ in range(total)]
    for first, second in pairs.tolist():
        touching[first].add(second)
        touching[second].add(first)
    alike = table.alike(pairs[:, 0], pairs[:, 1])
    heap = [(-value, first, second) for value, (first, second) in zip(alike.tolist(), pairs.tolist(), strict=True)]
    heapq.heapify(heap)
    present = [True] * count + [False] * (count - 1)
    merges = np.zeros((count - 1, 2), dtype=np.int64)
    made = count
    while made < total:
        _, first, second = heapq.heappop(heap)
        if not (present[first] and present[second]):
            continue
        table.merge(first, second, made)
        merges[made - count] = first, second
        present[first] = present[second] = False
        present[made] = True
        around = (touching[first] | touching[second]) - {first, second}
        touching[made] = around
        others = np.array(sorted(around), dtype=np.int64)
        for other, value in zip(others.tolist(), table.alike(made, others).tolist(), strict=True):
            touching[other] -= {first, second}
            touching[other].add(made)
            heapq.heappush(heap, (-value, other, made))
        made += 1
    return Grouping(table.sizes, table.boxes, table.counts, merges)
