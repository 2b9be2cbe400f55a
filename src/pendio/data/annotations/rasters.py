"""Outlines as pixels and back: polygons, run lengths and COCO's strings of them, areas, class maps."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from faster_coco_eval.core import mask as coco_mask
from numpy.typing import NDArray
from torch import Tensor

from pendio.data.annotations.records import IGNORED, Annotated, Outline, Polygons, RunLengths

__all__ = [
    "area",
    "box_of",
    "checked_runs",
    "class_map",
    "compressed",
    "decompressed",
    "polygons",
    "raster",
    "run_lengths",
]

_OFFSET = 48
_MAX_DIGITS = 6
"""Of five bits each: 30 bits hold any number of pixels of an image that is decoded at all."""


def raster(outline: Outline, height: int, width: int) -> NDArray[np.bool_]:
    """The pixels inside of an outline: ``(H, W)``.

    Polygons fill exactly the pixels that COCO's own rasteriser fills; several rings fill the union.

    Raises:
        ValueError: run lengths of another size than ``height`` × ``width``.
    """
    if isinstance(outline, RunLengths):
        if (outline.height, outline.width) != (height, width):
            raise ValueError(f"run lengths of {outline.width}×{outline.height} for an image of {width}×{height}")
        runs = np.asarray(outline.counts, dtype=np.int64)
        values = np.arange(len(runs)) % 2 == 1
        return np.repeat(values, runs).reshape(width, height).T
    return np.asarray(coco_mask.decode(_encoded(outline, height, width)), dtype=bool)


def _encoded(outline: Outline, height: int, width: int) -> dict[str, Any]:
    """COCO's compressed form, as the mask library takes it."""
    if isinstance(outline, RunLengths):
        plain = {"counts": list(outline.counts), "size": [outline.height, outline.width]}
        return coco_mask.frPyObjects(plain, outline.height, outline.width)  # type: ignore[no-any-return]
    # The rasteriser's memory grows with the length of an edge: a point far away must not be believed.
    limits = np.array([[-width, 2 * width], [-height, 2 * height]], dtype=np.float64)
    rings = []
    for ring in outline.rings:
        points = np.asarray(ring, dtype=np.float64).reshape(-1, 2)
        rings.append(np.clip(points, limits[:, 0], limits[:, 1]).ravel().tolist())
    return coco_mask.merge(coco_mask.frPyObjects(rings, height, width))  # type: ignore[no-any-return]


def area(outline: Outline, height: int, width: int) -> int:
    """How many pixels are inside of an outline; nothing of the image's size is allocated."""
    if isinstance(outline, RunLengths):
        return sum(outline.counts[1::2])
    return int(np.asarray(coco_mask.area([_encoded(outline, height, width)]))[0])


def box_of(outline: Outline) -> tuple[float, float, float, float]:
    """The tight box of an outline, x1, y1, x2, y2 in pixels; zeros where nothing is inside."""
    if isinstance(outline, RunLengths):
        x, y, width, height = np.asarray(coco_mask.toBbox([_encoded(outline, 0, 0)]))[0].tolist()
        return x, y, x + width, y + height
    points = np.concatenate([np.asarray(ring, dtype=np.float64).reshape(-1, 2) for ring in outline.rings])
    (left, top), (right, bottom) = points.min(0).tolist(), points.max(0).tolist()
    return left, top, right, bottom


def run_lengths(mask: NDArray[np.bool_]) -> RunLengths:
    """A mask ``(H, W)`` as lengths of runs of zeros and ones in turn, down its columns; the first may be 0."""
    height, width = mask.shape
    column = mask.T.ravel()
    ends = np.flatnonzero(column[1:] != column[:-1]) + 1
    runs = np.diff(np.concatenate([[0], ends, [column.size]]))
    counts = [0, *runs.tolist()] if column.size and column[0] else runs.tolist()
    return RunLengths(tuple(counts), height, width)


def compressed(outline: RunLengths) -> str:
    """Run lengths as COCO's string."""
    return _encoded(outline, 0, 0)["counts"].decode("ascii")  # type: ignore[no-any-return]


def decompressed(text: str, height: int, width: int) -> RunLengths:
    """Run lengths from COCO's string.

    Each number is written in groups of five bits, the lowest first, each a character from "0" on whose sixth bit says
    that the number goes on; from the fourth on, numbers are differences to the last but one. Read here and not by the
    mask library, which believes what a string says about its size.

    Raises:
        ValueError: the string is damaged, or its runs do not fill ``height`` × ``width`` pixels.
    """
    digits = np.frombuffer(text.encode("ascii", "replace"), dtype=np.uint8).astype(np.int64) - _OFFSET
    if not digits.size or digits.min() < 0 or digits.max() > 63 or digits[-1] & 32:
        raise ValueError("its run lengths are damaged")
    starts = np.concatenate([[0], np.flatnonzero(digits & 32 == 0)[:-1] + 1])
    lengths = np.diff(np.concatenate([starts, [digits.size]]))
    if lengths.max() > _MAX_DIGITS:
        raise ValueError("its run lengths are damaged")
    places = np.arange(digits.size) - np.repeat(starts, lengths)
    numbers = np.add.reduceat((digits & 31) << (5 * places), starts)
    last = digits[starts + lengths - 1]
    numbers = np.where(last & 16, numbers - (1 << (5 * lengths)), numbers)
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return checked_runs(tuple(numbers.tolist()), height, width)


def checked_runs(counts: tuple[int, ...], height: int, width: int) -> RunLengths:
    """Run lengths that fill an image exactly.

    Raises:
        ValueError: a run is negative, or all together have another length than the image has pixels.
    """
    if min(counts, default=0) < 0 or sum(counts) != height * width:
        raise ValueError(f"its runs have {sum(counts)} pixels, and {width}×{height} is {height * width}")
    return RunLengths(counts, height, width)


def polygons(mask: NDArray[np.bool_], tolerance: float = 0.5) -> Polygons:
    """The outer outlines of a mask's parts, traced halfway between its pixels and those around; holes are filled.

    Args:
        mask: ``(H, W)``.
        tolerance: how far in pixels the simplified outline may stray (Douglas and Peucker, 1973); 0 keeps each point.
    """
    from skimage.measure import approximate_polygon, find_contours

    rings = []
    # Padded, so that outlines of parts at the border are closed there.
    for contour in find_contours(np.pad(mask, 1).astype(np.float64), 0.5):
        rows, columns = contour.T
        turns = float(np.sum(columns[:-1] * rows[1:] - columns[1:] * rows[:-1]))
        simple = approximate_polygon(contour, tolerance)
        if turns > 0 and len(simple) > 3:
            # The middle of pixel 0 lies at 0.5; the last point repeats the first.
            points = np.clip(simple[:-1, ::-1] - 0.5, 0, mask.shape[::-1])
            rings.append(tuple(points.ravel().tolist()))
    return Polygons(tuple(rings))


def class_map(annotated: Annotated, classes: Sequence[str]) -> Tensor:
    """The class of each pixel: uint8 ``(H, W)``, painted from an image's outlines onto class 0.

    Smaller objects lie on larger ones. Crowds, and the boxes of objects without an outline, are ``IGNORED`` where no
    object with an outline is: what is there is not known.

    Args:
        annotated: an image whose labels are class numbers of the map.
        classes: their names; no more than 255.

    Raises:
        ValueError: a label is not among the classes.
    """
    if len(annotated.labels) and not 0 <= int(annotated.labels.max()) < min(len(classes), IGNORED):
        raise ValueError(f"label {int(annotated.labels.max())} of '{annotated.key}' is none of {len(classes)} classes")
    height, width = annotated.height, annotated.width
    painted = np.zeros((height, width), dtype=np.uint8)
    outlines = annotated.outlines or (None,) * len(annotated.labels)
    crowd = annotated.crowd.tolist()
    known = [index for index, outline in enumerate(outlines) if outline is not None and not crowd[index]]
    for index in sorted(set(range(len(outlines))) - set(known)):
        outline = outlines[index]
        if outline is not None:
            painted[raster(outline, height, width)] = IGNORED
        else:
            left, top, right, bottom = annotated.boxes[index].tolist()
            painted[int(top) : int(np.ceil(bottom)), int(left) : int(np.ceil(right))] = IGNORED
    labels = annotated.labels.tolist()
    for index in sorted(known, key=annotated.areas.tolist().__getitem__, reverse=True):
        outline = outlines[index]
        assert outline is not None
        painted[raster(outline, height, width)] = labels[index]
    return torch.from_numpy(painted)
