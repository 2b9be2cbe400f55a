"""How well class maps are met: overlap from one confusion matrix, and how well boundaries are."""

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric

from pendio.data.annotations.records import IGNORED

__all__ = ["TOLERANCE", "MapMetrics", "MapScores", "boundary", "boundary_scores", "confusion_matrix", "scores"]

TOLERANCE = 0.0075
"""Share of an image's diagonal by which a boundary may be missed."""

_FINE = 1 << 30
"""Scores are kept as whole numbers of this part: such sums are the same in any order, on any number of devices."""


@dataclass(frozen=True)
class MapScores:
    """What a confusion matrix says, each in [0, 1].

    Attributes:
        miou: mean over classes that occur, in the truth or among the predictions, of their intersection over union.
        pixel_accuracy: share of the pixels that are right.
        weighted_iou: mean of the classes' intersections over unions, weighted by how many pixels each truly has.
        iou: ``(K,)`` of each class; NaN where it occurs nowhere.
    """

    miou: float
    pixel_accuracy: float
    weighted_iou: float
    iou: Tensor


def confusion_matrix(predicted: Tensor, truth: Tensor, classes: int) -> Tensor:
    """Counts ``(K, K)`` int64 of pixels by (true, predicted) class, without those whose truth is 255.

    Args:
        predicted, truth: ``(…, H, W)`` class numbers of any integer type.
        classes: K.
    """
    pairs = truth.flatten().long() * classes + predicted.flatten()
    # Ignored pixels lie beyond the counts that are kept, so that they need not be sorted out before.
    return torch.bincount(pairs, minlength=classes * classes)[: classes * classes].view(classes, classes)


def scores(confusion: Tensor) -> MapScores:
    """What a confusion matrix ``(K, K)`` of (true, predicted) says; a ratio with nothing to divide by is 0."""
    counts = confusion.double().cpu()
    hits, true, predicted = counts.diag(), counts.sum(1), counts.sum(0)
    union = true + predicted - hits
    iou = torch.where(union > 0, hits / union, torch.nan)
    occurs, total = union > 0, true.sum().clamp(min=1)
    return MapScores(
        miou=float(iou[occurs].mean()) if occurs.any() else 0.0,
        pixel_accuracy=float(hits.sum() / total),
        weighted_iou=float((true * iou.nan_to_num()).sum() / total),
        iou=iou.float(),
    )


def boundary(maps: Tensor) -> Tensor:
    """Pixels of a class that touch one of another, left, right, above or below: ``(N, H, W)`` bool.

    The image's edge is no boundary, and neither is an edge to ignored pixels.

    Args:
        maps: ``(N, H, W)`` class numbers, 255 where ignored.
    """
    found = torch.zeros_like(maps, dtype=torch.bool)
    for axis in (1, 2):
        length = maps.shape[axis] - 1
        one, other = maps.narrow(axis, 0, length), maps.narrow(axis, 1, length)
        differ = (one != other) & (one != IGNORED) & (other != IGNORED)
        found.narrow(axis, 0, length).logical_or_(differ)
        found.narrow(axis, 1, length).logical_or_(differ)
    return found


def boundary_scores(
    predicted: Tensor, truth: Tensor, classes: int, tolerance: float = TOLERANCE
) -> tuple[Tensor, Tensor]:
    """How well the boundary of each class is met in each image (Csurka, Larlus and Perronnin, 2013).

    P = share of the predicted boundary's pixels that have a true one within θ, R = share of the true ones that have a
    predicted one within θ, F1 = 2·P·R/(P + R); θ is ``tolerance`` times the diagonal, distances are between the middles
    of pixels. Predictions on ignored pixels are ignored.

    Args:
        predicted, truth: ``(N, H, W)`` class numbers; 255 is ignored in the truth.
        classes: K.
        tolerance: as a share of the diagonal.

    Returns:
        ``(N, K)`` F1 in [0, 1], and whether the class has a boundary there, in the truth or as predicted: where it has
        none F1 is 0 and does not count.
    """
    truth = truth.to(torch.uint8)
    predicted = torch.where(truth == IGNORED, truth, predicted.to(torch.uint8))
    theta = tolerance * math.hypot(*truth.shape[1:])
    precision, guessed = _near(predicted, truth, classes, theta)
    recall, true = _near(truth, predicted, classes, theta)
    f1 = 2 * precision * recall / (precision + recall).clamp(min=1e-12)
    return f1, (guessed + true) > 0


def _near(maps: Tensor, others: Tensor, classes: int, theta: float) -> tuple[Tensor, Tensor]:
    """For each image and class ``(N, K)``: the share of the boundary pixels with another within theta; their number."""
    reach = int(theta)
    edges = F.pad(torch.where(boundary(others), others, IGNORED), (reach,) * 4, value=IGNORED)
    width = edges.shape[2]
    edges = edges.flatten()
    image, row, column = boundary(maps).nonzero(as_tuple=True)
    label = maps[image, row, column]
    place = (image * (maps.shape[1] + 2 * reach) + row + reach) * width + column + reach
    near = torch.zeros_like(label, dtype=torch.bool)
    for down in range(-reach, reach + 1):
        across = int(math.sqrt(theta * theta - down * down))
        for right in range(-across, across + 1):
            near |= edges[place + (down * width + right)] == label
    group = image * classes + label
    number = torch.bincount(group, minlength=len(maps) * classes)
    met = torch.bincount(group[near], minlength=len(maps) * classes)
    shape = (len(maps), classes)
    return (met.float() / number.clamp(min=1)).view(shape), number.view(shape)


class MapMetrics(Metric):
    """Takes in class maps, and says over all of them how well they were met; over all processes together.

    Args:
        classes: K.
    """

    full_state_update = False
    confusion: Tensor
    boundary_sum: Tensor
    boundary_images: Tensor

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.add_state("confusion", torch.zeros(classes, classes, dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("boundary_sum", torch.zeros(classes, dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("boundary_images", torch.zeros(classes, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, predicted: Tensor, truth: Tensor) -> None:
        """Take in class numbers ``(N, H, W)`` as predicted and as they truly are, 255 where that is ignored."""
        self.confusion += confusion_matrix(predicted, truth, self.classes)
        f1, counts = boundary_scores(predicted, truth, self.classes)
        self.boundary_sum += (f1 * counts * _FINE).round().long().sum(0)
        self.boundary_images += counts.sum(0)

    def compute(self) -> dict[str, Any]:
        """Numbers by name, and the matrix.

        "miou", "pixel_accuracy", "weighted_iou" as in :class:`MapScores`; "boundary_f1", the mean over classes of the
        mean over the images in which the class has a boundary; "iou" and "class_boundary_f1" ``(K,)`` of each class, NaN
        where it does not occur; "confusion" ``(K, K)``.
        """
        found = scores(self.confusion)
        images = self.boundary_images.cpu().double()
        each = torch.where(images > 0, self.boundary_sum.cpu().double() / _FINE / images, torch.nan)
        return {
            "miou": found.miou,
            "pixel_accuracy": found.pixel_accuracy,
            "weighted_iou": found.weighted_iou,
            "boundary_f1": float(each[images > 0].mean()) if images.any() else 0.0,
            "iou": found.iou,
            "class_boundary_f1": each.float(),
            "confusion": self.confusion.cpu(),
        }
