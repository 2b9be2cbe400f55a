"""Masks: a picture beside each image whose values, or palette indices, are class numbers."""

import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pendio.data.annotations.files import Picture, images_in, measured, write_new
from pendio.data.annotations.labels import read_mask
from pendio.data.annotations.rasters import class_map
from pendio.data.annotations.records import IGNORED, Annotated, Annotations
from pendio.data.annotations.voc import VOC_CLASSES, set_lists
from pendio.data.annotations.yolo import class_names
from pendio.data.examples import SPLITS, Finding
from pendio.data.images import read_header
from pendio.errors import InputError
from pendio.runs.files import writing

__all__ = [
    "MASK_FOLDERS", "MASK_SUFFIXES", "class_pixels", "class_values", "read_masks", "read_voc_masks", "sampled",
    "value_table", "write_masks",
]  # fmt: skip

MASK_FOLDERS = ("masks", "labels", "annotations", "SegmentationClass")
"""Names of folders that masks lie in."""

MASK_SUFFIXES = (".png", ".gif", ".bmp", ".tif", ".tiff")
"""File endings of masks: formats that keep each value as it is, which JPEG does not."""

_READERS = 2
_LOOKED_AT = 256
_ALL_PIXELS = 1 << 29
"""Masks of so many pixels together are all looked into at opening; of larger sets with named classes, only some are."""


class _Pair(NamedTuple):
    image: Path
    mask: Path
    split: str


def read_masks(folder: Path, images: Path | None = None) -> Annotations:
    """Images and masks of a folder with ``images/`` and ``masks/`` (or ``labels/``, ``annotations/``).

    Splits may lie in both (``images/train``, ``masks/train``) or above them (``train/images``, ``train/masks``). Masks
    have the stems of their images. Names of classes come from ``classes.txt``; without, they are the numbers up to the
    largest one seen. The value 255 is ignored, unless all masks of a set hold 0 and 255 alone and two classes are named
    or none: then 255 is class 1, and ``categories`` says so.

    Raises:
        InputError: an image or mask is missing, a mask has another size than its image or a value outside of the
            classes; the message names the file.
    """
    return _read(str(folder), _pairs(folder, images), class_names(folder))


def read_voc_masks(folder: Path, images: Path | None = None) -> Annotations:
    """Images and masks of ``JPEGImages/`` and ``SegmentationClass/`` of Pascal VOC, split as ``ImageSets/Segmentation``.

    Class names are those of Pascal VOC unless there is a ``classes.txt``.

    Raises:
        InputError: as for :func:`read_masks`.
    """
    splits = set_lists(folder / "ImageSets" / "Segmentation")
    home = images or folder / "JPEGImages"
    by_stem = {path.stem: path for path in images_in(home)} if home.is_dir() else {}
    pairs = []
    for stem in sorted(splits or {path.stem for path in _masks_in(folder / "SegmentationClass")}):
        mask = folder / "SegmentationClass" / f"{stem}.png"
        if stem not in by_stem:
            raise InputError(f"mask '{mask}' has no image in '{home}'; restore the image or remove the mask")
        pairs.append(_Pair(by_stem[stem], mask, splits.get(stem, "")))
    return _read(str(folder), pairs, class_names(folder) or VOC_CLASSES)


def _masks_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in MASK_SUFFIXES and path.name[0] != ".")


def _pairs(folder: Path, images: Path | None) -> list[_Pair]:
    above = [(part, SPLITS[part.name.lower()]) for part in sorted(folder.iterdir())
             if part.is_dir() and part.name.lower() in SPLITS and (part / "images").is_dir()]  # fmt: skip
    pairs = []
    for top, split in above or [(folder, "")]:
        home = images or top / "images"
        masks = next((top / name for name in MASK_FOLDERS if (top / name).is_dir()), None)
        if masks is None or not home.is_dir():
            raise InputError(f"'{top}' needs folders images/ and masks/; masks have the stems of their images")
        below = sorted(part for part in masks.iterdir() if part.is_dir() and part.name.lower() in SPLITS)
        for part in below or [masks]:
            beside = home / part.name if below else home
            pairs += _matched(beside, part, SPLITS[part.name.lower()] if below else split)
    return pairs


def _matched(images: Path, masks: Path, split: str) -> list[_Pair]:
    if not images.is_dir():
        raise InputError(f"there are masks in '{masks}' but no folder '{images}' with their images")
    found: dict[str, Path] = {}
    for image in images_in(images):
        if image.stem in found:
            raise InputError(f"images '{found[image.stem]}' and '{image}' share one mask; rename one")
        found[image.stem] = image
    by_stem = {mask.stem: mask for mask in _masks_in(masks)}
    if not found:
        raise InputError(f"folder '{images}' has no images")
    for stem, image in found.items():
        if stem not in by_stem:
            raise InputError(f"image '{image}' has no mask '{masks / stem}.png'; draw it or remove the image")
    for stem, mask in by_stem.items():
        if stem not in found:
            raise InputError(f"mask '{mask}' has no image in '{images}'; restore the image or remove the mask")
    return [_Pair(image, by_stem[stem], split) for stem, image in found.items()]


def _read(name: str, pairs: Sequence[_Pair], names: tuple[str, ...]) -> Annotations:
    masks = {pair.image: pair.mask for pair in pairs}
    pictures, findings = measured(name, [Picture(pair.image, pair.image.name, pair.split) for pair in pairs])
    _check_sizes(pictures, masks)
    every = sum(picture.width * picture.height for picture in pictures) <= _ALL_PIXELS or not names
    looked = pictures if every else pictures[:: -(-len(pictures) // _LOOKED_AT)]
    seen = _values(pictures=looked, masks=masks)
    together = np.flatnonzero(np.any(list(seen.values()), axis=0)).tolist()
    two_valued = every and together == [0, IGNORED] and len(names) in (0, 2)
    if two_valued:
        classes = names or ("background", "foreground")
        message = f"the masks hold 0 and 255 alone: 255 is taken for class 1, '{classes[1]}'"
        findings = (*findings, Finding("two-valued", message))
        return Annotations(name, _annotated(pictures, masks), classes, categories=(0, IGNORED), findings=findings)
    numbers = [value for value in together if value != IGNORED]
    if not numbers:
        raise InputError(
            f"all masks of '{name}' hold {IGNORED} alone, which is ignored; nothing can be learnt from them"
        )
    classes = names or tuple(str(number) for number in range(numbers[-1] + 1))
    _check_values(seen, masks, len(classes))
    return Annotations(name, _annotated(pictures, masks), classes, findings=findings)


def _annotated(pictures: Sequence[Picture], masks: dict[Path, Path]) -> tuple[Annotated, ...]:
    return tuple(
        Annotated(p.file, p.width, p.height, mask=masks[p.file], split=p.split, key=p.key) for p in pictures
    )  # fmt: skip


def _check_sizes(pictures: Sequence[Picture], masks: dict[Path, Path]) -> None:
    for picture in pictures:
        header = read_header(masks[picture.file])
        if (header.width, header.height) != (picture.width, picture.height):
            raise InputError(f"mask '{masks[picture.file]}' is {header.width}×{header.height}, but its image is "
                             f"{picture.width}×{picture.height} as one sees it; save both alike")  # fmt: skip


def _values(pictures: Sequence[Picture], masks: dict[Path, Path]) -> dict[Path, NDArray[np.bool_]]:
    """Which of the values 0 … 255 each mask holds, by image."""

    def look(picture: Picture) -> NDArray[np.bool_]:
        return torch.bincount(read_mask(masks[picture.file]).flatten(), minlength=256).numpy() > 0

    with ThreadPoolExecutor(_READERS) as pool:
        return dict(zip([picture.file for picture in pictures], pool.map(look, pictures), strict=True))


def _check_values(seen: dict[Path, NDArray[np.bool_]], masks: dict[Path, Path], classes: int) -> None:
    for image, values in seen.items():
        wrong = np.flatnonzero(values[classes:IGNORED]) + classes
        if len(wrong):
            raise InputError(f"mask '{masks[image]}' has the value {wrong[0]}, and there are {classes} classes "
                             f"(0 to {classes - 1}; {IGNORED} is ignored); name all in classes.txt or mend it")  # fmt: skip


def value_table(annotations: Annotations) -> Tensor | None:
    """The class that each value of a mask file means, uint8 ``(256,)``; None where it is the value itself."""
    if not annotations.categories or all(image.mask is None for image in annotations.images):
        return None
    table = torch.full((256,), IGNORED, dtype=torch.uint8)
    table[torch.tensor(annotations.categories)] = torch.arange(len(annotations.categories), dtype=torch.uint8)
    return table


def class_values(image: Annotated, classes: Sequence[str], table: Tensor | None = None) -> Tensor:
    """The class of each pixel of an image, uint8 ``(H, W)``, from its mask file or its outlines.

    Raises:
        InputError: the mask cannot be read, or has a value outside of the classes.
    """
    if image.mask is None:
        return class_map(image, classes)
    values = read_mask(image.mask)
    if table is not None:
        return table[values.long()]
    present = torch.bincount(values.flatten(), minlength=256).numpy() > 0
    _check_values({image.image: present}, {image.image: image.mask}, len(classes))
    return values


def class_pixels(images: Sequence[Annotated], classes: Sequence[str], table: Tensor | None = None) -> NDArray[np.int64]:
    """Pixels of each class in at most 256 of the images, evenly spaced: ``(n, K)``.

    A sample suffices to weigh classes, and decoding all masks of a large set takes minutes.

    Raises:
        InputError: as for :func:`class_values`.
    """
    chosen = sampled(images)
    counts = np.zeros((len(chosen), len(classes)), dtype=np.int64)
    for row, image in enumerate(chosen):
        values = class_values(image, classes, table)
        counts[row] = torch.bincount(values.flatten(), minlength=256)[: len(classes)].numpy()
    return counts


def sampled(images: Sequence[Annotated]) -> Sequence[Annotated]:
    """At most 256 of the images, evenly spaced."""
    return images[:: max(1, -(-len(images) // _LOOKED_AT))]


def write_masks(annotations: Annotations, folder: Path) -> None:
    """``masks/*.png`` with a palette and ``classes.txt`` for images that lie, or will, in ``images/`` of a folder.

    Raises:
        InputError: a file cannot be written.
    """
    colors, table = _palette(), value_table(annotations)
    for image in annotations.images:
        picture = Image.fromarray(class_values(image, annotations.classes, table).numpy())
        picture.putpalette(colors)
        path = folder / "masks" / image.split / f"{image.image.stem}.png"
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path, format="PNG")
    write_new(folder / "classes.txt", "".join(f"{name}\n" for name in annotations.classes))


def _palette() -> list[int]:
    """256 colours far apart: the bits of a number dealt out to red, green and blue, the lowest to the highest."""
    return [
        sum((number >> (3 * place + channel) & 1) << (7 - place) for place in range(3))
        for number, channel in itertools.product(range(256), range(3))
    ]
