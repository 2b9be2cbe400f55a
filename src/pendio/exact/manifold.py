"""Truths about the manifold of data: its dimension, and the way to it."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from pendio.exact.check import Check
from pendio.generation.manifold import dimension, distance
from pendio.generation.rows import Standard

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


class _Plane(NamedTuple):
    """The best autoencoder of points in a plane through the origin, spanned by the rows of ``basis``."""

    basis: Tensor
    standard: Standard
    latent: tuple[int, ...] = (2,)
    shape: tuple[int, ...] = (6,)

    def encode(self, inputs: Tensor) -> Tensor:
        return inputs @ self.basis.T

    def decode(self, codes: Tensor) -> Tensor:
        return codes @ self.basis


def _way() -> tuple[float, float]:
    """Points of a plane in six dimensions, moved by 3 at right angles to it: 3/√6 from there, whatever moves within it."""
    generator = torch.Generator().manual_seed(0)
    turn = torch.linalg.qr(torch.randn(6, 6, generator=generator)).Q
    within = torch.randn(50, 2, generator=generator) @ turn[:2]
    plane = _Plane(turn[:2], Standard([0.0] * 6, [1.0] * 6))
    stick = distance.yardsticks(plane)["reconstruction"]
    return float(stick(within + 3 * turn[5]).mean()), 3 / math.sqrt(6)


CHECKS = (
    Check("two-nn", "points that fill three dimensions of eight have three, by two neighbours", _ratios, 0.15),
    Check("local-pca", "neighbourhoods in a plane of four dimensions have four components", _components),
    Check("manifold-distance", "moved by 3 at right angles to the data's plane, points lie 3/√D from it", _way, 1e-6),
)
