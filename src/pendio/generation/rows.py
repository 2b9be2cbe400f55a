"""Rows of numbers in units of their own, and in those of networks."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["Standard"]


class Standard(nn.Module):
    """Standardises the features of a table, and back. It has nothing that weights would have to keep.

    Args:
        mean, std: of each feature; empty where there are none, as for images.
    """

    center: Tensor
    scale: Tensor

    def __init__(self, mean: Sequence[float] = (), std: Sequence[float] = ()) -> None:
        super().__init__()
        self.register_buffer("center", torch.tensor(list(mean)), persistent=False)
        # A feature that never changes is left as it is.
        self.register_buffer("scale", torch.tensor([value or 1.0 for value in std]), persistent=False)

    def forward(self, rows: Tensor) -> Tensor:
        """Rows ``(N, F)`` in standard deviations from the mean."""
        return (rows - self.center) / self.scale

    def inverse(self, values: Tensor) -> Tensor:
        """Rows ``(N, F)`` in their own units."""
        return values * self.scale + self.center
