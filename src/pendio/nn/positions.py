"""Where a token stands: attention does not know, so that it must be told."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

__all__ = ["Positions", "Rotary", "sinusoidal"]

_SPREAD = 0.3
"""Of learned vectors at first: less than that of what stands there, which is about 1, so that neither drowns the other."""


def sinusoidal(places: Tensor, width: int) -> Tensor:
    """Sines and cosines of each place at ``width/2`` wavelengths from 2π to 10000·2π (Vaswani et al., 2017, §3.5).

    p[t, 2i] = sin(t/10000^(2i/width)), p[t, 2i+1] = cos(t/10000^(2i/width)). A shift by k turns each such pair by the
    same angle at every t, so that p[t+k] is a linear map of p[t] that does not depend on t.

    Args:
        places: any shape, of whole numbers.
        width: even.

    Returns:
        The shape of ``places`` with ``width`` appended.
    """
    if width % 2:
        raise ValueError(f"sinusoidal positions come in pairs: width {width} is odd")
    rates = torch.exp(torch.arange(0, width, 2, device=places.device) * (-math.log(10_000.0) / width))
    angles = places[..., None] * rates
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(-2)


class Positions(nn.Module):
    """A vector for each place, to be added to what stands there.

    Args:
        kind: "sinusoidal", or "learned" for a table of ``length`` vectors.
        length: places there are.
        width: of the vectors.
    """

    table: Tensor

    def __init__(self, kind: Literal["sinusoidal", "learned"], length: int, width: int) -> None:
        super().__init__()
        self.length = length
        if kind == "learned":
            self.table = nn.Parameter(torch.randn(length, width) * _SPREAD)
        else:
            self.register_buffer("table", sinusoidal(torch.arange(length), width), persistent=False)

    def forward(self, places: Tensor) -> Tensor:
        """Vectors ``(…, width)`` of ``places (…)``."""
        return self.table[places]


class Rotary(nn.Module):
    """Turns queries and keys by an angle proportional to their place (Su et al., 2021).

    Each pair of coordinates is turned in its plane, at the rates of :func:`sinusoidal`; so the product of a query and a
    key depends on how far apart they stand, and not on where.

    Args:
        length: places there are.
        width: of a head's queries and keys, even.
    """

    cosines: Tensor
    sines: Tensor

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        waves = sinusoidal(torch.arange(length), width)
        self.register_buffer("sines", waves[:, 0::2], persistent=False)
        self.register_buffer("cosines", waves[:, 1::2], persistent=False)

    def forward(self, vectors: Tensor, places: Tensor) -> Tensor:
        """Turned ``vectors (N, heads, T, width)`` at ``places``, ``(T,)`` or ``(N, T)``."""
        sines, cosines = self.sines[places], self.cosines[places]
        if places.ndim == 2:
            sines, cosines = sines[:, None], cosines[:, None]
        first, second = vectors[..., 0::2], vectors[..., 1::2]
        turned = [first * cosines - second * sines, first * sines + second * cosines]
        return torch.stack(turned, -1).flatten(-2)
