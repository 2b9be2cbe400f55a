"""The data doctor for annotated images: what is odd about boxes and masks, named and left as it is."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from pendio.data.annotations.masks import sampled
from pendio.data.annotations.records import Annotated, Annotations
from pendio.data.doctor import ImageFile, diagnose, inspect
from pendio.data.examples import Finding
from pendio.errors import listed, quoted

__all__ = ["examine", "examine_masks", "training_counts"]

_IMBALANCE = 10
_TINY = 4.0
_MANY = 100
"""Detections of an image that COCO's evaluation looks at."""

_SAME = 0.95


def examine(annotations: Annotations, size: int = 416) -> tuple[Finding, ...]:
    """What is odd about a set of boxes, the gravest first; what its reader found already is in ``annotations.findings``.

    Args:
        annotations: with their splits.
        size: side in pixels of the squares that a network will see.
    """
    images, counts = annotations.images, training_counts(annotations)
    checks = (
        *_copies(images),
        _unseen(annotations.classes, counts, "no training image has"),
        _imbalance(annotations.classes, counts, "boxes"),
        _tiny(images, size),
        _crowded(images),
        _contradicting(images, annotations.classes),
    )
    return tuple(finding for finding in checks if finding is not None)


def examine_masks(annotations: Annotations, pixels: NDArray[np.int64]) -> tuple[Finding, ...]:
    """What is odd about a set of masks, the gravest first.

    Args:
        annotations: with their splits.
        pixels: ``(n, K)`` as :func:`pendio.data.annotations.masks.class_pixels` counts them in the training images.
    """
    chosen = sampled([image for image in annotations.images if image.split in ("train", "")])
    single = tuple(
        str(image.image) for image, row in zip(chosen, pixels, strict=True) if np.count_nonzero(row) == 1
    )  # fmt: skip
    checks = (
        *_copies(annotations.images),
        _unseen(annotations.classes, pixels.sum(0), f"none of {len(chosen)} training masks looked at has"),
        _imbalance(annotations.classes, pixels.sum(0), "pixels"),
        _one_class(single, len(chosen)),
    )
    return tuple(finding for finding in checks if finding is not None)


def _one_class(files: tuple[str, ...], looked_at: int) -> Finding | None:
    if not files:
        return None
    message = f"{len(files)} of {looked_at} training masks looked at hold one class only: {listed(files)}"
    return Finding("single", message, files)


def training_counts(annotations: Annotations) -> NDArray[np.int64]:
    """Boxes of each class in the training images, crowds aside: ``(K,)``."""
    labels = [image.labels[~image.crowd] for image in annotations.images if image.split in ("train", "")]
    every = torch.cat(labels) if labels else torch.zeros(0, dtype=torch.long)
    return torch.bincount(every, minlength=len(annotations.classes)).numpy()


def _copies(images: Sequence[Annotated]) -> list[Finding]:
    """Equal files in different splits or in one; only files of equal length are opened."""
    by_length: dict[int, list[ImageFile]] = defaultdict(list)
    for image in images:
        by_length[image.image.stat().st_size].append(ImageFile(image.image, "", image.split))
    suspects = [file for group in by_length.values() if len(group) > 1 for file in group]
    return [finding for finding in diagnose(inspect(suspects)) if finding.kind in ("leak", "duplicate")]


def _unseen(classes: Sequence[str], counts: NDArray[np.int64], where: str) -> Finding | None:
    unseen = [name for name, count in zip(classes, counts.tolist(), strict=True) if not count]
    if not unseen:
        return None
    return Finding("unseen", f"{where} any of {len(unseen)} classes: {quoted(unseen)}; they cannot be learnt")


def _imbalance(classes: Sequence[str], counts: NDArray[np.int64], unit: str) -> Finding | None:
    seen = np.flatnonzero(counts)
    if len(seen) < 2:
        return None
    most, least = int(seen[counts[seen].argmax()]), int(seen[counts[seen].argmin()])
    if counts[most] < _IMBALANCE * counts[least]:
        return None
    return Finding("imbalance", f"class '{classes[most]}' has {counts[most]} {unit}, '{classes[least]}' has "
                   f"{counts[least]}; consider --class-weights")  # fmt: skip


def _tiny(images: Sequence[Annotated], size: int) -> Finding | None:
    files, boxes, every = [], 0, 0
    for image in images:
        sides = (image.boxes[:, 2:] - image.boxes[:, :2]) * (size / max(image.width, image.height))
        few = int((sides.amin(1) < _TINY).sum()) if len(sides) else 0
        boxes, every = boxes + few, every + len(sides)
        if few:
            files.append(str(image.image))
    if not boxes:
        return None
    return Finding("tiny", f"{boxes} of {every} boxes are narrower than {_TINY:g} pixels once images are {size} pixels "
                   f"large; train with a larger --size or on tiles: {listed(files)}", tuple(files))  # fmt: skip


def _crowded(images: Sequence[Annotated]) -> Finding | None:
    files = tuple(str(image.image) for image in images if len(image.labels) > _MANY)
    if not files:
        return None
    return Finding("crowded", f"{len(files)} images have more than {_MANY} boxes; evaluation as COCO does it looks at "
                   f"{_MANY} detections an image: {listed(files)}", files)  # fmt: skip


def _contradicting(images: Sequence[Annotated], classes: Sequence[str]) -> Finding | None:
    """Boxes almost equal whose classes differ: a mistake, or an object of several classes."""
    files, pairs, example = [], 0, ""
    for image in images:
        first, second = _almost_equal(image.boxes.numpy())
        labels = image.labels.numpy()
        differ = labels[first] != labels[second]
        if differ.any():
            pairs += int(differ.sum())
            files.append(str(image.image))
            one, other = labels[first][differ][0], labels[second][differ][0]
            example = example or f"'{classes[one]}' and '{classes[other]}' in {image.image}"
    if not pairs:
        return None
    return Finding("contradiction", f"{pairs} pairs of almost equal boxes have different classes, and are learnt as "
                   f"objects of both: {example}", tuple(files))  # fmt: skip


def _almost_equal(boxes: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of boxes whose intersection over union is above 0.95.

    Such boxes have almost the same left side, so that only neighbours in the order of left sides are compared: an image
    with thousands of boxes costs no square of them.
    """
    order = np.argsort(boxes[:, 0], kind="stable")
    ranked = boxes[order].astype(np.float64)
    areas = (ranked[:, 2:] - ranked[:, :2]).prod(1)
    # An intersection over union above s needs left sides nearer than (1 - s) of the width.
    ends = np.searchsorted(ranked[:, 0], ranked[:, 0] + (1 - _SAME) * (ranked[:, 2] - ranked[:, 0]), side="right")
    counts = np.maximum(ends - np.arange(len(ranked)) - 1, 0)
    first = np.repeat(np.arange(len(ranked)), counts)
    second = first + 1 + np.arange(len(first)) - np.repeat(np.cumsum(counts) - counts, counts)
    corner, opposite = (np.maximum(ranked[first, :2], ranked[second, :2]),
                        np.minimum(ranked[first, 2:], ranked[second, 2:]))  # fmt: skip
    shared = np.clip(opposite - corner, 0, None).prod(1)
    same = shared > _SAME * (areas[first] + areas[second] - shared)
    return order[first[same]], order[second[same]]
