"""Truths about the dimension of data."""

import torch

from pendio.exact.check import Check
from pendio.generation.manifold import dimension

__all__ = ["CHECKS"]


def _ratios() -> tuple[float, float]:
    """The likeliest dimension of points that fill a cube of three dimensions in a space of eight."""
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(6000, 3, generator=generator, dtype=torch.float64)
    turn = torch.linalg.qr(torch.randn(8, 8, generator=generator, dtype=torch.float64)).Q
    return dimension.two_nn(points @ turn[:3])[0], 3


def _components() -> tuple[float, float]:
    """All the variance of neighbourhoods in a plane of four dimensions, in a space of nine."""
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(300, 4, generator=generator, dtype=torch.float64)
    spread = torch.randn(4, 9, generator=generator, dtype=torch.float64)
    return dimension.local_pca(points @ spread, share=1.0), 4


CHECKS = (
    Check("two-nn", "points that fill three dimensions of eight have three, by two neighbours", _ratios, 0.15),
    Check("local-pca", "neighbourhoods in a plane of four dimensions have four components", _components),
)
