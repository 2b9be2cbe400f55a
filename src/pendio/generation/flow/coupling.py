"""Coupling layers: half of an example says how the other half is changed."""

from typing import cast

import torch
from torch import Tensor, nn

from pendio.generation.flow.scalars import Scalar
from pendio.generation.flow.transforms import Transform

__all__ = ["Coupling", "conv_coupling", "dense_coupling"]


class Coupling(Transform):
    """(a, b) → (a, f(b; network(a, context))): its Jacobian is triangular (Dinh, Sohl-Dickstein and Bengio, 2017).

    Args:
        kept: features or channels in a.
        scalar: f, of single numbers.
        network: maps a and the context to ``scalar.count`` values for each number of b, side by side in dimension 1.
    """

    def __init__(self, kept: int, scalar: Scalar, network: nn.Module) -> None:
        super().__init__()
        self.kept, self.scalar, self.network = kept, scalar, network

    def _settings(self, kept: Tensor, context: Tensor | None) -> Tensor:
        values = self.network(kept, context)
        return cast(Tensor, values.unflatten(1, (-1, self.scalar.count)).movedim(2, -1))

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See :class:`~pendio.generation.flow.transforms.Transform`."""
        kept, changed = x[:, : self.kept], x[:, self.kept :]
        z, log_slopes = self.scalar.forward(changed, self._settings(kept, context))
        return torch.cat([kept, z], 1), log_slopes.flatten(1).sum(1)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """See :class:`~pendio.generation.flow.transforms.Transform`."""
        kept, changed = z[:, : self.kept], z[:, self.kept :]
        return torch.cat([kept, self.scalar.inverse(changed, self._settings(kept, context))], 1)


class _Conditioner(nn.Module):
    """Two hidden layers; the context is added before the first is activated. The last begins at zero."""

    def __init__(self, first: nn.Module, second: nn.Module, last: nn.Module, width: int, context: int) -> None:
        super().__init__()
        self.first, self.second, self.last = first, second, last
        self.context = nn.Linear(context, width, bias=False) if context else None
        for parameter in last.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        hidden = self.first(x)
        if self.context is not None and context is not None:
            hidden = hidden + self.context(context).view(*hidden.shape[:2], *[1] * (hidden.ndim - 2))
        return cast(Tensor, self.last(self.second(hidden.relu()).relu()))


def dense_coupling(features: int, scalar: Scalar, width: int, context: int = 0) -> Coupling:
    """A coupling of vectors of two features at least, by dense layers of ``width`` units."""
    kept = features // 2
    out = (features - kept) * scalar.count
    layers = nn.Linear(kept, width), nn.Linear(width, width), nn.Linear(width, out)
    return Coupling(kept, scalar, _Conditioner(*layers, width, context))


def conv_coupling(channels: int, scalar: Scalar, width: int, context: int = 0) -> Coupling:
    """A coupling of images of two channels at least, by convolutions of 3×3, 1×1 and 3×3 with ``width`` channels."""
    kept = channels // 2
    out = (channels - kept) * scalar.count
    layers = nn.Conv2d(kept, width, 3, padding=1), nn.Conv2d(width, width, 1), nn.Conv2d(width, out, 3, padding=1)
    return Coupling(kept, scalar, _Conditioner(*layers, width, context))
