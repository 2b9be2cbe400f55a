"""Four ways to see objects of many sizes with one backbone; what they cost and bring is compared in the docs."""

from collections.abc import Callable
from typing import Protocol, cast

import torch.nn.functional as F
from torch import Tensor, nn

from pendio.classification.backbones import Backbone
from pendio.errors import InputError, did_you_mean

__all__ = ["NECKS", "FeaturePyramid", "Hierarchy", "ImagePyramid", "Neck", "SingleMap", "neck"]


class Neck(Protocol):
    """Feature maps ``(N, width, H/s, W/s)`` of images for each of its ``strides`` s, the finest first."""

    strides: tuple[int, ...]

    def __call__(self, images: Tensor) -> list[Tensor]:
        """The maps of normalised images ``(N, 3, H, W)``."""
        ...


def _lateral(channels: int, width: int) -> nn.Conv2d:
    return nn.Conv2d(channels, width, 1)


class SingleMap(nn.Module):
    """One map, of the backbone's stage in the middle: every object is looked for at the same resolution."""

    def __init__(self, backbone: Backbone, width: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.level = len(backbone.strides) // 2
        self.strides = (backbone.strides[self.level],)
        self.lateral = _lateral(backbone.channels[self.level], width)

    def forward(self, images: Tensor) -> list[Tensor]:
        """See :class:`Neck`."""
        return [self.lateral(self.backbone(images)[self.level])]


class ImagePyramid(nn.Module):
    """A featurised image pyramid: the backbone sees the image at twice, once and half its size (Adelson et al., 1984).

    Each level has the full depth of features, at the price of 4 + 1 + ¼ passes.
    """

    def __init__(self, backbone: Backbone, width: int, scales: tuple[float, ...] = (2.0, 1.0, 0.5)) -> None:
        super().__init__()
        self.backbone, self.scales = backbone, scales
        self.level = len(backbone.strides) // 2
        self.strides = tuple(round(backbone.strides[self.level] / scale) for scale in scales)
        self.lateral = _lateral(backbone.channels[self.level], width)

    def forward(self, images: Tensor) -> list[Tensor]:
        """See :class:`Neck`."""
        return [self.lateral(self.backbone(_resized(images, scale))[self.level]) for scale in self.scales]


def _resized(images: Tensor, scale: float) -> Tensor:
    if scale == 1:
        return images
    return F.interpolate(images, scale_factor=scale, mode="bilinear", antialias=scale < 1)


class Hierarchy(nn.Module):
    """The pyramid that the backbone makes anyway, each stage on its own (Liu et al., 2016: SSD).

    It costs next to nothing, but its fine maps come from early stages, which know little of what things are.
    """

    def __init__(self, backbone: Backbone, width: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.strides = backbone.strides
        self.laterals = nn.ModuleList(_lateral(channels, width) for channels in backbone.channels)

    def forward(self, images: Tensor) -> list[Tensor]:
        """See :class:`Neck`."""
        return [lateral(level) for lateral, level in zip(self.laterals, self.backbone(images), strict=True)]


class FeaturePyramid(nn.Module):
    """A feature pyramid network: what late stages know is handed down to the fine maps (Lin et al., 2017).

    P_l = smooth(M_l) with M_l = lateral(C_l) + upsampled(M_{l+1}): lateral 1×1 and smoothing 3×3 convolutions, nearest
    neighbours going up.
    """

    def __init__(self, backbone: Backbone, width: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.strides = backbone.strides
        self.laterals = nn.ModuleList(_lateral(channels, width) for channels in backbone.channels)
        self.smooths = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in backbone.channels)

    def forward(self, images: Tensor) -> list[Tensor]:
        """See :class:`Neck`."""
        levels = [lateral(level) for lateral, level in zip(self.laterals, self.backbone(images), strict=True)]
        for finer in range(len(levels) - 2, -1, -1):
            size = levels[finer].shape[2:]
            levels[finer] = levels[finer] + F.interpolate(levels[finer + 1], size=size, mode="nearest")
        return [smooth(level) for smooth, level in zip(self.smooths, levels, strict=True)]


NECKS: dict[str, tuple[str, Callable[[Backbone, int], nn.Module]]] = {
    "fpn": ("feature pyramid network: late knowledge handed down to fine maps", FeaturePyramid),
    "hierarchy": ("the backbone's own stages, each on its own, as in SSD", Hierarchy),
    "single": ("one map for all sizes", SingleMap),
    "image-pyramid": ("the backbone sees the image at three sizes", ImagePyramid),
}
"""Name → a line about it, and the neck of a backbone and a width."""


def neck(name: str, backbone: Backbone, width: int) -> Neck:
    """The neck called ``name`` on a backbone with maps of ``width`` channels.

    Raises:
        InputError: there is none of this name.
    """
    if name not in NECKS:
        raise InputError(f"unknown neck '{name}' in --neck: {did_you_mean(name, NECKS)}")
    return cast(Neck, NECKS[name][1](backbone, width))
