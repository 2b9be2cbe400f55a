"""Measuring trained classifiers, alone or as an ensemble, and reporting on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pendio.classification.task import Classifier
from pendio.data.examples import Data, Resident, Split
from pendio.descent.classes import per_class
from pendio.descent.report import about_data, closing, draw_training
from pendio.errors import InputError
from pendio.pictures.confusion import draw_confusion
from pendio.pictures.grids import draw_grid
from pendio.pictures.regions import draw_regions
from pendio.runs.page import Picture, Section, Table, write_page
from pendio.runs.run import REPORT, Run

__all__ = ["Evaluation", "evaluate_classifiers", "write_report"]

_SHOWN = 16


@dataclass(frozen=True)
class Evaluation:
    """What classifiers made of a split.

    Attributes:
        metrics: see :meth:`Classifier.metrics`.
        classes: of the classifiers.
        confusion: counts ``(K, K)`` of (true, predicted).
        probabilities: ``(N, K)``, the mean over the classifiers.
        targets: ``(N,)``.
        indices: ``(N,)`` positions in the split.
    """

    metrics: dict[str, float]
    classes: tuple[str, ...]
    confusion: Tensor
    probabilities: Tensor
    targets: Tensor
    indices: Tensor

    def to_dict(self) -> dict[str, Any]:
        """Metrics overall and by class, for people and for ``--json``."""
        rows = per_class(self.confusion)
        return {
            "examples": len(self.targets),
            **self.metrics,
            "classes": dict(zip(self.classes, rows, strict=True)),
            "confusion": self.confusion.tolist(),
        }


@torch.no_grad()
def evaluate_classifiers(tasks: Sequence[Classifier], data: Data, splits: Sequence[Split]) -> Evaluation:
    """Metrics of the mean of the classifiers' probabilities: of one, its own; of several, their ensemble's.

    Raises:
        InputError: the classifiers differ in their classes, or the data has a class they do not know.
    """
    first = tasks[0]
    for task in tasks[1:]:
        if task.network.classes != first.network.classes:
            raise InputError("these runs cannot be an ensemble: they were trained on different classes")
    known = first.network.classes
    unknown = [name for name in data.classes if name not in known]
    if unknown:
        raise InputError(f"data '{data.name}' has classes the run does not know: {', '.join(unknown[:5])}; "
                         f"it knows {', '.join(known[:10])}")  # fmt: skip
    renumber = torch.tensor([known.index(name) for name in data.classes])
    rows: list[tuple[Tensor, Tensor, Tensor]] = []
    for split in splits:
        for batch in split.batches(64):
            if not len(batch.targets):
                continue
            probabilities = torch.stack([task.predict(batch.inputs) for task in tasks]).mean(0)
            rows.append((probabilities, renumber[batch.targets], batch.indices))
    if not rows:
        raise InputError(f"data '{data.name}' has no examples to evaluate on")
    probabilities, targets, indices = (torch.cat(column) for column in zip(*rows, strict=True))
    first.measure_probabilities(probabilities, targets)
    metrics = first.metrics()
    return Evaluation(metrics, known, first.last_confusion, probabilities, targets, indices)


def write_report(run: Run, task: Classifier, data: Data) -> None:
    """Write ``report.html`` and its pictures into the run folder: how training went and what came out."""
    task.to("cpu").eval()
    split = data.split("test")
    evaluation = evaluate_classifiers([task], data, [split])
    pictures = draw_training(run, "accuracy")
    pictures["confusion"] = draw_confusion(evaluation.confusion, data.classes)
    if data.kind == "images":
        pictures |= _example_pictures(task, data, split, evaluation)
    elif data.kind == "points" and isinstance(split, Resident):
        pictures["regions"] = draw_regions(task.predict, split.inputs, split.targets, data.classes)
    run.write_pictures(pictures)
    sections = _sections(run, data, evaluation, pictures)
    accuracy = f"{evaluation.metrics['accuracy']:.2%} of {len(evaluation.targets)} test examples right"
    subtitle = f"{_model(run)} on {data.name}: {accuracy}"
    write_page(run.folder / REPORT, run.folder.name, subtitle, sections)


def _model(run: Run) -> str:
    return str(run.config.get("options", {}).get("model", "model"))


def _example_pictures(task: Classifier, data: Data, split: Split, evaluation: Evaluation) -> dict[str, bytes]:
    likelihood = evaluation.probabilities[torch.arange(len(evaluation.targets)), evaluation.targets]
    ranked = likelihood.argsort()
    pictures = {}
    for name, chosen in (("worst", ranked[:_SHOWN]), ("best", ranked.flip(0)[:_SHOWN])):
        images = split.take(evaluation.indices[chosen]).inputs
        captions, colors = [], []
        for row in chosen.tolist():
            true, guess = int(evaluation.targets[row]), int(evaluation.probabilities[row].argmax())
            right = true == guess
            said = f"{data.classes[guess][:14]} {evaluation.probabilities[row, guess]:.0%}"
            captions.append(said if right else f"{said}\nis {data.classes[true][:14]}")
            colors.append("black" if right else "#b3261e")
        pictures[name] = draw_grid(images, captions, colors=colors)
    every = max(1, len(data.train) // _SHOWN)
    sample = data.train.take(torch.arange(0, len(data.train), every)[:_SHOWN])
    pictures["data"] = draw_grid(sample.inputs, [data.classes[target][:14] for target in sample.targets.tolist()])
    return pictures


_CAPTIONS = {
    "curves": "Loss and validation accuracy; the dotted line marks the evaluation whose weights were kept.",
    "confusion": "Counts of true against predicted classes on the test examples.",
    "worst": "The test examples with the least probability for their true class.",
    "best": "The test examples with the most probability for their true class.",
    "data": "Training examples, before augmentation.",
    "regions": "Predicted class over the plane, paler where less sure, with the test points.",
}


def _sections(run: Run, data: Data, evaluation: Evaluation, pictures: dict[str, bytes]) -> list[Section]:
    shown = {name: Picture(png, _CAPTIONS[name]) for name, png in pictures.items() if name in _CAPTIONS}
    metrics = Table(("metric", "test"), list(evaluation.metrics.items()))
    rows = per_class(evaluation.confusion)
    classes = Table(
        ("class", "precision", "recall", "F1", "examples"),
        [
            (name, row["precision"], row["recall"], row["f1"], int(row["examples"]))
            for name, row in zip(evaluation.classes, rows, strict=True)
        ],
    )
    sections = [Section("Results", tables=[metrics], pictures=_some(shown, "curves", "regions"))]
    if "worst" in shown:
        sections.append(Section("Predictions", pictures=_some(shown, "worst", "best")))
    sections.append(Section("Classes", tables=[classes], pictures=_some(shown, "confusion")))
    sections.append(about_data(data, f" in {len(data.classes)} classes", _some(shown, "data")))
    return sections + closing(run, pictures, "  # looks at activations, labels and overfitting too")


def _some(pictures: dict[str, Picture], *names: str) -> list[Picture]:
    return [pictures[name] for name in names if name in pictures]
