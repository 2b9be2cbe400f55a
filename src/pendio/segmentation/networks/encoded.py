"""U-Nets whose way down is a pretrained network (Iglovikov and Shvets, 2018, "TernausNet")."""

import math
from typing import Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["EncodedUNet", "Encoder", "Joining"]

_WIDEST = 256


class Encoder(Protocol):
    """A network that gives its maps at several strides, such as :func:`pendio.classification.backbones.backbone` makes."""

    channels: tuple[int, ...]
    """Of each map, finest first."""

    strides: tuple[int, ...]
    """Of each map, powers of two."""

    def __call__(self, images: Tensor, /) -> list[Tensor]:
        """The maps of normalised images ``(N, 3, H, W)``."""
        ...


class EncodedUNet(nn.Module):
    """The maps of an encoder, doubled step by step and joined with its finer ones, up to the size of the image.

    Each step repeats values 2×2, puts the encoder's maps of that stride beside them where there are any, and convolves
    twice by 3×3 with batch normalisation and ReLU; a 1×1 convolution gives the logits. An image whose sides are no
    multiples of the coarsest stride gets zeros below and to the right, which the output loses again.

    Args:
        encoder: what :func:`pendio.classification.backbones.backbone` gives; strides of 2, 4, 8, 16 and 32 are usual.
        classes: of the output.
        width: maps of the finest level; each level down has twice as many, at most 256.
    """

    def __init__(self, encoder: Encoder, classes: int, width: int = 16) -> None:
        super().__init__()
        self.encoder = encoder
        self.stride = encoder.strides[-1]
        skips = dict(zip(encoder.strides[:-1], encoder.channels, strict=False))
        steps, given, stride = [], encoder.channels[-1], self.stride
        while stride > 1:
            stride //= 2
            wide = min(_WIDEST, width * stride)
            steps.append(_Step(given, skips.get(stride, 0), wide))
            given = wide
        self.steps = nn.ModuleList(steps)
        self.head = nn.Conv2d(given, classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(N, K, H, W)`` of normalised images ``(N, 3, H, W)``."""
        height, width = images.shape[2:]
        below, right = -height % self.stride, -width % self.stride
        found = self.encoder(F.pad(images, (0, right, 0, below)) if below or right else images)
        maps = found.pop()
        for step in self.steps:
            maps = step(maps, found.pop() if cast(_Step, step).takes_finer else None)
        return cast(Tensor, self.head(maps)[:, :, :height, :width])


class _Step(nn.Module):
    """Up by two."""

    def __init__(self, coarse: int, skip: int, out: int) -> None:
        super().__init__()
        self.takes_finer = skip > 0
        self.joining = Joining(coarse, skip, out)
        self.rest = nn.Sequential(
            nn.BatchNorm2d(out), nn.ReLU(inplace=True),
            nn.Conv2d(out, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU(inplace=True),
        )  # fmt: skip

    def forward(self, maps: Tensor, skip: Tensor | None) -> Tensor:
        return cast(Tensor, self.rest(self.joining(maps, skip)))


class Joining(nn.Module):
    """A 3×3 convolution of [maps doubled by repeating values, finer maps], which neither repeats nor copies anything.

    Repeating and then convolving is one transposed convolution of stride 2, whose 4×4 kernel adds up the weights that meet
    equal values, K = [1 1; 1 1] ∗ k: 4 multiplications for an output value and channel, not 9. A convolution of maps side by
    side is the sum of two. Results and gradients are those of the plain form but for rounding.

    Args:
        coarse: channels of the maps that are doubled.
        skip: channels of the finer maps; 0 where there are none.
        out: channels of the result.

    >>> Joining(8, 4, 6)(torch.zeros(1, 8, 5, 7), torch.zeros(1, 4, 10, 14)).shape
    torch.Size([1, 6, 10, 14])
    """

    spread: Tensor

    def __init__(self, coarse: int, skip: int, out: int) -> None:
        super().__init__()
        deviation = math.sqrt(2 / (9 * (coarse + skip)))
        # As a transposed convolution keeps it: channels of the input first, and turned by 180°.
        self.kernel = nn.Parameter(torch.randn(coarse, out, 3, 3) * deviation)
        self.skip = nn.Conv2d(skip, out, 3, padding=1, bias=False) if skip else None
        if self.skip is not None:
            nn.init.normal_(self.skip.weight, std=deviation)
        self.register_buffer("spread", _spread(), persistent=False)

    def forward(self, maps: Tensor, finer: Tensor | None = None) -> Tensor:
        """``(N, out, 2H, 2W)`` of maps ``(N, coarse, H, W)`` and ``(N, skip, 2H, 2W)``."""
        kernel = (self.kernel.flatten(2) @ self.spread).unflatten(2, (4, 4))
        doubled = F.conv_transpose2d(maps, kernel, stride=2, padding=1)
        return doubled if self.skip is None or finer is None else doubled + self.skip(finer)


def _spread() -> Tensor:
    """What a 3×3 kernel is multiplied by to become 4×4: ``(9, 16)``, ones where a weight is added."""
    weights = torch.eye(9).view(9, 1, 3, 3)
    return F.conv2d(weights, torch.ones(1, 1, 2, 2), padding=1).view(9, 16)
