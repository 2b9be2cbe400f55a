"""A class map as COCO writes it: an annotation for each connected part of each class."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import ndimage
from torch import Tensor

from pendio.data.annotations.rasters import compressed, polygons, run_lengths
from pendio.pictures.masks import BACKGROUND

__all__ = ["annotations", "categories"]

_LEAST = 4
"""Pixels of the smallest part that is written."""

_STRAY = 0.1
"""Pixels by which an outline may be simplified: enough to drop the points on straight edges."""


def categories(classes: Sequence[str]) -> list[dict[str, Any]]:
    """COCO's list of classes; ids are class numbers + 1, because some of its readers take 0 for none."""
    return [{"id": number + 1, "name": name} for number, name in enumerate(classes) if not _plain(number, name)]


def _plain(number: int, name: str) -> bool:
    return number == 0 and name == BACKGROUND


def annotations(mask: Tensor, classes: Sequence[str], image_id: int, first_id: int) -> list[dict[str, Any]]:
    """The parts of a class map as COCO annotations, in the order of classes, then from top to bottom.

    A part is connected through sides and corners of pixels. It is written as polygons, but as run lengths where it has
    holes, which COCO's polygons cannot. A first class called "background" is left out, and so are parts of less than four
    pixels.

    Args:
        mask: ``(H, W)`` class numbers.
        classes: names of the classes.
        image_id: of the image.
        first_id: of the first annotation; the others follow.
    """
    numbers = mask.cpu().numpy()
    found: list[dict[str, Any]] = []
    for number, name in enumerate(classes):
        if _plain(number, name) or not (numbers == number).any():
            continue
        parts, _ = ndimage.label(numbers == number, structure=np.ones((3, 3)))
        for label, window in enumerate(ndimage.find_objects(parts), 1):
            part = parts[window] == label
            pixels = int(part.sum())
            if pixels < _LEAST:
                continue
            rows, columns = window
            found.append({
                "id": first_id + len(found), "image_id": image_id, "category_id": number + 1,
                "segmentation": _outline(part, numbers.shape, rows.start, columns.start),
                "bbox": [columns.start, rows.start, part.shape[1], part.shape[0]], "area": pixels, "iscrowd": 0,
            })  # fmt: skip
    return found


def _outline(part: Any, shape: tuple[int, ...], top: int, left: int) -> Any:
    """A part that lies at (``left``, ``top``) in an image of ``shape``: its polygons, or run lengths if it has holes."""
    rings = polygons(part, _STRAY).rings
    if rings and not (ndimage.binary_fill_holes(part) ^ part).any():
        offset = np.array([left, top], dtype=float)
        return [(np.reshape(ring, (-1, 2)) + offset).round(2).ravel().tolist() for ring in rings]
    whole = np.zeros(shape, dtype=bool)
    whole[top : top + part.shape[0], left : left + part.shape[1]] = part
    return {"counts": compressed(run_lengths(whole)), "size": list(shape)}
