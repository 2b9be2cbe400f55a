"""Pascal VOC (Everingham et al., 2010): a file of XML an image, and masks with a palette."""

import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path

import defusedxml.ElementTree
from defusedxml.common import DefusedXmlException

from pendio.data.annotations.files import (
    Picture,
    images_in,
    inside,
    measured,
    read_bytes,
    read_lines,
    write_new,
)
from pendio.data.annotations.records import Annotated, Annotations
from pendio.data.annotations.tidying import Box, Objects, assemble
from pendio.data.examples import Finding
from pendio.data.images import SUFFIXES
from pendio.errors import InputError, listed

__all__ = ["VOC_CLASSES", "read_voc", "set_lists", "write_voc"]

VOC_CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
"""What the values in the masks of Pascal VOC mean."""

_MAX_BYTES = 16 << 20


def read_voc(folder: Path, images: Path | None = None, *, split: str = "") -> Annotations:
    """Images and objects of a folder with ``Annotations/`` and ``JPEGImages/``, or with each image beside its XML.

    Coordinates in the files count pixels from 1 and include the last one; here boxes run from edge to edge, so that
    (xmin, ymin, xmax, ymax) becomes (xmin − 1, ymin − 1, xmax, ymax). Objects marked ``difficult`` count as crowds.
    Classes are the names found, in alphabetical order. Splits are those of ``ImageSets/Main``; where there are any,
    images that none lists are left out.

    Args:
        folder: of the set.
        images: the folder of the images, if elsewhere.
        split: of all images, for a folder that is one split.

    Raises:
        InputError: an XML file is damaged or unsafe, or its image is missing; the message names the file.
    """
    nested = (folder / "Annotations").is_dir()
    files = sorted((folder / "Annotations" if nested else folder).glob("*.xml"))
    if not files:
        raise InputError(f"'{folder}' has no .xml files of annotations")
    home = images or (folder / "JPEGImages" if nested else folder)
    if not home.is_dir():
        raise InputError(f"'{folder}' has no folder JPEGImages; say with --images where the images are")
    splits = set_lists(folder / "ImageSets" / "Main") if nested else {}
    chosen = [file for file in files if not splits or file.stem in splits]
    missing = sorted(splits.keys() - {file.stem for file in files})
    if missing:
        raise InputError(f"'{folder / 'ImageSets' / 'Main'}' lists '{missing[0]}', which has no file in Annotations")
    findings = []
    if len(chosen) < len(files):
        unlisted = tuple(str(file) for file in files if file.stem not in splits)
        findings.append(Finding("unlisted", f"{len(unlisted)} images are in no list of ImageSets/Main and were left out: "
                                f"{listed([Path(name).name for name in unlisted])}", unlisted))  # fmt: skip
    by_stem = {image.stem: image for image in images_in(home)}
    roots = [_parsed(file) for file in chosen]
    pictures = [
        _picture(file, root, home, by_stem, splits.get(file.stem, split))
        for file, root in zip(chosen, roots, strict=True)
    ]
    readable, more = measured(str(folder), pictures)
    place = {picture.source: index for index, picture in enumerate(readable)}
    found = [
        (place[picture.source], name, box, difficult)
        for picture, file, root in zip(pictures, chosen, roots, strict=True) if picture.source in place
        for name, box, difficult in _objects(file, root)
    ]  # fmt: skip
    classes = tuple(sorted({name for _, name, _, _ in found}))
    if not classes:
        raise InputError(f"none of the {len(files)} XML files in '{folder}' has an <object>")
    number, objects = {name: index for index, name in enumerate(classes)}, Objects()
    for where, name, box, difficult in found:
        objects.add(where, box, number[name], crowd=difficult)
    annotated, odd = assemble(str(folder), readable, objects)
    return Annotations(str(folder), annotated, classes, findings=(*findings, *more, *odd))


def set_lists(folder: Path) -> dict[str, str]:
    """The split of each image that the ``train.txt``, ``val.txt`` and ``test.txt`` of an ``ImageSets`` folder list.

    Raises:
        InputError: an image is in two of them.
    """
    splits: dict[str, str] = {}
    for split in ("train", "val", "test"):
        path = folder / f"{split}.txt"
        for number, line in enumerate(read_lines(path) if path.is_file() else [], 1):
            name = line.strip()
            if splits.get(name, split) != split:
                raise InputError(f"'{path}' line {number}: '{name}' is in {splits[name]}.txt as well; "
                                 "keep it in one")  # fmt: skip
            if name:
                splits[name] = split
    return splits


def _parsed(path: Path) -> ElementTree.Element:
    content = read_bytes(path, _MAX_BYTES)
    try:
        root: ElementTree.Element = defusedxml.ElementTree.fromstring(content, forbid_dtd=True)
    except ElementTree.ParseError as error:
        line, column = error.position
        raise InputError(f"'{path}' line {line} column {column + 1} is no XML: "
                         f"{str(error).split(':')[0]}; repair or remove it") from error  # fmt: skip
    except DefusedXmlException as error:
        raise InputError(f"'{path}' declares a document type or entities, which can harm and which annotations do not "
                         "need; remove the <!DOCTYPE …>") from error  # fmt: skip
    except (ValueError, LookupError) as error:
        raise InputError(f"'{path}' is no XML that can be read: {error}") from error
    if root.tag != "annotation":
        raise InputError(f"'{path}' is no annotation of Pascal VOC: its outermost element is <{root.tag[:40]}>")
    return root


def _picture(path: Path, root: ElementTree.Element, home: Path, by_stem: dict[str, Path], split: str) -> Picture:
    name = (root.findtext("filename") or "").strip()
    image = inside(home, name, f"'{path}'") if name else None
    if image is None or image.suffix.lower() not in SUFFIXES or not image.is_file():
        image = by_stem.get(path.stem)
    if image is None:
        raise InputError(f"'{path}': there is no image '{home / (name or path.stem)}'; restore it or remove the file")
    width, height = (_whole(root.findtext(f"size/{side}")) for side in ("width", "height"))
    return Picture(image, path.stem, split, width, height, f"'{path}'")


def _whole(text: str | None) -> int:
    """A side in pixels; 0, as some tools write it, where it is not known."""
    return int(text) if text is not None and text.strip().isascii() and text.strip().isdigit() else 0


def _objects(path: Path, root: ElementTree.Element) -> list[tuple[str, Box, bool]]:
    objects = []
    for number, element in enumerate(root.findall("object"), 1):
        where = f"'{path}' object {number}"
        name = (element.findtext("name") or "").strip()
        if not name:
            raise InputError(f"{where} has no <name>; name it or remove it")
        corners = [_corner(element, side, where) for side in ("xmin", "ymin", "xmax", "ymax")]
        left, top, right, bottom = corners
        if right < left or bottom < top:
            raise InputError(f"{where}: its box has a negative size (xmin {left:g}, xmax {right:g}, ymin {top:g}, "
                             f"ymax {bottom:g}); swap the corners")  # fmt: skip
        difficult = (element.findtext("difficult") or "0").strip() not in ("0", "")
        objects.append((name, (left - 1, top - 1, right, bottom), difficult))
    return objects


def _corner(element: ElementTree.Element, side: str, where: str) -> float:
    text = element.findtext(f"bndbox/{side}")
    if text is None:
        raise InputError(f"{where} has no <{side}> in a <bndbox>; add it or remove the object")
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or abs(value) > 1e9:
        raise InputError(f"{where}: <{side}> cannot be '{text.strip()[:20]}'; expected pixels")
    return value


def write_voc(annotations: Annotations, folder: Path) -> None:
    """``Annotations/*.xml`` and ``ImageSets/Main/*.txt`` for images that lie, or will, in ``JPEGImages/`` of a folder.

    Coordinates are rounded to whole pixels, boxes at least one pixel wide. Crowds become ``difficult``.

    Raises:
        InputError: a file cannot be written.
    """
    for image in annotations.images:
        tree = _element(image, annotations.classes)
        ElementTree.indent(tree)
        text = ElementTree.tostring(tree, encoding="unicode") + "\n"
        write_new(folder / "Annotations" / f"{image.image.stem}.xml", text)
    lists = folder / "ImageSets" / "Main"
    for split in ("train", "val", "test"):
        names = [image.image.stem for image in annotations.images if image.split == split]
        if names:
            write_new(lists / f"{split}.txt", "".join(f"{name}\n" for name in names))


def _element(image: Annotated, classes: Sequence[str]) -> ElementTree.Element:
    root = ElementTree.Element("annotation")
    ElementTree.SubElement(root, "folder").text = "JPEGImages"
    ElementTree.SubElement(root, "filename").text = image.image.name
    size = ElementTree.SubElement(root, "size")
    for name, value in (("width", image.width), ("height", image.height), ("depth", 3)):
        ElementTree.SubElement(size, name).text = str(value)
    columns = zip(image.boxes.tolist(), image.labels.tolist(), image.crowd.tolist(), strict=True)
    for box, label, crowd in columns:
        element = ElementTree.SubElement(root, "object")
        ElementTree.SubElement(element, "name").text = classes[label]
        ElementTree.SubElement(element, "difficult").text = str(int(crowd))
        bounds = ElementTree.SubElement(element, "bndbox")
        corners = (*_pixels(box[0], box[2], image.width), *_pixels(box[1], box[3], image.height))
        for name, value in zip(("xmin", "xmax", "ymin", "ymax"), corners, strict=True):
            ElementTree.SubElement(bounds, name).text = str(value)
    return root


def _pixels(start: float, end: float, side: int) -> tuple[int, int]:
    """The first and last pixel, counted from 1, of a stretch from edge to edge."""
    first = min(math.floor(start + 0.5), side - 1)
    return first + 1, max(math.floor(end + 0.5), first + 1)
