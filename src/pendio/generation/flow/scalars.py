"""Monotone functions of single numbers, with parameters that a network gives for each."""

import math
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Affine", "Scalar", "Spline"]

_LEAST = 1e-3
"""Smallest share of a bin, and smallest slope."""


class Scalar(Protocol):
    """A bijection of the line. Parameters of zero make it the identity, or nearly so."""

    count: int
    """Parameters for each number."""

    def forward(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """z and log dz/dx, both of the shape of ``x``; ``parameters`` are ``(*x.shape, count)``."""
        ...

    def inverse(self, z: Tensor, parameters: Tensor) -> Tensor:
        """The x whose z this is."""
        ...


class Affine:
    """z = x·exp(s) + t, with s = c·tanh(raw/c): no scale explodes."""

    count = 2

    def __init__(self, cap: float = 3.0) -> None:
        self.cap = cap

    def _parts(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        shift, raw = parameters.unbind(-1)
        return shift, self.cap * torch.tanh(raw / self.cap)

    def forward(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """See :class:`Scalar`."""
        shift, log_scale = self._parts(parameters)
        return x * log_scale.exp() + shift, log_scale

    def inverse(self, z: Tensor, parameters: Tensor) -> Tensor:
        """See :class:`Scalar`."""
        shift, log_scale = self._parts(parameters)
        return (z - shift) * (-log_scale).exp()


class Spline:
    """A monotone rational-quadratic spline on [−B, B], the identity outside (Durkan et al., 2019).

    In a bin of width w, height h, slopes δ₀ and δ₁ at its ends and s = h/w, at the place ξ in [0, 1]:
    z = z₀ + h·(s·ξ² + δ₀·ξ(1−ξ)) / (s + (δ₀ + δ₁ − 2s)·ξ(1−ξ)).

    Args:
        bins: pieces.
        bound: B.
    """

    def __init__(self, bins: int = 8, bound: float = 5.0) -> None:
        self.bins, self.bound = bins, bound
        self.count = 3 * bins - 1

    def _knots(self, raw: Tensor) -> Tensor:
        shares = _LEAST + (1 - _LEAST * self.bins) * raw.softmax(-1)
        inner = 2 * self.bound * shares.cumsum(-1)[..., :-1] - self.bound
        return F.pad(F.pad(inner, (1, 0), value=-self.bound), (0, 1), value=self.bound)

    def _bin(self, values: Tensor, parameters: Tensor, inverse: bool) -> tuple[Tensor, ...]:
        """Left end, width, bottom, height and both slopes of the bin of each value."""
        widths, heights, slopes = parameters.split((self.bins, self.bins, self.bins - 1), -1)
        xs, zs = self._knots(widths), self._knots(heights)
        # A raw slope of 0 is a slope of 1.
        slopes = _LEAST + F.softplus(slopes + math.log(math.expm1(1 - _LEAST)))
        slopes = F.pad(slopes, (1, 1), value=1.0)
        inner = (zs if inverse else xs)[..., 1:-1]
        place = (values[..., None] >= inner).sum(-1, keepdim=True)
        x0, x1 = (xs.gather(-1, place + k)[..., 0] for k in (0, 1))
        z0, z1 = (zs.gather(-1, place + k)[..., 0] for k in (0, 1))
        d0, d1 = (slopes.gather(-1, place + k)[..., 0] for k in (0, 1))
        return x0, x1 - x0, z0, z1 - z0, d0, d1

    def forward(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """See :class:`Scalar`."""
        # Clamped first: what lies outside must not poison the gradients of what is chosen.
        inside = x.clamp(-self.bound, self.bound)
        x0, width, z0, height, d0, d1 = self._bin(inside, parameters, False)
        slope = height / width
        place = (inside - x0) / width
        mixed, bend = place * (1 - place), d0 + d1 - 2 * slope
        below = slope + bend * mixed
        z = z0 + height * (slope * place.square() + d0 * mixed) / below
        steep = slope.square() * (d1 * place.square() + 2 * slope * mixed + d0 * (1 - place).square())
        log_slope = steep.log() - 2 * below.log()
        outside = x.abs() > self.bound
        return torch.where(outside, x, z), torch.where(outside, 0.0, log_slope)

    def inverse(self, z: Tensor, parameters: Tensor) -> Tensor:
        """See :class:`Scalar`: the root of a quadratic equation."""
        inside = z.clamp(-self.bound, self.bound)
        x0, width, z0, height, d0, d1 = self._bin(inside, parameters, True)
        slope, rise = height / width, inside - z0
        bend = rise * (d0 + d1 - 2 * slope)
        a, b, c = height * (slope - d0) + bend, height * d0 - bend, -slope * rise
        root = (b.square() - 4 * a * c).clamp_min(0).sqrt()
        place = (2 * c / (-b - root)).clamp(0, 1)
        return torch.where(z.abs() > self.bound, z, x0 + place * width)
