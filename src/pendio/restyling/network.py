"""The image-transformation network (Johnson, Alahi and Fei-Fei, 2016), normalised by instance (Ulyanov et al., 2016)."""

from typing import cast

import torch
from torch import Tensor, nn

from pendio.nn.residual import Residual

__all__ = ["Restyler", "mirrored"]

_STRIDE = 4
_LEAST = 8
"""Below two strides a reflected border of one is wider than the map it is taken from."""


class Restyler(nn.Module):
    """Repaints an image of any size: down to a quarter, through residual blocks, and up again.

    The widest maps have ``4 · width`` channels. Going up repeats pixels and convolves, because transposed convolutions
    leave a checkerboard (Odena, Dumoulin and Olah, 2016). Borders are reflected: zeros would show as a frame.

    Args:
        channels: of the images, 3 or 1.
        width: channels of the first maps.
        blocks: how many residual blocks.

    >>> Restyler(width=4, blocks=1)(torch.zeros(2, 3, 21, 30)).shape
    torch.Size([2, 3, 21, 30])
    """

    def __init__(self, channels: int = 3, width: int = 16, blocks: int = 5) -> None:
        super().__init__()
        self.channels = channels
        self.down = nn.Sequential(
            *_painted(channels, width, 9), *_painted(width, 2 * width, 3, 2), *_painted(2 * width, 4 * width, 3, 2)
        )
        self.blocks = nn.Sequential(*(Residual(_branch(4 * width)) for _ in range(blocks)))
        self.up = nn.Sequential(
            nn.Upsample(scale_factor=2, mode="nearest"), *_painted(4 * width, 2 * width, 3),
            nn.Upsample(scale_factor=2, mode="nearest"), *_painted(2 * width, width, 3),
            _convolution(width, channels, 9),
        )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        """Repainted images ``(N, C, H, W)`` in [0, 1], of images in [0, 1] of the same size."""
        height, width = images.shape[2:]
        values = self.down(4 * mirrored(images, _rounded(height), _rounded(width)) - 2)
        logits = self.up(self.blocks(values))
        return cast(Tensor, logits[:, :, :height, :width].sigmoid())


def _rounded(side: int) -> int:
    return max(_LEAST, -(-side // _STRIDE) * _STRIDE)


def mirrored(images: Tensor, height: int, width: int) -> Tensor:
    """Images ``(N, C, H, W)`` enlarged to ``height`` × ``width``, mirrored below and to the right, as often as it takes.

    >>> mirrored(torch.tensor([[[[1, 2, 3]]]]), 1, 8).flatten().tolist()
    [1, 2, 3, 2, 1, 2, 3, 2]
    """
    for axis, side in ((2, height), (3, width)):
        given = images.shape[axis]
        if side > given:
            period = max(1, 2 * (given - 1))
            place = torch.arange(side, device=images.device) % period
            images = images.index_select(axis, torch.minimum(place, period - place) if given > 1 else place)
    return images


def _convolution(channels: int, out: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, out, kernel, stride, kernel // 2, padding_mode="reflect")


def _painted(channels: int, out: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    """Convolution, instance normalisation, ReLU."""
    return [_convolution(channels, out, kernel, stride), nn.InstanceNorm2d(out, affine=True), nn.ReLU()]


def _branch(channels: int) -> nn.Sequential:
    return nn.Sequential(
        *_painted(channels, channels, 3), _convolution(channels, channels, 3), nn.InstanceNorm2d(channels, affine=True)
    )
