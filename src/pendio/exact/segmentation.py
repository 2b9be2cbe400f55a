"""Truths about networks that say what is where in an image."""

import math

import torch
from torch import Tensor, nn

from pendio.exact.check import Check
from pendio.nn.network import Network
from pendio.segmentation import convolutional
from pendio.segmentation.networks import fcn, unet

__all__ = ["CHECKS"]


def _classifiers() -> tuple[Network, Network]:
    """Two small classifiers without padding: one that flattens its last map of 4 × 4, one that takes its mean."""
    torch.manual_seed(0)

    def body() -> list[nn.Module]:
        return [nn.Conv2d(3, 6, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3, stride=2), nn.ReLU()]

    flat = nn.Sequential(*body(), nn.Flatten(), nn.Linear(8 * 16, 12), nn.ReLU(), nn.Dropout(), nn.Linear(12, 5))
    mean = nn.Sequential(*body(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
    flat_network, mean_network = (
        Network(module, (3, 20, 20), [0.4] * 3, [0.3] * 3, "abcde").double().eval() for module in (flat, mean)
    )
    return flat_network, mean_network


def _images(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@torch.no_grad()
def _native() -> tuple[float, float]:
    """One cell at the native size; on a larger image each cell against the classifier on its window alone."""
    worst = 0.0
    for network in _classifiers():
        made = convolutional.convolutionalize(network)
        for height, width in ((20, 20), (28, 32)):
            image = _images(2, 3, height, width)
            cells = made(image)
            for row in range(1 + (height - 20) // 4):
                for column in range(1 + (width - 20) // 4):
                    window = image[:, :, 4 * row : 4 * row + 20, 4 * column : 4 * column + 20]
                    worst = max(worst, float((cells[:, :, row, column] - network(window)).abs().max()))
    return worst, 0


@torch.no_grad()
def _places() -> tuple[float, float]:
    """The mean of what each place contributes, against the classifier."""
    network = _classifiers()[1]
    image = _images(2, 3, 20, 20)
    cells = convolutional.convolutionalize(network, pooled=False)(image)
    if cells.shape[2:] != (4, 4):
        return math.inf, 0
    return float((cells.mean((2, 3)) - network(image)).abs().max()), 0


@torch.no_grad()
def _ramp() -> tuple[float, float]:
    """The enlarged ramp at pixel i is (i + ½)/f − ½ cells, between the middles of the first and the last cell."""
    worst = 0.0
    for factor in (2, 3, 8, 16):
        ramp = torch.arange(6.0, dtype=torch.float64).expand(1, 3, 6, 6)
        enlarged = fcn.Upsampling(3, factor).double()(ramp)
        if enlarged.shape != (1, 3, 6 * factor, 6 * factor):
            return math.inf, 0
        places = (torch.arange(6 * factor, dtype=torch.float64) + 0.5) / factor - 0.5
        worst = max(worst, float((enlarged - places.clamp(0, 5)).abs().max()))
    return worst, 0


@torch.no_grad()
def _sizes() -> tuple[float, float]:
    """Running networks of depth 1 to 4 on the three smallest valid sizes give n − 12·2^d + 8; the paper's takes 572."""
    gaps = 0 if 572 in unet.valid_sizes(572) and unet.output_size(572) == 388 else 1
    for depth in range(1, 5):
        network = unet.UNet(1, 2, width=1, depth=depth, padded=False).eval()
        for size in unet.valid_sizes(1000, depth)[:3]:
            output = network(torch.zeros(1, 1, size, size)).shape[2]
            gaps += abs(output - (size - 12 * 2**depth + 8)) + abs(output - unet.output_size(size, depth))
    return gaps, 0


CHECKS = (
    Check("fcn-native", "each cell of a convolutionalised classifier is what it says of that window", _native, 1e-12),
    Check("fcn-places", "the logits that places contribute have the classifier's logits as their mean", _places, 1e-12),
    Check("bilinear-upsampling", "a transposed convolution that starts bilinear continues a ramp", _ramp, 1e-6),
    Check("unet-sizes", "an unpadded U-Net of depth d takes n pixels to n − 12·2^d + 8", _sizes),
)
