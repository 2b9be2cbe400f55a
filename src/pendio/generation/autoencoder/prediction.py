"""What an autoencoder makes of inputs, and which are strange."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import Tensor

from pendio.data.images import ImageError
from pendio.data.inputs import named_images
from pendio.data.outputs import Places
from pendio.generation.autoencoder.pictures import heated
from pendio.generation.autoencoder.task import Autoencoder
from pendio.generation.given import fitted, rows_of
from pendio.runs.files import replacing

__all__ = ["Judged", "judge_inputs"]


@dataclass(frozen=True)
class Judged:
    """What came of one input.

    Attributes:
        input: its name, of a table with the line.
        score: the mean squared error of its reconstruction, of tables in standardised features.
        anomaly: whether that is above the run's threshold.
        file: the picture that was written: the image, its reconstruction, and where they differ; empty for tables.
    """

    input: str
    score: float
    anomaly: bool
    file: str = ""

    def to_dict(self) -> dict[str, object]:
        """For ``--json``."""
        return asdict(self)


def judge_inputs(task: Autoencoder, inputs: Sequence[str], out: Path) -> Iterator[Judged | ImageError]:
    """Judge each input in turn: images, of folders each image in them, or the rows of CSV files.

    An image that was named itself must be readable. An unreadable one inside a folder comes out as an error in its place.

    Args:
        task: trained.
        inputs: image files, folders of them or names of embedded photographs; for tables, CSV files of the same columns.
        out: the folder for pictures; made where there is one to write.

    Raises:
        InputError: an input does not exist or cannot be read, or has another number of columns.
    """
    if not task.is_image:
        for text in inputs:
            yield from _rows(task, text)
        return
    places = Places(out)
    channels, *sides = task.shape
    for name, image in named_images(inputs, grey=channels == 1):
        if isinstance(image, ImageError):
            yield image
            continue
        yield _judged(task, name, fitted(image, sides)[None], places)


def _judged(task: Autoencoder, name: str, image: Tensor, places: Places) -> Judged:
    score = float(task.strangeness(image)[0])
    place = places.named(name, ".png")
    with replacing(place) as file:
        file.write(heated(task.prepare(image), task.predict(image), task.heatmaps(image)))
    return Judged(name, score, score > float(task.threshold), str(place))


def _rows(task: Autoencoder, text: str) -> Iterator[Judged]:
    scores = task.strangeness(rows_of(text, task.shape[0]))
    for line, score in enumerate(scores.tolist(), 2):
        yield Judged(f"{text}:{line}", score, score > float(task.threshold))
