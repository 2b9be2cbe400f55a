"""Truths about the evaluation of detectors."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pendio.detection import errors, metrics
from pendio.detection.detections import Detections
from pendio.detection.matching import Outcome
from pendio.exact.check import Check

__all__ = ["CHECKS", "Case", "literal_summary", "random_case"]

_OVERLAPS = np.linspace(0.5, 0.95, 10).tolist()
_RECALLS = np.linspace(0, 1, 101).tolist()
_CLASSES = 3


class Case(NamedTuple):
    """What was found in N images, and what is there: as :meth:`metrics.DetectionMetrics.update` takes it."""

    detections: list[Detections]
    boxes: Tensor
    labels: Tensor
    crowd: Tensor
    areas: Tensor


def random_case(seed: int, images: int = 3, classes: int = _CLASSES, most: int = 6) -> Case:
    """A case with all that is awkward: equal scores and overlaps, crowds, duplicates, empty images, absent classes.

    Args:
        seed: of everything.
        images: how many.
        classes: how many.
        most: objects of a class in an image; there are up to twice as many detections of it.
    """
    draw = torch.Generator().manual_seed(seed)
    objects = [_objects(draw, classes, most) for _ in range(images)]
    detections = [_answers(draw, boxes, labels, classes, most) for boxes, labels in objects]
    width = max(1, max(len(labels) for _, labels in objects))
    boxes = torch.zeros(images, width, 4)
    labels = torch.full((images, width), -1)
    for image, (its_boxes, its_labels) in enumerate(objects):
        boxes[image, : len(its_labels)], labels[image, : len(its_labels)] = its_boxes, its_labels
    crowd = torch.rand(images, width, generator=draw) < 0.15
    # Outlines fill their boxes only in part.
    areas = (boxes[..., 2:] - boxes[..., :2]).prod(-1) * (0.3 + 0.7 * torch.rand(images, width, generator=draw))
    return Case(detections, boxes, labels, crowd, areas)


def _objects(draw: torch.Generator, classes: int, most: int) -> tuple[Tensor, Tensor]:
    counts = torch.randint(-1, most + 1, (classes,), generator=draw).clamp(min=0)
    # A class is absent from a case now and then, and an image is empty.
    counts = counts * (torch.rand(classes, generator=draw) < 0.8) * (torch.rand(1, generator=draw) < 0.9)
    labels = torch.arange(classes).repeat_interleave(counts)
    corners = torch.randint(0, 60, (len(labels), 2), generator=draw) * 4.0
    sides = 8.0 * 2 ** torch.randint(0, 5, (len(labels), 2), generator=draw)
    return torch.cat([corners, corners + sides], 1), labels


def _answers(draw: torch.Generator, boxes: Tensor, labels: Tensor, classes: int, most: int) -> Detections:
    count = int(torch.randint(0, 2 * most * classes, (1,), generator=draw))
    if len(boxes):
        chosen = torch.randint(0, len(boxes), (count,), generator=draw)
        corners, sides = boxes[chosen, :2], boxes[chosen, 2:] - boxes[chosen, :2]
        shift = torch.randint(-2, 3, (count, 2), generator=draw) * sides / 16
        sides = sides * (1 + torch.randint(-1, 2, (count, 2), generator=draw) / 8)
        corners = corners + shift
        told = torch.where(torch.rand(count, generator=draw) < 0.85, labels[chosen], labels[chosen] * 0)
    else:
        corners = torch.rand(count, 2, generator=draw) * 100
        sides, told = torch.full((count, 2), 40.0), torch.randint(0, classes, (count,), generator=draw)
    scores = torch.randint(1, 11, (count,), generator=draw) / 10
    order = scores.argsort(descending=True, stable=True)
    return Detections(torch.cat([corners, corners + sides], 1)[order], scores[order], told[order])


def literal_summary(case: Case, classes: int = _CLASSES, most: int = 100) -> dict[str, float]:
    """COCO's evaluation of boxes (Lin et al., 2014), as its protocol is worded: loops over plain numbers."""
    table: dict[tuple[str, int, float], tuple[float, float] | None] = {}
    for size, bounds in metrics.SIZES.items():
        for label in range(classes):
            for overlap in _OVERLAPS:
                table[size, label, overlap] = _literal_class(case, label, bounds, overlap, most)

    def mean(size: str, which: int, overlaps: list[float]) -> float:
        cells = [table[size, label, overlap] for label in range(classes) for overlap in overlaps]
        values = [cell[which] for cell in cells if cell is not None]
        return sum(values) / len(values) if values else -1.0

    return {
        "map": mean("all", 0, _OVERLAPS), "map50": mean("all", 0, _OVERLAPS[:1]), "map75": mean("all", 0, _OVERLAPS[5:6]),
        "map_small": mean("small", 0, _OVERLAPS), "map_medium": mean("medium", 0, _OVERLAPS),
        "map_large": mean("large", 0, _OVERLAPS), "recall100": mean("all", 1, _OVERLAPS),
    }  # fmt: skip


def _literal_class(
    case: Case, label: int, bounds: tuple[float, float], overlap: float, most: int
) -> tuple[float, float] | None:  # fmt: skip
    """Average precision and highest recall of a class; None where it has no object."""
    verdicts: list[tuple[float, bool]] = []
    positives = 0
    for image in range(len(case.detections)):
        its, asked = _literal_image(case, image, label, bounds, overlap, most)
        verdicts += its
        positives += asked
    if not positives:
        return None
    verdicts.sort(key=lambda verdict: -verdict[0])
    right, points = 0, []
    for place, (_, hit) in enumerate(verdicts, 1):
        right += hit
        points.append((right / positives, right / place))
    # Precision at a recall is the best at this recall or a higher one.
    best, envelope = 0.0, []
    for recall, precision in reversed(points):
        best = max(best, precision)
        envelope.append((recall, best))
    envelope.reverse()
    total = sum(next((precision for recall, precision in envelope if recall >= least), 0.0) for least in _RECALLS)
    return total / len(_RECALLS), points[-1][0] if points else 0.0


def _literal_image(
    case: Case, image: int, label: int, bounds: tuple[float, float], overlap: float, most: int
) -> tuple[list[tuple[float, bool]], int]:
    """Score and verdict of each detection of a class that counts, and how many objects are asked for."""
    objects = []
    for box, its, crowd, area in zip(
        case.boxes[image].tolist(), case.labels[image].tolist(), case.crowd[image].tolist(), case.areas[image].tolist(),
        strict=True,
    ):  # fmt: skip
        if its == label:
            objects.append((box, crowd, crowd or area < bounds[0] or area > bounds[1]))
    objects.sort(key=lambda item: item[2])
    found = case.detections[image]
    answers = [
        (score, box)
        for score, box, its in zip(found.scores.tolist(), found.boxes.tolist(), found.labels.tolist(), strict=True)
        if its == label
    ]
    answers.sort(key=lambda answer: -answer[0])
    taken: set[int] = set()
    verdicts = []
    for score, box in answers[:most]:
        best, chosen = overlap, None
        for number, (other, crowd, ignored) in enumerate(objects):
            if number in taken and not crowd:
                continue
            if chosen is not None and not objects[chosen][2] and ignored:
                break
            shared = _literal_overlap(box, other, crowd)
            if shared >= best:
                best, chosen = shared, number
        if chosen is not None:
            taken.add(chosen)
            if not objects[chosen][2]:
                verdicts.append((score, True))
            continue
        area = (box[2] - box[0]) * (box[3] - box[1])
        if bounds[0] <= area <= bounds[1]:
            verdicts.append((score, False))
    return verdicts, sum(not ignored for _, _, ignored in objects)


def _literal_overlap(box: list[float], other: list[float], crowd: bool) -> float:
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    area = (box[2] - box[0]) * (box[3] - box[1])
    rest = 0.0 if crowd else (other[2] - other[0]) * (other[3] - other[1]) - width * height
    return width * height / (area + rest)


def _measured(case: Case, classes: int = _CLASSES) -> dict[str, float]:
    measure = metrics.DetectionMetrics(classes)
    measure.update(*case)
    return measure.compute()


def _by_hand() -> tuple[float, float]:
    """Two objects; right at 0.9, wrong at 0.8, right at 0.7: precision 1 up to recall ½, ⅔ from there on."""
    boxes = torch.tensor([[[0.0, 0, 10, 10], [20, 20, 40, 40]]])
    found = Detections(
        torch.tensor([[0.0, 0, 10, 10], [60, 60, 70, 70], [20, 20, 40, 40]]), torch.tensor([0.9, 0.8, 0.7]),
        torch.zeros(3, dtype=torch.long),
    )  # fmt: skip
    labels = torch.zeros(1, 2, dtype=torch.long)
    case = Case([found], boxes, labels, labels > 0, torch.tensor([[100.0, 400.0]]))
    return _measured(case, 1)["map50"], (51 * 1 + 50 * 2 / 3) / 101


def _overlaps_by_hand() -> tuple[float, float]:
    """One box that covers 7 of 10 rows of its object passes at overlaps of 0.5, 0.55, 0.6, 0.65 and 0.7: five of ten."""
    box = torch.tensor([[0.0, 0, 16, 16 * 0.71875]])
    found = Detections(box, torch.tensor([0.5]), torch.zeros(1, dtype=torch.long))
    labels = torch.zeros(1, 1, dtype=torch.long)
    case = Case([found], torch.tensor([[[0.0, 0, 16, 16]]]), labels, labels > 0, torch.tensor([[256.0]]))
    return _measured(case, 1)["map"], 0.5


def _protocol() -> tuple[float, float]:
    """The largest difference of any of seven numbers in sixty random cases."""
    worst = 0.0
    for seed in range(60):
        case = random_case(seed)
        expected, measured = literal_summary(case), _measured(case)
        worst = max(worst, *(abs(measured[name] - expected[name]) for name in expected))
    return worst, 0.0


def _mended() -> tuple[float, float]:
    """With every kind of mistake mended nothing is wrong; the least of thirty random cases."""
    least = 1.0
    for seed in range(30):
        outcome = Outcome.of(*random_case(100 + seed))
        mistakes = errors.find_mistakes(outcome)
        least = min(least, errors.mended_precision(outcome, mistakes, tuple(errors.KINDS)))
    return least, 1.0


def _mended_once() -> tuple[float, float]:
    """Two bad boxes near one of two objects: mended, the surer is right and the other gone; half of the objects."""
    boxes = torch.tensor([[[0.0, 0, 16, 16], [50, 50, 66, 66]]])
    found = Detections(
        torch.tensor([[0.0, 0, 16, 7], [0, 0, 7, 16]]), torch.tensor([0.9, 0.8]), torch.zeros(2, dtype=torch.long)
    )
    labels = torch.zeros(1, 2, dtype=torch.long)
    outcome = Outcome.of([found], boxes, labels, labels > 0, torch.full((1, 2), 256.0))
    return errors.mended_precision(outcome, errors.find_mistakes(outcome), ("localisation",)), 51 / 101


def _unmended() -> tuple[float, float]:
    """Without mending, the error budget's own average precision is COCO's: the largest difference in thirty cases."""
    worst = 0.0
    for seed in range(30):
        case = random_case(200 + seed)
        outcome = Outcome.of(*case)
        own = errors.mended_precision(outcome, errors.find_mistakes(outcome))
        worst = max(worst, abs(own - max(0.0, _measured(case)["map50"])))
    return worst, 0.0


CHECKS = (
    Check("average-precision", "right, wrong, right of two objects is (51 + 50·⅔)/101", _by_hand, 1e-12),
    Check(
        "average-precision-overlaps",
        "a box that covers 0.72 of its object passes five of ten",
        _overlaps_by_hand,
        1e-12,
    ),
    Check("coco-protocol", "sixty random cases are measured as COCO's protocol is worded", _protocol, 1e-9),
    Check("error-budget", "average precision is 1 once every kind of mistake is mended", _mended, 1e-12),
    Check("error-budget-once", "of bad boxes for one object, mending makes one right", _mended_once, 1e-12),
    Check("error-budget-base", "and COCO's own while none is", _unmended, 1e-9),
)
