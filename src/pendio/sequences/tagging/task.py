"""The tagger as a task: its loss, its metrics, and what it answers."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassConfusionMatrix

from pendio.descent.classes import per_class
from pendio.descent.task import Loss, Task
from pendio.runs.diagnosis import Diagnosis, Evidence
from pendio.sequences.diagnosis import diagnose_training
from pendio.sequences.tagging.network import Tagger

__all__ = ["Answer", "Tag"]

Answer = Literal["class", "number", "tokens"]
"""One class a sequence, one number, or a class at each of the last steps."""


class Tag(Task):
    """A network that learns to answer sequences, by cross-entropy or for numbers by mean squared error.

    Args:
        tagger: what learns.
        answer: of what kind its answers are.
        classes: a name for each class number; empty for numbers.
        label_smoothing: share s of each label that is spread over all classes (Szegedy et al., 2016).
        class_weights: ``(K,)`` weight of each class in the loss; None for equal ones.
    """

    class_weights: Tensor | None

    def __init__(
        self,
        tagger: Tagger,
        answer: Answer,
        classes: Sequence[str] = (),
        *,
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.tagger, self.answer, self.classes = tagger, answer, tuple(classes)
        self.label_smoothing = label_smoothing
        weights = None if class_weights is None else torch.tensor(list(class_weights))
        self.register_buffer("class_weights", weights, persistent=False)
        self.mean_loss, self.mean_exact, self.mean_target, self.mean_square = (
            MeanMetric(nan_strategy="disable") for _ in range(4)
        )
        self.confusion = MulticlassConfusionMatrix(max(2, len(classes)), validate_args=False)
        self.last_confusion = torch.zeros(len(classes), len(classes), dtype=torch.long)

    def loss(self, batch: Any) -> Loss:
        """−Σ_k p_k log q_k, weighted by class, of each answer; for numbers (ŷ − y)²."""
        answers, targets = self.tagger(batch.inputs), batch.targets
        if self.answer == "number":
            return Loss(F.mse_loss(answers[:, 0], targets, reduction="sum"), len(targets))
        targets = targets.flatten()
        total = F.cross_entropy(
            answers.flatten(0, -2), targets, weight=self.class_weights, label_smoothing=self.label_smoothing,
            reduction="sum",
        )  # fmt: skip
        return Loss(total, len(targets) if self.class_weights is None else self.class_weights[targets].sum())

    def measure(self, batch: Any) -> None:
        """Take in a batch of held-out sequences."""
        self.measure_answers(self._answers(batch.inputs), batch.targets)

    def measure_answers(self, answers: Tensor, targets: Tensor) -> None:
        """Take in what :meth:`predict` gave, and what is right: ``targets`` as in the batches."""
        if self.answer == "number":
            self.mean_loss.update((answers - targets) ** 2)
            self.mean_target.update(targets)
            self.mean_square.update(targets**2)
            return
        likelihood = answers.gather(-1, targets[..., None])[..., 0]
        guesses = answers.argmax(-1)
        self.confusion.update(guesses.flatten(), targets.flatten())
        self.mean_loss.update(-likelihood.clamp_min(1e-30).log())
        if self.answer == "tokens":
            self.mean_exact.update((guesses == targets).all(1).float())

    def metrics(self) -> dict[str, float]:
        """Of classes accuracy, mean cross-entropy, mean recall over the classes (balanced accuracy) and macro F1; where
        there are several a sequence, also the share of sequences that are right in all; of numbers the mean squared error
        and r² = 1 − MSE / variance of what is right.
        """
        loss = float(self.mean_loss.compute())
        if self.answer == "number":
            variance = float(self.mean_square.compute()) - float(self.mean_target.compute()) ** 2
            metrics = {"mse": loss, "loss": loss, "r2": 1 - loss / max(variance, 1e-12)}
        else:
            self.last_confusion = self.confusion.compute().cpu()
            rows = [row for row in per_class(self.last_confusion) if row["examples"]]
            metrics = {
                "accuracy": float(self.last_confusion.diag().sum() / self.last_confusion.sum().clamp(min=1)),
                "loss": loss,
                "balanced_accuracy": sum(row["recall"] for row in rows) / max(1, len(rows)),
                "f1": sum(row["f1"] for row in rows) / max(1, len(rows)),
            }
            if self.answer == "tokens":
                metrics["exact"] = float(self.mean_exact.compute())
        for metric in (self.confusion, self.mean_loss, self.mean_exact, self.mean_target, self.mean_square):
            metric.reset()
        return metrics

    def diagnose(self, evidence: Evidence) -> list[Diagnosis]:
        """What went wrong, as far as a run's curves and gradients tell."""
        return diagnose_training(evidence)

    def score(self, metrics: dict[str, float]) -> tuple[float, ...]:
        """Accuracy, and among equals the lower loss; of numbers the lower error."""
        return (-metrics["loss"],) if self.answer == "number" else (metrics["accuracy"], -metrics["loss"])

    def _answers(self, inputs: Tensor) -> Tensor:
        answers = self.tagger(inputs).float()
        return answers[:, 0] if self.answer == "number" else answers.softmax(-1)  # type: ignore[no-any-return]

    @torch.no_grad()
    def predict(self, inputs: Tensor) -> Tensor:
        """Class probabilities ``(N, K)``, at each of the last steps ``(N, asked, K)``, or numbers ``(N,)``."""
        self.eval()
        return self._answers(inputs)
