"""The embedded set ``scenes``: handwritten digits on photographs, each with its class, box and mask."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pendio.data.annotations.boxes import Boxed, BoxReader, box_stream
from pendio.data.annotations.drawing import Part, background, digits_of, extent, layout, numbers, paint_digit
from pendio.data.annotations.labels import Labelled, LabelReader, label_stream
from pendio.data.arrays import channel_statistics
from pendio.data.examples import Data
from pendio.data.streams import Stream
from pendio.errors import InputError

__all__ = ["AREAS", "DIGITS", "MAX_SIZE", "MIN_SIZE", "SCENES", "Part", "Scene", "label_map", "open_scenes", "scene"]

SCENES: dict[Part, int] = {"train": 4000, "val": 250, "test": 500}
"""How many scenes each split has."""

DIGITS = tuple(str(digit) for digit in range(10))
"""Classes of the boxes."""

AREAS = ("background", *DIGITS)
"""Classes of the pixels: digit d is class d + 1."""

MAX_SIZE = 1024
"""Largest side of a scene in pixels."""

MIN_SIZE = 64
"""Smallest side: digits are twelve pixels high then."""

_HELD_BACK: tuple[Part, ...] = ("val", "test")

_SAMPLE = 256
"""Scenes of which channel statistics and pixels are counted."""


class Scene(NamedTuple):
    """A made picture and what is on it.

    Attributes:
        image: uint8 ``(3, S, S)``.
        boxes: ``(M, 4)`` float32 x1, y1, x2, y2 in pixels: the tightest around what is visible of each digit.
        labels: ``(M,)`` the digits.
        masks: ``(M, S, S)`` bool, what is visible of each digit; no pixel belongs to two.
    """

    image: Tensor
    boxes: Tensor
    labels: Tensor
    masks: Tensor


def scene(index: int, split: Part, seed: int = 0, size: int = 128) -> Scene:
    """A scene of two to six digits, each a fifth to a half of the side high; the same for the same arguments.

    No digit and no photograph is seen in two splits.

    Args:
        index: which one; there is no end to them.
        split: whose digits and photographs.
        seed: of another set of scenes.
        size: side in pixels, ``MIN_SIZE`` … ``MAX_SIZE``.
    """
    draws = numbers(index, split, seed)
    canvas = background(draws, split, size)
    owner = np.full((size, size), -1, dtype=np.int8)
    placed = layout(draws, split)
    digits = digits_of(split)
    for number, item in enumerate(placed):
        paint_digit(canvas, owner, number, item, digits)
    masks = owner == np.arange(len(placed), dtype=np.int8)[:, None, None]
    boxes = np.array([extent(mask) for mask in masks], dtype=np.float32)
    labels = digits.labels[[item.digit for item in placed]]
    image = torch.from_numpy(canvas).permute(2, 0, 1)
    return Scene(image, torch.from_numpy(boxes), torch.from_numpy(labels), torch.from_numpy(masks))


def label_map(made: Scene) -> Tensor:
    """The class of each pixel of a scene, uint8 ``(S, S)``: 0 is background, digit d is d + 1."""
    return (made.masks * (made.labels[:, None, None] + 1)).sum(0).to(torch.uint8)


@dataclass
class _Scenes:
    """The scenes of a split, by number."""

    part: Part
    seed: int
    size: int

    def __len__(self) -> int:
        return SCENES[self.part]

    def name(self, number: int) -> str:
        return f"scene {number} of {self.part}"

    def made(self, number: int) -> Scene:
        return scene(number, self.part, self.seed, self.size)


class _SceneBoxes(_Scenes):
    """Scenes with boxes; see :class:`pendio.data.annotations.boxes.BoxSource`."""

    def load(self, number: int) -> Boxed:
        made = self.made(number)
        crowd = torch.zeros(len(made.labels), dtype=torch.bool)
        areas = made.masks.flatten(1).sum(1).float()
        return Boxed(made.image, made.boxes, made.labels, crowd, areas, self.size, self.size)

    def shapes(self) -> Tensor:
        # There are always alike ones: a sample says what shapes they have.
        boxes = torch.cat([self.made(number).boxes for number in range(min(len(self), 2 * _SAMPLE))])
        return boxes[:, 2:] - boxes[:, :2]


class _SceneLabels(_Scenes):
    """Scenes with a class for each pixel; see :class:`pendio.data.annotations.labels.LabelSource`."""

    def load(self, number: int) -> Labelled:
        made = self.made(number)
        return Labelled(made.image, label_map(made))


def open_scenes(
    want: Literal["boxes", "masks"],
    size: int = 128,
    names: tuple[str, ...] = (),
    seed: int = 0,
    sizes: tuple[int, ...] = (),
) -> Data:
    """The embedded scenes. Where all of a split fit into memory, each is rendered once, when it is first needed.

    ``class_counts`` are the digits of the training scenes, or the pixels of each class in 256 of them.

    Args:
        want: what to learn: boxes of digits, or the class of each pixel.
        size: side of the scenes in pixels, ``MIN_SIZE`` … ``MAX_SIZE``.
        names: of augmentations, as :func:`pendio.data.annotations.joint.parse_joint` gives them.
        seed: of another set of scenes.
        sizes: sides of which each training batch draws one; boxes only.

    Raises:
        InputError: a size is too small or too large.
    """
    for side in (size, *sizes):
        if not MIN_SIZE <= side <= MAX_SIZE:
            raise InputError(f"--size {side}: scenes are made with {MIN_SIZE} to {MAX_SIZE} pixels a side")
    splits = _box_splits(size, names, seed, sizes) if want == "boxes" else _label_splits(size, names, seed)
    sample = splits["train"].take(torch.arange(_SAMPLE))
    if want == "boxes":
        labels = [digits_of("train").labels[item.digit] for index in range(SCENES["train"])
                  for item in layout(numbers(index, "train", seed), "train")]  # fmt: skip
        counts = torch.from_numpy(np.bincount(labels, minlength=len(DIGITS)))
    else:
        counts = torch.bincount(sample.targets.flatten(), minlength=len(AREAS))
    mean, std = channel_statistics(sample.inputs)
    return Data(
        name="scenes",
        train=splits["train"],
        val=splits["val"],
        test=splits["test"],
        classes=DIGITS if want == "boxes" else AREAS,
        shape=(3, size, size),
        mean=mean,
        std=std,
        kind=want,
        class_counts=tuple(counts.tolist()),
        augmented=bool(names or sizes),
    )


def _box_splits(size: int, names: tuple[str, ...], seed: int, sizes: tuple[int, ...]) -> dict[str, Stream]:
    train = BoxReader(_SceneBoxes("train", seed, max(size, *sizes, 0)), size, names, sizes)
    others = {part: BoxReader(_SceneBoxes(part, seed, size), size) for part in _HELD_BACK}
    return {part: box_stream(reader) for part, reader in {"train": train, **others}.items()}


def _label_splits(size: int, names: tuple[str, ...], seed: int) -> dict[str, Stream]:
    train = LabelReader(_SceneLabels("train", seed, size), names)
    others = {part: LabelReader(_SceneLabels(part, seed, size)) for part in _HELD_BACK}
    return {part: label_stream(reader) for part, reader in {"train": train, **others}.items()}
