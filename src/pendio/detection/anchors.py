"""Anchors: the shapes of boxes that a detector expects, found among those it shall learn (Redmon and Farhadi, 2017)."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pendio.detection.boxes import centered_iou, pairwise
from pendio.detection.yolo.scales import Scale
from pendio.errors import InputError

__all__ = ["Anchors", "assign_scales", "fit_anchors", "mean_iou"]

_SEARCHED = 5_000
"""Boxes among which is searched; more change the result by less than another seed does."""

_ROUNDS = 30

_LEVELS = 17
"""Widths and heights of a cluster that are tried, from the least to the greatest."""


_CELLS = 2
"""Cells along a side that an object covers at least, for its grid to tell well where it lies."""

_IDLE_CELLS = 4.0


class Anchors(NamedTuple):
    """Shapes, and how well they fit.

    Attributes:
        sizes: ``(k, 2)`` float32, width and height, by rising area.
        mean_iou: of each box with the anchor that is most like it, with one centre, in [0, 1].
    """

    sizes: Tensor
    mean_iou: float


def mean_iou(shapes: Tensor, anchors: Tensor) -> float:
    """How well anchors fit: the mean over ``(n, 2)`` shapes of the highest IoU with any of ``(k, 2)``, in one centre."""
    total = sum(_overlaps(part, anchors).amax(-1).sum().item() for part in shapes.split(1 << 16))
    return float(total) / len(shapes)


def fit_anchors(shapes: Tensor, count: int, *, seed: int = 0, restarts: int = 5) -> Anchors:
    """k-means with 1 − IoU as distance.

    Each start is seeded by k-means++ (Arthur and Vassilvitskii, 2007). Neither the mean of a cluster nor its median is where
    this distance is least. So a centre moves to the width, and then to the height, of those in its cluster that fits
    the members best: the mean IoU rises in every round, and ends higher than with either.

    Args:
        shapes: ``(n, 2)`` width and height of boxes, in pixels of the network's input.
        count: k.
        seed: the same gives the same anchors.
        restarts: how many starts.

    Raises:
        InputError: no box has an area.
    """
    shapes = shapes.double().cpu()
    shapes = shapes[(shapes > 0).all(1) & shapes.isfinite().all(1)]
    if not len(shapes):
        raise InputError(
            "anchors are clustered from boxes, and no training image has one; --anchors published needs none"
        )
    generator = torch.Generator().manual_seed(seed)
    some = shapes
    if len(shapes) > _SEARCHED:
        some = shapes[torch.randperm(len(shapes), generator=generator)[:_SEARCHED]]
    best, centers = -1.0, some[:0]
    for _ in range(restarts):
        fit, found = _walk(some, _seeds(some, count, generator))
        if fit > best:
            best, centers = fit, found
    sizes = centers[(centers[:, 0] * centers[:, 1]).argsort(stable=True)].float()
    return Anchors(sizes, mean_iou(shapes, sizes))


def assign_scales(anchors: Tensor, strides: Sequence[int]) -> tuple[Scale, ...]:
    """Share anchors out: each to the coarsest grid of which it covers two by two cells, the rest to the finest.

    A cell that is nearly as large as an object says little about where it lies, and has seen few like it: digits of one cell
    and a half are found with an average precision of 0.65 on their grid, and of 0.93 on the next finer one, after the same
    steps (``docs/detection.md``). The published anchors of YOLOv3 cover 1.3 to 11 cells.

    A grid that suits no anchor is given one of 4 × 4 cells: nothing in the data may be like it.

    Args:
        anchors: ``(k, 2)`` width and height in pixels, in any order.
        strides: of the grids, in any order.

    Returns:
        Scales, the coarsest first; the anchors of each by rising area.
    """
    by_area = anchors[anchors.prod(1).argsort(stable=True)].tolist()
    falling = sorted(strides, reverse=True)
    shares: dict[int, list[tuple[float, float]]] = {stride: [] for stride in falling}
    for width, height in by_area:
        fitting = (stride for stride in falling if math.sqrt(width * height) >= _CELLS * stride)
        shares[next(fitting, falling[-1])].append((float(width), float(height)))
    return tuple(Scale(stride, tuple(share) or ((_IDLE_CELLS * stride,) * 2,)) for stride, share in shares.items())


def _overlaps(shapes: Tensor, centers: Tensor) -> Tensor:
    return pairwise(centered_iou, shapes, centers.to(shapes))


def _seeds(shapes: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Shapes drawn one after the other, with chances in proportion to the squared distance from those drawn before."""
    chosen = torch.randint(len(shapes), (1,), generator=generator)
    distance = torch.full_like(shapes[:, 0], 2)
    while len(chosen) < count:
        distance = distance.minimum(1 - _overlaps(shapes, shapes[chosen[-1:]])[:, 0])
        chances = distance**2
        # Fewer shapes than anchors: some stand twice.
        chances = chances if chances.sum() > 0 else torch.ones_like(chances)
        chosen = torch.cat([chosen, torch.multinomial(chances, 1, generator=generator)])
    return shapes[chosen]


def _fittest(members: Tensor, before: Tensor) -> Tensor:
    """A centre that fits the members of its cluster better than the one before, or that one."""
    levels = torch.linspace(0, 1, _LEVELS, dtype=members.dtype)
    center = before
    for axis in (0, 1):
        candidates = center.repeat(_LEVELS + 1, 1)
        candidates[1:, axis] = members[:, axis].quantile(levels, interpolation="nearest")
        center = candidates[_overlaps(members, candidates).mean(0).argmax()]
    return center


def _walk(shapes: Tensor, centers: Tensor) -> tuple[float, Tensor]:
    """Lloyd's rounds until nothing changes; the best mean IoU on the way, and the centres it was reached with."""
    best, kept = -1.0, centers
    for _ in range(_ROUNDS):
        fits, owners = _overlaps(shapes, centers).max(1)
        fit = fits.mean().item()
        if fit > best:
            best, kept = fit, centers
        before, centers = centers, _centers(shapes, owners, fits, centers)
        if torch.equal(centers, before):
            break
    return best, kept


def _centers(shapes: Tensor, owners: Tensor, fits: Tensor, before: Tensor) -> Tensor:
    """Centre of each cluster; one that lost all its shapes begins anew at those that fit worst."""
    worst: list[int] = []
    centers = []
    for number, center in enumerate(before):
        members = shapes[owners == number]
        if len(members):
            centers.append(_fittest(members, center))
        else:
            worst = worst or fits.topk(min(len(before), len(fits)), largest=False).indices.tolist()[::-1]
            centers.append(shapes[worst.pop()])
    return torch.stack(centers)
