"""Where what is made of images goes: through inputs and folders of them, into an output folder, never over an input."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from pendio.data.frames import MOVING
from pendio.data.images import SUFFIXES, ImageError
from pendio.errors import InputError
from pendio.runs.files import writing

__all__ = ["Places", "through"]

Result = TypeVar("Result")
"""What is made of one input."""


def through(
    inputs: Sequence[str], work: Callable[[str, str], Iterator[Result]]
) -> Iterator[Result | ImageError]:  # fmt: skip
    """Results for each input in turn; of a folder, for each image and moving picture in it.

    An input that was named itself must be readable. An unreadable one inside a folder comes out as an error in its place.

    Args:
        inputs: files, folders of them, and whatever else ``work`` knows by name.
        work: gives the results of an input that is no folder, of its text and of its path within the output folder.

    Raises:
        InputError: an input does not exist or cannot be read.
    """
    for text in inputs:
        folder = Path(text)
        if not folder.is_dir():
            yield from work(text, Path(text).name)
            continue
        for file in _within(folder):
            try:
                yield from work(str(file), str(file.relative_to(folder)))
            except ImageError as error:
                yield error


def _within(folder: Path) -> list[Path]:
    endings = {*SUFFIXES, *MOVING}
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in endings and path.is_file())
    if not files:
        raise InputError(f"folder '{folder}' has no images or videos (looked for {' '.join(sorted(endings))})")
    return files


class Places:
    """Where results go: under the names of their inputs, each its own, and never over an input.

    Args:
        out: the folder; made where there is none.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self._taken: set[Path] = set()

    def make(self, name: str, suffix: str, source: Path, addition: str = "") -> Path:
        """A path for a result, in a folder that exists.

        Args:
            name: of the input, with the folders that it lies in.
            suffix: ending of the result.
            source: the input itself.
            addition: what the result's name has before its ending, where an input has several.

        Raises:
            InputError: the result would replace its input, or the folder cannot be made.
        """
        named = self._out / Path(name).with_suffix(suffix)
        plain = named.with_stem(f"{named.stem}{addition}")
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

    def named(self, text: str, suffix: str) -> Path:
        """The same for an input by what the user called it: of a file its name alone, without the folders it lies in."""
        path = Path(text)
        return self.make(path.name if path.is_file() else text, suffix, path)

    def make_moving(self, name: str, source: Path, addition: str = "") -> Path:
        """The same for what is made of a moving picture: of a GIF another, of a video an MP4 file."""
        return self.make(name, ".gif" if source.suffix.lower() == ".gif" else ".mp4", source, addition)
