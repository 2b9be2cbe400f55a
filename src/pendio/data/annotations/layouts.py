"""Files of annotated images in whatever layout: which format it is, and reading it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch

from pendio.data.annotations.coco import joined, read_coco
from pendio.data.annotations.files import split_of
from pendio.data.annotations.masks import MASK_FOLDERS, MASK_SUFFIXES, read_masks, read_voc_masks
from pendio.data.annotations.records import Annotations
from pendio.data.annotations.voc import read_voc
from pendio.data.annotations.yolo import DESCRIPTIONS, read_yolo
from pendio.data.examples import SPLITS
from pendio.errors import InputError, did_you_mean

__all__ = ["MADE", "Want", "read_files"]

MADE = "scenes"
"""The name of the set that is made and not read."""

Want = Literal["boxes", "masks"]

_UNDERSTOOD = (
    "a COCO .json or annotations/instances_*.json, Annotations/*.xml of Pascal VOC, labels/*.txt of YOLO, or images/ "
    "with masks/*.png"
)


def read_files(name: str | Path, want: Want | None, *, images: str | Path | None = None) -> Annotations:
    """The annotations of files, with splits and classes as they are there.

    Args:
        name: a file or folder of COCO, Pascal VOC, YOLO or mask files.
        want: what has to be known of each image; None for all that there is.
        images: the folder of the images, where it is not found.

    Raises:
        InputError: there is no such data, it has not what is wanted, or it is damaged; the message names file and record.
    """
    path, text = Path(name), str(name)
    folder = None if images is None else Path(images)
    if folder is not None and not folder.is_dir():
        raise InputError(f"--images '{folder}' is no folder")
    if text == MADE:
        raise InputError(f"'{MADE}' is made, not read: it has no files of annotations")
    if path.is_file():
        return _read_file(path, want, folder)
    if not path.is_dir():
        raise InputError(f"no data '{text}': it is neither a file or folder here, nor an embedded set; "
                         f"{did_you_mean(text, [MADE])}")  # fmt: skip
    readers = (_masks, _coco, _voc, _yolo) if want == "masks" else (_coco, _voc, _yolo, _masks)
    for read in readers:
        found = read(path, want, folder)
        if found is not None:
            return found
    raise InputError(f"folder '{path}' has no annotations that are understood: {_UNDERSTOOD}")


def _read_file(path: Path, want: Want | None, images: Path | None) -> Annotations:
    suffix = path.suffix.lower()
    if suffix == ".json":
        # A file given by itself is the whole set, whatever split its name speaks of.
        return read_coco(path, images, outlines=want != "boxes", split="")
    if suffix in (".yaml", ".yml"):
        return read_yolo(path.parent, images, description=path)
    raise InputError(f"data file '{path}' has an unknown ending '{suffix}'; expected .json, .yaml or a folder with "
                     f"{_UNDERSTOOD}")  # fmt: skip


def _parts(folder: Path) -> list[Path]:
    """The folder itself, and its subfolders that are called like splits."""
    below = [part for part in sorted(folder.iterdir()) if part.is_dir() and part.name.lower() in SPLITS]
    return [folder, *below]


def _has(folder: Path, *suffixes: str) -> bool:
    return folder.is_dir() and any(path.suffix.lower() in suffixes for path in folder.iterdir())


def _coco(folder: Path, want: Want | None, images: Path | None) -> Annotations | None:
    files = sorted((folder / "annotations").glob("instances*.json"))
    if not files:
        files = sorted(path for part in (*_parts(folder), folder / "annotations") for path in part.glob("*.json"))
    if not files:
        return None
    splits = [split_of(path.stem) or split_of(path.parent.name) for path in files]
    if len(files) > 1 and ("" in splits or len(set(splits)) < len(splits)):
        raise InputError(f"folder '{folder}' has several .json files ({', '.join(path.name for path in files[:4])}) whose "
                         "names do not tell training, validation and test; name one")  # fmt: skip
    parts = [
        read_coco(path, images, outlines=want != "boxes", split=split)
        for path, split in zip(files, splits, strict=True)
    ]
    return joined(str(folder), parts) if len(parts) > 1 else replace(parts[0], name=str(folder))


def _voc(folder: Path, want: Want | None, images: Path | None) -> Annotations | None:
    if want == "masks" and (folder / "SegmentationClass").is_dir():
        return read_voc_masks(folder, images)
    top, *below = _parts(folder)
    if _has(top / "Annotations", ".xml") or _has(top, ".xml"):
        parts = [read_voc(top, images)]
    else:
        parts = [
            read_voc(part, images, split=SPLITS[part.name.lower()])
            for part in below if _has(part, ".xml") or _has(part / "Annotations", ".xml")
        ]  # fmt: skip
    if not parts:
        return None
    if want == "masks":
        raise InputError(f"'{folder}' has boxes and no masks; Pascal VOC keeps masks in SegmentationClass/*.png")
    return parts[0] if len(parts) == 1 else _by_names(str(folder), parts)


def _by_names(name: str, parts: Sequence[Annotations]) -> Annotations:
    """Parts of a set, each with the classes that occur in it, under the classes of all."""
    classes = tuple(sorted({known for part in parts for known in part.classes}))
    images = []
    for part in parts:
        numbers = torch.tensor([classes.index(known) for known in part.classes])
        images += [replace(image, labels=numbers[image.labels]) for image in part.images]
    return Annotations(name, tuple(images), classes, findings=tuple(f for part in parts for f in part.findings))


def _yolo(folder: Path, want: Want | None, images: Path | None) -> Annotations | None:
    described = any((folder / name).is_file() for name in DESCRIPTIONS)
    top, *below = _parts(folder)
    labels = [part / "labels" for part in (top, *below)]
    places = [*labels, *(split for label in labels if label.is_dir() for split in _parts(label)[1:]), top, *below]
    if described or any(_has_labels(place) for place in places):
        return read_yolo(folder, images)
    return None


def _has_labels(folder: Path) -> bool:
    """Whether a folder has text files that belong to images or stand among labels."""
    if not folder.is_dir():
        return False
    texts = {path.stem for path in folder.glob("*.txt")}
    return bool(texts) and (
        folder.name == "labels" or folder.parent.name == "labels"
        or any(path.stem in texts for path in folder.iterdir() if path.suffix != ".txt")
    )  # fmt: skip


def _masks(folder: Path, want: Want | None, images: Path | None) -> Annotations | None:
    if (folder / "JPEGImages").is_dir() and (folder / "SegmentationClass").is_dir() and want == "masks":
        return read_voc_masks(folder, images)
    for part in _parts(folder):
        for name in MASK_FOLDERS:
            places = _parts(part / name) if (part / name).is_dir() else []
            if any(_has(place, *MASK_SUFFIXES) for place in places):
                if want == "boxes":
                    raise InputError(f"'{folder}' has masks and no boxes; train segment on it, or make boxes of its "
                                     "regions by converting it to COCO")  # fmt: skip
                return read_masks(folder, images)
    return None
