"""Moving pictures, frame by frame: GIF by Pillow, video files by PyAV."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageSequence
from torch import Tensor

from pendio.data.images import MAX_PIXELS, ImageError
from pendio.errors import InputError
from pendio.runs.files import replacing, writing

__all__ = ["MOVING", "is_moving", "read_frames", "write_frames"]

MOVING = (".gif", ".mp4", ".mov", ".mkv", ".webm", ".avi")
"""File endings that are taken for moving pictures."""


def is_moving(path: Path) -> bool:
    """Whether a file holds more than one frame."""
    if path.suffix.lower() not in MOVING or not path.is_file():
        return False
    if path.suffix.lower() != ".gif":
        return True
    try:
        with Image.open(path) as image:
            return int(getattr(image, "n_frames", 1)) > 1
    except Exception as error:  # Pillow's parsers raise whatever a hostile header provokes
        raise ImageError(f"image '{path}' cannot be read: {error}") from error


def read_frames(path: Path) -> tuple[float, Iterator[Tensor]]:
    """Frames a second, and the frames one after another as uint8 ``(3, H, W)``: never all in memory.

    Raises:
        InputError: the file is damaged, its frames are larger than ``MAX_PIXELS``, or PyAV is not installed.
    """
    return _read_gif(path) if path.suffix.lower() == ".gif" else _read_video(path)


def _read_gif(path: Path) -> tuple[float, Iterator[Tensor]]:
    try:
        image = Image.open(path)
        milliseconds = float(image.info.get("duration", 100)) or 100.0
    except Exception as error:
        raise ImageError(f"image '{path}' cannot be read: {error}") from error
    _check_size(path, *image.size)

    def frames() -> Iterator[Tensor]:
        try:
            with image:
                for frame in ImageSequence.Iterator(image):
                    yield torch.from_numpy(np.array(frame.convert("RGB"))).permute(2, 0, 1)
        except (OSError, ValueError, SyntaxError, EOFError) as error:
            raise ImageError(f"image '{path}' is damaged: {error}") from error

    return 1000 / milliseconds, frames()


def _read_video(path: Path) -> tuple[float, Iterator[Tensor]]:
    av = _pyav()
    try:
        container = av.open(str(path))
        stream = container.streams.video[0]
    except (av.FFmpegError, IndexError) as error:
        raise ImageError(f"video '{path}' cannot be read: {error}") from error
    _check_size(path, stream.width, stream.height)

    def frames() -> Iterator[Tensor]:
        try:
            with container:
                for frame in container.decode(stream):
                    yield torch.from_numpy(frame.to_ndarray(format="rgb24")).permute(2, 0, 1)
        except av.FFmpegError as error:
            raise ImageError(f"video '{path}' is damaged: {error}") from error

    return float(stream.average_rate or 25), frames()


def _check_size(path: Path, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise ImageError(f"'{path}' claims frames of {width}×{height} pixels, more than the limit of {MAX_PIXELS:,}")


def _pyav() -> Any:
    try:
        import av
    except ModuleNotFoundError as error:
        raise InputError("video files need a package: pip install 'pendio[video]'; GIFs need none") from error
    return av


def write_frames(path: Path, frames: Iterator[Tensor], rate: float) -> int:
    """Write frames, uint8 ``(3, H, W)`` or floats in [0, 1], as they come; how many there were.

    Args:
        path: ends in .gif, .mp4 or another of ``MOVING``.
        frames: of one size.
        rate: frames a second.

    Raises:
        InputError: the ending is unknown, the file cannot be written, or PyAV is not installed.
    """
    if path.suffix.lower() not in MOVING:
        raise InputError(f"'{path}' is no moving picture; end it in {' or '.join(MOVING[:2])}")
    pixels = (_bytes(frame) for frame in frames)
    return _write_gif(path, pixels, rate) if path.suffix.lower() == ".gif" else _write_video(path, pixels, rate)


def _bytes(frame: Tensor) -> Any:
    values = frame if frame.dtype == torch.uint8 else (frame.clamp(0, 1) * 255).round().to(torch.uint8)
    return values.expand(3, -1, -1).permute(1, 2, 0).cpu().contiguous().numpy()


def _write_gif(path: Path, pixels: Iterator[Any], rate: float) -> int:
    count = 0

    def images() -> Iterator[Image.Image]:
        nonlocal count
        for frame in pixels:
            count += 1
            yield Image.fromarray(frame)

    made = images()
    first = next(made, None)
    if first is None:
        raise InputError(f"there is no frame to write to '{path}'")
    with replacing(path) as file:
        first.save(file, format="GIF", save_all=True, append_images=made, duration=round(1000 / rate), loop=0)
    return count


def _write_video(path: Path, pixels: Iterator[Any], rate: float) -> int:
    av = _pyav()
    draft, count = path.with_name(f".{path.name}.part{path.suffix}"), 0
    try:
        with writing(path), av.open(str(draft), "w") as container:
            stream = container.add_stream("libx264", rate=Fraction(rate).limit_denominator(1001))
            stream.pix_fmt = "yuv420p"
            for frame in pixels:
                # The format halves the colours' resolution, so that sides must be even.
                even = np.ascontiguousarray(frame[: frame.shape[0] // 2 * 2, : frame.shape[1] // 2 * 2])
                if not count:
                    stream.height, stream.width = even.shape[:2]
                container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
                count += 1
            container.mux(stream.encode())
        with writing(path):
            draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return count
