"""Reading an image file the way a person sees it, safely."""

import io
import math
import warnings
from pathlib import Path

import numpy as np
import torch
import torchvision.transforms.v2.functional as V
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from pendio.errors import InputError

__all__ = ["MAX_PIXELS", "SUFFIXES", "ImageError", "ImageHeader", "decode", "in_channels", "read_header", "read_image"]

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm")
"""File endings that are taken for images."""

MAX_PIXELS = 100_000_000
"""Largest image that is decoded (width × height): a small file can claim any size and exhaust the memory."""

_GREY_MODES = ("1", "L", "I;16", "I;16B", "I;16L", "I;16N", "I", "LA", "La")


class ImageError(InputError):
    """A file is no image that can be read; the message says which and why."""


class ImageHeader:
    """What a file says of its image before any pixel is decoded: ``width``, ``height``, ``mode`` and ``format``."""

    def __init__(self, image: Image.Image) -> None:
        self.width, self.height = image.size
        self.mode = image.mode
        self.format = image.format or ""

    @property
    def grey(self) -> bool:
        """Whether the image has no colour."""
        return self.mode in _GREY_MODES


def _open(content: bytes, path: Path) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own size warning: our limit below is an error
            image: Image.Image = Image.open(io.BytesIO(content))
    except Image.DecompressionBombError as error:
        raise ImageError(f"image '{path}' claims to be too large to decode (limit: {MAX_PIXELS:,} pixels)") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"'{path}' is not an image, or is damaged at its start") from error
    except Exception as error:
        # Pillow's parsers raise whatever a hostile header provokes: ValueError, SyntaxError, struct.error, …
        raise ImageError(f"image '{path}' cannot be read: {error}") from error
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ImageError(f"image '{path}' claims {width}×{height} pixels, more than the limit of {MAX_PIXELS:,}")
    return image


def in_channels(image: Tensor, channels: int) -> Tensor:
    """A colour image ``(3, H, W)`` as a network of ``channels`` takes it: grey for one."""
    return V.rgb_to_grayscale(image) if channels == 1 else image


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"image '{path}' cannot be read: {error.strerror}") from error


def read_header(path: Path) -> ImageHeader:
    """Size and mode of an image file, without decoding it.

    Raises:
        ImageError: the file cannot be read, is no image, or claims more than ``MAX_PIXELS``.
    """
    try:
        with path.open("rb") as file:
            # Headers with embedded thumbnails and profiles can be long, but seldom longer than this.
            start = file.read(1 << 18)
    except OSError as error:
        raise ImageError(f"image '{path}' cannot be read: {error.strerror}") from error
    try:
        return ImageHeader(_open(start, path))
    except ImageError:
        return ImageHeader(_open(_content(path), path))


def read_image(path: str | Path, *, grey: bool = False, at_least: int | None = None) -> Tensor:
    """An image file as a person sees it.

    Transparency shows white, the EXIF orientation is applied, CMYK, palette and 16-bit images are converted to 8-bit
    colour by their value (not clipped), and of an animation the first frame is taken.

    Args:
        path: the file.
        grey: read one channel instead of three.
        at_least: shorter side in pixels that is enough: a JPEG twice as large or more is decoded at a half, a quarter or
            an eighth of its size, no smaller than this, which takes a fraction of the time.

    Returns:
        uint8 ``(3, H, W)`` in RGB, or ``(1, H, W)`` when ``grey``; in memory, channels come last.

    Raises:
        ImageError: the file cannot be read, is no image, is damaged, or claims more than ``MAX_PIXELS``.
    """
    path = Path(path)
    return decode(_content(path), path, grey=grey, at_least=at_least)


def decode(content: bytes, path: Path, *, grey: bool = False, at_least: int | None = None) -> Tensor:
    """Like :func:`read_image`, of a file's content; ``path`` is for messages."""
    image = _open(content, path)
    try:
        if at_least is not None and image.format in ("JPEG", "MPO"):
            (width, height), shorter = image.size, min(image.size)
            image.draft(None, (math.ceil(width * at_least / shorter), math.ceil(height * at_least / shorter)))
        # Pillow copies the picture even where nothing is to be done.
        if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
            image = ImageOps.exif_transpose(image)
        image, wanted = _flatten(image), "L" if grey else "RGB"
        return _to_tensor(image if image.mode == wanted else image.convert(wanted))
    except Exception as error:
        # The decoders raise whatever damaged content provokes: OSError, ValueError, SyntaxError, struct.error, …
        reason = (str(error).splitlines() or [repr(error)])[0]
        raise ImageError(f"image '{path}' is damaged: {reason}") from error


def _flatten(image: Image.Image) -> Image.Image:
    """The image in 8 bits without transparency."""
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.float64)
        # 16 bits are the only integer depth beyond 8 that image files use for pictures.
        return Image.fromarray(np.clip(np.round(values / 257.0), 0, 255).astype(np.uint8))
    if image.mode == "F":
        raise ImageError("floating-point pixels have no agreed range; save it with 8 or 16 bits")
    if "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info:
        coloured = image.convert("RGBA")
        white = Image.new("RGBA", coloured.size, "white")
        return Image.alpha_composite(white, coloured).convert("RGB")
    return image


def _to_tensor(image: Image.Image) -> Tensor:
    image.load()
    pixels = torch.from_numpy(np.array(image))
    return pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)
