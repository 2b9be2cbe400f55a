"""Images by what a user calls them: files, folders, and the names of embedded photographs."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torchvision.transforms.v2.functional as V
from torch import Tensor

from pendio.data.embedded import PHOTOS, photo, photo_named
from pendio.data.images import SUFFIXES, ImageError, read_image
from pendio.errors import InputError

__all__ = ["named_image", "named_images"]


def named_images(inputs: Sequence[str], grey: bool = False) -> Iterator[tuple[str, Tensor | ImageError]]:
    """Each image that is meant, with its name, as uint8 ``(C, H, W)`` of its own size.

    An image that was named itself must be readable. An unreadable one inside a folder comes out as an error in its place.

    Args:
        inputs: image files, folders of them, names of embedded photographs, or "photos" for all of those.
        grey: give one channel instead of three.

    Raises:
        InputError: an input does not exist or cannot be read.
    """
    for text in inputs:
        path = Path(text)
        embedded = PHOTOS if text == "photos" else [photo_named(text)]
        if path.is_file():
            yield text, read_image(path, grey=grey)
        elif path.is_dir():
            yield from _folder(path, grey)
        elif None not in embedded:
            for name in embedded:
                pixels = photo(str(name))
                yield str(name), V.rgb_to_grayscale(pixels) if grey else pixels
        else:
            raise InputError(f"input '{text}' is neither a file or folder, nor an embedded photo ({', '.join(PHOTOS)})")


def named_image(text: str, grey: bool = False) -> Tensor:
    """The one image that is meant, uint8 ``(C, H, W)``.

    Raises:
        InputError: there is none, it cannot be read, or there are several.
    """
    found = list(named_images([text], grey))
    if len(found) != 1 or isinstance(found[0][1], ImageError):
        raise InputError(f"'{text}' holds {len(found)} images; name the one that is meant")
    return found[0][1]


def _folder(folder: Path, grey: bool) -> Iterator[tuple[str, Tensor | ImageError]]:
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not paths:
        raise InputError(f"folder '{folder}' has no images (looked for {' '.join(SUFFIXES)})")
    for path in paths:
        try:
            yield str(path), read_image(path, grey=grey)
        except ImageError as error:
            yield str(path), error
