"""Deep dream: strengthen in an image what a layer, a unit or a class already sees in it (Mordvintsev et al., 2015)."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pendio.ascent.audit import look
from pendio.ascent.canvas import Pixels
from pendio.ascent.climb import OnStep, climb, counting_from
from pendio.ascent.constraints import box
from pendio.ascent.levels import check_size
from pendio.ascent.objectives import Objective
from pendio.ascent.reading import Precision
from pendio.ascent.rules import Normalized
from pendio.ascent.transforms import Wobble
from pendio.data.randomness import uniforms
from pendio.errors import InputError
from pendio.nn.network import Network

__all__ = ["Dream", "Octaves", "dream", "zoom"]


@dataclass(frozen=True)
class Octaves:
    """How a dream goes over an image, from coarse to fine.

    Attributes:
        count: how many sizes; the last is the image's own.
        ratio: of the sides of one size to those of the one before.
        steps: at each size.
        size: of a step, in units of the images' range over the mean gradient.
        tile: side in pixels of the pieces that are seen at once, so that memory does not grow with the image; their borders
            lie elsewhere in each step. None sees the whole image at once.
    """

    count: int = 4
    ratio: float = 1.4
    steps: int = 20
    size: float = 0.01
    tile: int | None = None

    def __post_init__(self) -> None:
        if self.count < 1 or self.steps < 1:
            raise InputError(f"--octaves and --steps must be at least 1, got {self.count} and {self.steps}")
        if not self.ratio > 1 or not self.size > 0:
            raise InputError(f"--ratio must be above 1 and --step above 0, got {self.ratio:g} and {self.size:g}")
        if self.tile is not None and self.tile < 32:
            raise InputError(f"--tile must be at least 32 pixels, got {self.tile}")


@dataclass(frozen=True)
class Dream:
    """The image ``(1, C, H, W)`` in [0, 1], and the objective before and after.

    The objective is measured on the whole image, or with tiles on its middle tile.
    """

    image: Tensor
    before: float
    after: float


def dream(
    network: Network,
    image: Tensor,
    objective: Objective,
    octaves: Octaves | None = None,
    *,
    mask: Tensor | None = None,
    seed: int = 0,
    precision: Precision = "float32",
    on_step: OnStep | None = None,
) -> Dream:
    """Climb an objective from an image, at growing sizes; what was added at one size is carried to the next.

    Args:
        network: what dreams.
        image: ``(1, C, H, W)`` in [0, 1]; the dream has the same size.
        objective: often :func:`~pendio.ascent.objectives.whole` of a layer, or a unit or class.
        octaves: how to go over the image.
        mask: ``(1, 1, H, W)``, 1 where the image may change.
        seed: of the shifts.
        precision: number format of the network's passes.
        on_step: told how it goes, over all octaves.

    Raises:
        InputError: a layer is missing, or the smallest octave is too small for it.
    """
    octaves = octaves or Octaves()
    height, width = image.shape[2:]
    sizes = [
        (round(height / octaves.ratio**level), round(width / octaves.ratio**level))
        for level in reversed(range(octaves.count))
    ]
    shape = (image.shape[1], *(min(side, octaves.tile or side) for side in sizes[0]))
    check_size(network, objective.layers, shape)
    detail = torch.zeros_like(resized(image, sizes[0]))
    done = 0
    for level, size in enumerate(sizes):
        base, detail = resized(image, size), resized(detail, size)
        free = torch.ones_like(base[:, :1]) if mask is None else resized(mask, size)
        dreamt = _octave(network, box(base + detail), base, free, objective, octaves, seed + level, precision,
                         counting_from(done, on_step))  # fmt: skip
        detail = dreamt - base
        done += octaves.steps
    seen = (_middle(image, octaves.tile), _middle(dreamt, octaves.tile))
    before, after = (float(look(network, objective, part, torch.zeros(1, dtype=torch.long))[0]) for part in seen)
    return Dream(dreamt, before, after)


def resized(image: Tensor, size: tuple[int, int]) -> Tensor:
    """An image brought to (height, width), smoothly."""
    if image.shape[2:] == size:
        return image
    return F.interpolate(image, size, mode="bilinear", antialias=True)


def _octave(
    network: Network,
    start: Tensor,
    base: Tensor,
    free: Tensor,
    objective: Objective,
    octaves: Octaves,
    seed: int,
    precision: Precision,
    on_step: OnStep | None,
) -> Tensor:
    """The dream at one size."""
    side = octaves.tile
    if side is None or max(start.shape[2:]) <= side:
        return climb(
            network, objective, Pixels(), start, rule=Normalized(octaves.size, mean=True), steps=octaves.steps,
            project=lambda points: box(base + free * (points - base)),
            wobble=Wobble(jitter=min(start.shape[2:]) / 16, scale=0.0, rotate=0.0), seed=seed, precision=precision,
            on_step=on_step,
        ).images  # fmt: skip
    image = start
    for step in range(octaves.steps):
        shift = (uniforms(seed, step, torch.zeros(1), 2)[0] * side).long().tolist()
        rolled = image.roll(shift, (2, 3))
        values = []
        for tile in _tiles(rolled.shape[2], rolled.shape[3], side):
            climbed = climb(
                network, objective, Pixels(), rolled[:, :, tile[0], tile[1]], steps=1, project=box,
                rule=Normalized(octaves.size, mean=True), precision=precision,
            )  # fmt: skip
            rolled[:, :, tile[0], tile[1]] = climbed.images
            values += climbed.history
        image = box(base + free * (rolled.roll([-shift[0], -shift[1]], (2, 3)) - base))
        if on_step is not None:
            on_step(step + 1, sum(values) / len(values))
    return image


def _tiles(height: int, width: int, side: int) -> Iterator[tuple[slice, slice]]:
    """Pieces of at most ``side``, alike in size, that cover an image once."""
    for top, bottom in _cuts(height, side):
        for left, right in _cuts(width, side):
            yield slice(top, bottom), slice(left, right)


def _cuts(length: int, side: int) -> list[tuple[int, int]]:
    count = -(-length // side)
    edges = [round(length * number / count) for number in range(count + 1)]
    return list(itertools.pairwise(edges))


def _middle(image: Tensor, side: int | None) -> Tensor:
    if side is None:
        return image
    top, left = (max(0, (length - side) // 2) for length in image.shape[2:])
    return image[:, :, top : top + side, left : left + side]


def zoom(
    network: Network,
    image: Tensor,
    objective: Objective,
    octaves: Octaves,
    frames: int,
    rate: float = 1.04,
    *,
    seed: int = 0,
    precision: Precision = "float32",
) -> Iterator[Tensor]:
    """Frames ``(1, C, H, W)`` of a dream into which the view sinks: each is the middle of the last, dreamt on.

    Args:
        network, image, objective, octaves, seed, precision: as for :func:`dream`.
        frames: how many.
        rate: how much larger each frame shows the middle of the last.
    """
    height, width = image.shape[2:]
    for frame in range(frames):
        image = dream(network, image, objective, octaves, seed=seed + frame, precision=precision).image
        yield image
        inner = (max(1, round(height / rate)), max(1, round(width / rate)))
        top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
        middle = image[:, :, top : top + inner[0], left : left + inner[1]]
        image = box(F.interpolate(middle, (height, width), mode="bicubic"))
