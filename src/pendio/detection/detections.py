"""What a detector answers for one image."""

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Detections"]


class Detections(NamedTuple):
    """Objects found in one image, by falling score.

    Attributes:
        boxes: ``(K, 4)`` x1, y1, x2, y2 in pixels.
        scores: ``(K,)`` in [0, 1].
        labels: ``(K,)`` class numbers. A box may stand several times with different ones.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor

    @staticmethod
    def none() -> "Detections":
        """Nothing found."""
        return Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.long))
