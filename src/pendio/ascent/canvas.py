"""Canvases: what a climb moves, and the images that it stands for."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from pendio.data.randomness import uniforms

__all__ = ["Canvas", "Masked", "Palette", "Pixels", "Spectrum", "noise"]


class Canvas(Protocol):
    """A map from points ``(N, …)`` that move freely to images ``(N, C, H, W)``."""

    def images(self, points: Tensor, rows: Tensor) -> Tensor:
        """The images in [0, 1] that points stand for; ``rows`` tells which of all the climb's images they are."""
        ...


def noise(shape: tuple[int, ...], seed: int, rows: Tensor, step: int = 0) -> Tensor:
    """Standard normal numbers ``(len(rows), *shape)`` that depend on (seed, step, row) alone."""
    count = torch.Size(shape).numel()
    draws = uniforms(seed, step, rows, count).clamp_(min=2.0**-53)
    normal: Tensor = torch.special.ndtri(draws)
    return normal.float().view(len(rows), *shape)


@dataclass(frozen=True)
class Pixels:
    """The images themselves: what leaves [0, 1] is cut off by the climb's constraint."""

    def images(self, points: Tensor, rows: Tensor) -> Tensor:
        """The points as they are."""
        return points

    @staticmethod
    def start(shape: tuple[int, int, int], seed: int, rows: Tensor, spread: float = 0.05) -> Tensor:
        """Middle grey with noise, ``(N, C, H, W)``."""
        return (0.5 + spread * noise(shape, seed, rows)).clamp(0, 1)


@dataclass(frozen=True)
class Palette:
    """What images of a kind look like: how their colours go together, and how fast their detail fades.

    Attributes:
        basis: ``(C, C)``, a root of the channels' covariance: columns are colours that vary independently.
        mean: ``(C,)`` in [0, 1].
        decay: amplitude falls as frequency^−decay; near 1 for photographs.
    """

    basis: Tensor
    mean: Tensor
    decay: float

    @staticmethod
    def of(images: Tensor) -> "Palette":
        """Measured on images ``(N, C, H, W)`` in [0, 1]; from plain ones or a single pixel, a neutral one."""
        values = images.double()
        pixels = values.transpose(0, 1).flatten(1)
        mean = pixels.mean(1)
        covariance = (pixels - mean[:, None]) @ (pixels - mean[:, None]).T / pixels.shape[1]
        spread, axes = torch.linalg.eigh(covariance + 1e-6 * torch.eye(len(covariance), dtype=torch.float64))
        basis = axes * spread.clamp(min=0).sqrt()
        return Palette(basis.float(), mean.float(), _decay(values))


def _decay(images: Tensor) -> float:
    """The slope of log amplitude over log frequency, by least squares, in [0, 2]."""
    height, width = images.shape[2:]
    if min(height, width) < 4:
        return 1.0
    amplitude = torch.fft.rfft2(images - images.mean((2, 3), keepdim=True)).abs().square().mean((0, 1)).sqrt()
    frequency = frequencies(height, width).double()
    inner = (frequency > 0) & (frequency <= 0.5) & (amplitude > 1e-12)
    if int(inner.sum()) < 3:
        return 1.0
    x, y = frequency[inner].log(), amplitude[inner].log()
    x = x - x.mean()
    return float((-(x * y).sum() / x.square().sum()).clamp(0, 2))


def frequencies(height: int, width: int) -> Tensor:
    """Cycles a pixel of each term of a real two-dimensional Fourier transform, ``(H, W//2 + 1)``."""
    return torch.sqrt(torch.fft.fftfreq(height)[:, None] ** 2 + torch.fft.rfftfreq(width)[None] ** 2)


class Spectrum:
    """A Fourier spectrum with decorrelated colours: image = σ(logit(mean) + 4 · basis · F⁻¹(points · amplitude)).

    All frequencies then move alike, where pixels would favour the highest (Olah et al., 2017, "Feature Visualization").
    Points are ``(N, C, H, W//2 + 1, 2)``, real and imaginary parts.

    Args:
        shape: ``(C, H, W)``.
        palette: of the images that the network knows.
    """

    def __init__(self, shape: tuple[int, int, int], palette: Palette) -> None:
        self.shape = shape
        channels, height, width = shape
        frequency = frequencies(height, width).clamp(min=1 / max(height, width))
        amplitude = frequency**-palette.decay
        # Of unit variance in the image when the points are standard normal: terms that stand for their mirror image too
        # count twice in amplitude.
        power = torch.full_like(amplitude, 4.0)
        power[:, 0] = 1.0
        if width % 2 == 0:
            power[:, -1] = 1.0
        self._amplitude = amplitude / (power * amplitude.square()).sum().sqrt()
        basis = palette.basis if len(palette.basis) == channels else 0.25 * torch.eye(channels)
        mean = palette.mean if len(palette.mean) == channels else torch.full((channels,), 0.5)
        self._basis = basis / basis.square().sum(1).mean().sqrt()
        self._offset = torch.logit(mean.clamp(0.05, 0.95)).view(-1, 1, 1)

    def start(self, seed: int, rows: Tensor, spread: float = 0.1) -> Tensor:
        """Noise of the palette's own look, fainter by ``spread``."""
        channels, height, width = self.shape
        return spread * noise((channels, height, width // 2 + 1, 2), seed, rows)

    def images(self, points: Tensor, rows: Tensor) -> Tensor:
        """See :class:`Canvas`."""
        height, width = self.shape[1:]
        terms = torch.view_as_complex(points) * self._amplitude.to(points.device)
        plain = torch.fft.irfft2(terms, s=(height, width), norm="forward")
        colored = torch.einsum("dc,nchw->ndhw", self._basis.to(plain), plain)
        return torch.sigmoid(self._offset.to(plain) + colored)


@dataclass(frozen=True)
class Masked:
    """Another canvas that shows only in a region.

    Attributes:
        canvas: what shows.
        base: ``(1, C, H, W)`` or ``(N, C, H, W)``, what stands elsewhere.
        mask: ``(1, 1, H, W)``, 1 within the region and 0 outside.
    """

    canvas: Canvas
    base: Tensor
    mask: Tensor

    def images(self, points: Tensor, rows: Tensor) -> Tensor:
        """See :class:`Canvas`."""
        base = self.base if len(self.base) == 1 else self.base[rows]
        return base + self.mask * (self.canvas.images(points, rows) - base)
