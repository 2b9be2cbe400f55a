"""Encoders and decoders: from examples to codes and back.

The convolutional ones halve and double the resolution twice, by strided convolutions and sub-pixel shuffling, and do most of
their work at a quarter of it, where a network on few cores is quick. Normalisation is by groups: it knows no batch, so that
an example's code and score are its own.
"""

import math
from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from pendio.data.examples import Data
from pendio.errors import InputError

__all__ = [
    "ConvDecoder", "ConvEncoder", "DenseDecoder", "DenseEncoder", "Form", "check_form", "coders", "is_convolutional",
]  # fmt: skip

Form = Literal["auto", "conv", "dense"]
"""Networks of convolutions or of dense layers; ``auto`` takes the first for images and the second for tables."""

_UNITS = 16
"""Units of a dense layer for each channel that the finest maps of a convolutional network would have."""

_GROUPS = 8
"""Channels that are normalised together, at most."""


class _Block(nn.Module):
    """x + f(x), with f two normalised convolutions of 3×3, the second of which begins at zero."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        first, second = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        nn.init.zeros_(second.weight)
        self.change = nn.Sequential(
            _normalization(channels), nn.SiLU(), first, _normalization(channels), nn.SiLU(), second
        )

    def forward(self, maps: Tensor) -> Tensor:
        out: Tensor = maps + self.change(maps)
        return out


def _normalization(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(math.gcd(channels, _GROUPS), channels)


class ConvEncoder(nn.Sequential):
    """Images ``(N, C, size, size)`` → ``(N, out)``.

    Args:
        channels: C.
        size: side in pixels, a multiple of 4.
        width: channels of the finest maps, doubled at each halving.
        out: numbers for each image.
    """

    def __init__(self, channels: int, size: int, width: int, out: int) -> None:
        wide = 4 * width
        super().__init__(
            nn.Conv2d(channels, width, 3, padding=1), nn.SiLU(),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1), nn.SiLU(),
            nn.Conv2d(2 * width, wide, 4, stride=2, padding=1), _Block(wide),
            _normalization(wide), nn.SiLU(), nn.Flatten(), nn.Linear(wide * _cells(size), out),
        )  # fmt: skip


class ConvDecoder(nn.Sequential):
    """Codes ``(N, latent)`` → images ``(N, C, size, size)``, raw: whoever uses them says what range they have.

    Args:
        latent: numbers for each image.
        channels: C.
        size: side in pixels, a multiple of 4.
        width: channels of the finest maps; coarser ones have two and four times as many.
    """

    def __init__(self, latent: int, channels: int, size: int, width: int) -> None:
        wide, side = 4 * width, size // 4
        super().__init__(
            nn.Linear(latent, wide * _cells(size)), nn.Unflatten(1, (wide, side, side)), _Block(wide),
            _normalization(wide), nn.SiLU(),
            nn.Conv2d(wide, 8 * width, 3, padding=1), nn.PixelShuffle(2), nn.SiLU(),
            nn.Conv2d(2 * width, 4 * width, 3, padding=1), nn.PixelShuffle(2), nn.SiLU(),
            nn.Conv2d(width, channels, 3, padding=1),
        )  # fmt: skip


def _cells(size: int) -> int:
    if size < 4 or size % 4:
        raise ValueError(f"a side of {size} pixels is no multiple of 4")
    return (size // 4) ** 2


class DenseEncoder(nn.Sequential):
    """Examples of any ``shape`` → ``(N, out)``, by two hidden layers of ``width`` units."""

    def __init__(self, shape: Sequence[int], width: int, out: int) -> None:
        super().__init__(nn.Flatten(), *_hidden(math.prod(shape), width), nn.Linear(width, out))


class DenseDecoder(nn.Sequential):
    """Codes ``(N, latent)`` → examples ``(N, *shape)``, raw, by two hidden layers of ``width`` units."""

    def __init__(self, latent: int, shape: Sequence[int], width: int) -> None:
        super().__init__(
            *_hidden(latent, width), nn.Linear(width, math.prod(shape)), nn.Unflatten(1, tuple(shape))
        )  # fmt: skip


def _hidden(inputs: int, width: int) -> tuple[nn.Module, ...]:
    return nn.Linear(inputs, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()


def is_convolutional(form: Form, shape: Sequence[int]) -> bool:
    """Whether examples of this shape get convolutions."""
    return form == "conv" or (form == "auto" and len(shape) == 3)


def check_form(form: Form, data: Data, most: int | None = None) -> None:
    """Whether networks of this form can take the data's examples.

    Args:
        form: what ``--model`` says.
        data: what shall be learned.
        most: the largest side that convolutions take; None for any.

    Raises:
        InputError: they cannot; the message says why.
    """
    if form == "conv" and len(data.shape) != 3:
        raise InputError(f"--model conv is for images, and '{data.name}' has none; use dense")
    if not is_convolutional(form, data.shape):
        return
    _, height, width = data.shape
    if height != width or height % 4 or height < 8 or (most is not None and height > most):
        limits = "" if most is None else f" from 8 to {most}"
        raise InputError(f"the images of '{data.name}' are {height}×{width}: convolutions need a side of a multiple "
                         f"of 4{limits}; bring them to one with --size, or use --model dense")  # fmt: skip


def coders(form: Form, shape: Sequence[int], width: int, out: int, latent: int) -> tuple[nn.Module, nn.Module]:
    """An encoder of examples to ``out`` numbers, and a decoder of ``latent``.

    Args:
        form: see :func:`is_convolutional`.
        shape: of an example.
        width: channels of the finest maps; dense layers have sixteen times as many units.
        out, latent: see above.
    """
    if is_convolutional(form, shape):
        channels, size, _ = shape
        return ConvEncoder(channels, size, width, out), ConvDecoder(latent, channels, size, width)
    return DenseEncoder(shape, _UNITS * width, out), DenseDecoder(latent, shape, _UNITS * width)
