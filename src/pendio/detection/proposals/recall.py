"""How many objects a set of proposals finds, and how closely, as more and more of them are looked at."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pendio.detection.boxes import iou, pairwise

__all__ = ["Recall", "best_overlaps", "recall_of"]

_PAIRS = 1 << 20


class Recall(NamedTuple):
    """What the first proposals of each image find.

    Attributes:
        counts: how many of each image are looked at.
        recall50, recall70: for each of ``counts``, the share of objects that a proposal overlaps by 0.5, by 0.7 or more.
        overlap: for each of ``counts``, the average best overlap: the mean over the objects of the highest IoU with any
            proposal, of Uijlings et al. (2013), section 5.1.
        by_class: ``(len(counts), C)`` the same of each class, NaN where there is no object; their mean is the paper's MABO.
        objects: how many there are.
    """

    counts: tuple[int, ...]
    recall50: tuple[float, ...]
    recall70: tuple[float, ...]
    overlap: tuple[float, ...]
    by_class: Tensor
    objects: int


def best_overlaps(proposals: Tensor, boxes: Tensor, counts: Sequence[int]) -> Tensor:
    """``(M, len(counts))`` highest IoU of each object with any of the first proposals; 0 where there is none.

    Args:
        proposals: ``(K, 4)`` of an image, in their order.
        boxes: ``(M, 4)`` its objects.
        counts: how many proposals are looked at.
    """
    result = torch.zeros(len(boxes), len(counts))
    if not len(boxes) or not len(proposals):
        return result
    steps = max(1, _PAIRS // len(proposals))
    highest = torch.cat([pairwise(iou, part, proposals).cummax(1).values for part in boxes.split(steps)])
    for column, count in enumerate(counts):
        if count > 0:
            result[:, column] = highest[:, min(count, len(proposals)) - 1]
    return result


def recall_of(
    proposals: Sequence[Tensor], boxes: Sequence[Tensor], labels: Sequence[Tensor], classes: int,
    counts: Sequence[int] = (10, 50, 100, 500, 1000, 5000),
) -> Recall:  # fmt: skip
    """Recall and average best overlap over the images of a set.

    Args:
        proposals: of each image ``(K, 4)``, the likeliest first.
        boxes: of each image ``(M, 4)``, its objects.
        labels: of each image ``(M,)`` class numbers.
        classes: how many there are.
        counts: how many proposals of an image are looked at.
    """
    none = torch.zeros(0, len(counts))
    best = torch.cat(
        [none, *(best_overlaps(found, true, counts) for found, true in zip(proposals, boxes, strict=True))]
    )
    numbers = torch.cat([torch.zeros(0).long(), *labels])
    by_class = torch.stack([best[numbers == number].mean(0) for number in range(classes)], 1)
    return Recall(
        tuple(counts), _means(best >= 0.5), _means(best >= 0.7), _means(best), by_class, len(best)
    )  # fmt: skip


def _means(values: Tensor) -> tuple[float, ...]:
    return tuple(values.double().mean(0).tolist())
