"""Taking detectors through annotated images, to see what they find there."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from pendio.data.annotations.boxes import BoxExamples
from pendio.data.annotations.letterbox import Letterbox
from pendio.data.examples import Split
from pendio.detection.detections import Detections
from pendio.detection.matching import Outcome

__all__ = ["Finder", "Measured", "measure_split", "outcome_of_batch"]

_BATCH = 16

_MOST = 100
"""Detections in an image that are looked at, the surest first."""


class Finder(Protocol):
    """What finds objects: a trained detector of whatever kind."""

    @property
    def classes(self) -> Sequence[str]:
        """What it tells apart."""
        ...

    @property
    def size(self) -> int:
        """Side in pixels of the square that images are fitted into."""
        ...

    def predict(self, inputs: Tensor) -> list[Detections]:
        """Objects in each of ``(N, 3, S, S)`` uint8 images, in their pixels."""
        ...


class Measured(NamedTuple):
    """What a detector found in a split.

    Attributes:
        outcome: in pixels of the original images, which are numbered as they came.
        places: ``(N,)`` position of each of these images in the split.
        shapes: ``(T, 2)`` width and height of all objects but crowds, in pixels of the detector's input.
    """

    outcome: Outcome
    places: Tensor
    shapes: Tensor


def outcome_of_batch(found: Sequence[Detections], batch: BoxExamples) -> Outcome:
    """What was found in a batch's ``inputs``, in pixels of the original images: there the sizes of objects have meaning."""
    side = batch.inputs.shape[-1]
    fits = [Letterbox(height, width, side) for height, width in batch.sizes.tolist()]
    back = [one._replace(boxes=fit.back(one.boxes)) for fit, one in zip(fits, found, strict=True)]
    boxes = torch.stack([fit.back(its) for fit, its in zip(fits, batch.boxes, strict=True)])
    return Outcome.of(back, boxes, batch.labels, batch.crowd, batch.areas)


@torch.no_grad()
def measure_split(task: Finder, split: Split, most: int | None = None) -> Measured:
    """What a detector finds in a split, or in the first images of it.

    Args:
        task: a trained detector.
        split: of annotated images.
        most: images after which to stop; None for all.
    """
    outcomes, places, shapes, seen = [], [torch.zeros(0).long()], [torch.zeros(0, 2)], 0
    for batch in split.batches(_BATCH):
        if not len(batch.inputs):
            continue
        found = [Detections(*(column[:_MOST] for column in one)) for one in task.predict(batch.inputs)]
        outcomes.append(outcome_of_batch(found, batch))
        places.append(batch.indices)
        objects = batch.boxes[(batch.labels >= 0) & ~batch.crowd]
        shapes.append(objects[:, 2:] - objects[:, :2])
        seen += len(batch.inputs)
        if most is not None and seen >= most:
            break
    return Measured(Outcome.joined(outcomes), torch.cat(places), torch.cat(shapes))
