"""The files of annotated images: where they lie, which split they are of, and how large the images are."""

import re
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import NamedTuple

from PIL import ExifTags, Image

from pendio.data.examples import SPLITS, Finding
from pendio.data.images import SUFFIXES, ImageError, read_header
from pendio.errors import InputError, listed
from pendio.runs.files import writing

__all__ = [
    "Picture",
    "images_in",
    "inside",
    "measured",
    "read_bytes",
    "read_lines",
    "seen_size",
    "split_of",
    "write_new",
]

_READERS = 8
_MAX_BAD_SHARE = 0.01
_LONGEST_NAME = 255
_MAX_LINES_BYTES = 1 << 26


class Picture(NamedTuple):
    """An image file before it is known what is in it.

    Attributes:
        file: where it lies.
        key: what its source calls it.
        split: "train", "val", "test" or "".
        width, height: in pixels; 0 where its source does not say.
        source: the record that tells of it, for messages.
    """

    file: Path
    key: str
    split: str = ""
    width: int = 0
    height: int = 0
    source: str = ""


def split_of(name: str) -> str:
    """The split that the name of a file or folder speaks of, or "".

    >>> split_of("instances_train2017")
    'train'
    """
    for word in re.split(r"[^a-z]+", name.lower()):
        if word in SPLITS:
            return SPLITS[word]
    return ""


def images_in(folder: Path) -> list[Path]:
    """The image files that lie directly in a folder, in the order of their names."""
    return sorted(
        path for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    )  # fmt: skip


def inside(folder: Path, name: str, source: str) -> Path:
    """The file of a folder that a record names.

    Raises:
        InputError: the name leads out of the folder, or cannot be one.
    """
    parts = PurePosixPath(name.replace("\\", "/"))
    if any(len(part.encode("utf-8", "replace")) > _LONGEST_NAME for part in parts.parts):
        raise InputError(f"{source}: file name '{name[:40]}…' is longer than file names can be; correct it")
    if parts.is_absolute() or PureWindowsPath(name).drive or ".." in parts.parts or "\0" in name:
        raise InputError(f"{source}: file name '{name[:80]}' leads out of the folder '{folder}'; "
                         "name files relative to it, without '..'")  # fmt: skip
    return folder / parts


def read_bytes(path: Path, most: int) -> bytes:
    """A file's content.

    Raises:
        InputError: it cannot be read, or has more than ``most`` bytes.
    """
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise InputError(f"'{path}' cannot be read: {error.strerror}") from error
    if len(content) > most:
        raise InputError(f"'{path}' has more than {most:,} bytes, too many for a file of its kind; split it")
    return content


def read_lines(path: Path) -> list[str]:
    """The lines of a small text file.

    Raises:
        InputError: it cannot be read, has more than 64 MiB, or is no text in UTF-8.
    """
    try:
        return read_bytes(path, _MAX_LINES_BYTES).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"'{path}' is no text in UTF-8 (byte {error.start}); save it as UTF-8") from error


def write_new(path: Path, text: str) -> None:
    """Write a text file of which a set has one an image: not forced to the disk one by one, which takes hours.

    Raises:
        InputError: it cannot be written.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def seen_size(path: Path) -> tuple[int, int]:
    """Width and height of an image as a person sees it, turned as its EXIF orientation says; nothing is decoded.

    Raises:
        ImageError: see :func:`pendio.data.images.read_header`.
    """
    header = read_header(path)
    if header.format not in ("JPEG", "MPO", "WEBP", "PNG"):
        return header.width, header.height  # of TIFF, Pillow's header has the turned size already
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                # Asked for its EXIF block, Pillow decodes a PNG whole that has none.
                known = header.format != "PNG" or "exif" in image.info
                turned = known and image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
    except Exception:
        # A damaged EXIF block raises whatever it provokes, and says nothing of an orientation.
        turned = False
    return (header.height, header.width) if turned else (header.width, header.height)


def _try_size(picture: Picture) -> tuple[int, int] | ImageError:
    try:
        return seen_size(picture.file)
    except ImageError as error:
        return error


def measured(name: str, pictures: Sequence[Picture]) -> tuple[list[Picture], tuple[Finding, ...]]:
    """The readable pictures with their sizes, read from the files' headers by several threads.

    Raises:
        InputError: a source gives an image another size than the file has, or more than 1 % are unreadable.
    """
    with ThreadPoolExecutor(_READERS) as pool:
        sizes = list(pool.map(_try_size, pictures, chunksize=64))
    readable, errors, names = [], [], []
    for picture, size in zip(pictures, sizes, strict=True):
        if isinstance(size, ImageError):
            errors.append(str(size))
            names.append(str(picture.file))
            continue
        told = (picture.width, picture.height)
        if 0 not in told and told != size:
            turned = "; it is stored turned (EXIF orientation)" if told == size[::-1] else ""
            raise InputError(
                f"{picture.source}: says {told[0]}×{told[1]}, but the image '{picture.file}' is {size[0]}×{size[1]} as "
                f"one sees it{turned}: boxes and masks would be misplaced; correct the record or the image"
            )
        readable.append(picture._replace(width=size[0], height=size[1]))
    if not errors:
        return readable, ()
    if len(errors) > _MAX_BAD_SHARE * len(pictures):
        raise InputError(f"{len(errors)} of {len(pictures)} images in '{name}' cannot be read, more than 1 %; "
                         f"repair or remove them: {listed(errors)}")  # fmt: skip
    message = f"{len(errors)} unreadable images, left out: {listed(errors)}"
    return readable, (Finding("unreadable", message, tuple(names)),)
