"""Detections of many images as one JSON file in COCO's form."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pendio.detection.detections import Detections
from pendio.runs.files import write_text

__all__ = ["Results", "records"]


def records(found: Detections, classes: Sequence[str]) -> list[dict[str, Any]]:
    """What was found in one image, for people and for ``--json``: class, score, and x, y, width and height in pixels."""
    return [
        {"class": classes[label], "score": round(score, 4), "bbox": _corner_and_sides(box)}
        for box, score, label in zip(found.boxes.tolist(), found.scores.tolist(), found.labels.tolist(), strict=True)
    ]


def _corner_and_sides(box: Sequence[float]) -> list[float]:
    left, top, right, bottom = box
    return [round(value, 2) for value in (left, top, right - left, bottom - top)]


class Results:
    """Collects detections for a file of COCO's: images, categories, and an annotation with a score for each detection.

    Its ``annotations`` alone are what COCO's evaluation takes as results. All numbers begin at 1.

    Args:
        classes: names.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self._classes = tuple(classes)
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []

    def __len__(self) -> int:
        return len(self._images)

    def add(self, name: str, size: tuple[int, int], found: Detections, frame: int | None = None) -> None:
        """Take in an image.

        Args:
            name: of its file.
            size: height and width in pixels.
            found: in its pixels.
            frame: its number in a moving picture, from 0.
        """
        number = len(self._images) + 1
        image = {"id": number, "file_name": name, "height": size[0], "width": size[1]}
        self._images.append(image if frame is None else {**image, "frame": frame})
        for record, label in zip(records(found, self._classes), found.labels.tolist(), strict=True):
            box = record["bbox"]
            self._annotations.append({
                "id": len(self._annotations) + 1, "image_id": number, "category_id": label + 1, "bbox": box,
                "area": round(box[2] * box[3], 2), "iscrowd": 0, "score": record["score"],
            })  # fmt: skip

    def write(self, path: Path) -> None:
        """Replace a file's content.

        Raises:
            InputError: it cannot be written.
        """
        categories = [{"id": number, "name": name} for number, name in enumerate(self._classes, 1)]
        content = {"images": self._images, "categories": categories, "annotations": self._annotations}
        write_text(path, json.dumps(content, ensure_ascii=False) + "\n")
