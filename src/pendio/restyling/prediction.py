"""Restyling images, folders of them and moving pictures, each in one pass."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from pendio.data.frames import is_moving, read_frames, write_frames
from pendio.data.images import ImageError, in_channels
from pendio.data.inputs import named_images
from pendio.data.outputs import Places, through
from pendio.pictures.png import image_png
from pendio.restyling.task import Restyle
from pendio.runs.files import replacing

__all__ = ["Restyled", "restyle_inputs"]


@dataclass(frozen=True)
class Restyled:
    """What became of one input.

    Attributes:
        input: its name.
        file: what was written: a PNG, a GIF or an MP4 file.
        size: height and width in pixels.
        frames: how many; 1 for an image.
    """

    input: str
    file: Path
    size: tuple[int, int]
    frames: int = 1

    def to_dict(self) -> dict[str, object]:
        """For ``--json``."""
        return {"input": self.input, "file": str(self.file), "size": list(self.size), "frames": self.frames}


def restyle_inputs(task: Restyle, inputs: Sequence[str], out: Path) -> Iterator[Restyled | ImageError]:
    """Restyle each input in turn and write it into a folder; of a folder, each image and moving picture in it.

    Images keep their size, moving pictures their frames and their rate; they pass frame by frame, never all in memory.
    An input that was named itself must be readable. An unreadable one inside a folder comes out as an error in its place.

    Args:
        task: a trained restyler.
        inputs: image files, GIFs, videos, folders of them, names of embedded photographs, or "photos" for all of those.
        out: the folder; made where there is none.

    Raises:
        InputError: an input does not exist or cannot be read, or the result would replace it.
    """
    places = Places(out)
    return through(inputs, lambda text, name: _restyled(task, text, name, places))


def _restyled(task: Restyle, text: str, name: str, places: Places) -> Iterator[Restyled]:
    """The results of an input that is no folder; ``name`` is its path within the output folder."""
    path = Path(text)
    if is_moving(path):
        yield _moving(task, path, places.make_moving(name, path))
        return
    for title, image in named_images([text], grey=task.restyler.channels == 1):
        if isinstance(image, ImageError):
            raise image
        result = task.predict(image[None])[0]
        place = places.make(name if path.is_file() else title, ".png", path)
        with replacing(place) as file:
            file.write(image_png(result))
        yield Restyled(title, place, (result.shape[1], result.shape[2]))


def _moving(task: Restyle, path: Path, place: Path) -> Restyled:
    rate, frames = read_frames(path)
    size = (0, 0)

    def restyled() -> Iterator[Tensor]:
        nonlocal size
        for frame in frames:
            size = (frame.shape[1], frame.shape[2])
            yield task.predict(in_channels(frame, task.restyler.channels)[None])[0]

    count = write_frames(place, restyled(), rate)
    return Restyled(str(path), place, size, count)
