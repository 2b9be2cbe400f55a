"""Residual networks for small images, with and without squeeze-and-excitation."""

from collections.abc import Sequence

from torch import Tensor, nn

from pendio.nn.residual import Residual
from pendio.nn.squeeze import SqueezeExcitation

__all__ = ["ResNet"]


class ResNet(nn.Module):
    """The CIFAR form of ResNet: a 3×3 stem, three stages of 16, 32 and 64 channels (He et al., 2016, section 4.2).

    Depth is 6·``blocks`` + 2: three blocks a stage make ResNet-20. Shortcuts that change the shape are 1×1 convolutions
    (option B). Features are the means of the last 64 maps.

    Args:
        shape: of one input, ``(C, H, W)``.
        blocks: residual blocks a stage.
        squeeze: put squeeze-and-excitation at the end of each branch (Hu, Shen and Sun, 2018).
    """

    num_features = 64

    def __init__(self, shape: Sequence[int], blocks: int = 3, squeeze: bool = False) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(shape[0], 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        stages, channels = [], 16
        for out, stride in ((16, 1), (32, 2), (64, 2)):
            layers: list[nn.Module] = []
            for block in range(blocks):
                layers += [_block(channels, out, stride if block == 0 else 1, squeeze), nn.ReLU()]
                channels = out
            stages.append(nn.Sequential(*layers))
        self.stages = nn.Sequential(*stages)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def forward(self, images: Tensor) -> Tensor:
        """Features ``(N, 64)`` of images ``(N, C, H, W)``."""
        features: Tensor = self.pool(self.stages(self.stem(images)))
        return features


def _block(channels: int, out: int, stride: int, squeeze: bool) -> Residual:
    branch: list[nn.Module] = [
        nn.Conv2d(channels, out, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(out),
        nn.ReLU(),
        nn.Conv2d(out, out, 3, padding=1, bias=False),
        nn.BatchNorm2d(out),
    ]
    if squeeze:
        branch.append(SqueezeExcitation(out))
    if channels == out and stride == 1:
        return Residual(nn.Sequential(*branch))
    return Residual(
        nn.Sequential(*branch), nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))
    )
