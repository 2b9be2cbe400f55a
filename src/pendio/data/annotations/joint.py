"""Augmentation of images together with their boxes or masks, random per sample.

What moves an image is composed first and resamples it once. Every number drawn depends on (seed, epoch, sample) alone:
see :mod:`pendio.data.randomness`.
"""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
import torchvision.transforms.v2.functional as V
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pendio.data.annotations.letterbox import GREY
from pendio.data.annotations.records import IGNORED
from pendio.errors import InputError, did_you_mean

__all__ = [
    "DRAWS", "JOINT", "Place", "Window", "augment_labelled", "color_matrix", "move", "paint", "parse_joint", "place",
    "recolor", "visible",
]  # fmt: skip

JOINT = {
    "flip": "mirror half of the images left to right",
    "scale": "resize by 0.5 to 1.5 and place, or cut out, at random",
    "shift": "move by up to an eighth of the size",
    "color": "turn hues by up to 36°, change saturation and exposure by up to 1.5 times (as darknet does)",
    "rotate": "turn by up to 10°; masks only",
    "elastic": "bend by random displacements of a 3×3 grid (Ronneberger et al., 2015); masks only",
    "mosaic": "for half of the images: four images around a random centre (Bochkovskiy et al., 2020); boxes only",
}
"""Name → what it does."""

_ONLY: dict[str, Literal["boxes", "masks"]] = {"rotate": "masks", "elastic": "masks", "mosaic": "boxes"}

DRAWS = 50
"""Numbers drawn for a sample: 0 … 9 here, 10 … 31 for mosaics, 32 … 49 for elastic bending."""

_LEAST_SHARE = 0.2
_LEAST_SIDE = 2.0

_MIRROR = torch.tensor([-1.0, 1.0, -1.0, 1.0])
"""Left and right change their sides and signs."""


def parse_joint(text: str, want: Literal["boxes", "masks"]) -> tuple[str, ...]:
    """The names in a comma-separated list; "none" and "" mean no augmentation.

    Raises:
        InputError: a name is unknown, or not for what is wanted.
    """
    names = tuple(name.strip() for name in text.split(",") if name.strip() not in ("", "none"))
    for name in names:
        if name not in JOINT:
            raise InputError(f"unknown augmentation '{name}' in --augment: {did_you_mean(name, JOINT)}")
        if _ONLY.get(name, want) != want:
            fitting = ", ".join(other for other in JOINT if _ONLY.get(other, want) == want)
            raise InputError(f"--augment {name} is for {_ONLY[name]} only; for {want} there are {fitting}")
    return names


class Window(NamedTuple):
    """A part of a canvas in pixels; ``bottom`` and ``right`` are outside."""

    top: int
    left: int
    bottom: int
    right: int


class Place(NamedTuple):
    """Where a square picture goes on a canvas.

    Attributes:
        side: in pixels of the canvas.
        top, left: of its upper left corner, on the canvas or outside.
        mirrored: left to right.
    """

    side: int
    top: int
    left: int
    mirrored: bool


def place(draws: Sequence[float], size: int, names: tuple[str, ...]) -> Place:
    """The place that a sample's numbers give its picture on a canvas of ``size`` × ``size``."""
    side = max(1, round(size * (0.5 + draws[1]))) if "scale" in names else size
    left, top = round((size - side) * draws[2]), round((size - side) * draws[3])
    if "shift" in names:
        reach = max(1, size // 8)
        left += math.floor(draws[4] * (2 * reach + 1)) - reach
        top += math.floor(draws[5] * (2 * reach + 1)) - reach
    return Place(side, top, left, "flip" in names and draws[0] < 0.5)


def paint(canvas: Tensor, picture: Tensor, where: Place, window: Window, nearest: bool = False) -> None:
    """Lay a picture ``(C, S, S)`` on the canvas ``(C, H, W)``, within a window of it.

    Args:
        canvas: changed in place.
        picture: of the canvas' type.
        where: the picture goes.
        window: that is painted at most.
        nearest: take the nearest pixel's value instead of an antialiased mean: class numbers cannot be averaged.
    """
    if picture.shape[-1] != where.side:
        how = V.InterpolationMode.NEAREST_EXACT if nearest else V.InterpolationMode.BILINEAR
        picture = V.resize(picture, [where.side, where.side], interpolation=how, antialias=not nearest)
    if where.mirrored:
        picture = picture.flip(-1)
    top, left = max(window.top, where.top), max(window.left, where.left)
    bottom, right = min(window.bottom, where.top + where.side), min(window.right, where.left + where.side)
    if top < bottom and left < right:
        seen = picture[:, top - where.top : bottom - where.top, left - where.left : right - where.left]
        canvas[:, top:bottom, left:right] = seen


def move(boxes: Tensor, places: Tensor, side: int) -> Tensor:
    """Boxes of pictures of ``side`` × ``side`` as they lie on the canvas.

    Args:
        boxes: ``(K, 4)``.
        places: ``(K, 4)``, the numbers of each box's :class:`Place`.
        side: of the pictures, in pixels.
    """
    new, top, left, mirrored = places.to(boxes.dtype)[:, :, None].unbind(1)
    moved = boxes * (new / side)
    moved = torch.where(mirrored > 0, new * moved.new_tensor([1, 0, 1, 0]) + _MIRROR * moved[:, [2, 1, 0, 3]], moved)
    return moved + torch.cat([left, top, left, top], dim=1)


def visible(boxes: Tensor, windows: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes clipped to windows, and ``(K,)`` whether enough of each is left to be learned.

    Enough is a fifth of its area, and two pixels of each side.

    Args:
        boxes: ``(K, 4)``.
        windows: ``(K, 4)``, the numbers of each box's :class:`Window`.
    """
    limits = windows.to(boxes.dtype)
    clipped = boxes.maximum(limits[:, [1, 0, 1, 0]]).minimum(limits[:, [3, 2, 3, 2]])
    sides, before = clipped[:, 2:] - clipped[:, :2], boxes[:, 2:] - boxes[:, :2]
    return clipped, (sides.prod(1) >= _LEAST_SHARE * before.prod(1)) & (sides >= _LEAST_SIDE).all(1)


# RGB → YIQ (FCC, 1953): one axis of brightness, and a plane of colours in which hue is an angle.
_YIQ = np.array([[0.299, 0.587, 0.114], [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])
_RGB = np.linalg.inv(_YIQ)


def color_matrix(hue: float, saturation: float, exposure: float) -> NDArray[np.float64]:
    """The 3×3 matrix that turns the hues of RGB colours by ``hue`` radians and multiplies saturation and exposure.

    Brightness (luma) is changed by the exposure alone, and grey stays grey.
    """
    turned = saturation * np.array([[math.cos(hue), -math.sin(hue)], [math.sin(hue), math.cos(hue)]])
    inside = np.eye(3)
    inside[1:, 1:] = turned
    matrix: NDArray[np.float64] = exposure * _RGB @ inside @ _YIQ
    return matrix


def recolor(image: Tensor, draws: Sequence[float]) -> None:
    """Change the colours of an image uint8 ``(3, H, W)`` in place, as a sample's numbers say.

    The hue turns by up to a tenth of the circle; saturation and exposure change by a factor of 1/1.5 … 1.5.
    """
    hue = 0.2 * math.pi * (2 * draws[7] - 1)
    saturation, exposure = (1.5 ** (2 * draw - 1) for draw in draws[8:10])
    matrix = np.concatenate([color_matrix(hue, saturation, exposure), np.zeros((3, 1))], axis=1)
    pixels = image.permute(1, 2, 0)
    colored = Image.fromarray(pixels.contiguous().numpy()).convert("RGB", tuple(matrix.flatten().tolist()))
    pixels.copy_(torch.from_numpy(np.array(colored)))


def augment_labelled(
    image: Tensor, mask: Tensor, draws: Sequence[float], names: tuple[str, ...]
) -> tuple[Tensor, Tensor]:
    """An augmented picture uint8 ``(3, S, S)`` and its mask of class numbers ``(S, S)``; ``IGNORED`` where nothing is.

    Args:
        image, mask: the picture; they stay as they are.
        draws: the sample's ``DRAWS`` numbers.
        names: keys of ``JOINT``.
    """
    size = image.shape[-1]
    where = place(draws, size, names)
    if "rotate" in names or "elastic" in names:
        drawn, labels = _warp(image, mask, _sources(where, size, draws, names))
    else:
        drawn, labels = torch.full_like(image, GREY), torch.full_like(mask, IGNORED)
        whole = Window(0, 0, size, size)
        paint(drawn, image, where, whole)
        paint(labels[None], mask[None], where, whole, nearest=True)
    if "color" in names:
        recolor(drawn, draws)
    return drawn, labels


def _sources(where: Place, size: int, draws: Sequence[float], names: tuple[str, ...]) -> Tensor:
    """Which point of the picture each pixel of the canvas shows: ``(S, S, 2)``, x and y, −1 … 1 from edge to edge."""
    middles = torch.arange(size) + 0.5 - size / 2
    y, x = torch.meshgrid(middles, middles, indexing="ij")
    if "elastic" in names:
        bend = _bends(size, draws[32:50])
        x, y = x + bend[0], y + bend[1]
    if "rotate" in names:
        angle = math.radians(10) * (2 * draws[6] - 1)
        x, y = math.cos(angle) * x - math.sin(angle) * y, math.sin(angle) * x + math.cos(angle) * y
    x, y = x + size / 2 - where.left, y + size / 2 - where.top
    if where.mirrored:
        x = where.side - x
    return torch.stack([x, y], dim=-1) * (2 / where.side) - 1


def _bends(size: int, draws: Sequence[float]) -> Tensor:
    """A smooth field of displacements in pixels ``(2, S, S)``: normal on a 3×3 grid, bicubic between.

    The standard deviation is the paper's 10 pixels of its images' 512.
    """
    # A draw of exactly 0 would be an infinite displacement.
    uniform = torch.tensor(list(draws), dtype=torch.float64).clamp(min=1e-6, max=1 - 1e-6)
    grid = torch.special.ndtri(uniform).view(1, 2, 3, 3).float() * (10 * size / 512)
    return F.interpolate(grid, size=(size, size), mode="bicubic", align_corners=True)[0]


def _warp(image: Tensor, mask: Tensor, sources: Tensor) -> tuple[Tensor, Tensor]:
    # Outside of a picture the sampler finds zero: zero has to mean grey, and ignored.
    pixels, labels = image[None].float() - GREY, mask[None, None].float() - IGNORED
    grid = sources[None]
    drawn = F.grid_sample(pixels, grid, mode="bilinear", align_corners=False)[0] + GREY
    nearest = F.grid_sample(labels, grid, mode="nearest", align_corners=False)[0, 0] + IGNORED
    return drawn.round().clamp(0, 255).to(torch.uint8), nearest.round().to(torch.uint8)
