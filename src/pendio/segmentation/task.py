"""The segmenter as a task: its loss, its metrics and whose weights move."""

import math
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from pendio.descent.means import MeanLoss
from pendio.descent.task import Loss, Player, Task
from pendio.nn.network import Network
from pendio.runs.diagnosis import Diagnosis, Evidence
from pendio.segmentation.diagnosis import diagnose_map_curves
from pendio.segmentation.losses import MapLoss
from pendio.segmentation.metrics import MapMetrics

__all__ = ["Segmenter"]

_PIXELS = 1 << 18
"""Pixels that are measured at once: maps of many channels weigh far more than the images."""


class Segmenter(Task):
    """A network that learns to say of what class each pixel is.

    Args:
        network: gives logits ``(N, K, H, W)`` of images ``(N, C, H, W)``.
        loss: what is learnt from.
        body: the child of the network's module that the rest stands on; None where all of it is new.
        body_lr: learning rate of the body relative to the rest; 0 leaves the body as it is.
    """

    def __init__(
        self, network: Network, loss: MapLoss | None = None, body: str | None = None, body_lr: float = 1.0
    ) -> None:
        super().__init__()
        self.network = network
        self.criterion = MapLoss() if loss is None else loss
        self._body = body
        self.body_lr = body_lr
        if self.body is not None and body_lr == 0:
            self.body.requires_grad_(False)
        self.met = MapMetrics(len(network.classes))
        self.mean_loss = MeanLoss()
        self.last: dict[str, Tensor] = {}

    @property
    def classes(self) -> tuple[str, ...]:
        """What it tells apart."""
        return self.network.classes

    @property
    def body(self) -> nn.Module | None:
        """The backbone or encoder; None where there is none."""
        return None if self._body is None else self.network.module.get_submodule(self._body)

    def train(self, mode: bool = True) -> "Segmenter":
        """Training mode, but for a body that stays as it is: its normalisation must not drift either."""
        super().train(mode)
        if self.body is not None and self.body_lr == 0:
            self.body.eval()
        return self

    def loss(self, batch: Any) -> Loss:
        """The loss of class maps ``(N, H, W)``, as a sum over pixels."""
        return self.criterion(self.network(batch.inputs), batch.targets)  # type: ignore[no-any-return]

    def players(self) -> Sequence[Player]:
        """One: the body at its own learning rate, and the rest."""
        if self.body is None or self.body_lr == 1:
            return [Player("segmenter", [self.network], self.loss)]
        rest = [child for name, child in self.network.module.named_children() if name != self._body]
        if self.body_lr == 0:
            return [Player("segmenter", rest, self.loss)]
        return [Player("segmenter", [self.body, *rest], self.loss, [self.body_lr, *[1.0] * len(rest)])]

    def measure(self, batch: Any) -> None:
        """Take in a batch of held-out images and their class maps."""
        self.judged(batch)

    @torch.no_grad()
    def judged(self, batch: Any) -> Tensor:
        """Take in a batch as :meth:`measure` does, and say what was predicted, uint8 ``(N, H, W)``."""
        chunk = max(1, _PIXELS // (batch.inputs.shape[-1] * batch.inputs.shape[-2]))
        predicted = []
        for inputs, targets in zip(batch.inputs.split(chunk), batch.targets.split(chunk), strict=True):
            logits = self.network(inputs)
            self.mean_loss.update(self.criterion(logits, targets))
            predicted.append(logits.argmax(1).to(torch.uint8))
            self.met.update(predicted[-1], targets)
        return torch.cat(predicted)

    def metrics(self) -> dict[str, float]:
        """Mean intersection over union, pixel accuracy, frequency-weighted intersection over union, boundary F1, loss.

        Afterwards ``last`` holds "iou" and "class_boundary_f1" ``(K,)`` of each class and "confusion" ``(K, K)``.
        """
        found = self.met.compute()
        self.last = {name: found.pop(name) for name in ("iou", "class_boundary_f1", "confusion")}
        metrics = {**found, "loss": self.mean_loss.compute()}
        self.met.reset()
        self.mean_loss.reset()
        return metrics

    def by_class(self) -> dict[str, dict[str, float]]:
        """Intersection over union and boundary F1 of each class at the last measurement, of those that occurred."""
        if not self.last:
            return {}
        values = zip(self.classes, self.last["iou"].tolist(), self.last["class_boundary_f1"].tolist(), strict=True)
        return {name: {"iou": iou, "boundary_f1": edge} for name, iou, edge in values if not math.isnan(iou)}

    def score(self, metrics: dict[str, float]) -> tuple[float, ...]:
        """Mean intersection over union; among equals, pixel accuracy."""
        return metrics["miou"], metrics["pixel_accuracy"]

    @torch.no_grad()
    def predict(self, inputs: Tensor) -> Tensor:
        """The class of each pixel, uint8 ``(N, H, W)``, of images of any size, uint8 or in [0, 1]."""
        self.eval()
        return cast(Tensor, self.network(inputs).argmax(1).to(torch.uint8))

    def diagnose(self, evidence: Evidence) -> list[Diagnosis]:
        """What went wrong, as far as curves and gradients tell."""
        return diagnose_map_curves(evidence)
