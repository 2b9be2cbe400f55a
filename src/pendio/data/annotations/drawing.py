"""How the embedded scenes are drawn: which digits go where, in which colours, on which part of which photograph."""

import colorsys
import math
from collections.abc import Sequence
from functools import cache
from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
import torchvision.transforms.v2.functional as V
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pendio.data.arrays import split_by_class
from pendio.data.embedded import photo
from pendio.data.randomness import uniforms

__all__ = [
    "BEHIND", "Digits", "Part", "Placed", "background", "digits_of", "extent", "layout", "numbers", "paint_digit",
]  # fmt: skip

Part = Literal["train", "val", "test"]

_PARTS: tuple[Part, ...] = ("train", "val", "test")

_LUMA = np.array([0.299, 0.587, 0.114])

BEHIND: dict[Part, tuple[str, ...]] = {
    "train": (
        "astronaut", "brick", "cell", "china", "coffee", "coins", "hubble_deep_field", "immunohistochemistry", "retina",
        "rocket",
    ),
    "val": ("chelsea", "gravel"),
    "test": ("camera", "flower", "grass", "moon"),
}  # fmt: skip
"""Photographs of each split; none is behind two. That of a page is left out: it is full of letters."""

_MOST = 6
_TRIES = 16
_SCENE_DRAWS = 8
_DIGIT_DRAWS = 8 + 2 * _TRIES
_SMALLEST, _LARGEST = 0.2, 0.5
_MAX_IOU = 0.1
_MAX_COVERED = 0.3
"""Share of the smaller of two boxes that the other may cover: a small one on a large one has a low IoU all the same."""

_MARGIN = 2
"""Pixels of nothing around a digit, into which its interpolation falls off."""

_EDGE = 0.4
"""Value of a digit, of its darkest, at which its mask ends."""


class Placed(NamedTuple):
    """Which digit of its split goes where: box and pixel as shares of the scene's side, angle, and draws of its colour."""

    digit: int
    box: tuple[float, float, float, float]
    pixel: float
    angle: float
    color: tuple[float, float, float]


class Digits(NamedTuple):
    """A split's digits, 8 × 8 in [0, 1] with a margin, their classes, and each one's extent x1, y1, x2, y2 in its pixels."""

    images: tuple[Image.Image, ...]
    labels: NDArray[np.int64]
    extents: NDArray[np.float64]


@cache
def digits_of(split: Part) -> Digits:
    """The handwritten digits of a split: 70, 10 and 20 % of each class, as the embedded set "digits" splits them."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    targets = torch.from_numpy(bunch.target)
    parts = dict(zip(_PARTS, split_by_class(targets, 0, (0.1, 0.2)), strict=True))
    chosen = parts[split].numpy()
    values = bunch.images[chosen].astype(np.float32)
    padded = np.pad(values / values.max(axis=(1, 2), keepdims=True), ((0, 0), (_MARGIN, _MARGIN), (_MARGIN, _MARGIN)))
    fine = F.interpolate(torch.from_numpy(padded)[:, None], scale_factor=8, mode="bicubic")[:, 0] > _EDGE
    extents = np.array([extent(mask) for mask in fine.numpy()]) / 8 - _MARGIN
    return Digits(tuple(Image.fromarray(image) for image in padded), targets[chosen].numpy(), extents)


@cache
def _photographs(split: Part, size: int) -> tuple[Tensor, ...]:
    """A split's photographs, brought to at most twice the scene's size: their crops are resized cheaply then."""
    found = []
    for name in BEHIND[split]:
        image = photo(name)
        shorter = min(image.shape[1:])
        target = min(shorter, 2 * size)
        if target < shorter:
            shape = [max(target, side * target // shorter) for side in image.shape[1:]]
            image = V.resize(image, shape, antialias=True)
        # The resizing of images with channels last is several times faster.
        found.append(image.permute(1, 2, 0).contiguous().permute(2, 0, 1))
    return tuple(found)


def numbers(index: int, split: Part, seed: int) -> list[float]:
    """The uniform numbers that decide a scene."""
    # Far from the numbers of epochs, whose draws augment these scenes.
    turn = (1 << 40) + _PARTS.index(split)
    count = _SCENE_DRAWS + _MOST * _DIGIT_DRAWS
    return uniforms(seed, turn, torch.tensor([index]), count)[0].tolist()


def background(draws: Sequence[float], split: Part, size: int) -> NDArray[np.uint8]:
    """A random square of a random photograph, mirrored or not, in half its light: uint8 ``(S, S, 3)``."""
    photographs = _photographs(split, size)
    image = photographs[int(draws[1] * len(photographs))]
    height, width = image.shape[1:]
    side = round(min(height, width) * (0.4 + 0.6 * draws[2]))
    top, left = round((height - side) * draws[3]), round((width - side) * draws[4])
    crop = V.resize(image[:, top : top + side, left : left + side], [size, size], antialias=True)
    crop = crop // 2  # digits are light, and stand out from anything then
    return (crop.flip(-1) if draws[5] < 0.5 else crop).permute(1, 2, 0).contiguous().numpy()  # type: ignore[no-any-return]


def layout(draws: Sequence[float], split: Part) -> list[Placed]:
    """Where which digits go, largest first: so a digit hides little of one that is as large or larger."""
    digits = digits_of(split)
    count = 2 + int(draws[0] * (_MOST - 1))
    rows = [draws[_SCENE_DRAWS + _DIGIT_DRAWS * turn :][:_DIGIT_DRAWS] for turn in range(count)]
    placed: list[Placed] = []
    for row in sorted(rows, key=lambda row: -row[1]):
        digit = int(row[0] * len(digits.labels))
        angle = math.radians(10) * (2 * row[2] - 1)
        x1, y1, x2, y2 = digits.extents[digit].tolist()
        pixel = _SMALLEST * (_LARGEST / _SMALLEST) ** row[1] / (y2 - y1)
        cosine, sine = math.cos(angle), abs(math.sin(angle))
        width = pixel * ((x2 - x1) * cosine + (y2 - y1) * sine)
        height = pixel * ((y2 - y1) * cosine + (x2 - x1) * sine)
        for across, down in zip(row[8::2], row[9::2], strict=True):
            left, top = across * (1 - width), down * (1 - height)
            box = (left, top, left + width, top + height)
            if not any(_collide(box, other.box) for other in placed):
                placed.append(Placed(digit, box, pixel, angle, (row[3], row[4], row[5])))
                break
    return placed


def _collide(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return False
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    shared = width * height
    return shared / (sum(areas) - shared) > _MAX_IOU or shared / min(areas) > _MAX_COVERED


def paint_digit(canvas: NDArray[np.uint8], owner: NDArray[np.int8], number: int, item: Placed, digits: Digits) -> None:
    """Draw a digit, and note which pixels it owns."""
    size = len(canvas)
    zoom = item.pixel * size
    left, top, right, bottom = (side * size for side in item.box)
    # From Pillow's view: for each pixel of a window around the box, the point of the digit that it shows.
    x1, y1 = max(0, math.floor(left) - 1), max(0, math.floor(top) - 1)
    x2, y2 = min(size, math.ceil(right) + 1), min(size, math.ceil(bottom) + 1)
    cosine, sine = math.cos(item.angle) / zoom, math.sin(item.angle) / zoom
    x, y = x1 - (left + right) / 2, y1 - (top + bottom) / 2
    extent = digits.extents[item.digit]
    middle_x, middle_y = float(extent[0] + extent[2]) / 2, float(extent[1] + extent[3]) / 2
    back = (
        cosine, sine, cosine * x + sine * y + middle_x,
        -sine, cosine, cosine * y - sine * x + middle_y,
    )  # fmt: skip
    values = _sampled(digits.images[item.digit], (x2 - x1, y2 - y1), back)
    # The edge is about as wide as a pixel of the scene, or a large digit would look washed out.
    strength = ((values - _EDGE) * np.float32(max(2.0, 1.2 * zoom)) + 0.5).clip(0, 1)
    window = canvas[y1:y2, x1:x2]
    inside = values >= _EDGE
    color = _color(item.color)
    window[:] = window + (color.astype(np.float32) - window) * strength[..., None] + 0.5
    owner[y1:y2, x1:x2][inside] = number


def _sampled(image: Image.Image, size: tuple[int, int], back: tuple[float, ...]) -> NDArray[np.float32]:
    """A digit between its pixels, bicubic: an array of ``size`` (width, height); ``back`` maps its pixels to the digit's."""
    a, b, c, d, e, f = back
    moved = (a, b, c + _MARGIN, d, e, f + _MARGIN)
    return np.asarray(image.transform(size, Image.Transform.AFFINE, moved, Image.Resampling.BICUBIC))


def extent(mask: NDArray[np.bool_]) -> list[int]:
    """The tightest box around a mask: x1, y1, x2, y2."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]


def _color(draws: tuple[float, float, float]) -> NDArray[np.float64]:
    """A light colour of any hue: RGB, 0 … 255."""
    hue, saturation, brightness = draws
    color = np.array(colorsys.hsv_to_rgb(hue, 0.5 + 0.5 * saturation, 1.0))
    luma = float(color @ _LUMA)
    wanted = max(luma, 0.8 + 0.15 * brightness)
    return 255 * (1 - (1 - color) * (1 - wanted) / max(1 - luma, 1e-6))
