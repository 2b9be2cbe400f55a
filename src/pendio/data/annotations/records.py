"""The nouns of annotated images: what is where in one image, and a set of such images."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from pendio.data.examples import Finding

__all__ = ["IGNORED", "Annotated", "Annotations", "Outline", "Polygons", "RunLengths"]

IGNORED = 255
"""Value in a mask of pixels that belong to no class: they count neither in losses nor in metrics."""


@dataclass(frozen=True)
class Polygons:
    """An outline as polygons, each x, y, x, y, … in pixels."""

    rings: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class RunLengths:
    """An outline as lengths of runs of zeros and ones in turn, down the columns of an image (COCO's uncompressed form)."""

    counts: tuple[int, ...]
    height: int
    width: int


Outline = Polygons | RunLengths


def _no_boxes() -> Tensor:
    return torch.zeros(0, 4)


def _no_labels() -> Tensor:
    return torch.zeros(0, dtype=torch.long)


@dataclass(frozen=True, eq=False)
class Annotated:
    """One image, and what is where in it. Its pixels are read when they are needed.

    Attributes:
        image: its file.
        width, height: in pixels, as a person sees it.
        boxes: ``(M, 4)`` float32, x1, y1, x2, y2 in pixels.
        labels: ``(M,)`` class numbers.
        crowd: ``(M,)`` whether a box holds many objects or is too difficult: it counts neither for nor against a detector.
        areas: ``(M,)`` float32, of the objects in square pixels: of their outlines where there are, of their boxes else.
        outlines: one for each box, None where it has none; empty where no box has one.
        mask: a PNG file with a class number, or a palette's index, a pixel.
        split: "train", "val", "test", or "" where the data does not say.
        key: what its source calls it, for messages and results: a file name or an id.
    """

    image: Path
    width: int
    height: int
    boxes: Tensor = field(default_factory=_no_boxes)
    labels: Tensor = field(default_factory=_no_labels)
    crowd: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.bool))
    areas: Tensor = field(default_factory=lambda: torch.zeros(0))
    outlines: tuple[Outline | None, ...] = ()
    mask: Path | None = None
    split: str = ""
    key: str = ""


@dataclass(frozen=True)
class Annotations:
    """Annotated images, and what their class numbers mean.

    Attributes:
        name: what the user called them.
        images: in a fixed order.
        classes: the name of each class number.
        categories: what the source calls each class: COCO's category id; empty where it has no own numbers.
        findings: what was odd and how it was dealt with.
    """

    name: str
    images: Sequence[Annotated]
    classes: tuple[str, ...]
    categories: tuple[int, ...] = ()
    findings: tuple[Finding, ...] = ()
