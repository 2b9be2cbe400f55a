"""Restyling images, folders of them and moving pictures, each in one pass."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from pendio.data.frames import MOVING, is_moving, read_frames, write_frames
from pendio.data.images import SUFFIXES, ImageError
from pendio.data.inputs import named_images
from pendio.errors import InputError
from pendio.pictures.png import image_png
from pendio.restyling.task import Restyle
from pendio.runs.files import replacing, writing

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
    places = _Places(out)
    for text in inputs:
        folder = Path(text)
        if not folder.is_dir():
            yield from _restyled(task, text, Path(text).name, places)
            continue
        for file in _within(folder):
            try:
                yield from _restyled(task, str(file), str(file.relative_to(folder)), places)
            except ImageError as error:
                yield error


def _within(folder: Path) -> list[Path]:
    endings = {*SUFFIXES, *MOVING}
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in endings and path.is_file())
    if not files:
        raise InputError(f"folder '{folder}' has no images or videos (looked for {' '.join(sorted(endings))})")
    return files


def _restyled(task: Restyle, text: str, name: str, places: "_Places") -> Iterator[Restyled]:
    """The results of an input that is no folder; ``name`` is its path within the output folder."""
    path = Path(text)
    if is_moving(path):
        yield _moving(task, path, places.make(name, ".gif" if path.suffix.lower() == ".gif" else ".mp4", path))
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
            grey = task.restyler.channels == 1
            yield task.predict((_grey(frame) if grey else frame)[None])[0]

    count = write_frames(place, restyled(), rate)
    return Restyled(str(path), place, size, count)


def _grey(frame: Tensor) -> Tensor:
    import torchvision.transforms.v2.functional as V

    return V.rgb_to_grayscale(frame)  # type: ignore[no-any-return]


class _Places:
    """Where results go: under the names of their inputs, each its own, and never over an input."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._taken: set[Path] = set()

    def make(self, name: str, suffix: str, source: Path) -> Path:
        """A path for the result of an input called ``name``, in a folder that exists."""
        plain = self._out / Path(name).with_suffix(suffix)
        place, number = plain, 2
        while place in self._taken:
            # As when a.jpg and a.png lie side by side.
            place, number = plain.with_stem(f"{plain.stem}-{number}"), number + 1
        if source.exists() and place.resolve() == source.resolve():
            raise InputError(f"'{source}' would be replaced by its result; choose another folder with --out")
        with writing(place):
            place.parent.mkdir(parents=True, exist_ok=True)
        self._taken.add(place)
        return place
