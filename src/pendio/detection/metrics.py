"""How good detections are: COCO's average precision, precision-recall curves, and the best score to cut at."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pendio.detection.detections import Detections
from pendio.detection.matching import Matches, Outcome

__all__ = ["SIZES", "AveragePrecision", "DetectionMetrics", "Threshold", "best_threshold", "evaluate", "precision_at"]

SIZES = {"all": (0.0, 1e10), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
"""COCO's sizes of objects: bounds of their areas in square pixels."""

MOST = 100
"""Detections of a class in an image that count, the surest first."""

ABSENT = -1.0
"""COCO's sign for what cannot be measured because there is no such object."""

_RECALLS = 101


@dataclass(frozen=True)
class AveragePrecision:
    """Precision and recall as COCO measures them (Lin et al., 2014), at overlaps of 0.5, 0.55 … 0.95.

    Attributes:
        precision: ``(10, 101, C, 4)`` float64 at recalls 0, 0.01 … 1, for each class and size; −1 where a class has no
            object of a size.
        recall: ``(10, C, 4)`` the highest that is reached.
    """

    precision: Tensor
    recall: Tensor

    def summary(self) -> dict[str, float]:
        """Means over the classes that occur: see :class:`DetectionMetrics` for the names."""
        return {
            "map": _mean(self.precision[..., 0]),
            "map50": _mean(self.precision[0, :, :, 0]),
            "map75": _mean(self.precision[5, :, :, 0]),
            "map_small": _mean(self.precision[..., 1]),
            "map_medium": _mean(self.precision[..., 2]),
            "map_large": _mean(self.precision[..., 3]),
            "recall100": _mean(self.recall[..., 0]),
        }

    def per_class(self) -> list[tuple[float, float]]:
        """mAP and AP at an overlap of 0.5 of each class; −1 where it does not occur."""
        return [
            (_mean(self.precision[:, :, number, 0]), _mean(self.precision[0, :, number, 0]))
            for number in range(self.precision.shape[2])
        ]

    def by_class(self, classes: Sequence[str]) -> dict[str, dict[str, float]]:
        """:meth:`per_class` by the names of the classes."""
        return {
            name: {"map": whole, "map50": half} for name, (whole, half) in zip(classes, self.per_class(), strict=True)
        }

    def curves(self) -> Tensor:
        """Precision ``(C, 101)`` at an overlap of 0.5 over recalls 0, 0.01 … 1; a row of −1 for a class without objects."""
        return self.precision[0, :, :, 0].T


def _mean(values: Tensor) -> float:
    measured = values[values > ABSENT]
    return float(measured.mean()) if len(measured) else ABSENT


class DetectionMetrics:
    """Collects detections and objects of held-out images, and measures them as COCO does.

    Args:
        classes: how many there are.
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self._outcomes: list[Outcome] = []

    def update(
        self, detections: Sequence[Detections], boxes: Tensor, labels: Tensor, crowd: Tensor, areas: Tensor
    ) -> None:  # fmt: skip
        """Take in a batch, all in pixels of the original images.

        Args:
            detections: one for each of N images.
            boxes: ``(N, M, 4)``.
            labels: ``(N, M)``, −1 where there is no box.
            crowd: ``(N, M)``, objects that count neither for nor against a detector.
            areas: ``(N, M)``, by which objects are small, medium or large.
        """
        self.add(Outcome.of(detections, boxes, labels, crowd, areas))

    def add(self, outcome: Outcome) -> None:
        """Take in what was made of a batch."""
        self._outcomes.append(outcome)

    def outcome(self) -> Outcome:
        """All that was taken in since the last :meth:`reset`, by all processes."""
        mine = Outcome.joined(self._outcomes)
        self._outcomes = [mine] if self._outcomes else []
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return mine
        parts: list[Any] = [None] * torch.distributed.get_world_size()
        torch.distributed.all_gather_object(parts, mine)
        return Outcome.joined(parts)

    def compute(self) -> dict[str, float]:
        """Average precision and recall of all that was taken in; −1 where there is no such object, as COCO has it.

        ``map`` is COCO's mAP@[.5:.95], ``map50`` and ``map75`` those at one overlap, ``map_small``, ``map_medium`` and
        ``map_large`` those of objects below 32², up to 96² and above, ``recall100`` the mean highest recall with at most
        100 detections.
        """
        return evaluate(self.outcome(), self.classes).summary()

    def reset(self) -> None:
        """Start anew."""
        self._outcomes = []


def evaluate(outcome: Outcome, classes: int) -> AveragePrecision:
    """COCO's evaluation of boxes, by faster-coco-eval: the protocol is computed in C++.

    Objects of a crowd are never missed and never found: detections in them are ignored. For each size, objects and
    unmatched detections of other sizes are ignored too.
    """
    if not outcome.count:
        empty = torch.full((10, _RECALLS, classes, len(SIZES)), ABSENT, dtype=torch.float64)
        return AveragePrecision(empty, empty[:, 0])
    # Imported where it is needed: it takes a while, and training on other tasks needs none of it.
    from faster_coco_eval import COCO, COCOeval_faster

    images, categories = ([{"id": 1 + number} for number in range(count)] for count in (outcome.count, classes))
    truth, found = _records(outcome)
    shared = {"images": images, "categories": categories}
    evaluator = COCOeval_faster(
        COCO({**shared, "annotations": truth}), COCO({**shared, "annotations": found}), "bbox", print_function=_silent
    )  # fmt: skip
    evaluator.params.maxDets = [MOST]
    evaluator.params.areaRng = [list(bounds) for bounds in SIZES.values()]
    evaluator.evaluate()
    evaluator.accumulate()
    precision, recall = (torch.as_tensor(evaluator.eval[name])[..., 0] for name in ("precision", "recall"))
    return AveragePrecision(precision, recall)


def _silent(*_: object) -> None:
    """The evaluator's running commentary is of no use here."""


def _records(outcome: Outcome) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Objects and detections as COCO has them. All numbers begin at 1: a match with number 0 would count as none."""
    truths, found = outcome.truths, outcome.found
    objects = zip(
        _corner_and_sides(truths.boxes), _plain(truths.images + 1), _plain(truths.labels + 1),
        _plain(truths.areas), _plain(truths.crowd.int()), strict=True,
    )  # fmt: skip
    truth = [
        {"id": number, "image_id": image, "category_id": label, "bbox": box, "area": area, "iscrowd": crowd}
        for number, (box, image, label, area, crowd) in enumerate(objects, 1)
    ]
    areas = (found.boxes[:, 2:] - found.boxes[:, :2]).prod(1)
    answers = zip(
        _corner_and_sides(found.boxes), _plain(found.images + 1), _plain(found.labels + 1),
        _plain(areas), _plain(found.scores), strict=True,
    )  # fmt: skip
    answer = [
        {"id": number, "image_id": image, "category_id": label, "bbox": box, "area": area, "score": score, "iscrowd": 0}
        for number, (box, image, label, area, score) in enumerate(answers, 1)
    ]
    return truth, answer


def _corner_and_sides(boxes: Tensor) -> list[Any]:
    return _plain(torch.cat([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1))


def _plain(values: Tensor) -> list[Any]:
    # NumPy's way to Python numbers is several times as fast as torch's.
    return values.numpy().tolist()  # type: ignore[no-any-return]


def precision_at(hits: Tensor, positives: int) -> float:
    """Average precision of detections in order: COCO's mean of the best precision at 101 recalls or beyond.

    Args:
        hits: ``(K,)`` whether a detection is right, by falling score.
        positives: objects there are. Of none, nothing can be found: 1 without any detection, else 0.
    """
    if not positives:
        return float(not len(hits))
    if not len(hits):
        return 0.0
    right = hits.double().cumsum(0)
    precision = right / torch.arange(1, len(hits) + 1)
    best = precision.flip(0).cummax(0).values.flip(0)
    # Rounded as NumPy does, and with it COCO: an object more or less in a hundred hangs on it.
    recalls = torch.from_numpy(np.linspace(0, 1, _RECALLS))
    places = torch.searchsorted(right / positives, recalls)
    return float(torch.cat([best, best.new_zeros(1)])[places].mean())


class Threshold(NamedTuple):
    """A score to cut at, and what precision, recall and their harmonic mean F1 are there."""

    score: float
    precision: float
    recall: float
    f1: float


def best_threshold(outcome: Outcome, matches: Matches) -> Threshold:
    """The score at which F1 = 2·hits / (detections + objects) is highest, over all classes together.

    Args:
        outcome: of all images.
        matches: of :func:`pendio.detection.matching.match`, by class. Those of a higher threshold alone are the first
            of them, since surer detections choose first.
    """
    kept = ~matches.ignored
    scores, hits = outcome.found.scores[kept], matches.hits[kept].double()
    objects = int((~outcome.truths.crowd).sum())
    if not len(scores) or not objects:
        return Threshold(0.0, 0.0, 0.0, 0.0)
    right = hits.cumsum(0)
    count = torch.arange(1, len(scores) + 1)
    f1 = 2 * right / (count + objects)
    # Of detections with equal scores, none can be kept without the others.
    f1[:-1][scores[:-1] == scores[1:]] = -1
    best = int(f1.argmax())
    return Threshold(
        float(scores[best]), float(right[best] / count[best]), float(right[best] / objects), float(f1[best])
    )  # fmt: skip
