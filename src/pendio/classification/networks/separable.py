"""A small network of depth-wise separable convolutions in the manner of Xception."""

from collections.abc import Sequence

from torch import Tensor, nn

from pendio.nn.residual import Residual
from pendio.nn.separable import SeparableConv2d

__all__ = ["Separable"]


class Separable(nn.Module):
    """A full convolution as stem, then residual stages of separable ones (Chollet, 2017), scaled to small images.

    Stages of 64, 128 and 256 channels; each halves the map where it is larger than 4 pixels. Features are the means of
    the last maps.
    """

    num_features = 256

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        side = min(shape[1:])
        self.stem = nn.Sequential(nn.Conv2d(shape[0], 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU())
        stages, channels = [], 32
        for out in (64, 128, 256):
            stride = 2 if side > 4 else 1
            stages.append(_stage(channels, out, stride))
            channels, side = out, side // stride
        self.stages = nn.Sequential(*stages)
        self.pool = nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def forward(self, images: Tensor) -> Tensor:
        """Features ``(N, 256)`` of images ``(N, C, H, W)``."""
        features: Tensor = self.pool(self.stages(self.stem(images)))
        return features


def _stage(channels: int, out: int, stride: int) -> Residual:
    branch = nn.Sequential(
        nn.ReLU(),
        SeparableConv2d(channels, out, 3),
        nn.BatchNorm2d(out),
        nn.ReLU(),
        SeparableConv2d(out, out, 3, stride),
        nn.BatchNorm2d(out),
    )
    return Residual(branch, nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out)))
