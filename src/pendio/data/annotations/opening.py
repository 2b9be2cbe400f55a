"""One name or path in, images with boxes or masks out: COCO, Pascal VOC, YOLO, mask files, or made scenes."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torchvision.transforms.v2.functional as V
from numpy.typing import NDArray

from pendio.data.annotations.boxes import boxes_split
from pendio.data.annotations.doctor import examine, examine_masks, training_counts
from pendio.data.annotations.joint import parse_joint
from pendio.data.annotations.labels import labels_split
from pendio.data.annotations.layouts import MADE, Want, read_files
from pendio.data.annotations.masks import class_pixels, sampled, value_table
from pendio.data.annotations.records import Annotated, Annotations
from pendio.data.annotations.scenes import open_scenes
from pendio.data.arrays import channel_statistics
from pendio.data.examples import Data, Finding
from pendio.data.images import ImageError, read_image
from pendio.data.randomness import order
from pendio.data.streams import Stream
from pendio.errors import InputError, listed

__all__ = ["as_classes_of_pixels", "open_boxes", "open_masks", "read_annotations", "with_splits"]

_STATISTICS_SIDE = 64


def open_boxes(
    name: str | Path,
    *,
    size: int,
    augment: str = "none",
    seed: int = 0,
    images: str | Path | None = None,
    sizes: tuple[int, ...] = (),
) -> Data:
    """Images with boxes, to train and evaluate detectors: ``Data.kind`` is "boxes".

    ``class_counts`` are the boxes of each class in the training images, crowds aside.

    Args:
        name: "scenes", a COCO file, or a folder of COCO, Pascal VOC or YOLO.
        size: side in pixels of the squares that images are fitted into.
        augment: comma-separated names of augmentations of training batches, or "none".
        seed: of the split where the data has none (70 % training, 10 % validation, 20 % test), and of made scenes.
        images: the folder of the images, where it is not found.
        sizes: sides of which each training batch draws one.

    Raises:
        InputError: there is no such data, or it is damaged; the message names file and record.
    """
    names = parse_joint(augment, "boxes")
    if str(name) == MADE:
        return open_scenes("boxes", size, names, seed, sizes)
    annotations = read_annotations(name, "boxes", seed=seed, images=images)
    parts = {
        split: boxes_split(_of(annotations, split), size, names, split == "train", sizes if split == "train" else ())
        for split in ("train", "val", "test")
    }
    findings = examine(annotations, size)
    return _data(annotations, parts, "boxes", size, training_counts(annotations), findings, bool(names or sizes))


def open_masks(
    name: str | Path, *, size: int, augment: str = "none", seed: int = 0, images: str | Path | None = None
) -> Data:
    """Images with a class for each pixel, to train and evaluate segmenters: ``Data.kind`` is "masks".

    ``class_counts`` are the pixels of each class in the training masks, or in an even sample of 256 of them.

    Args:
        name: "scenes", a folder of images and masks, Pascal VOC with ``SegmentationClass``, or COCO or YOLO with outlines.
        size: side in pixels of the squares that images are fitted into.
        augment: comma-separated names of augmentations of training batches, or "none".
        seed: of the split where the data has none (70 % training, 10 % validation, 20 % test), and of made scenes.
        images: the folder of the images, where it is not found.

    Raises:
        InputError: there is no such data, or it is damaged; the message names file and record.
    """
    names = parse_joint(augment, "masks")
    if str(name) == MADE:
        return open_scenes("masks", size, names, seed)
    annotations = read_annotations(name, "masks", seed=seed, images=images)
    table = value_table(annotations)
    parts = {
        split: labels_split(_of(annotations, split), annotations.classes, size, names, split == "train", table)
        for split in ("train", "val", "test")
    }
    pixels = class_pixels(_of(annotations, "train"), annotations.classes, table)
    return _data(annotations, parts, "masks", size, pixels.sum(0), examine_masks(annotations, pixels), bool(names))


def _of(annotations: Annotations, split: str) -> list[Annotated]:
    return [image for image in annotations.images if image.split == split]


def _data(
    annotations: Annotations,
    parts: dict[str, Stream],
    kind: Want,
    size: int,
    counts: NDArray[np.int64],
    findings: tuple[Finding, ...],
    augmented: bool,
) -> Data:
    mean, std = _statistics(annotations)
    return Data(
        name=annotations.name,
        train=parts["train"],
        val=parts["val"],
        test=parts["test"] if len(parts["test"]) else None,
        classes=annotations.classes,
        shape=(3, size, size),
        mean=mean,
        std=std,
        findings=(*annotations.findings, *findings),
        kind=kind,
        class_counts=tuple(counts.tolist()),
        augmented=augmented,
    )


def _statistics(annotations: Annotations) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Of at most 256 training images, small and without the grey around them in their squares."""
    small, reason = [], ""
    for image in sampled(_of(annotations, "train")):
        try:
            pixels = read_image(image.image, at_least=_STATISTICS_SIDE)
        except ImageError as error:
            reason = str(error)
            continue
        small.append(V.resize(pixels, [_STATISTICS_SIDE, _STATISTICS_SIDE], antialias=True))
    if not small:
        raise InputError(f"none of the training images tried in '{annotations.name}' can be read: {reason}")
    return channel_statistics(torch.stack(small))


def read_annotations(name: str | Path, want: Want, *, seed: int = 0, images: str | Path | None = None) -> Annotations:
    """The annotations of files in whatever format, each image with its split.

    Args:
        name: a file or folder; see :func:`open_boxes` and :func:`open_masks`.
        want: what has to be known of each image. Outlines of COCO and YOLO make masks; their classes are then those of
            the objects after "background".
        seed: of the split where the data has none.
        images: the folder of the images, where it is not found.

    Raises:
        InputError: there is no such data, it has not what is wanted, or it is damaged.
    """
    read = read_files(name, want, images=images)
    if want == "masks":
        read = as_classes_of_pixels(read)
    return with_splits(read, seed)


def as_classes_of_pixels(annotations: Annotations) -> Annotations:
    """Objects with outlines as classes of pixels: "background" becomes class 0, and each class moves up by one.

    Sets with mask files stay as they are.

    Raises:
        InputError: no object has an outline, or there are too many classes for a mask.
    """
    images = annotations.images
    if any(image.mask is not None for image in images):
        return annotations
    if not any(image.outlines for image in images):
        raise InputError(f"'{annotations.name}' has boxes and no outlines, of which masks could be made; "
                         "train detect on it, or add 'segmentation's or polygons")  # fmt: skip
    if len(annotations.classes) > 254:
        raise InputError(f"'{annotations.name}' has {len(annotations.classes)} classes; masks hold 254 and background")
    ground = "background" if "background" not in annotations.classes else "unlabelled"
    moved = tuple(replace(image, labels=image.labels + 1) for image in images)
    findings = (*annotations.findings, *_without_outline(images))
    return Annotations(annotations.name, moved, (ground, *annotations.classes), findings=findings)


def _without_outline(images: Sequence[Annotated]) -> tuple[Finding, ...]:
    counts = [len(image.labels) - sum(outline is not None for outline in image.outlines) for image in images]
    files = tuple(str(image.image) for image, count in zip(images, counts, strict=True) if count)
    if not files:
        return ()
    message = f"{sum(counts)} objects have a box and no outline; their boxes are ignored in masks: {listed(files)}"
    return (Finding("outline", message, files),)


def with_splits(annotations: Annotations, seed: int) -> Annotations:
    """The same with a split for each image.

    Where none has one, a random 10 % become validation and 20 % test; where there is no validation, a random 10 % of the
    training images become it.

    Raises:
        InputError: there are no training images, or too few images to hold any back.
    """
    images = list(annotations.images)
    present = {image.split for image in images}
    if present == {""}:
        shares = {"val": 0.1, "test": 0.2}
    elif "train" not in present:
        raise InputError(f"'{annotations.name}' has no training images, only {', '.join(sorted(present))}")
    else:
        shares = {} if "val" in present else {"val": 0.1}
    pool = [index for index, image in enumerate(images) if image.split in ("train", "")]
    counts = {split: max(1, round(share * len(pool))) for split, share in shares.items()}
    if len(pool) == 2:
        counts.pop("test", None)
    if len(pool) <= sum(counts.values()):
        raise InputError(f"'{annotations.name}' has too few images to hold any back for validation: only {len(pool)}")
    visit = [pool[place] for place in order(seed, 0, len(pool)).tolist()]
    held = {}
    for split, count in counts.items():
        held.update(dict.fromkeys(visit[:count], split))
        visit = visit[count:]
    assigned = tuple(
        replace(image, split=held.get(index, image.split or "train")) for index, image in enumerate(images)
    )
    return replace(annotations, images=assigned)
