"""Objects as files tell of them, made into annotated images: odd boxes are mended or left out, and told of."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from pendio.data.annotations.files import Picture
from pendio.data.annotations.rasters import area
from pendio.data.annotations.records import Annotated, Outline
from pendio.data.examples import Finding
from pendio.errors import InputError, listed

__all__ = ["Box", "Objects", "assemble"]

_MAX_UNUSABLE_SHARE = 0.2

_ROUNDING = 0.05
"""Pixels by which a box may reach outside of its image without a word: formats round."""

Box = tuple[float, float, float, float]


@dataclass
class Objects:
    """Objects in the order of their files, a list a column: the picture's position, its box, and what it is."""

    pictures: list[int] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    crowd: list[bool] = field(default_factory=list)
    areas: list[float] = field(default_factory=list)
    outlines: list[Outline | None] = field(default_factory=list)

    def add(
        self,
        picture: int,
        box: Box,
        label: int,
        *,
        crowd: bool = False,
        area: float = math.nan,
        outline: Outline | None = None,
    ) -> None:
        """One more object; an area that is not known is NaN."""
        self.pictures.append(picture)
        self.boxes.append(box)
        self.labels.append(label)
        self.crowd.append(crowd)
        self.areas.append(area)
        self.outlines.append(outline)


def assemble(
    name: str, pictures: Sequence[Picture], objects: Objects
) -> tuple[tuple[Annotated, ...], tuple[Finding, ...]]:
    """Annotated images.

    Boxes that reach outside of their image are clipped; boxes of no area and boxes wholly outside are left out, as are
    exact repetitions within an image. Images without a box stay: they teach what is background. Each is told in a
    finding.

    Raises:
        InputError: more than 20 % of the boxes are of no use.
    """
    places = np.asarray(objects.pictures, dtype=np.int64)
    given = np.asarray(objects.boxes, dtype=np.float64).reshape(-1, 4)
    sides = np.asarray([(p.width, p.height) * 2 for p in pictures], dtype=np.float64).reshape(-1, 4)[places]
    clipped = np.clip(given, 0, sides).astype(np.float32)
    usable = (clipped[:, 2:] > clipped[:, :2]).all(1)
    moved = usable & (np.abs(clipped - given) > np.maximum(_ROUNDING, 1e-6 * sides)).any(1)
    labels = np.asarray(objects.labels, dtype=np.int64)
    repeated = _repeated(places, labels, clipped) & usable
    kept = np.flatnonzero(usable & ~repeated)
    kept = kept[np.argsort(places[kept], kind="stable")]
    empty = np.flatnonzero(np.bincount(places[kept], minlength=len(pictures)) == 0)
    if (~usable).sum() > _MAX_UNUSABLE_SHARE * max(1, len(given)):
        first = int(np.flatnonzero(~usable)[0])
        picture = pictures[objects.pictures[first]]
        raise InputError(
            f"{(~usable).sum()} of {len(given)} boxes in '{name}' have no area or lie outside of their image, more than "
            f"20 %; are they pixels and corners as the format wants them? The first is of '{picture.file}' "
            f"({picture.width}×{picture.height}): {', '.join(f'{side:g}' for side in given[first])}"
        )
    findings = (
        _told("clipped", "boxes reach outside of their images and were clipped", pictures, places[moved]),
        _told("unusable", "boxes of no area or wholly outside were left out", pictures, places[~usable]),
        _told("repeated", "boxes stand twice with the same class and were left out", pictures, places[repeated]),
        _told("empty", "images have no box; they teach what is background", pictures, empty),
    )
    images = _split(pictures, objects, kept, places, clipped, labels)
    return images, tuple(finding for finding in findings if finding is not None)


def _repeated(places: NDArray[np.int64], labels: NDArray[np.int64], boxes: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which boxes equal an earlier one of their image and class."""
    rows = np.column_stack([places, labels, boxes.view(np.int32)])
    _, first = np.unique(rows, axis=0, return_index=True)
    repeated = np.ones(len(rows), dtype=bool)
    repeated[first] = False
    return repeated


def _told(kind: str, wording: str, pictures: Sequence[Picture], where: NDArray[np.int64]) -> Finding | None:
    if not len(where):
        return None
    files = tuple(str(pictures[place].file) for place in np.unique(where).tolist())
    return Finding(kind, f"{len(where)} {wording}: {listed(files)}", files)


def _split(
    pictures: Sequence[Picture],
    objects: Objects,
    kept: NDArray[np.int64],
    places: NDArray[np.int64],
    boxes: NDArray[np.float32],
    labels: NDArray[np.int64],
) -> tuple[Annotated, ...]:
    """The kept objects, given in the order of their pictures, to each picture its own."""
    ends = np.searchsorted(places[kept], np.arange(len(pictures)), side="right").tolist()
    starts = [0, *ends[:-1]]
    order = kept.tolist()
    images = []
    for picture, start, end in zip(pictures, starts, ends, strict=True):
        rows, chosen = kept[start:end], order[start:end]
        outlines = tuple(objects.outlines[row] for row in chosen)
        images.append(
            Annotated(
                image=picture.file,
                width=picture.width,
                height=picture.height,
                boxes=torch.from_numpy(boxes[rows]),
                labels=torch.from_numpy(labels[rows]),
                crowd=torch.tensor([objects.crowd[row] for row in chosen], dtype=torch.bool),
                areas=torch.tensor([_area(objects, row, boxes[row], picture) for row in chosen], dtype=torch.float32),
                outlines=outlines if any(outline is not None for outline in outlines) else (),
                split=picture.split,
                key=picture.key,
            )
        )
    return tuple(images)


def _area(objects: Objects, row: int, box: NDArray[np.float32], picture: Picture) -> float:
    """As the source says; else of the outline, else of the box."""
    told, outline = objects.areas[row], objects.outlines[row]
    if not math.isnan(told):
        return told
    if outline is not None:
        return area(outline, picture.height, picture.width)
    left, top, right, bottom = box.tolist()
    return float((right - left) * (bottom - top))
