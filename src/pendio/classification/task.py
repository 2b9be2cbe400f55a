"""The classifier as a task: its loss, its metrics and whose weights move."""

from collections.abc import Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy, MulticlassCalibrationError, MulticlassConfusionMatrix

from pendio.classification.models import stages
from pendio.classification.robust import Adversary
from pendio.descent.classes import per_class
from pendio.descent.task import Loss, Player, Task
from pendio.nn.network import Network

__all__ = ["Classifier"]


class Classifier(Task):
    """A network that learns to tell classes apart by cross-entropy.

    Args:
        network: its module is ``body``, ``dropout`` and ``head``.
        label_smoothing: share s of each label that is spread over all classes (Szegedy et al., 2016).
        class_weights: ``(K,)`` weight of each class in the loss; None for equal ones.
        tuned_stages: how many of the body's last stages learn: None for all of it, 0 for none (only the head does).
        body_lr: learning rate of the body relative to the head's.
        adversary: moves training images to where the loss is highest; None leaves them as they are.
    """

    class_weights: Tensor | None

    def __init__(
        self,
        network: Network,
        *,
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] | None = None,
        tuned_stages: int | None = None,
        body_lr: float = 1.0,
        adversary: Adversary | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.label_smoothing = label_smoothing
        self.body_lr = body_lr
        self.takes_features = False
        self.adversary = adversary
        weights = None if class_weights is None else torch.tensor(list(class_weights))
        self.register_buffer("class_weights", weights, persistent=False)
        self._freeze(tuned_stages)
        count = len(network.classes)
        self.confusion = MulticlassConfusionMatrix(count, validate_args=False)
        self.top5 = MulticlassAccuracy(count, top_k=min(5, count), average="micro", validate_args=False)
        self.calibration = MulticlassCalibrationError(count, n_bins=15, validate_args=False)
        self.mean_loss = MeanMetric(nan_strategy="disable")
        self.last_confusion = torch.zeros(count, count, dtype=torch.long)

    def _freeze(self, tuned_stages: int | None) -> None:
        if tuned_stages is None:
            return
        self.body.requires_grad_(False)
        if tuned_stages:
            for stage in stages(self.body)[-tuned_stages:]:
                stage.requires_grad_(True)

    @property
    def body(self) -> nn.Module:
        """The part that turns inputs into features."""
        return self.network.module.get_submodule("body")

    @property
    def head(self) -> nn.Linear:
        """The linear layer that turns features into logits."""
        return cast(nn.Linear, self.network.module.get_submodule("head"))

    def train(self, mode: bool = True) -> "Classifier":
        """Training mode, except for what is frozen: its batch normalisation must not drift."""
        super().train(mode)
        for module in self.body.modules():
            own = list(module.parameters(recurse=False))
            if own and not any(parameter.requires_grad for parameter in own):
                module.eval()
        return self

    def features(self, inputs: Tensor) -> Tensor:
        """``(N, F)``: what the head sees of inputs."""
        features: Tensor = self.body(self.network.prepare(inputs))
        return features

    def logits(self, inputs: Tensor) -> Tensor:
        """``(N, K)`` of inputs, or of their features while ``takes_features``."""
        if self.takes_features:
            logits: Tensor = self.head(self.network.module.get_submodule("dropout")(inputs))
            return logits
        return self.network(inputs)  # type: ignore[no-any-return]

    def loss(self, batch: Any) -> Loss:
        """Cross-entropy −Σ_k p_k log q_k, weighted by class; targets are class numbers or probabilities p."""
        inputs, targets = batch.inputs, batch.targets
        if self.adversary is not None and self.training:
            inputs = self.adversary(self.network, inputs, targets)
        logits = self.logits(inputs)
        total = F.cross_entropy(
            logits, targets, weight=self.class_weights, label_smoothing=self.label_smoothing, reduction="sum"
        )
        if self.class_weights is None:
            return Loss(total, len(targets))
        weights = self.class_weights[targets] if targets.ndim == 1 else targets @ self.class_weights
        return Loss(total, weights.sum())

    def players(self) -> Sequence[Player]:
        """One: the body at its own learning rate, and the head."""
        if any(parameter.requires_grad for parameter in self.body.parameters()):
            return [Player("classifier", [self.body, self.head], self.loss, [self.body_lr, 1.0])]
        return [Player("classifier", [self.head], self.loss)]

    def measure(self, batch: Any) -> None:
        """Take in a batch with class numbers as targets."""
        logits = self.logits(batch.inputs).float()
        self.measure_probabilities(logits.softmax(1), batch.targets)

    def measure_probabilities(self, probabilities: Tensor, targets: Tensor) -> None:
        """Take in class probabilities ``(N, K)``, of this network or of an ensemble."""
        likelihood = probabilities[torch.arange(len(targets), device=targets.device), targets]
        self.confusion.update(probabilities, targets)
        self.top5.update(probabilities, targets)
        self.calibration.update(probabilities, targets)
        self.mean_loss.update(-likelihood.clamp_min(1e-30).log())

    def metrics(self) -> dict[str, float]:
        """Accuracy, top-5 accuracy, mean cross-entropy, macro precision, recall and F1, calibration error.

        The calibration error is the mean gap between confidence and accuracy over 15 bins (Guo et al., 2017).
        """
        self.last_confusion = self.confusion.compute().cpu()
        rows = per_class(self.last_confusion)
        means = {name: sum(row[name] for row in rows) / len(rows) for name in ("precision", "recall", "f1")}
        metrics = {
            "accuracy": float(self.last_confusion.diag().sum() / self.last_confusion.sum().clamp(min=1)),
            "loss": float(self.mean_loss.compute()),
            "top5": float(self.top5.compute()),
            **means,
            "calibration_error": float(self.calibration.compute()),
        }
        for metric in (self.confusion, self.top5, self.calibration, self.mean_loss):
            metric.reset()
        return metrics

    def score(self, metrics: dict[str, float]) -> tuple[float, ...]:
        """Accuracy; among equals, the lower loss."""
        return metrics["accuracy"], -metrics["loss"]

    @torch.no_grad()
    def predict(self, inputs: Tensor) -> Tensor:
        """Class probabilities ``(N, K)``."""
        self.eval()
        return self.network(inputs).float().softmax(1)  # type: ignore[no-any-return]
