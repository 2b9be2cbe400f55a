"""Annotated images from one format into another, with copies of the images."""

import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from skimage.measure import label as connected_regions

from pendio.data.annotations.coco import write_coco
from pendio.data.annotations.layouts import MADE, read_files
from pendio.data.annotations.masks import class_values, value_table, write_masks
from pendio.data.annotations.opening import as_classes_of_pixels
from pendio.data.annotations.rasters import box_of, run_lengths
from pendio.data.annotations.records import Annotated, Annotations, RunLengths
from pendio.data.annotations.scenes import DIGITS, SCENES, Part, scene
from pendio.data.annotations.voc import write_voc
from pendio.data.annotations.yolo import write_yolo
from pendio.data.examples import Finding
from pendio.errors import InputError, did_you_mean
from pendio.runs.files import writing

__all__ = ["FORMATS", "Format", "Summary", "convert"]

Format = Literal["coco", "voc", "yolo", "masks"]

FORMATS: tuple[Format, ...] = get_args(Format)
"""What :func:`convert` writes."""

_MADE_SIZE = 128
_PARTS: dict[str, Part] = {"train": "train", "val": "val", "test": "test"}


@dataclass(frozen=True)
class Summary:
    """What was written where.

    Attributes:
        out: the folder.
        images: how many, by split; "" where the data has no splits.
        objects: boxes written; of masks, 0.
        classes: their names.
        findings: what was odd, and what the format could not hold.
    """

    out: Path
    images: dict[str, int]
    objects: int
    classes: tuple[str, ...]
    findings: tuple[Finding, ...]


def convert(
    name: str | Path,
    to: Format,
    out: str | Path,
    *,
    images: str | Path | None = None,
    outlines: bool = False,
    seed: int = 0,
    most: int | None = None,
) -> Summary:
    """Read annotated images in whatever format, and write them in another, images included.

    Splits are kept. Of mask files, each connected region of a class other than "background" becomes an object.

    Args:
        name: as for :func:`pendio.data.annotations.opening.open_boxes`.
        to: "coco" (``annotations/instances_*.json``), "voc", "yolo", or "masks".
        out: a folder that does not exist or is empty: nothing is written over.
        images: the folder of the images, where it is not found.
        outlines: for YOLO, write polygons instead of boxes where there are outlines.
        seed: of made scenes.
        most: images of each split that are converted at most; None for all.

    Raises:
        InputError: the data cannot be read, has not what the format needs, or ``out`` has files in it.
    """
    folder = Path(out)
    if to not in FORMATS:
        raise InputError(f"unknown format '{to}': {did_you_mean(to, FORMATS)}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(
            f"'{folder}' is there already; name a folder that is empty or not there, nothing is written over"
        )
    annotations, put = _made(seed, to, most) if str(name) == MADE else (_read(name, to, images, most), _copy)
    homes = _homes(annotations.images, folder, to)
    placed = []
    for image, home in zip(annotations.images, homes, strict=True):
        with writing(home):
            home.parent.mkdir(parents=True, exist_ok=True)
            put(image, home)
        placed.append(replace(image, image=home))
    lost = _write(replace(annotations, images=tuple(placed)), to, folder, outlines)
    counts = Counter(image.split for image in placed)
    objects = 0 if to == "masks" else sum(len(image.labels) for image in placed)
    return Summary(folder, dict(counts), objects, annotations.classes, (*annotations.findings, *lost))


def _read(name: str | Path, to: Format, images: str | Path | None, most: int | None) -> Annotations:
    found = read_files(name, "masks" if to == "masks" else None, images=images)
    few = replace(found, images=_few(found.images, most))
    if to == "masks":
        return as_classes_of_pixels(few)
    return _regions(few) if any(image.mask is not None for image in few.images) else few


def _few(images: Sequence[Annotated], most: int | None) -> tuple[Annotated, ...]:
    """The first of each split."""
    if most is None:
        return tuple(images)
    splits = dict.fromkeys(image.split for image in images)
    return tuple(image for split in splits for image in [one for one in images if one.split == split][:most])


def _copy(image: Annotated, home: Path) -> None:
    shutil.copyfile(image.image, home)


def _regions(annotations: Annotations) -> Annotations:
    """An object for each connected region of a class, except of "background"."""
    table, images = value_table(annotations), []
    wanted = [number for number, name in enumerate(annotations.classes) if name != "background"]
    for image in annotations.images:
        values = class_values(image, annotations.classes, table).numpy()
        # Regions are told apart by the class too; 0 belongs to none.
        regions = connected_regions(np.where(np.isin(values, wanted), values.astype(np.int64) + 1, 0), connectivity=2)
        outlines = [run_lengths(regions == number) for number in range(1, int(regions.max()) + 1)]
        rows = [_first(regions, number) for number in range(1, len(outlines) + 1)]
        labels = [wanted.index(int(values[row])) for row in rows]
        images.append(_object_image(replace(image, mask=None), outlines, labels))
    classes = tuple(annotations.classes[number] for number in wanted)
    return Annotations(annotations.name, tuple(images), classes, findings=annotations.findings)


def _first(regions: NDArray[np.int64], number: int) -> tuple[int, int]:
    row, column = np.unravel_index(int((regions == number).argmax()), regions.shape)
    return int(row), int(column)


def _object_image(image: Annotated, outlines: Sequence[RunLengths], labels: Sequence[int]) -> Annotated:
    """The same image with objects that have these outlines."""
    boxes = torch.tensor([box_of(outline) for outline in outlines], dtype=torch.float32).reshape(-1, 4)
    return replace(
        image, boxes=boxes, labels=torch.tensor(labels, dtype=torch.long), outlines=tuple(outlines),
        crowd=torch.zeros(len(labels), dtype=torch.bool),
        areas=torch.tensor([sum(outline.counts[1::2]) for outline in outlines], dtype=torch.float32),
    )  # fmt: skip


def _made(seed: int, to: Format, most: int | None) -> tuple[Annotations, Callable[[Annotated, Path], None]]:
    """The embedded scenes as they would be read from files, and what draws one of them there."""
    images = []
    for part, count in SCENES.items():
        for number in range(count if most is None else min(most, count)):
            made = scene(number, _PARTS[part], seed, _MADE_SIZE)
            name = Path(f"{part}-{number:04}.png")
            empty = Annotated(name, _MADE_SIZE, _MADE_SIZE, split=part, key=name.name)
            outlines = [run_lengths(mask) for mask in made.masks.numpy()]
            images.append(_object_image(empty, outlines, made.labels.tolist()))
    annotations = Annotations(MADE, tuple(images), DIGITS)

    def draw(image: Annotated, home: Path) -> None:
        part, number = image.image.stem.split("-")
        pixels = scene(int(number), _PARTS[part], seed, _MADE_SIZE).image
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(home)

    return (as_classes_of_pixels(annotations) if to == "masks" else annotations), draw


def _homes(images: Sequence[Annotated], folder: Path, to: Format) -> list[Path]:
    """A place for each image; no two have the same stem, whatever the case of its letters."""
    taken: set[str] = set()
    homes = []
    for image in images:
        stem, number = image.image.stem, 2
        while stem.lower() in taken:
            stem, number = f"{image.image.stem}-{number}", number + 1
        taken.add(stem.lower())
        below = {"coco": image.split or "images", "voc": "JPEGImages"}.get(to, f"images/{image.split}")
        homes.append(folder / below / f"{stem}{image.image.suffix.lower()}")
    return homes


def _write(annotations: Annotations, to: Format, folder: Path, outlines: bool) -> tuple[Finding, ...]:
    """The files of annotations; returns what the format could not hold."""
    if to == "masks":
        write_masks(annotations, folder)
        return ()
    if to == "yolo":
        return write_yolo(annotations, folder, outlines=outlines)
    if to == "voc":
        write_voc(annotations, folder)
        return _flattened(annotations.images)
    for split in dict.fromkeys(image.split for image in annotations.images):
        part = replace(annotations, images=tuple(image for image in annotations.images if image.split == split))
        name = f"instances_{split}.json" if split else "instances.json"
        write_coco(part, folder / "annotations" / name, folder / (split or "images"))
    return ()


def _flattened(images: Sequence[Annotated]) -> tuple[Finding, ...]:
    outlined = sum(outline is not None for image in images for outline in image.outlines)
    if not outlined:
        return ()
    return (Finding("outline", f"{outlined} outlines were left out: the XML of Pascal VOC has boxes only"),)
