"""Finding objects in images, folders of them and moving pictures, and drawing what was found."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pendio.data.annotations.letterbox import Letterbox
from pendio.data.frames import is_moving, read_frames, write_frames
from pendio.data.images import ImageError
from pendio.data.inputs import named_images
from pendio.data.outputs import Places, through
from pendio.detection.coco_results import Results, records
from pendio.detection.detections import Detections
from pendio.detection.evaluation import Finder
from pendio.errors import InputError
from pendio.pictures.boxes import Boxes, draw_boxes
from pendio.pictures.png import image_png
from pendio.runs.files import replacing

__all__ = ["RESULTS", "Detected", "detect_inputs", "find"]

RESULTS = "detections.json"
"""The file of all detections in the output folder."""


@dataclass(frozen=True)
class Detected:
    """What was found in one input.

    Attributes:
        input: its name.
        file: what was drawn: a PNG, a GIF or an MP4 file.
        size: height and width in pixels.
        objects: what was found, with class, score and box; of a moving picture, in its first frame.
        frames: how many; 1 for an image.
    """

    input: str
    file: Path
    size: tuple[int, int]
    objects: tuple[dict[str, object], ...]
    frames: int = 1

    def to_dict(self) -> dict[str, object]:
        """For ``--json``."""
        return {
            "input": self.input, "file": str(self.file), "size": list(self.size), "objects": list(self.objects),
            "frames": self.frames,
        }  # fmt: skip


@torch.no_grad()
def find(task: Finder, image: Tensor, threshold: float = 0.0) -> Detections:
    """Objects in an image of any size, in its own pixels.

    Args:
        task: a trained detector.
        image: uint8 ``(3, H, W)``.
        threshold: score from which a detection is given.
    """
    fit = Letterbox(image.shape[1], image.shape[2], task.size)
    (found,) = task.predict(fit.image(image)[None])
    sure = found.scores >= threshold
    boxes = fit.back(found.boxes[sure])
    # What lay in the grey around the image alone has no side left.
    real = (boxes[:, 2:] > boxes[:, :2]).all(1)
    return Detections(boxes[real], found.scores[sure][real], found.labels[sure][real])


def detect_inputs(
    task: Finder, inputs: Sequence[str], out: Path, threshold: float = 0.25
) -> Iterator[Detected | ImageError]:  # fmt: skip
    """Find objects in each input in turn; of a folder, in each image and moving picture in it.

    Into a folder go the images with boxes drawn in, of their own size, moving pictures frame by frame, and all detections
    together in ``detections.json`` in COCO's form, once all inputs are through. An input that was named itself must be
    readable. An unreadable one inside a folder comes out as an error in its place.

    Args:
        task: a trained detector.
        inputs: image files, GIFs, videos, folders of them, names of embedded photographs, or "photos" for all of those.
        out: the folder; made where there is none.
        threshold: score from which a detection is drawn and written.

    Raises:
        InputError: the threshold is no score, an input does not exist or cannot be read, or the result would replace it.
    """
    if not 0 <= threshold <= 1:
        raise InputError(f"--threshold must be in [0, 1], got {threshold:g}")
    return _through_all(_Work(task, Places(out), threshold, Results(task.classes)), inputs, out)


def _through_all(work: "_Work", inputs: Sequence[str], out: Path) -> Iterator[Detected | ImageError]:
    yield from through(inputs, work.one)
    if len(work.results):
        work.results.write(out / RESULTS)


@dataclass(frozen=True)
class _Work:
    task: Finder
    places: Places
    threshold: float
    results: Results

    def one(self, text: str, name: str) -> Iterator[Detected]:
        """The results of an input that is no folder; ``name`` is its path within the output folder."""
        path = Path(text)
        if is_moving(path):
            yield self._moving(path, self.places.make_moving(name, path))
            return
        for title, image in named_images([text]):
            if isinstance(image, ImageError):
                raise image
            drawn, found = self._drawn(title, image)
            place = self.places.make(name if path.is_file() else title, ".png", path)
            with replacing(place) as file:
                file.write(image_png(drawn))
            yield Detected(title, place, _size(image), tuple(records(found, self.task.classes)))

    def _moving(self, path: Path, place: Path) -> Detected:
        rate, frames = read_frames(path)
        size, first = (0, 0), Detections.none()

        def drawn() -> Iterator[Tensor]:
            nonlocal size, first
            for number, frame in enumerate(frames):
                picture, found = self._drawn(str(path), frame, number)
                if not number:
                    size, first = _size(frame), found
                yield picture

        count = write_frames(place, drawn(), rate)
        return Detected(str(path), place, size, tuple(records(first, self.task.classes)), count)

    def _drawn(self, name: str, image: Tensor, frame: int | None = None) -> tuple[Tensor, Detections]:
        found = find(self.task, image, self.threshold)
        self.results.add(name, _size(image), found, frame)
        return draw_boxes(image, Boxes(found.boxes, found.labels, found.scores), self.task.classes), found


def _size(image: Tensor) -> tuple[int, int]:
    return image.shape[1], image.shape[2]
