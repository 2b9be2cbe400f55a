"""Generators and discriminators, of convolutions or of dense layers, with or without classes."""

from collections.abc import Sequence
from itertools import pairwise
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization

__all__ = ["Discriminator", "Generator", "SpectralNorm", "conv_discriminator", "conv_generator", "dense_discriminator",
           "dense_generator", "normalize_spectra"]  # fmt: skip

_SLOPE = 0.2
_FEATURES = 8
"""Features that a discriminator judges by, for each channel of its largest maps."""


class Normalization(nn.Module):
    """Batch normalisation, whose scales and shifts belong to the class where there are classes (Dumoulin et al., 2017).

    Args:
        channels: of the maps or rows.
        classes: 0 for one scale and shift for all.
        maps: whether they are maps.
    """

    def __init__(self, channels: int, classes: int, maps: bool) -> None:
        super().__init__()
        self.norm = (nn.BatchNorm2d if maps else nn.BatchNorm1d)(channels, affine=classes == 0)
        self.scales = nn.Linear(classes, 2 * channels, bias=False) if classes else None
        if self.scales is not None:
            with torch.no_grad():
                self.scales.weight[:channels] = 1
                self.scales.weight[channels:] = 0

    def forward(self, values: Tensor, classes: Tensor | None) -> Tensor:
        """Normalised ``values`` ``(N, C, …)``; ``classes`` are weights ``(N, K)``."""
        normal: Tensor = self.norm(values)
        if self.scales is None:
            return normal
        scale, shift = self.scales(classes).view(len(values), -1, *[1] * (values.ndim - 2)).chunk(2, 1)
        return torch.addcmul(shift, normal, scale)


class Generator(nn.Module):
    """Maps noise, and classes where there are any, to examples: images in [−1, 1], or standardised rows.

    Each layer but the last is followed by batch normalisation and ReLU.

    Args:
        layers: dense, or first dense and then convolutional.
        start: shape of the first layer's output, ``(C, H, W)`` or ``(F,)``.
        channels: of the output of each layer but the last.
        classes: that can be asked for; 0 for none.
    """

    def __init__(
        self, layers: Sequence[nn.Module], start: Sequence[int], channels: Sequence[int], classes: int = 0
    ) -> None:  # fmt: skip
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.start = tuple(start)
        self.norms = nn.ModuleList(Normalization(count, classes, len(self.start) == 3) for count in channels)

    def forward(self, noise: Tensor, classes: Tensor | None = None) -> Tensor:
        """Examples of noise ``(N, L)`` and weights of classes ``(N, K)``."""
        values = noise
        for number, layer in enumerate(self.layers):
            values = layer(values)
            if number == 0:
                values = values.view(-1, *self.start)
            if number < len(self.norms):
                values = F.relu(self.norms[number](values, classes))
        return values.tanh() if len(self.start) == 3 else values


class Discriminator(nn.Module):
    """Maps examples to logits: w·φ(x) + b, and with classes also e_y·φ(x), the projection of Miyato and Koyama (2018).

    Args:
        features: φ, to ``(N, F)``. Nothing in it may mix the examples of a batch.
        width: F.
        classes: 0 for none.
    """

    def __init__(self, features: nn.Module, width: int, classes: int = 0) -> None:
        super().__init__()
        self.features = features
        self.head = nn.Linear(width, 1)
        self.embedding = nn.Linear(classes, width, bias=False) if classes else None

    def forward(self, examples: Tensor, classes: Tensor | None = None) -> Tensor:
        """Logits ``(N,)`` of examples, and weights of classes ``(N, K)``."""
        features = self.features(examples)
        logits: Tensor = self.head(features)[:, 0]
        if self.embedding is not None:
            logits = logits + (self.embedding(classes) * features).sum(1)
        return logits


def _levels(size: int, width: int) -> tuple[int, list[int]]:
    """The side of the smallest maps, and the channels from the largest to the smallest ones, at most eightfold."""
    channels = [width]
    while size % 2 == 0 and size >= 8:
        size //= 2
        channels.append(min(2 * channels[-1], 8 * width))
    return size, channels


def conv_generator(latent: int, shape: Sequence[int], width: int, classes: int = 0) -> Generator:
    """A generator of square images ``(C, S, S)`` that doubles maps from 4 to 7 pixels, or an odd number, up to S."""
    side, channels = _levels(shape[1], width)
    rising = channels[::-1]
    layers: list[nn.Module] = [nn.Linear(latent, rising[0] * side**2, bias=False)]
    # Kernels of 4 at strides of 2 overlap evenly, so that they leave no chequers.
    layers += [nn.ConvTranspose2d(*pair, 4, 2, 1, bias=False) for pair in pairwise(rising)]
    layers.append(nn.Conv2d(width, shape[0], 3, padding=1))
    return Generator(layers, (rising[0], side, side), rising, classes)


def conv_discriminator(shape: Sequence[int], width: int, classes: int = 0) -> Discriminator:
    """A discriminator of square images that halves maps as :func:`conv_generator` doubles them."""
    side, channels = _levels(shape[1], width)
    layers: list[nn.Module] = [nn.Conv2d(shape[0], width, 3, padding=1), nn.LeakyReLU(_SLOPE)]
    for pair in pairwise(channels):
        layers += [nn.Conv2d(*pair, 4, 2, 1), nn.LeakyReLU(_SLOPE)]
    features = _FEATURES * width
    layers += [nn.Flatten(), nn.Linear(channels[-1] * side**2, features), nn.LeakyReLU(_SLOPE)]
    return Discriminator(nn.Sequential(*layers), features, classes)


def dense_generator(latent: int, shape: Sequence[int], units: int, classes: int = 0) -> nn.Module:
    """A generator of rows, or of images of any size, with two hidden layers."""
    layers = [nn.Linear(latent, units, bias=False), nn.Linear(units, units, bias=False), nn.Linear(units, prod(shape))]
    made = Generator(layers, (units,), (units, units), classes)
    return made if len(shape) == 1 else _Shaped(made, shape)


class _Shaped(nn.Module):
    """A generator whose rows become images in [−1, 1]."""

    def __init__(self, rows: Generator, shape: Sequence[int]) -> None:
        super().__init__()
        self.rows = rows
        self.shape = tuple(shape)

    def forward(self, noise: Tensor, classes: Tensor | None = None) -> Tensor:
        rows: Tensor = self.rows(noise, classes)
        return rows.tanh().view(-1, *self.shape)


def dense_discriminator(shape: Sequence[int], units: int, classes: int = 0) -> Discriminator:
    """A discriminator of rows, or of images of any size, with two hidden layers."""
    layers = (nn.Flatten(), nn.Linear(prod(shape), units), nn.LeakyReLU(_SLOPE),
              nn.Linear(units, units), nn.LeakyReLU(_SLOPE))  # fmt: skip
    return Discriminator(nn.Sequential(*layers), units, classes)


class SpectralNorm(nn.Module):
    """Divides a kernel by its largest singular value σ (Miyato et al., 2018).

    σ = uᵀWv, with W the kernel as a matrix ``(out, …)`` and u, v from power iteration, of which each pass in training takes
    a step. Weights may be averaged, and u with them: its length does not count, and evaluation takes a step of its own.

    Args:
        weight: the kernel.
    """

    u: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("u", F.normalize(torch.randn(len(weight)), dim=0))

    def forward(self, weight: Tensor) -> Tensor:
        """W/σ; gradients pass through σ too, with u and v held fixed."""
        matrix = weight.flatten(1)
        with torch.no_grad():
            v = F.normalize(self.u @ matrix, dim=0)
            u = F.normalize(matrix @ v, dim=0)
            if self.training:
                self.u.copy_(u)
        return weight / torch.dot(u, matrix @ v)


def normalize_spectra(discriminator: Discriminator) -> Discriminator:
    """Put :class:`SpectralNorm` on every kernel; the discriminator is changed in place."""
    for module in list(discriminator.modules()):
        if isinstance(module, nn.Linear | nn.Conv2d):
            register_parametrization(module, "weight", SpectralNorm(module.weight))
    return discriminator
