"""The mean of what many batches cost."""

import torch
from torch import Tensor
from torchmetrics import Metric

from pendio.descent.task import Loss

__all__ = ["MeanLoss"]


class MeanLoss(Metric):
    """Losses as :class:`~pendio.descent.task.Loss` has them, added up over batches and processes and divided once.

    torchmetrics' own mean forgets weights where NaN is to stay NaN, and a loss that is no number must show as that.
    """

    total: Tensor
    weight: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("total", "weight"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, loss: Loss) -> None:
        """Take in a batch."""
        self.total += loss.total.detach()
        self.weight += loss.weight

    def compute(self) -> float:
        """Their mean; NaN where there was nothing."""
        return float(self.total / self.weight)
