"""COCO's instances in JSON (Lin et al., 2014): reading and writing."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pendio.data.annotations.files import Picture, inside, measured, read_bytes, split_of
from pendio.data.annotations.rasters import box_of, checked_runs, compressed, decompressed
from pendio.data.annotations.records import Annotated, Annotations, Outline, Polygons, RunLengths
from pendio.data.annotations.tidying import Box, Objects, assemble
from pendio.data.examples import Finding
from pendio.errors import InputError, quoted
from pendio.runs.files import write_text

__all__ = ["joined", "read_coco", "write_coco"]

_MAX_BYTES = 2 << 30


def read_coco(
    path: Path, images: Path | None = None, *, outlines: bool = True, split: str | None = None
) -> Annotations:
    """Images and objects of an instances file.

    Class numbers are the places of the category ids in their order, so that gaps in them do not matter. Areas are those
    of the file. ``iscrowd`` marks crowds.

    Args:
        path: the JSON file.
        images: the folder that file names are relative to; looked for near the file if None.
        outlines: whether polygons and run lengths are kept: of large sets they take gigabytes.
        split: of all images; None for what the file's name speaks of.

    Raises:
        InputError: the file is damaged or contradicts itself, or an image is missing; the message names the record.
    """
    content = _parsed(path)
    categories = _categories(path, content)
    records = _image_records(path, content)
    folder = _image_folder(path, next(iter(records.values()))["file_name"], images)
    told = split_of(path.stem) if split is None else split
    pictures, findings = measured(str(path), _pictures(path, records, folder, told))
    place = {identity: index for index, identity in enumerate(records)}
    if len(pictures) < len(records):
        readable = {picture.key: index for index, picture in enumerate(pictures)}
        place = {identity: readable.get(str(identity), -1) for identity in records}
    reader = _AnnotationReader(path, pictures, place, {number: label for label, number in enumerate(categories)})
    for index, record in enumerate(_list_of(path, content, "annotations")):
        reader.read(index, record, outlines)
    annotated, more = assemble(str(path), pictures, reader.objects)
    return Annotations(
        str(path), annotated, tuple(categories.values()), tuple(categories), (*findings, *reader.findings(), *more)
    )


def _parsed(path: Path) -> dict[str, Any]:
    content = read_bytes(path, _MAX_BYTES)
    try:
        parsed = json.loads(content)
    except json.JSONDecodeError as error:
        raise InputError(f"'{path}' line {error.lineno} column {error.colno} is no JSON: {error.msg}; "
                         "was it cut off or edited by hand?") from error  # fmt: skip
    except RecursionError as error:
        raise InputError(f"'{path}' is nested too deeply to be COCO's JSON") from error
    except ValueError as error:
        raise InputError(f"'{path}' is no JSON in UTF-8: {error}") from error
    if not isinstance(parsed, dict):
        raise InputError(f"'{path}' is no COCO file: expected an object with 'images', 'annotations' and 'categories'")
    return parsed


def _list_of(path: Path, content: dict[str, Any], key: str) -> list[Any]:
    found = content.get(key)
    if not isinstance(found, list):
        raise InputError(f"'{path}' has no list '{key}'; COCO files have 'images', 'annotations' and 'categories'")
    return found


def _value(record: Any, key: str, kind: type | tuple[type, ...], where: str) -> Any:
    """What a record has under a key, of the right type."""
    if not isinstance(record, dict):
        raise InputError(f"{where} is {type(record).__name__}, not an object")
    if key not in record:
        raise InputError(f"{where} has no '{key}'; add it or remove the record")
    value = record[key]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise InputError(f"{where}: '{key}' cannot be {str(value)[:40]!r}")
    return value


def _categories(path: Path, content: dict[str, Any]) -> dict[int, str]:
    found: dict[int, str] = {}
    for index, record in enumerate(_list_of(path, content, "categories")):
        where = f"'{path}' category number {index + 1}"
        number, name = _value(record, "id", int, where), _value(record, "name", str, where)
        if number in found:
            raise InputError(f"'{path}': two categories have the id {number}; give each its own")
        if name in found.values():
            raise InputError(f"'{path}': two categories have the name '{name}'; rename one")
        found[number] = name
    if not found:
        raise InputError(f"'{path}' has no categories; list each with its 'id' and 'name'")
    return dict(sorted(found.items()))


def _image_records(path: Path, content: dict[str, Any]) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for index, record in enumerate(_list_of(path, content, "images")):
        where = f"'{path}' image number {index + 1}"
        identity = _value(record, "id", int, where)
        _value(record, "file_name", str, where)
        if identity in found:
            raise InputError(f"'{path}': two images have the id {identity} ('{found[identity]['file_name']}' and "
                             f"'{record['file_name']}'); give each its own")  # fmt: skip
        found[identity] = record
    if not found:
        raise InputError(f"'{path}' has no images")
    return found


def _image_folder(path: Path, name: str, given: Path | None) -> Path:
    """The folder near a JSON file, or of the given one, that has the first image."""
    here, word = path.parent, path.stem.rsplit("_", 1)[-1]
    near = [here, here.parent]
    tried = (
        [given, given / word]
        if given
        else [at / below for at in near for below in ("", "images", word, f"images/{word}")]
    )
    for folder in tried:
        if inside(folder, name, f"'{path}'").is_file():
            return folder
    looked = ", ".join(f"'{folder}'" for folder in tried)
    raise InputError(f"'{path}': there is no image '{name}' in {looked}; say with --images where the images are")


def _pictures(path: Path, records: dict[int, dict[str, Any]], folder: Path, split: str) -> list[Picture]:
    pictures = []
    for identity, record in records.items():
        where = f"'{path}' image {identity}"
        file = inside(folder, record["file_name"], where)
        if not file.is_file():
            raise InputError(f"{where}: there is no file '{file}'; restore it or remove the record, "
                             "or say with --images where the images are")  # fmt: skip
        width, height = (_value(record, key, int, where) if key in record else 0 for key in ("width", "height"))
        pictures.append(Picture(file, str(identity), split, width, height, where))
    return pictures


class _AnnotationReader:
    """Checks annotations one by one and collects their objects."""

    def __init__(self, path: Path, pictures: Sequence[Picture], place: dict[int, int], labels: dict[int, int]) -> None:
        self.path, self.pictures, self.place, self.labels = path, pictures, place, labels
        self.objects = Objects()
        self._seen: set[int] = set()
        self._thin: list[str] = []

    def read(self, index: int, record: Any, outlines: bool) -> None:
        """One record of the list; of an image that cannot be read, it is checked and left out."""
        identity = _value(record, "id", int, f"'{self.path}' annotation number {index + 1}")
        where = f"'{self.path}' annotation {identity}"
        if identity in self._seen:
            raise InputError(f"'{self.path}': two annotations have the id {identity}; give each its own")
        self._seen.add(identity)
        image, category = _value(record, "image_id", int, where), _value(record, "category_id", int, where)
        if image not in self.place:
            raise InputError(f"{where} is of the image {image}, which is not listed; add the image or remove it")
        if category not in self.labels:
            raise InputError(
                f"{where} has the unknown category {category}; known: {quoted(list(map(str, self.labels)))}"
            )
        place = self.place[image]
        if place < 0:
            return
        outline = None
        if outlines or "bbox" not in record:
            outline = self._outline(record.get("segmentation"), self.pictures[place], where)
        self.objects.add(
            place, self._box(record, outline, where), self.labels[category],
            crowd=record.get("iscrowd", 0) not in (0, False), area=_area(record, where), outline=outline,
        )  # fmt: skip

    def findings(self) -> tuple[Finding, ...]:
        """What was odd about outlines."""
        if not self._thin:
            return ()
        message = f"{len(self._thin)} rings of outlines have fewer than three points and were left out: {self._thin[0]}"
        return (Finding("outline", message),)

    def _box(self, record: dict[str, Any], outline: Outline | None, where: str) -> Box:
        if "bbox" not in record:
            if outline is None:
                raise InputError(f"{where} has neither 'bbox' nor 'segmentation'; add one or remove it")
            return box_of(outline)
        left, top, width, height = _numbers(record["bbox"], where, "bbox", 4)
        if width < 0 or height < 0:
            raise InputError(f"{where}: its box has a negative size ({width:g}×{height:g}); "
                             "boxes are x, y, width, height")  # fmt: skip
        return left, top, left + width, top + height

    def _outline(self, given: Any, picture: Picture, where: str) -> Outline | None:
        if not given:
            return None
        if isinstance(given, dict):
            return _runs(given, picture, where)
        if not isinstance(given, list):
            raise InputError(f"{where}: 'segmentation' is neither polygons nor run lengths")
        rings = []
        for ring in given:
            numbers = _numbers(ring, where, "segmentation", None)
            if len(numbers) % 2:
                raise InputError(f"{where}: a polygon has {len(numbers)} numbers; x and y come in pairs")
            if len(numbers) < 6:
                self._thin.append(where)
            else:
                rings.append(tuple(numbers))
        return Polygons(tuple(rings)) if rings else None


def _numbers(given: Any, where: str, key: str, count: int | None) -> list[float]:
    if not isinstance(given, list) or (count is not None and len(given) != count):
        expected = "numbers" if count is None else f"{count} numbers"
        raise InputError(f"{where}: '{key}' has to be a list of {expected}")
    for value in given:
        if type(value) not in (int, float) or not math.isfinite(value) or abs(value) > 1e9:
            raise InputError(f"{where}: '{key}' has {str(value)[:20]!r} where a number of pixels should be")
    return [float(value) for value in given]


def _area(record: dict[str, Any], where: str) -> float:
    if "area" not in record:
        return math.nan
    area = record["area"]
    if type(area) not in (int, float) or not 0 <= area < 1e18:
        raise InputError(f"{where}: 'area' cannot be {str(area)[:20]!r}")
    return float(area)


def _runs(given: dict[str, Any], picture: Picture, where: str) -> RunLengths:
    counts, size = given.get("counts"), given.get("size")
    if size != [picture.height, picture.width]:
        raise InputError(f"{where}: its mask's 'size' is {str(size)[:30]}, and its image is "
                         f"[{picture.height}, {picture.width}] (height, width)")  # fmt: skip
    try:
        if isinstance(counts, str):
            return decompressed(counts, picture.height, picture.width)
        if isinstance(counts, list) and all(type(count) is int for count in counts):
            return checked_runs(tuple(counts), picture.height, picture.width)
    except ValueError as error:
        raise InputError(f"{where}: {error}; restore it from its source") from error
    raise InputError(f"{where}: the 'counts' of its mask are neither a string nor a list of whole numbers")


def write_coco(annotations: Annotations, path: Path, root: Path | None = None) -> None:
    """An instances file that :func:`read_coco` reads back the same.

    Image ids are the images' keys where these are different whole numbers, else 1, 2, …; category ids those of the source.

    Args:
        annotations: of whatever source.
        path: of the file; replaced if it is there.
        root: the folder that file names are written relative to; None for bare names.

    Raises:
        InputError: the file cannot be written.
    """
    numbers = annotations.categories or tuple(range(1, len(annotations.classes) + 1))
    keys = [image.key for image in annotations.images]
    own = len(set(keys)) == len(keys) and all(key.isascii() and key.isdigit() and str(int(key)) == key for key in keys)
    images: list[dict[str, Any]] = []
    objects: list[dict[str, Any]] = []
    for place, image in enumerate(annotations.images):
        identity = int(image.key) if own else place + 1
        name = image.image.name if root is None else image.image.relative_to(root).as_posix()
        images.append({"id": identity, "file_name": name, "width": image.width, "height": image.height})
        objects.extend(_records(image, identity, numbers, len(objects)))
    categories = [{"id": number, "name": name} for number, name in zip(numbers, annotations.classes, strict=True)]
    content = {"images": images, "annotations": objects, "categories": categories}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(content, allow_nan=False))


def _records(image: Annotated, identity: int, numbers: Sequence[int], before: int) -> list[dict[str, Any]]:
    outlines = image.outlines or (None,) * len(image.labels)
    columns = zip(image.boxes.tolist(), image.labels.tolist(), image.crowd.tolist(), image.areas.tolist(), outlines,
                  strict=True)  # fmt: skip
    records = []
    for number, ((left, top, right, bottom), label, crowd, area, outline) in enumerate(columns, before + 1):
        record: dict[str, Any] = {
            "id": number, "image_id": identity, "category_id": numbers[label],
            "bbox": [left, top, right - left, bottom - top], "area": area, "iscrowd": int(crowd),
        }  # fmt: skip
        if outline is not None:
            record["segmentation"] = _written(outline)
        records.append(record)
    return records


def _written(outline: Outline) -> Any:
    if isinstance(outline, RunLengths):
        return {"size": [outline.height, outline.width], "counts": compressed(outline)}
    return [list(ring) for ring in outline.rings]


def joined(name: str, parts: Sequence[Annotations]) -> Annotations:
    """Several files of one set, such as those of its splits.

    Raises:
        InputError: they number or name their categories differently.
    """
    first = parts[0]
    for part in parts[1:]:
        if (part.classes, part.categories) != (first.classes, first.categories):
            raise InputError(f"'{first.name}' and '{part.name}' have different categories; "
                             "give both the same ids and names")  # fmt: skip
    images = tuple(image for part in parts for image in part.images)
    findings = tuple(
        replace(finding, message=f"{Path(part.name).name}: {finding.message}")
        for part in parts
        for finding in part.findings
    )
    return Annotations(name, images, first.classes, first.categories, findings)
