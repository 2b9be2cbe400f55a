"""Squeeze-and-excitation."""

import torch
from torch import Tensor, nn

__all__ = ["SqueezeExcitation"]


class SqueezeExcitation(nn.Module):
    """Scales each channel by a gain in (0, 1) computed from all channels' means (Hu, Shen and Sun, 2018).

    x ↦ x · σ(W₂ relu(W₁ mean(x))), with ``channels // reduction`` (at least 4) units between. The shape
    ``(N, C, H, W)`` stays.

    >>> SqueezeExcitation(16)(torch.zeros(2, 16, 5, 5)).shape
    torch.Size([2, 16, 5, 5])
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        hidden = max(4, channels // reduction)
        self.squeeze = nn.Conv2d(channels, hidden, 1)
        self.excite = nn.Conv2d(hidden, channels, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Scale the channels."""
        means = images.mean((2, 3), keepdim=True)
        return images * torch.sigmoid(self.excite(torch.relu(self.squeeze(means))))
