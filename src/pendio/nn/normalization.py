"""Normalisation by formula: what torch's four layers compute, in one function and in one layer to look into."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["AXES", "BatchNorm", "normalize"]

AXES: dict[str, tuple[int, ...]] = {"batch": (0, 2, 3), "layer": (1, 2, 3), "instance": (2, 3)}
"""Over which axes of ``(N, C, H, W)`` each normalisation takes its mean and variance; group's is layer's by groups."""


def normalize(values: Tensor, axes: Sequence[int], epsilon: float = 1e-5) -> Tensor:
    """(x − mean)/√(variance + ε), mean and (biased) variance taken over ``axes``."""
    mean = values.mean(tuple(axes), keepdim=True)
    variance = values.var(tuple(axes), correction=0, keepdim=True)
    return (values - mean) / torch.sqrt(variance + epsilon)


class BatchNorm(nn.Module):
    """Batch normalisation as its paper writes it (Ioffe and Szegedy, 2015), equal to ``torch.nn.BatchNorm2d``.

    In training each channel is normalised by the batch's own mean and biased variance, and the running statistics move
    towards the mean and the *unbiased* variance by ``momentum``. In inference the running ones are used: then, and only
    then, examples do not depend on each other.
    """

    running_mean: Tensor
    running_variance: Tensor

    def __init__(self, channels: int, momentum: float = 0.1, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.momentum, self.epsilon = momentum, epsilon
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_variance", torch.ones(channels))

    def forward(self, images: Tensor) -> Tensor:
        """Normalised ``(N, C, H, W)``, scaled and shifted."""
        if self.training:
            with torch.no_grad():
                self.running_mean.lerp_(images.mean((0, 2, 3)), self.momentum)
                self.running_variance.lerp_(images.var((0, 2, 3), correction=1), self.momentum)
            normal = normalize(images, AXES["batch"], self.epsilon)
        else:
            spread = torch.sqrt(self.running_variance + self.epsilon).view(-1, 1, 1)
            normal = (images - self.running_mean.view(-1, 1, 1)) / spread
        return normal * self.weight.view(-1, 1, 1) + self.bias.view(-1, 1, 1)
