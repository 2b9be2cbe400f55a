"""YOLO's text files: a line an object, in shares of the image (Redmon et al., 2016)."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from pendio.data.annotations.files import (
    Picture,
    images_in,
    inside,
    measured,
    read_bytes,
    read_lines,
    split_of,
    write_new,
)
from pendio.data.annotations.rasters import polygons, raster
from pendio.data.annotations.records import Annotated, Annotations, Outline, Polygons
from pendio.data.annotations.tidying import Objects, assemble
from pendio.data.examples import SPLITS, Finding
from pendio.errors import InputError, excerpt, listed
from pendio.runs.files import write_text

__all__ = ["DESCRIPTIONS", "class_names", "read_yolo", "write_yolo"]

DESCRIPTIONS = ("data.yaml", "data.yml", "dataset.yaml")
"""Names of the file that describes a set."""

_NAME_FILES = ("classes.txt", "obj.names", "class_names.txt")
_MAX_YAML = 1 << 20
_MAX_CLASSES = 1 << 16
_FAR = 1.0
"""How far outside of its image, in shares of it, a box or point may be before it is taken for a mistake of units."""


class _Line(NamedTuple):
    """An object as its line tells: x1, y1, x2, y2 in shares of the image, and its polygon's points or none."""

    where: str
    label: int
    box: tuple[float, float, float, float]
    points: tuple[float, ...]


def read_yolo(folder: Path, images: Path | None = None, *, description: Path | None = None) -> Annotations:
    """Images and objects of a folder with ``images/`` and ``labels/`` (with or without splits), or both side by side.

    A line is ``class cx cy w h``, or ``class x y x y …`` of a polygon, whose box is its tight one. Numbers are shares of
    the image's width and height. Names come from ``data.yaml`` or ``classes.txt``; without, the numbers are the names.
    An image without a file of labels, or with an empty one, has no object.

    Args:
        folder: of the set; ``data.yaml`` names nothing outside of it.
        images: the folder of the images, if elsewhere; their labels are looked for in ``labels/`` of ``folder``.
        description: the ``data.yaml``, if it is called otherwise.

    Raises:
        InputError: a line is wrong, a class unknown, or an image missing; the message names file and line.
    """
    described = _described(folder, description)
    names = class_names(folder) if described is None else _names(described[0], described[1])
    pairs = _pairs(folder, images, described)
    if not any(label.is_file() for _, label, _ in pairs):
        raise InputError(f"'{folder}' has {len(pairs)} images and no file of labels (looked for "
                         f"'{pairs[0][1]}')")  # fmt: skip
    _check_orphans(pairs)
    pictures = [Picture(image, image.name, split) for image, _, split in pairs]
    readable, findings = measured(str(folder), pictures)
    labels = {image: label for image, label, _ in pairs}
    objects, numbers = Objects(), -1
    for place, picture in enumerate(readable):
        width, height = picture.width, picture.height
        for line in _lines(labels[picture.file], names):
            left, top, right, bottom = line.box
            outline: Outline | None = None
            if line.points:
                pixels = zip(line.points[::2], line.points[1::2], strict=True)
                outline = Polygons((tuple(side for x, y in pixels for side in (x * width, y * height)),))
            objects.add(
                place, (left * width, top * height, right * width, bottom * height), line.label, outline=outline
            )
            numbers = max(numbers, line.label)
    if not objects.labels:
        raise InputError(f"none of the {len(pairs)} images in '{folder}' has an object")
    annotated, odd = assemble(str(folder), readable, objects)
    unlabelled = tuple(str(image) for image, label, _ in pairs if not label.is_file())
    if unlabelled:
        message = f"{len(unlabelled)} images have no file of labels and count as empty: {listed(unlabelled)}"
        findings = (*findings, Finding("unlabelled", message, unlabelled))
    classes = names or tuple(str(number) for number in range(numbers + 1))
    return Annotations(str(folder), annotated, classes, findings=(*findings, *odd))


def class_names(folder: Path) -> tuple[str, ...]:
    """The names in a folder's ``classes.txt`` or ``obj.names``, one a line; empty where there is neither.

    Raises:
        InputError: a name stands twice.
    """
    for name in _NAME_FILES:
        path = folder / name
        if path.is_file():
            return _distinct([line.strip() for line in read_lines(path) if line.strip()], path)
    return ()


def _distinct(names: Sequence[str], path: Path) -> tuple[str, ...]:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InputError(f"'{path}' names '{excerpt(name)}' twice; each class needs its own name")
        seen.add(name)
    return tuple(names)


def _described(folder: Path, description: Path | None) -> tuple[Path, dict[str, Any]] | None:
    """The file that describes the set, and what it says."""
    found = [description] if description else [folder / name for name in DESCRIPTIONS]
    path = next((path for path in found if path.is_file()), None)
    if path is None:
        return None
    try:
        content = yaml.safe_load(read_bytes(path, _MAX_YAML))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InputError(f"'{path}' line {line} is no YAML: {excerpt(error.problem or str(error))}") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InputError(f"'{path}' is no YAML: {excerpt(str(error))}") from error
    if not isinstance(content, dict) or "names" not in content:
        raise InputError(f"'{path}' has no 'names'; list the classes as names: [cat, dog]")
    return path, content


def _names(path: Path, content: dict[str, Any]) -> tuple[str, ...]:
    names = content["names"]
    if isinstance(names, dict):
        if sorted(names, key=str) != sorted(range(len(names)), key=str):
            raise InputError(f"'{path}': 'names' has to number the classes 0 to {len(names) - 1} without gaps")
        names = [names[number] for number in range(len(names))]
    if not isinstance(names, list) or not names or not all(isinstance(name, str | int | float) for name in names):
        raise InputError(f"'{path}': 'names' has to be a list of names, or of numbers and names")
    return _distinct([str(name) for name in names], path)


def _pairs(
    folder: Path, images: Path | None, described: tuple[Path, dict[str, Any]] | None
) -> list[tuple[Path, Path, str]]:
    """Each image with its file of labels, which need not be there, and its split."""
    if images is not None:
        labels = folder / "labels" if (folder / "labels").is_dir() else folder
        return [(path, labels / f"{path.stem}.txt", "") for path in _some(images)]
    if described is not None:
        pairs = _described_pairs(folder, *described)
        if pairs:
            return pairs
    for top in (folder / "images", folder):
        splits = _split_folders(top)
        if splits:
            return [(path, _label_of(path, folder), split) for part, split in splits for path in _some(part)]
    return [(path, _label_of(path, folder), "") for path in _some(folder / "images" if (folder / "images").is_dir()
                                                                 else folder)]  # fmt: skip


def _some(folder: Path) -> list[Path]:
    nested = folder / "images"
    found = images_in(nested if nested.is_dir() else folder)
    if not found:
        raise InputError(f"folder '{folder}' has no images")
    return found


def _split_folders(top: Path) -> list[tuple[Path, str]]:
    if not top.is_dir():
        return []
    return [(part, SPLITS[part.name.lower()]) for part in sorted(top.iterdir())
            if part.is_dir() and part.name.lower() in SPLITS]  # fmt: skip


def _described_pairs(folder: Path, path: Path, content: dict[str, Any]) -> list[tuple[Path, Path, str]]:
    """What ``train``, ``val`` and ``test`` of a description name, all of it inside of the folder."""
    pairs = []
    for key in ("train", "val", "valid", "test"):
        given = content.get(key)
        for entry in given if isinstance(given, list) else [given] if given else []:
            if not isinstance(entry, str):
                raise InputError(f"'{path}': '{key}' has to name a folder or a list of images")
            pairs += [
                (image, _label_of(image, folder), split_of(key)) for image in _entry(folder, path, content, entry)
            ]
    return pairs


def _entry(folder: Path, path: Path, content: dict[str, Any], entry: str) -> list[Path]:
    root = content.get("path")
    # Written on another machine, "path" seldom holds here; and some tools count "../" from a folder that is not there.
    tried = [entry.removeprefix("../"), entry]
    if isinstance(root, str) and not Path(root).is_absolute():
        tried.insert(0, f"{root}/{entry}")
    for name in tried:
        try:
            found = inside(folder, name, f"'{path}'")
        except InputError:
            continue
        if found.is_dir():
            return _some(found)
        if found.suffix == ".txt" and found.is_file():
            return _list(folder, found)
    inside(folder, tried[-1].removeprefix("../"), f"'{path}'")
    raise InputError(f"'{path}' names '{excerpt(entry)}', which is not in '{folder}'; correct the name")


def _list(folder: Path, path: Path) -> list[Path]:
    images = []
    for number, line in enumerate(read_lines(path), 1):
        name = line.strip().removeprefix("./")
        if name:
            where = f"'{path}' line {number}"
            image = inside(folder, name, where)
            if not image.is_file():
                raise InputError(f"{where}: there is no image '{image}'; restore it or remove the line")
            images.append(image)
    return images


def _label_of(image: Path, folder: Path) -> Path:
    """Beside the image, or in ``labels`` where the image is in ``images``."""
    parts = list(image.relative_to(folder).parts[:-1])
    if "images" in parts:
        last = len(parts) - 1 - parts[::-1].index("images")
        parts[last] = "labels"
    return folder.joinpath(*parts, f"{image.stem}.txt")


def _check_orphans(pairs: Sequence[tuple[Path, Path, str]]) -> None:
    """Files of labels whose image is missing; and two images with one file of labels."""
    owners: dict[Path, Path] = {}
    for image, label, _ in pairs:
        if label in owners:
            raise InputError(f"images '{owners[label]}' and '{image}' share one file of labels, '{label}'; rename one")
        owners[label] = image
    for folder in sorted({label.parent for label in owners}):
        for path in sorted(folder.glob("*.txt")) if folder.is_dir() else []:
            if path not in owners and path.name not in _NAME_FILES and split_of(path.stem) == "" and _is_labels(path):
                raise InputError(f"'{path}' has no image of the same name; restore the image or remove the file")


def _is_labels(path: Path) -> bool:
    """Whether a text file holds numbers, as labels do and notes do not."""
    first = next((line for line in read_lines(path) if line.strip()), "")
    return first.replace(".", "").replace(" ", "").strip().isdigit()


def _lines(path: Path, names: Sequence[str]) -> list[_Line]:
    if not path.is_file():
        return []
    return [
        _line(text, f"'{path}' line {number}", names) for number, text in enumerate(read_lines(path), 1) if text.strip()
    ]


def _line(text: str, where: str, names: Sequence[str]) -> _Line:
    first, *rest = text.split()
    if not (first.isascii() and first.isdigit()) or int(first) >= (len(names) or _MAX_CLASSES):
        known = f"classes are 0 to {len(names) - 1}" if names else "classes are whole numbers from 0 on"
        raise InputError(f"{where}: there is no class '{first[:20]}'; {known}")
    try:
        numbers = tuple(float(word) for word in rest)
    except ValueError as error:
        raise InputError(f"{where}: '{excerpt(text)}' are not all numbers") from error
    if len(numbers) != 4 and (len(numbers) < 6 or len(numbers) % 2):
        raise InputError(f"{where} has {len(numbers)} numbers after the class; a box has 4 (centre x, centre y, width, "
                         "height), a polygon 6 or more in pairs")  # fmt: skip
    for number in numbers:
        if not math.isfinite(number) or not -_FAR <= number <= 1 + _FAR:
            raise InputError(f"{where}: {number:g} is no share of the image, which runs from 0 to 1; are these pixels?")
    if len(numbers) > 4:
        across, down = numbers[::2], numbers[1::2]
        return _Line(where, int(first), (min(across), min(down), max(across), max(down)), numbers)
    x, y, width, height = numbers
    if width < 0 or height < 0:
        raise InputError(f"{where}: its box has a negative size ({width:g}×{height:g})")
    return _Line(where, int(first), (x - width / 2, y - height / 2, x + width / 2, y + height / 2), ())


def write_yolo(annotations: Annotations, folder: Path, *, outlines: bool = False) -> tuple[Finding, ...]:
    """``labels/`` and ``data.yaml`` for images that lie, or will, in ``images/`` of a folder, in subfolders of splits.

    Args:
        annotations: of whatever source.
        folder: of the set.
        outlines: write an object's polygon, where it has one, instead of its box; of several rings the longest.

    Returns:
        What the format cannot hold: crowds, and the other rings.

    Raises:
        InputError: a file cannot be written.
    """
    crowds = rings = 0
    for image in annotations.images:
        lines = []
        shapes = image.outlines or (None,) * len(image.labels)
        rows = zip(image.boxes.tolist(), image.labels.tolist(), image.crowd.tolist(), shapes, strict=True)
        for box, label, crowd, shape in rows:
            if crowd:
                crowds += 1
            elif outlines and shape is not None and (parts := _rings(shape, image)):
                rings += len(parts) - 1
                lines.append(f"{label} {_shares(max(parts, key=len), image)}")
            else:
                left, top, right, bottom = box
                sides = ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
                lines.append(f"{label} {_shares(sides, image)}")
        path = folder / "labels" / image.split / f"{image.image.stem}.txt"
        write_new(path, "".join(f"{line}\n" for line in lines))
    splits = sorted({image.split for image in annotations.images} - {""})
    described: dict[str, str] = {split: f"images/{split}" for split in ("train", "val", "test") if split in splits}
    content: dict[str, Any] = {**described, "names": dict(enumerate(annotations.classes))}
    write_text(folder / "data.yaml", yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    findings = []
    if crowds:
        findings.append(Finding("crowd", f"{crowds} crowds or difficult objects were left out: YOLO has no such mark"))
    if rings:
        findings.append(Finding("outline", f"{rings} further rings of outlines were left out: YOLO has one an object"))
    return tuple(findings)


def _rings(outline: Outline, image: Annotated) -> tuple[tuple[float, ...], ...]:
    if isinstance(outline, Polygons):
        return outline.rings
    return polygons(raster(outline, image.height, image.width)).rings


def _shares(numbers: Sequence[float], image: Annotated) -> str:
    return " ".join(
        f"{number / (image.height if place % 2 else image.width):.9f}" for place, number in enumerate(numbers)
    )
