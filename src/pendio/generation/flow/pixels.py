"""From grey levels to the real line and back: dequantisation and the logit, and what bits per dimension are."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from pendio.data.examples import Data, Resident

__all__ = ["Pixels", "bits_per_dimension", "grey_levels"]


class Pixels:
    """Values in [0, 1] of ``levels`` equally spaced greys ↔ the real line.

    Level k with noise u in [0, 1) becomes y = (k + u)/levels, and x = logit(α + (1 − 2α)·y).
    """

    def __init__(self, levels: int = 256, alpha: float = 0.05) -> None:
        self.levels, self.alpha = levels, alpha

    def dequantize(self, images: Tensor, noise: Tensor | float = 0.5) -> Tensor:
        """y in [0, 1) of images in [0, 1], whose greys are rounded to the levels; noise is in [0, 1)."""
        return ((images * (self.levels - 1)).round() + noise) / self.levels

    def to_line(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """x, and log|det ∂x/∂y| ``(N,)``."""
        x = (self.alpha + (1 - 2 * self.alpha) * y).logit()
        log_slope = F.softplus(x) + F.softplus(-x) + math.log1p(-2 * self.alpha)
        return x, log_slope.flatten(1).sum(1)

    def to_images(self, x: Tensor) -> Tensor:
        """Images in [0, 1], of grey values between the levels too; what lies outside is clamped."""
        y = (x.sigmoid() - self.alpha) / (1 - 2 * self.alpha)
        return ((y * self.levels - 0.5) / (self.levels - 1)).clamp(0, 1)


def bits_per_dimension(log_density: Tensor, dimensions: int, levels: int = 256) -> Tensor:
    """(NLL/D + ln levels)/ln 2, for NLL = −log p(y) in nats and y in [0, 1]: uniform y have exactly log₂ levels."""
    return (math.log(levels) - log_density / dimensions) / math.log(2)


def grey_levels(data: Data) -> int:
    """How many greys images have: 17 where all are sixteenths, as those of digits as they are, else 256."""
    train = data.train
    if isinstance(train, Resident) and train.inputs.is_floating_point():
        sixteenths = train.inputs[:1024] * 16
        if torch.equal(sixteenths, sixteenths.round()):
            return 17
    return 256
