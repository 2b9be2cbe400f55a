"""A detector that looks at proposed regions one by one (R-CNN; Girshick et al., 2014)."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import MeanMetric

from pendio.classification.networks.plain import CNN
from pendio.descent.means import MeanLoss
from pendio.descent.task import Loss, Task
from pendio.detection.detections import Detections
from pendio.detection.diagnosis import diagnose_detector
from pendio.detection.evaluation import outcome_of_batch
from pendio.detection.kinds import SuppressionKind
from pendio.detection.metrics import AveragePrecision, DetectionMetrics, evaluate
from pendio.detection.proposals.crops import crop, moved
from pendio.detection.proposals.recall import best_overlaps
from pendio.detection.proposals.regions import SEARCH, RegionExamples, smallest
from pendio.detection.proposals.selective_search import propose
from pendio.detection.suppression import suppress_batch
from pendio.nn.network import unit_range
from pendio.runs.diagnosis import Diagnosis, Evidence

__all__ = ["RegionDetector", "RegionNetwork"]

_WIDTH = 16
"""Channels of the first stage; the last has eight times as many."""

_LEAST_SCORE = 0.005
_MOST = 300
_MANY = 10**6
"""More proposals than there are of any image."""

_PIXELS = 1 << 20
"""Pixels of crops that go through the network at once while predicting."""


class RegionNetwork(nn.Module):
    """Says of regions what they show and where it lies exactly.

    Args:
        classes: how many, without background.
        side: of the squares in pixels that regions are warped to.
        mean, std: a number for each channel.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, classes: int, side: int, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.side = side
        self.body = CNN((3, side, side), _WIDTH)
        self.scores = nn.Linear(self.body.num_features, classes + 1)
        self.moves = nn.Linear(self.body.num_features, 4)
        self.register_buffer("mean", torch.tensor(list(mean)).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(list(std)).view(1, -1, 1, 1))

    def forward(self, images: Tensor, regions: Tensor) -> tuple[Tensor, Tensor]:
        """Class logits ``(N·R, C + 1)``, the last of background, and offsets ``(N·R, 4)``.

        Args:
            images: ``(N, 3, S, S)``, bytes or in [0, 1].
            regions: ``(N, R, 4)`` x1, y1, x2, y2 in pixels.
        """
        features = self.body(crop((unit_range(images) - self.mean) / self.std, regions, self.side))
        return self.scores(features), self.moves(features)


class RegionDetector(Task):
    """Proposes regions by selective search, and learns to say what each shows.

    It learns from regions that were drawn beforehand (:class:`~pendio.detection.proposals.regions.RegionExamples`), and is
    measured on such regions while it does; on whole images (:class:`~pendio.data.annotations.boxes.BoxExamples`) it
    proposes, classifies, moves and suppresses, and COCO's average precision is measured.

    Args:
        network: looks at regions.
        classes: names.
        size: side of the square that images are fitted into, in pixels.
        suppression: what happens to the weaker of two overlapping boxes of a class.
        overlap: intersection over union from which boxes are taken for the same object.
    """

    def __init__(
        self, network: RegionNetwork, classes: Sequence[str], size: int, suppression: SuppressionKind = "hard",
        overlap: float = 0.3,
    ) -> None:  # fmt: skip
        super().__init__()
        self.network = network
        self.classes = tuple(classes)
        self.size = size
        self.suppression = suppression
        self.overlap = overlap
        self.found = DetectionMetrics(len(self.classes))
        self.mean_loss, self.right = MeanLoss(), MeanLoss()
        self.proposed = {name: MeanMetric() for name in ("recall50", "recall70", "overlap")}
        self.last: AveragePrecision | None = None

    def _losses(self, batch: RegionExamples) -> tuple[Tensor, Tensor, Tensor]:
        """Summed loss, number of regions, and number of those whose class is right."""
        logits, moves = self.network(batch.inputs, batch.regions)
        labels = batch.labels.flatten()
        present, objects = labels >= 0, (labels >= 0) & (labels < len(self.classes))
        said = F.cross_entropy(logits, labels, ignore_index=-1, reduction="sum")
        placed = F.smooth_l1_loss(moves, batch.offsets.flatten(0, 1), reduction="none").sum(1)
        right = (logits.argmax(1) == labels) & present
        return said + (placed * objects).sum(), present.sum(), right.sum()

    def loss(self, batch: RegionExamples) -> Loss:
        """Cross-entropy of classes and background, and of objects the smooth L1 distance of the offsets; for each region."""
        total, count, _ = self._losses(batch)
        return Loss(total, count.clamp(min=1))

    def measure(self, batch: Any) -> None:
        """Take in a batch of regions, or one of whole images."""
        if isinstance(batch, RegionExamples):
            total, count, right = self._losses(batch)
            self.mean_loss.update(Loss(total, count))
            self.right.update(Loss(right, count))
            return
        answers = []
        for image, boxes, labels, crowd in zip(batch.inputs, batch.boxes, batch.labels, batch.crowd, strict=True):
            proposals, answer = self._look(image)
            answers.append(answer)
            best = best_overlaps(proposals.cpu(), boxes[(labels >= 0) & ~crowd].cpu(), [_MANY])
            for name, values in (("recall50", best >= 0.5), ("recall70", best >= 0.7), ("overlap", best)):
                if len(best):
                    self.proposed[name].update(values.float())
        self.found.add(outcome_of_batch(answers, batch))

    def metrics(self) -> dict[str, float]:
        """Of whole images COCO's average precision and what the proposals find; of regions accuracy and loss."""
        metrics: dict[str, float] = {}
        if self.right.update_called:
            metrics |= {"region_accuracy": self.right.compute(), "loss": self.mean_loss.compute()}
        outcome = self.found.outcome()
        if outcome.count:
            self.last = evaluate(outcome, len(self.classes))
            metrics |= self.last.summary()
        for name, metric in self.proposed.items():
            if metric.update_called:
                metrics[f"proposals_{name}"] = float(metric.compute())
        self.right.reset()
        self.mean_loss.reset()
        for metric in self.proposed.values():
            metric.reset()
        self.found.reset()
        return metrics

    def by_class(self) -> dict[str, dict[str, float]]:
        """Average precision of each class at the last measurement of whole images: over overlaps, and at 0.5."""
        return {} if self.last is None else self.last.by_class(self.classes)

    def score(self, metrics: dict[str, float]) -> tuple[float, ...]:
        """The share of regions whose class is right; among equals, the lower loss."""
        return metrics["region_accuracy"], -metrics["loss"]

    def predict(self, inputs: Tensor) -> list[Detections]:
        """Objects in each of ``(N, 3, S, S)`` uint8 images, in their pixels."""
        self.eval()
        return [self._look(image)[1] for image in inputs]

    @torch.no_grad()
    def _look(self, image: Tensor) -> tuple[Tensor, Detections]:
        """Proposals ``(K, 4)`` of an image, and what is found in them."""
        regions = propose(image, SEARCH, smallest=smallest(image.shape[-1])).boxes.to(image.device)
        if not len(regions):
            none = Detections.none()
            return regions, Detections(*(column.to(image.device) for column in none))
        parts = regions.split(max(1, _PIXELS // self.network.side**2))
        answers = [self.network(image[None], part[None]) for part in parts]
        logits, moves = (torch.cat(column).float() for column in zip(*answers, strict=True))
        scores = logits.softmax(1)[:, :-1]
        places, labels = (scores >= _LEAST_SCORE).nonzero(as_tuple=True)
        boxes = _within(moved(regions, moves), image)[places]
        images = torch.zeros_like(labels)
        (found,) = suppress_batch(
            boxes, scores[places, labels], labels, images,
            count=1, overlap=self.overlap, kind=self.suppression, limit=_MOST,
        )  # fmt: skip
        return regions, found

    def diagnose(self, evidence: Evidence) -> list[Diagnosis]:
        """What went wrong, as far as curves and gradients tell."""
        return diagnose_detector(evidence)


def _within(boxes: Tensor, image: Tensor) -> Tensor:
    height, width = image.shape[-2:]
    return boxes.minimum(boxes.new_tensor([width, height, width, height])).clamp(min=0)
