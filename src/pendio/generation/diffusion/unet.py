"""The denoising U-Net (Ho, Jain and Abbeel, 2020), and a residual network for rows of numbers."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pendio.generation.diffusion.conditioning import Conditioning
from pendio.nn.attention import attend

__all__ = ["DenoisingMLP", "DenoisingUNet"]

_GROUPS = 8
_QUIET = 0.3
_HEAD = 32
"""Channels of an attention head."""


class DenoisingUNet(nn.Module):
    """Images in, images of the same size out, told how noisy they are.

    Each resolution has ``depth`` residual blocks on the way down and ``depth + 1`` on the way up; every map of the way down
    is laid beside one of the way up. Attention looks over whole images at the lowest resolution, and between both ways.
    Sides need not be divisible by anything.

    Args:
        channels: of the images.
        widths: channels of each resolution, the first at full size and each other at half of the one before.
        depth: residual blocks.
        classes: that it can be told; 0 for none.
        dropout: in residual blocks.
        attention: how many of the lowest resolutions have it.
        groups: of group normalisation.

    >>> network = DenoisingUNet(1, (8, 16), classes=3)
    >>> network(torch.zeros(2, 1, 9, 9), network.conditioning(torch.ones(2), torch.tensor([0, 3]))).shape
    torch.Size([2, 1, 9, 9])
    """

    def __init__(
        self, channels: int, widths: Sequence[int], depth: int = 1, classes: int = 0, dropout: float = 0.0,
        attention: int = 1, groups: int = _GROUPS,
    ) -> None:  # fmt: skip
        super().__init__()
        first, last = widths[0], widths[-1]
        self.conditioning = Conditioning(4 * first, classes)
        self.enter = nn.Conv2d(channels, first, 3, padding=1)
        kept, here = [first], first
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for place, width in enumerate(widths):
            attends = place >= len(widths) - attention
            for _ in range(depth):
                self.down.append(_Stage(here, width, attends, groups, dropout))
                here = width
                kept.append(here)
            if place < len(widths) - 1:
                self.down.append(nn.Conv2d(here, here, 3, 2, 1))
                kept.append(here)
        self.middle = nn.ModuleList([
            _Stage(last, last, True, groups, dropout), _Stage(last, last, False, groups, dropout)
        ])  # fmt: skip
        for place, width in reversed(list(enumerate(widths))):
            attends = place >= len(widths) - attention
            for _ in range(depth + 1):
                self.up.append(_Stage(here + kept.pop(), width, attends, groups, dropout))
                here = width
            if place:
                self.up.append(Enlarged(here))
        self.leave = nn.Sequential(
            nn.GroupNorm(groups, first), nn.SiLU(), nn.Conv2d(first, channels, 3, padding=1)
        )  # fmt: skip
        stages = [stage for stage in (*self.down, *self.middle, *self.up) if isinstance(stage, _Stage)]
        self.parts = [stage.width for stage in stages]
        self.shifts = nn.Sequential(nn.SiLU(), nn.Linear(4 * first, sum(self.parts)))
        _quieten(self.leave[-1])

    def forward(self, noised: Tensor, vectors: Tensor) -> Tensor:
        """What is predicted, ``(N, C, H, W)``.

        Args:
            noised: ``(N, C, H, W)``.
            vectors: of :attr:`conditioning`, ``(N, …)``, or ``(1, …)`` for all alike.
        """
        shifts = iter(self.shifts(vectors)[:, :, None, None].split(self.parts, 1))
        maps = self.enter(noised)
        kept = [maps]
        for layer in self.down:
            maps = layer(maps, next(shifts)) if isinstance(layer, _Stage) else layer(maps)
            kept.append(maps)
        for layer in self.middle:
            maps = layer(maps, next(shifts))
        for layer in self.up:
            if isinstance(layer, _Stage):
                maps = layer(torch.cat([maps, kept.pop()], 1), next(shifts))
            else:
                maps = layer(maps, kept[-1].shape[2:])
        out: Tensor = self.leave(maps)
        return out


def _quieten(layer: nn.Module) -> None:
    """Let a last layer begin with little to say, but not with nothing, which would hold back the gradient of all others."""
    for parameter in layer.parameters():
        parameter.data.mul_(_QUIET)


class _Stage(nn.Module):
    """A residual block that is shifted channel by channel, and perhaps attention after it."""

    def __init__(self, channels: int, width: int, attends: bool, groups: int, dropout: float) -> None:
        super().__init__()
        self.width = width
        self.first = nn.Sequential(nn.GroupNorm(groups, channels), nn.SiLU(), nn.Conv2d(channels, width, 3, padding=1))
        self.second = nn.Sequential(
            nn.GroupNorm(groups, width), nn.SiLU(), nn.Dropout(dropout), nn.Conv2d(width, width, 3, padding=1)
        )
        self.shortcut = nn.Conv2d(channels, width, 1) if channels != width else nn.Identity()
        self.attention = _MapAttention(width, groups) if attends else nn.Identity()

    def forward(self, maps: Tensor, shift: Tensor) -> Tensor:
        inner = self.first(maps) + shift
        out: Tensor = self.attention(self.shortcut(maps) + self.second(inner))
        return out


class _MapAttention(nn.Module):
    """Each place of a map looks at all others; added to what stood there."""

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.heads = max(1, width // _HEAD) if width % _HEAD == 0 else 1
        self.norm = nn.GroupNorm(groups, width)
        self.project = nn.Linear(width, 3 * width)
        self.join = nn.Linear(width, width)

    def forward(self, maps: Tensor) -> Tensor:
        count, width, *size = maps.shape
        places = self.norm(maps).flatten(2).transpose(1, 2)
        query, key, value = (
            self.project(places).view(count, -1, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        )
        mixed = self.join(attend(query, key, value).transpose(1, 2).flatten(2))
        out: Tensor = maps + mixed.transpose(1, 2).unflatten(2, size)
        return out


class Enlarged(nn.Module):
    """Repeats pixels twice both ways, cuts to a size, and convolves."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, maps: Tensor, size: Sequence[int]) -> Tensor:
        """Maps of a ``size`` of twice their own, or one less."""
        large = F.interpolate(maps, scale_factor=2.0, mode="nearest")[:, :, : size[0], : size[1]]
        out: Tensor = self.convolution(large)
        return out


class DenoisingMLP(nn.Module):
    """Rows of numbers in, rows of the same length out, told how noisy they are.

    Args:
        features: numbers of a row.
        width: units of each layer.
        blocks: residual blocks of two layers.
        classes, dropout: as for :class:`DenoisingUNet`.
    """

    def __init__(
        self, features: int, width: int = 256, blocks: int = 3, classes: int = 0, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.conditioning = Conditioning(width, classes)
        self.enter = nn.Linear(features, width)
        self.first = nn.ModuleList(nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width)) for _ in range(blocks))
        self.second = nn.ModuleList(
            nn.Sequential(nn.SiLU(), nn.Dropout(dropout), nn.Linear(width, width)) for _ in range(blocks)
        )
        self.shifts = nn.Sequential(nn.SiLU(), nn.Linear(width, blocks * width))
        self.leave = nn.Sequential(nn.LayerNorm(width), nn.SiLU(), nn.Linear(width, features))
        _quieten(self.leave[-1])

    def forward(self, noised: Tensor, vectors: Tensor) -> Tensor:
        """What is predicted, ``(N, F)``; arguments as of :meth:`DenoisingUNet.forward`."""
        values = self.enter(noised)
        for first, second, shift in zip(
            self.first, self.second, self.shifts(vectors).chunk(len(self.first), 1), strict=True
        ):
            values = values + second(first(values) + shift)
        out: Tensor = self.leave(values)
        return out
