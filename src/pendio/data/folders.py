"""Image files in folders, one subfolder a class or without classes, or listed in a CSV file."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from pendio.data.arrays import Arrays, assemble, channel_statistics, read_csv, split_by_class
from pendio.data.augment import Augment
from pendio.data.doctor import ImageFile, Record, diagnose, inspect
from pendio.data.examples import SPLITS, Data, Finding
from pendio.data.images import SUFFIXES
from pendio.data.randomness import order
from pendio.data.streams import ImageFiles, Stream
from pendio.errors import InputError

__all__ = ["ImageOptions", "from_image_csv", "from_image_folder"]

_RESIDENT_BYTES = 1 << 30
"""Decoded images up to this size stay in memory; larger sets stream."""

_DEFAULT_SIZE = 128

_UNLABELLED = "image"


@dataclass(frozen=True)
class ImageOptions:
    """How image files become examples.

    Attributes:
        size: side of the square that networks see, in pixels; None for the images' own if all are alike, else 128.
        crop: share of an image's shorter side that evaluation sees.
        augment: names of augmentations of training batches.
        seed: of the split where the folder has none.
        labels: whether images have labels; without, all are of one class, "image".
    """

    size: int | None = None
    crop: float = 1.0
    augment: tuple[str, ...] = ()
    seed: int = 0
    labels: bool = True


def from_image_folder(folder: Path, options: ImageOptions) -> Data:
    """Data from a folder with one subfolder a class, or with ``train/`` ``val/`` ``test/`` that have them.

    Without labels, images may lie anywhere in the folder, or in its ``train/`` ``val/`` ``test/``.

    Raises:
        InputError: there are no images, one class only, or more than 1 % unreadable ones.
    """
    split_folders = {
        child: SPLITS[child.name.lower()]
        for child in _folders(folder)
        if child.name.lower() in SPLITS and (_folders(child) or not options.labels)
    }
    if split_folders and "train" not in split_folders.values() and len(split_folders) == len(_folders(folder)):
        present = " and ".join(f"{child.name}/" for child in split_folders)
        raise InputError(f"data folder '{folder}' has {present} but no train/")
    roots = list(split_folders.items()) if "train" in split_folders.values() else [(folder, "")]
    files, others = [], []
    for root, split in roots:
        for label in _folders(root) if options.labels else [root]:
            for path in sorted(path for path in label.rglob("*") if path.is_file()):
                if path.suffix.lower() in SUFFIXES:
                    files.append(ImageFile(path, label.name if options.labels else _UNLABELLED, split))
                elif not path.name.startswith("."):
                    others.append(path)
    if not files and not options.labels:
        raise InputError(f"data folder '{folder}' has no images (looked for {' '.join(SUFFIXES)})")
    if not files:
        loose = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES]
        hint = f"; its {len(loose)} images lie outside of class subfolders" if loose else ""
        raise InputError(f"data folder '{folder}' has no images in subfolders (looked for {' '.join(SUFFIXES)}){hint}")
    return _from_files(str(folder), files, options, others)


def from_image_csv(path: Path, options: ImageOptions) -> Data:
    """Data from a CSV file with columns ``path`` (relative to the file), ``label`` if need be, and maybe ``split``.

    Raises:
        InputError: a file is missing, a split has an unknown name, or as for folders.
    """
    files = []
    for line, row in enumerate(read_csv(path), 2):
        image = path.parent / row["path"]
        split = row.get("split", "")
        if not image.is_file():
            raise InputError(f"'{path}' line {line}: there is no image '{image}'")
        if split and split.lower() not in SPLITS:
            raise InputError(f"'{path}' line {line}: unknown split '{split}'; expected train, val or test")
        label = row["label"] if options.labels else _UNLABELLED
        if not label:
            raise InputError(f"'{path}' line {line}: the label is empty")
        files.append(ImageFile(image, label, SPLITS.get(split.lower(), "")))
    return _from_files(str(path), files, options, [])


def _folders(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))


def _from_files(name: str, files: list[ImageFile], options: ImageOptions, others: Sequence[Path]) -> Data:
    classes = tuple(sorted({file.label for file in files}))
    if len(classes) < 2 and options.labels:
        raise InputError(f"'{name}' has one class only, '{classes[0]}'; a classifier needs two subfolders or labels")
    number = {name: index for index, name in enumerate(classes)}
    targets = torch.tensor([number[file.label] for file in files])
    files = _assign_splits(name, files, targets, options.seed)
    records = inspect(files)
    findings = diagnose(records, others)
    readable = [record for record in records if record.header is not None]
    _check_bad_share(name, records, readable, findings)
    layout = _Layout.of(readable, options)
    if layout.resident:
        return _resident(name, readable, classes, layout, options, findings)
    return _streaming(name, readable, classes, layout, options, findings)


def _assign_splits(name: str, files: list[ImageFile], targets: Tensor, seed: int) -> list[ImageFile]:
    """Files with their splits filled in where the user gave none, in place of their order."""
    splits = [file.split for file in files]
    if "" in splits and any(splits):
        raise InputError(f"'{name}' names a split for some images and none for others; give all or none")
    present = set(splits)
    if present == {""}:
        splits = ["train"] * len(files)
        for split, members in zip(("train", "val", "test"), split_by_class(targets, seed, (0.1, 0.2)), strict=True):
            for index in members.tolist():
                splits[index] = split
    elif "train" not in present:
        raise InputError(f"'{name}' has no training images, only {', '.join(sorted(present))}")
    elif "val" not in present:
        train = torch.tensor([index for index, split in enumerate(splits) if split == "train"])
        for index in train[split_by_class(targets[train], seed, (0.1,))[1]].tolist():
            splits[index] = "val"
    for split in ("train", "val"):
        if split not in splits:
            raise InputError(f"'{name}' has too few images to hold any back for {split}: only {len(files)}")
    return [replace(file, split=split) for file, split in zip(files, splits, strict=True)]


def _check_bad_share(
    name: str, records: Sequence[Record], readable: Sequence[Record], findings: Sequence[Finding]
) -> None:
    bad = len(records) - len(readable)
    if bad > 0.01 * len(records):
        raise InputError(f"{bad} of {len(records)} images in '{name}' cannot be read, more than 1 %; "
                         f"repair or remove them: {findings[0].message.split(': ', 1)[1]}")  # fmt: skip


@dataclass(frozen=True)
class _Layout:
    """The common form of the images: side in pixels, number of channels, and whether all fit into memory."""

    size: int
    grey: bool
    resident: bool

    @staticmethod
    def of(records: Sequence[Record], options: ImageOptions) -> "_Layout":
        """Their own size where all are alike and small; grey where all are grey."""
        headers = [record.header for record in records if record.header is not None]
        grey = all(header.grey for header in headers)
        shapes = {(header.width, header.height) for header in headers}
        width, height = next(iter(shapes))
        alike = len(shapes) == 1 and width == height and width <= _DEFAULT_SIZE
        size = options.size or (width if alike else _DEFAULT_SIZE)
        needed = len(records) * size * size * (1 if grey else 3)
        # A random crop is cut from the original, so that the originals must be read again each epoch.
        recut = "crop" in options.augment and not (alike and width == size)
        return _Layout(size, grey, needed <= _RESIDENT_BYTES and not recut)


def _split_reader(
    split: str, records: Sequence[Record], classes: tuple[str, ...], layout: _Layout, options: ImageOptions
) -> ImageFiles:
    chosen = [record.file for record in records if record.file.split == split]
    augment = Augment(options.augment, len(classes)) if options.augment and split == "train" else None
    number = {name: index for index, name in enumerate(classes)}
    return ImageFiles(
        [file.path for file in chosen], torch.tensor([number[file.label] for file in chosen], dtype=torch.long),
        layout.size, options.crop, layout.grey, augment,
    )  # fmt: skip


def _resident(
    name: str,
    records: Sequence[Record],
    classes: tuple[str, ...],
    layout: _Layout,
    options: ImageOptions,
    findings: tuple[Finding, ...],
) -> Data:
    arrays, failures = {}, []
    for split in ("train", "val", "test"):
        reader = _split_reader(split, records, classes, layout, options)
        if len(reader):
            parts = []
            # In parts, because one batch of everything would hold all images twice.
            for chosen in torch.arange(len(reader)).split(256):
                batch, bad = reader.read(chosen, options.seed, None)
                parts.append(Arrays(batch.inputs, batch.targets))
                failures.extend(bad)
            arrays[split] = Arrays(torch.cat([p.inputs for p in parts]), torch.cat([p.targets for p in parts]))
    if failures:
        if len(failures) > 0.01 * len(records):
            raise InputError(f"{len(failures)} of {len(records)} images in '{name}' cannot be read, more than 1 %; "
                             f"repair or remove them. The first: {failures[0].reason}")  # fmt: skip
        message = f"{len(failures)} unreadable, skipped: {failures[0].reason}"
        findings = (Finding("unreadable", message, tuple(failure.path for failure in failures)), *findings)
    return assemble(
        name, arrays["train"], classes, options.seed, options.augment, kind="images",
        val=arrays["val"], test=arrays.get("test"), findings=findings,
    )  # fmt: skip


def _streaming(
    name: str,
    records: Sequence[Record],
    classes: tuple[str, ...],
    layout: _Layout,
    options: ImageOptions,
    findings: tuple[Finding, ...],
) -> Data:
    readers = {split: _split_reader(split, records, classes, layout, options) for split in ("train", "val", "test")}
    train = readers["train"]
    sample = order(options.seed, 0, len(train))[:256]
    images = train.read(sample, options.seed, None)[0].inputs
    if not len(images):
        raise InputError(f"none of {len(sample)} images tried in '{name}' can be read; repair or replace them")
    counts = torch.bincount(train.targets, minlength=len(classes))
    mean, std = channel_statistics(images)
    return Data(
        name=name,
        train=Stream(train),
        val=Stream(readers["val"]),
        test=Stream(readers["test"]) if len(readers["test"]) else None,
        classes=classes,
        shape=(1 if layout.grey else 3, layout.size, layout.size),
        mean=mean,
        std=std,
        findings=findings,
        class_counts=tuple(counts.tolist()),
        augmented=bool(options.augment),
    )
