"""U-Net, unpadded as published and padded (Ronneberger, Fischer and Brox, 2015).

Unpadded, each 3×3 convolution takes a pixel from every border. With the sides of the input n, of the lowest map after its
two convolutions c and of the output m, down ``depth`` = d halvings and up again

    n = 2^d·(c + 4) + 4·(2^d − 1),    m = 2^d·c − 4·(2^d − 1),    (n − m) / 2 = 6·2^d − 4

For the published depth of 4 that is n ≡ 12 (mod 16), and 92 pixels are lost at each border: 572 becomes 388.
"""

import math
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pendio.errors import InputError
from pendio.segmentation.tiling import Extent

__all__ = ["Norm", "UNet", "margin", "output_size", "padded_size", "valid_size", "valid_sizes"]

Norm = Literal["none", "batch"]


def _stride(depth: int) -> int:
    return 1 << depth


def margin(depth: int = 4) -> int:
    """Pixels that an unpadded U-Net loses at each border: 6·2^d − 4.

    >>> margin()
    92
    """
    return 6 * _stride(depth) - 4


def valid_sizes(most: int, depth: int = 4) -> range:
    """The sides, up to ``most``, whose maps can all be halved evenly in an unpadded U-Net: n ≡ −4 (mod 2^d).

    >>> list(valid_sizes(220))
    [188, 204, 220]
    """
    lowest = 4 if depth > 1 else 3  # 2^d·c must be more than 4·(2^d − 1)
    return range(_stride(depth) * (lowest + 4) + 4 * (_stride(depth) - 1), most + 1, _stride(depth))


def valid_size(output: int, depth: int = 4) -> int:
    """The smallest valid side of an unpadded U-Net's input whose output has at least ``output`` pixels.

    >>> valid_size(388), valid_size(389)
    (572, 588)
    """
    least = output + 2 * margin(depth)
    return max(valid_sizes(least + _stride(depth), depth).start, least + (-4 - least) % _stride(depth))


def output_size(size: int, depth: int = 4) -> int:
    """The output's side for an unpadded U-Net's input of a valid side: n − 12·2^d + 8.

    Raises:
        InputError: the side is not valid; the message names the nearest ones that are.

    >>> output_size(572)
    388
    """
    known = valid_sizes(size + _stride(depth), depth)
    if size not in known:
        near = " or ".join(str(side) for side in known[-2:]) if known else str(valid_size(1, depth))
        raise InputError(
            f"an unpadded U-Net of depth {depth} takes sides of {known.start} and {_stride(depth)}·k more, not {size}: "
            f"the nearest is {near}"
        )
    return size - 2 * margin(depth)


def padded_size(size: int, depth: int = 4) -> int:
    """The smallest multiple of 2^d not below ``size``: what a padded U-Net computes on.

    >>> padded_size(100)
    112
    """
    return -(-size // _stride(depth)) * _stride(depth)


class UNet(nn.Module):
    """Convolutions that halve the maps ``depth`` times, and as many that double them beside what was there on the way down.

    Unpadded (``padded=False``) as published: the maps of the way down are cropped to those of the way up, and the output
    is smaller than the input by :func:`margin` on each side; sides must be valid (:func:`valid_sizes`). Padded: zeros
    around every convolution keep the size; an image whose sides are no multiples of 2^d gets zeros below and to the right,
    which the output loses again. Either form can be run on an image in tiles that give what the whole one gives
    (:func:`pendio.segmentation.tiling.tiled`).

    Weights are drawn from N(0, 2/fan-in), biases are zero (He et al., 2015), as in the paper's section 3.
    ``UNet(1, 2, padded=False, norm="none")`` is the network of its figure 1, with 31,030,658 parameters.

    Args:
        channels: of the images.
        classes: of the output.
        width: maps of the first level; each level down has twice as many.
        depth: how often the maps are halved.
        padded: keep the size.
        norm: "batch" normalises after every 3×3 convolution, which then has no bias; "none" is the paper's.
        dropout: probability of dropping a value of the lowest maps in training (section 3.1).

    >>> UNet(1, 2, width=4, padded=False)(torch.zeros(1, 1, 188, 204)).shape
    torch.Size([1, 2, 4, 20])
    >>> UNet(1, 2, width=4)(torch.zeros(1, 1, 21, 30)).shape
    torch.Size([1, 2, 21, 30])
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        width: int = 64,
        depth: int = 4,
        padded: bool = True,
        norm: Norm = "batch",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.depth, self.padded = depth, padded
        widths = [width * 2**level for level in range(depth + 1)]
        self.down = nn.ModuleList(
            _twice(given, wide, padded, norm) for given, wide in zip([channels, *widths], widths, strict=False)
        )
        self.dropout = nn.Dropout(dropout)
        # Highest number first: the order in which they run.
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * wide, wide, 2, 2) for wide in reversed(widths[:-1]))
        self.join = nn.ModuleList(_twice(2 * wide, wide, padded, norm) for wide in reversed(widths[:-1]))
        self.head = nn.Conv2d(width, classes, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                _initialize(module)

    @property
    def extent(self) -> Extent:
        """What tiles must know: its stride, the pixels it loses and those it sees beyond a seam."""
        stride, lost = _stride(self.depth), margin(self.depth)
        # A seam need not fall where an unpadded output begins: from there up to two more pixels are seen.
        return Extent(stride, reach=lost + 2) if self.padded else Extent(stride, margin=lost, rest=4 % stride)

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(N, K, H, W)`` of images ``(N, C, H, W)``, unpadded ``(N, K, H − 2·margin, W − 2·margin)``.

        Raises:
            InputError: an unpadded network was given a side that is not valid.
        """
        height, width = images.shape[2:]
        if self.padded:
            below, right = (padded_size(side, self.depth) - side for side in (height, width))
            images = F.pad(images, (0, right, 0, below)) if below or right else images
        else:
            output_size(height, self.depth), output_size(width, self.depth)
        logits = self.head(self._maps(images))
        return cast(Tensor, logits[:, :, :height, :width] if self.padded else logits)

    def _maps(self, images: Tensor) -> Tensor:
        kept = []
        for level, block in enumerate(self.down):
            images = block(images if level == 0 else F.max_pool2d(images, 2))
            kept.append(images)
        images = self.dropout(kept.pop())
        for up, join in zip(self.up, self.join, strict=True):
            images = up(images)
            images = join(torch.cat([_cropped(kept.pop(), images), images], 1))
        return images


def _twice(channels: int, out: int, padded: bool, norm: Norm) -> nn.Sequential:
    """Two 3×3 convolutions, each with its normalisation and ReLU."""
    layers: list[nn.Module] = []
    for given in (channels, out):
        layers.append(nn.Conv2d(given, out, 3, padding=int(padded), bias=norm == "none"))
        layers += [nn.BatchNorm2d(out)] * (norm == "batch") + [nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def _cropped(maps: Tensor, like: Tensor) -> Tensor:
    """The middle of maps, of the size of others."""
    top, left = ((maps.shape[axis] - like.shape[axis]) // 2 for axis in (2, 3))
    return maps[:, :, top : top + like.shape[2], left : left + like.shape[3]]


def _initialize(layer: nn.Conv2d | nn.ConvTranspose2d) -> None:
    """N(0, 2/N) for the N values that an output adds up; a 2×2 transposed convolution of stride 2 adds one a channel."""
    values = layer.in_channels * (1 if isinstance(layer, nn.ConvTranspose2d) else math.prod(layer.kernel_size))
    nn.init.normal_(layer.weight, std=math.sqrt(2 / values))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
