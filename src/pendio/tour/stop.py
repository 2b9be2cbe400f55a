"""A stop of the tour, and what all stops use."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pendio.classification.evaluation import evaluate_classifiers
from pendio.classification.recipe import load_classifier, open_data, run_options
from pendio.runs.page import Picture, Section
from pendio.runs.run import Run

__all__ = ["Stop", "held_out_accuracy", "picture"]


@dataclass(frozen=True)
class Stop:
    """A stop of the tour: a title, and what happens there in a folder of its own."""

    title: str
    visit: Callable[[Path], Section]


def picture(run: Run, name: str, caption: str) -> Picture:
    """A picture of a run's report."""
    return Picture((run.folder / "pictures" / f"{name}.png").read_bytes(), caption)


def held_out_accuracy(run: Run) -> float:
    """Accuracy of a run on its test split."""
    data = open_data(run_options(run))
    return evaluate_classifiers([load_classifier(run)], data, [data.split("test")]).metrics["accuracy"]
