"""Measuring a trained tagger."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pendio.data.examples import Split
from pendio.data.text.answers import LabelledData
from pendio.descent.classes import per_class
from pendio.errors import InputError
from pendio.sequences.tagging.task import Tag

__all__ = ["Evaluation", "evaluate_tagger"]


@dataclass(frozen=True)
class Evaluation:
    """What a tagger made of held-out sequences.

    Attributes:
        metrics: see :meth:`Tag.metrics`.
        classes: of the tagger; empty for numbers.
        confusion: counts ``(K, K)`` of (true, predicted).
        answers: probabilities ``(N, K)`` or ``(N, asked, K)``, or numbers ``(N,)``.
        targets: ``(N,)`` or ``(N, asked)``.
        indices: ``(N,)`` positions in the split.
    """

    metrics: dict[str, float]
    classes: tuple[str, ...]
    confusion: Tensor
    answers: Tensor
    targets: Tensor
    indices: Tensor

    def to_dict(self) -> dict[str, Any]:
        """Metrics overall and by class, for people and for ``--json``."""
        result: dict[str, Any] = {"examples": len(self.targets), **self.metrics}
        if self.classes:
            rows = per_class(self.confusion)
            result |= {"classes": dict(zip(self.classes, rows, strict=True)), "confusion": self.confusion.tolist()}
        return result

    def ranked(self) -> Tensor:
        """``(N,)`` rows from the worst answer on: by the probability of what is right, or by the error of a number."""
        if not self.classes:
            return (self.answers - self.targets).abs().argsort(descending=True, stable=True)
        likelihood = self.answers.gather(-1, self.targets[..., None])[..., 0]
        return likelihood.reshape(len(likelihood), -1).log().sum(1).argsort(stable=True)


@torch.no_grad()
def evaluate_tagger(task: Tag, data: LabelledData, splits: Sequence[Split]) -> Evaluation:
    """Metrics over all sequences of ``splits``, parts of ``data``.

    Raises:
        InputError: the data asks for other answers than the tagger gives, or has a class that it does not know.
    """
    if data.answer != task.answer:
        kinds = {
            "class": "one class a sequence",
            "number": "a number a sequence",
            "tokens": "a class at the last steps",
        }
        raise InputError(f"data '{data.name}' asks for {kinds[data.answer]}; this run gives {kinds[task.answer]}")
    unknown = [name for name in data.classes if name not in task.classes]
    if unknown:
        raise InputError(f"data '{data.name}' has classes the run does not know: {', '.join(unknown[:5])}; "
                         f"it knows {', '.join(task.classes[:10])}")  # fmt: skip
    renumber = torch.tensor([task.classes.index(name) for name in data.classes], dtype=torch.long)
    device = next(task.parameters()).device
    rows: list[tuple[Tensor, Tensor, Tensor]] = []
    for split in splits:
        for batch in split.batches(128):
            targets = batch.targets if data.answer == "number" else renumber[batch.targets]
            answers = task.predict(batch.inputs.to(device)).cpu()
            task.measure_answers(answers.to(device), targets.to(device))
            rows.append((answers, targets, batch.indices))
    if not rows:
        raise InputError(f"data '{data.name}' has no examples to evaluate on")
    answers, targets, indices = (torch.cat(column) for column in zip(*rows, strict=True))
    return Evaluation(task.metrics(), task.classes, task.last_confusion, answers, targets, indices)
