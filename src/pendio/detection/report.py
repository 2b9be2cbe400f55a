"""The report on a detector: how training went, what is found and what is not, what goes wrong, and where."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pendio.data.annotations.boxes import BoxExamples
from pendio.data.annotations.keeping import image_name
from pendio.data.examples import Data, Split
from pendio.descent.report import about_data, closing, draw_training
from pendio.detection.anchors import mean_iou
from pendio.detection.boxes import centered_iou, pairwise
from pendio.detection.diagnosis import diagnose_detector
from pendio.detection.errors import KINDS, ErrorBudget, ImageErrors, confusion, error_budget, image_errors
from pendio.detection.evaluation import Finder, Measured, measure_split
from pendio.detection.matching import match
from pendio.detection.metrics import ABSENT, AveragePrecision, Threshold, best_threshold, evaluate
from pendio.detection.yolo.scales import Scale
from pendio.errors import InputError
from pendio.pictures.boxes import Boxes, draw_annotated, draw_comparison
from pendio.pictures.confusion import draw_confusion
from pendio.pictures.precision import draw_errors, draw_precision
from pendio.runs.page import Picture, Section, Table, write_page
from pendio.runs.run import REPORT, Run

__all__ = ["Evaluation", "evaluate_detector", "write_report"]

_THRESHOLD = 0.25
"""Score from which a detection is counted where people look at single ones."""

_SHOWN = 8
_NAMED = 5


@dataclass(frozen=True)
class Evaluation:
    """What a detector made of a split.

    Attributes:
        measured: what it found.
        precision: COCO's.
        classes: names.
        confusion: counts ``(C + 1, C + 1)`` of (true, predicted) at a score of 0.25; the last is the background.
        budget: what its mistakes cost.
        best: the score of the highest F1 over all classes.
        images: mistakes in each image at a score of 0.25.
        names: of the images.
    """

    measured: Measured
    precision: AveragePrecision
    classes: tuple[str, ...]
    confusion: Tensor
    budget: ErrorBudget
    best: Threshold
    images: ImageErrors
    names: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """For people and for ``--json``; images by name."""
        shares = [
            {"kind": share.kind, "count": share.count, "gain": share.gain, "images": self.named(share.images)}
            for share in self.budget.shares
        ]
        return {
            "examples": self.measured.outcome.count,
            **self.precision.summary(),
            "classes": self.precision.by_class(self.classes),
            "best_threshold": self.best._asdict(),
            "errors": shares,
            "confusion": self.confusion.tolist(),
        }

    def named(self, images: Sequence[int], most: int | None = None) -> list[str]:
        """Names of images."""
        return [self.names[image] for image in images[:most]]


def evaluate_detector(task: Finder, data: Data, split: Split) -> Evaluation:
    """Everything that is measured of a detector, in one pass through a split.

    Raises:
        InputError: the split has no images that can be read, or classes that the detector does not know.
    """
    if tuple(data.classes) != tuple(task.classes):
        raise InputError(f"data '{data.name}' has the classes {', '.join(data.classes[:10])}, and the run knows "
                         f"{', '.join(list(task.classes)[:10])}: they must be the same in the same order")  # fmt: skip
    measured = measure_split(task, split)
    outcome, classes = measured.outcome, len(data.classes)
    if not outcome.count:
        raise InputError(f"data '{data.name}' has no images to evaluate on")
    return Evaluation(
        measured, evaluate(outcome, classes), tuple(data.classes), confusion(outcome, classes, threshold=_THRESHOLD),
        error_budget(outcome, _THRESHOLD), best_threshold(outcome, match(outcome)),
        image_errors(outcome, threshold=_THRESHOLD), tuple(image_name(split, place) for place in measured.places.tolist()),
    )  # fmt: skip


def write_report(run: Run, task: Any, data: Data) -> None:
    """Write ``report.html`` and its pictures into the run folder.

    Args:
        run: its folder.
        task: with the weights to report on; a :class:`~pendio.detection.evaluation.Finder` that can go to the CPU.
        data: what it was trained on.
    """
    task.to("cpu").eval()
    split = data.split("test")
    evaluation = evaluate_detector(task, data, split)
    pictures = draw_training(run, _score(run.history()))
    pictures["precision"] = draw_precision(evaluation.precision.curves(), data.classes)
    pictures["confusion"] = draw_confusion(evaluation.confusion, [*data.classes, "background"])
    shares = evaluation.budget.shares
    pictures["errors"] = draw_errors(
        [share.kind for share in shares], [share.gain for share in shares], [share.count for share in shares]
    )
    pictures |= _examples(task, split, evaluation)
    pictures["data"] = _training_examples(data)
    run.write_pictures(pictures)
    summary = evaluation.precision.summary()
    model = run.config.get("options", {}).get("model", "detector")
    subtitle = f"{model} on {data.name}: mAP {summary['map']:.3f}, at an overlap of 0.5 {summary['map50']:.3f}"
    write_page(run.folder / REPORT, run.folder.name, subtitle, _sections(run, task, data, evaluation, pictures))


def _score(history: Sequence[Mapping[str, Any]]) -> str:
    """What to draw beside the losses: mAP, or what else a detector that learns otherwise measures while it does."""
    names = [name.removeprefix("val_") for name in (history[-1] if history else {}) if name.startswith("val_")]
    return "map" if "map" in names or not names else next((name for name in names if name != "loss"), "loss")


def _examples(task: Finder, split: Split, evaluation: Evaluation) -> dict[str, bytes]:
    worst = evaluation.images.worst[:_SHOWN]
    count = evaluation.measured.outcome.count
    even = torch.arange(0, count, max(1, count // _SHOWN))[:_SHOWN]
    pictures = {}
    for name, chosen in (("worst", worst), ("typical", even)):
        if len(chosen):
            pictures[name] = _comparison(task, split, evaluation, chosen)
    return pictures


def _training_examples(data: Data) -> bytes:
    batch = data.train.take(torch.arange(0, len(data.train), max(1, len(data.train) // _SHOWN))[:_SHOWN])
    return draw_annotated(batch.inputs, [_truth(batch, row) for row in range(len(batch.inputs))], data.classes)


def _truth(batch: BoxExamples, row: int) -> Boxes:
    real = batch.labels[row] >= 0
    return Boxes(batch.boxes[row][real], batch.labels[row][real])


def _comparison(task: Finder, split: Split, evaluation: Evaluation, chosen: Tensor) -> bytes:
    batch = split.take(evaluation.measured.places[chosen])
    truths, answers, captions = [], [], []
    for row, (image, found) in enumerate(zip(chosen.tolist(), task.predict(batch.inputs), strict=True)):
        sure = found.scores >= _THRESHOLD
        truths.append(_truth(batch, row))
        answers.append(Boxes(found.boxes[sure], found.labels[sure], found.scores[sure]))
        missed, false = int(evaluation.images.missed[image]), int(evaluation.images.false[image])
        captions.append((_short(evaluation.names[image]), f"{missed} missed, {false} false"))
    return draw_comparison(batch.inputs, truths, answers, captions, evaluation.classes)


def _short(name: str) -> str:
    """The last part of a path, cut in the middle where it is long."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    return last if len(last) <= 40 else f"{last[:18]}…{last[-20:]}"


_CAPTIONS = {
    "curves": "Loss and validation score; the dotted line marks the evaluation whose weights were kept.",
    "precision": "Precision over recall at an overlap of 0.5.",
    "confusion": f"Counts of true against predicted classes, at scores from {_THRESHOLD:g} on.",
    "errors": "What mending each kind of mistake would bring; the gains do not add up.",
    "worst": "The test images with the most mistakes: what is true beside what was found.",
    "data": "Training images and their boxes, before augmentation.",
    "typical": "Test images evenly from all: what is true beside what was found.",
}


def _sections(
    run: Run, task: Any, data: Data, evaluation: Evaluation, pictures: Mapping[str, bytes]
) -> list[Section]:  # fmt: skip
    shown = {name: Picture(png, _CAPTIONS[name]) for name, png in pictures.items() if name in _CAPTIONS}
    best = evaluation.best
    text = (f"F1 is highest at a score of {best.score:.2f}: {best.f1:.3f}, with precision {best.precision:.3f} and recall "
            f"{best.recall:.3f} over all classes.")  # fmt: skip
    metrics = [(_LONG[name], _or_none(value)) for name, value in evaluation.precision.summary().items()]
    results = Section(
        "Results", text=text, tables=[Table(("metric", "test"), metrics)], pictures=_some(shown, "curves")
    )
    sections = [results, Section("Predictions", pictures=_some(shown, "worst", "typical"))]
    sections.append(
        Section("Classes", tables=[_class_table(evaluation)], pictures=_some(shown, "precision", "confusion"))
    )
    sections.append(_mistakes(evaluation, shown))
    scales: Sequence[Scale] = getattr(task, "scales", ())
    if scales and len(evaluation.measured.shapes):
        sections.append(_anchors(scales, evaluation.measured.shapes))
    sections.append(about_data(data, f" in {len(data.classes)} classes", _some(shown, "data")))
    more = "  # looks at anchors, cells, classes and overfitting too"
    return sections + closing(run, pictures, more, diagnose_detector)


_LONG = {
    "map": "mAP, overlaps 0.5 to 0.95",
    "map50": "mAP, overlap 0.5",
    "map75": "mAP, overlap 0.75",
    "map_small": "mAP, objects below 32² pixels",
    "map_medium": "mAP, objects of 32² to 96² pixels",
    "map_large": "mAP, objects above 96² pixels",
    "recall100": "mean highest recall",
}


def _or_none(value: float) -> float | str:
    return "–" if value == ABSENT else value


def _some(pictures: Mapping[str, Picture], *names: str) -> list[Picture]:
    return [pictures[name] for name in names if name in pictures]


def _class_table(evaluation: Evaluation) -> Table:
    truths = evaluation.measured.outcome.truths
    counts = torch.bincount(truths.labels[~truths.crowd], minlength=len(evaluation.classes)).tolist()
    rows = [
        (name, _or_none(whole), _or_none(half), count)
        for name, (whole, half), count in zip(
            evaluation.classes, evaluation.precision.per_class(), counts, strict=True
        )
    ]  # fmt: skip
    return Table(("class", "AP, overlaps 0.5 to 0.95", "AP, overlap 0.5", "objects"), rows)


def _mistakes(evaluation: Evaluation, shown: Mapping[str, Picture]) -> Section:
    rows = [
        (share.kind, KINDS[share.kind], share.count, f"{share.gain:+.3f}",
         ", ".join(map(_short, evaluation.named(share.images, _NAMED))) + (" …" if len(share.images) > _NAMED else ""))
        for share in evaluation.budget.shares
    ]  # fmt: skip
    header = ("mistake", "what it is", f"times, from {_THRESHOLD:g}", "gain of AP, were it mended", "most in")
    return Section("Mistakes", tables=[Table(header, rows)], pictures=_some(shown, "errors"))


def _anchors(scales: Sequence[Scale], shapes: Tensor) -> Section:
    """How well the anchors fit the test objects, and how many each stands for."""
    anchors = torch.tensor([anchor for scale in scales for anchor in scale.anchors])
    strides = [scale.stride for scale in scales for _ in scale.anchors]
    overlap, nearest = pairwise(centered_iou, shapes, anchors).max(-1)
    rows = []
    for number, (width, height) in enumerate(anchors.tolist()):
        its = overlap[nearest == number]
        fit = float(its.mean()) if len(its) else "–"
        rows.append((strides[number], f"{width:.0f}×{height:.0f}", f"{len(its) / len(shapes):.1%}", fit))
    text = f"The best anchor of a test object overlaps it by {mean_iou(shapes, anchors):.3f} on average, in one centre."
    return Section("Anchors", text, tables=[Table(("stride", "pixels", "objects", "overlap with them"), rows)])
