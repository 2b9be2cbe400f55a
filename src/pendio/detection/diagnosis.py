"""Why a detector became what it is: rules over a run's curves, and over what its weights make of the data now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from pendio.data.examples import Data, Finding, Split
from pendio.detection.anchors import mean_iou
from pendio.detection.boxes import centered_iou, pairwise
from pendio.detection.errors import error_budget
from pendio.detection.evaluation import Finder, measure_split
from pendio.detection.metrics import evaluate
from pendio.detection.yolo.scales import Scale
from pendio.detection.yolo.targets import assign
from pendio.runs.diagnosis import STUCK, Diagnosis, Evidence, diagnose_curves
from pendio.runs.run import Run

__all__ = ["BoxProbe", "Grid", "diagnose_boxes", "diagnose_detector", "diagnose_trained", "look"]

_LOOKED_AT = 256
"""Images of a split that are looked at."""

_BATCH = 32
_SURE = 0.25

_FITTING = {
    "overfitting": "--augment scale,color,mosaic --patience 5 --average ema",
    "underfitting": "--epochs 60",
    "vanishing-gradients": "--model yolov3-tiny",
}
"""Kind of a finding of all tasks → the options that detectors have for it."""


_FEW_CELLS = 1.5


@dataclass(frozen=True)
class Grid:
    """How a grid detector's cells and anchors suit the objects of the training images.

    Attributes:
        fit: mean over the objects of the highest IoU with any anchor, in one centre.
        stride: of the finest scale, in pixels.
        tiny: share of the objects that are narrower than a quarter of it.
        coarse: share of the objects that cover less than one and a half cells of the scale that answers for them, where
            there is a finer one.
        lost: share of the objects whose cell and anchor answers for another object.
        answered: objects that a cell answers for.
    """

    fit: float
    stride: int
    tiny: float
    coarse: float
    lost: float
    answered: int


@dataclass(frozen=True)
class BoxProbe:
    """What the best weights make of the data.

    Attributes:
        classes: names.
        size: side of the detector's input in pixels.
        counts: training objects of each class.
        train, val: AP at an overlap of 0.5 on each.
        per_class: that of each class on the validation images; −1 where there is no such object.
        sure: validation images in which anything is found with a score of 0.25, of how many with an object.
        gains: kind of mistake → what mending it would bring on the validation images.
        grid: None for detectors without one.
        findings: what the data doctor noticed.
    """

    classes: tuple[str, ...]
    size: int
    counts: tuple[int, ...]
    train: float
    val: float
    per_class: tuple[float, ...]
    sure: tuple[int, int]
    gains: Mapping[str, float] = field(default_factory=dict)
    grid: Grid | None = None
    findings: tuple[Finding, ...] = ()


def diagnose_detector(evidence: Evidence) -> list[Diagnosis]:
    """What a run's curves and gradients tell, before or after its end; empty where nothing went wrong."""
    return diagnose_curves(evidence, _FITTING, (_finds_nothing, _past_its_best))


def diagnose_boxes(evidence: Evidence, probe: BoxProbe) -> list[Diagnosis]:
    """What curves, weights and data tell together, the likeliest cause first.

    A cause hides its own consequences: who finds nothing need not hear that rare classes are found least.
    """
    found = diagnose_detector(evidence)
    causes = [rule(probe) for rule in (_no_answers, _bad_anchors, _tiny, _coarse, _collisions, _damaged, _silent)]
    found += [one for one in causes if one is not None and one.kind not in {other.kind for other in found}]
    if any(one.kind in {*STUCK, "silent", "no-positive-cells"} for one in found):
        return found
    rest = [rule(probe) for rule in (_imbalance, _gap, _loose_boxes, _duplicates, _weak)]
    return found + [one for one in rest if one is not None and one.kind not in {other.kind for other in found}]


def diagnose_trained(run: Run, task: Finder, data: Data) -> list[Diagnosis]:
    """Why a run went as it did.

    Args:
        run: its folder.
        task: with the weights to look at.
        data: what it was trained on.

    Raises:
        InputError: the run's files are damaged.
    """
    return diagnose_boxes(Evidence(run.history(), run.layers()), look(task, data))


def look(task: Finder, data: Data) -> BoxProbe:
    """What a detector makes of at most 256 training and 256 validation images."""
    classes = len(task.classes)
    train, val = measure_split(task, data.train, _LOOKED_AT), measure_split(task, data.val, _LOOKED_AT)
    precision = evaluate(val.outcome, classes)
    seen = val.outcome.above(_SURE)
    held = torch.unique(val.outcome.truths.images[~val.outcome.truths.crowd])
    truths = train.outcome.truths
    counts = data.class_counts or torch.bincount(truths.labels[~truths.crowd], minlength=classes).tolist()
    scales = getattr(task, "scales", ())
    return BoxProbe(
        classes=tuple(task.classes),
        size=task.size,
        counts=tuple(counts),
        train=evaluate(train.outcome, classes).summary()["map50"],
        val=precision.summary()["map50"],
        per_class=tuple(half for _, half in precision.per_class()),
        sure=(int(torch.isin(held, seen.found.images).sum()), len(held)),
        gains={share.kind: share.gain for share in error_budget(val.outcome).shares},
        grid=_grid(scales, data.train, train.shapes, task.size, classes) if scales and len(train.shapes) else None,
        findings=data.findings,
    )


def _grid(scales: Sequence[Scale], split: Split, shapes: Tensor, size: int, classes: int) -> Grid:
    anchors = torch.tensor([anchor for scale in scales for anchor in scale.anchors])
    stride = min(scale.stride for scale in scales)
    seen = objects = answered = 0
    for batch in split.batches(_BATCH):
        # The sizes of the maps alone matter to the assignment.
        maps = [torch.empty(len(batch.inputs), 1, size // scale.stride, size // scale.stride) for scale in scales]
        real = (batch.labels >= 0) & ~batch.crowd
        # An object with several classes stands once with each, and is one object.
        rows = torch.cat([real.nonzero()[:, :1].float(), batch.boxes[real]], 1)
        objects += len(rows.unique(dim=0))
        answered += len(assign(maps, scales, batch.boxes, batch.labels, batch.crowd, classes).images)
        seen += len(batch.inputs)
        if seen >= _LOOKED_AT:
            break
    narrow = float((shapes.amin(1) < stride / 4).double().mean())
    strides = torch.tensor([scale.stride for scale in scales for _ in scale.anchors])
    answering = strides[pairwise(centered_iou, shapes, anchors.to(shapes)).argmax(1)]
    coarse = (shapes.prod(1).sqrt() < _FEW_CELLS * answering) & (answering > stride)
    return Grid(
        mean_iou(shapes, anchors),
        stride,
        narrow,
        float(coarse.double().mean()),
        1 - answered / max(1, objects),
        answered,
    )


# Curves


def _finds_nothing(history: Sequence[Mapping[str, Any]]) -> Diagnosis | None:
    if len(history) < 3 or not all(0 <= record.get("val_recall100", 1.0) < 0.01 for record in history[-3:]):
        return None
    return Diagnosis(
        "silent",
        "The detector finds nothing: it has learnt that there is nothing nearly everywhere, and no more.",
        f"its recall is {history[-1]['val_recall100']:.1%} after {len(history)} evaluations",
        "train longer, with another learning rate, or start from weights of a trained network",
        "--epochs 60 --lr 1e-3",
    )


def _past_its_best(history: Sequence[Mapping[str, Any]]) -> Diagnosis | None:
    scores = [float(record["val_map"]) for record in history if "val_map" in record]
    if len(scores) < 4 or max(scores) < 0.05 or scores[-1] > 0.85 * max(scores):
        return None
    best = scores.index(max(scores)) + 1
    return Diagnosis(
        "past-its-best",
        "The detector was better before: it has gone on to learn what holds for the training images alone.",
        f"mAP was {max(scores):.3f} at evaluation {best} and is {scores[-1]:.3f} at the last, {len(scores)}",
        "stop early, average the weights, or augment more",
        "--patience 5 --average ema --augment scale,color,mosaic",
    )


# Boxes, cells and anchors


def _no_answers(probe: BoxProbe) -> Diagnosis | None:
    if probe.grid is None or probe.grid.answered:
        return None
    return Diagnosis(
        "no-positive-cells",
        "No cell answers for any object: there is nothing to learn boxes and classes from.",
        "none of the training images looked at has an object that counts",
        "look whether the boxes were read at all, and whether all are marked as crowds or difficult",
        "--data",
    )


def _bad_anchors(probe: BoxProbe) -> Diagnosis | None:
    if probe.grid is None or not probe.grid.answered or probe.grid.fit >= 0.55:
        return None
    return Diagnosis(
        "anchors",
        "The anchors do not fit: objects are of other shapes and sizes than the detector expects.",
        f"the best anchor of an object overlaps it by {probe.grid.fit:.2f} on average; 0.6 to 0.7 are usual",
        "cluster the training boxes for anchors",
        "--anchors data",
    )


def _tiny(probe: BoxProbe) -> Diagnosis | None:
    grid = probe.grid
    if grid is None or grid.tiny < 0.2:
        return None
    return Diagnosis(
        "tiny-objects",
        "Many objects are too small for the grid: in the finest map, little is left of them.",
        f"{grid.tiny:.0%} of the objects are narrower than {grid.stride / 4:g} pixels where cells are {grid.stride}",
        "fit images into larger squares, cut them into tiles, or take a model with finer cells",
        f"--size {_larger(probe.size)} --model yolov3",
    )


def _coarse(probe: BoxProbe) -> Diagnosis | None:
    grid = probe.grid
    if grid is None or grid.coarse < 0.2:
        return None
    return Diagnosis(
        "coarse-cells",
        "Many objects are hardly larger than the cells that answer for them: such a cell learns little of where they lie.",
        f"{grid.coarse:.0%} of the objects cover less than {_FEW_CELLS:g} cells where a finer grid could answer",
        "cluster the anchors, which then go to the grid that suits them, or fit images into larger squares",
        f"--anchors data --size {_larger(probe.size)}",
    )


def _collisions(probe: BoxProbe) -> Diagnosis | None:
    grid = probe.grid
    if grid is None or grid.lost <= 0.05:
        return None
    return Diagnosis(
        "collisions",
        "Objects share cells: where two of them fall to the same cell and anchor, one is never learnt.",
        f"{grid.lost:.1%} of the training objects lose their cell and anchor to another",
        "use more anchors or finer cells, or fit images into larger squares",
        f"--size {_larger(probe.size)} --model yolov3",
    )


def _damaged(probe: BoxProbe) -> Diagnosis | None:
    told = [finding.message for finding in probe.findings if finding.kind in ("clipped", "unusable")]
    if not told:
        return None
    return Diagnosis(
        "boxes-outside",
        "Some boxes do not lie within their images, as if made for images of another size or in another form.",
        "; ".join(message.split(":")[0] for message in told),
        "look at some of them: width and height may be mixed up with corners, or pixels with shares",
        "--data",
    )


def _silent(probe: BoxProbe) -> Diagnosis | None:
    hits, images = probe.sure
    if not images or hits >= 0.05 * images:
        return None
    return Diagnosis(
        "silent",
        "The detector is sure of nothing: it has learnt that there is nothing nearly everywhere, and no more.",
        f"in {hits} of {images} validation images with objects anything is found with a score of {_SURE:g}",
        "train longer, with another learning rate, or start from weights of a trained network",
        "--epochs 60 --lr 1e-3",
    )


# Consequences


def _imbalance(probe: BoxProbe) -> Diagnosis | None:
    known = [number for number, count in enumerate(probe.counts) if count and probe.per_class[number] >= 0]
    if len(known) < 2:
        return None
    most, least = (pick(known, key=lambda number: probe.counts[number]) for pick in (max, min))
    if probe.counts[most] < 10 * probe.counts[least] or probe.per_class[least] > 0.6 * probe.per_class[most]:
        return None
    return Diagnosis(
        "class-imbalance",
        f"'{probe.classes[least]}' is too rare to be learnt as well as the others.",
        f"{probe.counts[least]:,} training objects with an average precision of {probe.per_class[least]:.2f}, against "
        f"{probe.counts[most]:,} and {probe.per_class[most]:.2f} of '{probe.classes[most]}'",
        "collect or copy images that hold it, and mix images into mosaics",
        "--augment scale,color,mosaic",
    )


def _gap(probe: BoxProbe) -> Diagnosis | None:
    if probe.train - probe.val < 0.15 or probe.train < 0.3:
        return None
    return Diagnosis(
        "overfitting",
        "The detector overfits: it knows its training images much better than new ones.",
        f"average precision at an overlap of 0.5 is {probe.train:.2f} on training images and {probe.val:.2f} on new ones",
        "more images, more augmentation, early stopping, averaging, a smaller model",
        _FITTING["overfitting"],
    )


def _loose_boxes(probe: BoxProbe) -> Diagnosis | None:
    gain = probe.gains.get("localisation", 0.0)
    if gain < 0.15:
        return None
    return Diagnosis(
        "loose-boxes",
        "Objects are found and named, but their boxes fit badly.",
        f"average precision would rise by {gain:.2f}, did boxes with the right class in the right place fit",
        "learn from the overlap of boxes itself, with larger images",
        f"--loss ciou --size {_larger(probe.size)}",
    )


def _duplicates(probe: BoxProbe) -> Diagnosis | None:
    gain = probe.gains.get("duplicate", 0.0)
    if gain < 0.05:
        return None
    return Diagnosis(
        "duplicates",
        "Objects are found several times.",
        f"average precision would rise by {gain:.2f}, were each found once",
        "take boxes that overlap less for the same object",
        "--overlap 0.3",
    )


def _weak(probe: BoxProbe) -> Diagnosis | None:
    if probe.train >= 0.5 or probe.train - probe.val >= 0.15:
        return None
    return Diagnosis(
        "underfitting",
        "The detector underfits: it does not even know its training images.",
        f"average precision at an overlap of 0.5 is {probe.train:.2f} on training images",
        "train longer, with a larger model or less augmentation",
        _FITTING["underfitting"],
    )


def _larger(size: int) -> int:
    """Half as large again, in the steps that networks take."""
    return -(-size * 3 // 2 // 32) * 32
