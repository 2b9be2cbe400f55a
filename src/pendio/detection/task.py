"""A single-shot detector as a task: its loss, what it answers, and how that is measured."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor

from pendio.descent.means import MeanLoss
from pendio.descent.task import Loss, Task
from pendio.detection.detections import Detections
from pendio.detection.diagnosis import diagnose_detector
from pendio.detection.evaluation import outcome_of_batch
from pendio.detection.kinds import SuppressionKind
from pendio.detection.metrics import AveragePrecision, DetectionMetrics, evaluate
from pendio.detection.yolo.decoding import detect
from pendio.detection.yolo.losses import YoloLoss
from pendio.detection.yolo.scales import Scale
from pendio.nn.fusion import packed
from pendio.nn.network import Network
from pendio.runs.diagnosis import Diagnosis, Evidence

__all__ = ["Detector"]

_PIXELS = 1 << 21
"""Pixels that are measured at once: early maps weigh far more than the images."""

LEAST_SCORE = 0.005
"""Detections below this score are not measured, as in darknet's own evaluation."""


class Detector(Task):
    """A network that learns to say what is where in one look.

    Args:
        network: of images of ``size`` × ``size``; its module has ``scales``, the coarsest first, and gives a raw map for
            each (see :mod:`pendio.detection.yolo.decoding`).
        loss: what is learnt from; None where the task only predicts.
        suppression: what happens to the weaker of two overlapping boxes of a class.
        overlap: intersection over union from which boxes are taken for the same object.
    """

    def __init__(
        self,
        network: Network,
        loss: YoloLoss | None = None,
        *,
        suppression: SuppressionKind = "hard",
        overlap: float = 0.45,
    ) -> None:
        super().__init__()
        self.network = network
        self.criterion = loss
        self.suppression: SuppressionKind = suppression
        self.overlap = overlap
        self.found = DetectionMetrics(len(network.classes))
        self.mean_loss = MeanLoss()
        self.last: AveragePrecision | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """What it tells apart."""
        return self.network.classes

    @property
    def size(self) -> int:
        """Side of the square that images are fitted into, in pixels."""
        return self.network.shape[1]

    @property
    def scales(self) -> tuple[Scale, ...]:
        """Its strides and anchors, the coarsest first."""
        return cast("tuple[Scale, ...]", self.network.module.scales)

    def _loss(self, maps: Sequence[Tensor], batch: Any) -> Loss:
        if self.criterion is None:
            raise ValueError("this task has no loss to learn from: it only predicts")
        parts = self.criterion(maps, batch.boxes, batch.labels, batch.crowd, batch.inputs.shape[-1])
        return Loss(parts.box + parts.objectness + parts.classes, len(batch.inputs))

    def loss(self, batch: Any) -> Loss:
        """Box, objectness and class losses, summed over cells and objects, a number for each image."""
        return self._loss(self.network(batch.inputs), batch)

    def measure(self, batch: Any) -> None:
        """Take in a batch of held-out images and where their objects are."""
        chunk = max(1, _PIXELS // batch.inputs.shape[-1] ** 2)
        for start in range(0, len(batch.inputs), chunk):
            part = type(batch)(*(column[start : start + chunk] for column in batch))
            maps = self.network(part.inputs)
            if self.criterion is not None:
                self.mean_loss.update(self._loss(maps, part))
            self.found.add(outcome_of_batch(self._decoded(maps, LEAST_SCORE, 100), part))

    def metrics(self) -> dict[str, float]:
        """COCO's average precision and recall, overall and by size, and the loss; ``last`` holds them by class too."""
        self.last = evaluate(self.found.outcome(), len(self.classes))
        metrics = self.last.summary()
        self.found.reset()
        if self.criterion is not None:
            metrics["loss"] = self.mean_loss.compute()
        self.mean_loss.reset()
        return metrics

    def by_class(self) -> dict[str, dict[str, float]]:
        """Average precision of each class at the last measurement: over overlaps from 0.5 to 0.95, and at 0.5."""
        return {} if self.last is None else self.last.by_class(self.classes)

    def score(self, metrics: dict[str, float]) -> tuple[float, ...]:
        """Average precision over overlaps from 0.5 to 0.95; among equals, that at 0.5."""
        return metrics["map"], metrics["map50"]

    def _decoded(self, maps: Sequence[Tensor], threshold: float, limit: int) -> list[Detections]:
        return detect(
            maps, self.scales, threshold=threshold, iou=self.overlap, suppression=self.suppression, limit=limit
        )

    @torch.no_grad()
    def predict(self, inputs: Tensor, threshold: float = LEAST_SCORE) -> list[Detections]:
        """Objects in each of ``(N, 3, S, S)`` images, bytes or in [0, 1], in their pixels; S is a multiple of 32."""
        self.eval()
        return self._decoded(cast("tuple[Tensor, ...]", self.network(inputs)), threshold, 300)

    def hastened(self) -> "Detector":
        """A copy that only predicts, sooner: with folded normalisation, and kernels that lie as they are read."""
        network = packed(self.network.eval(), torch.zeros(1, 3, self.size, self.size))
        return Detector(network, suppression=self.suppression, overlap=self.overlap).eval()

    def diagnose(self, evidence: Evidence) -> list[Diagnosis]:
        """What went wrong, as far as curves and gradients tell."""
        return diagnose_detector(evidence)
