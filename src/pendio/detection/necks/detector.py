"""A single-shot detector on any backbone and neck, which answers in YOLO's maps."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pendio.detection.necks.pyramids import Neck
from pendio.detection.yolo.scales import Scale

__all__ = ["PyramidDetector"]

_PRIOR = 0.01
"""Objectness at the start: most places hold nothing, and half-sure networks would drown in their first gradient."""


class PyramidDetector(nn.Module):
    """On each map of a neck a 3×3 convolution and a 1×1 one, which gives B·(5 + C) numbers a cell.

    Args:
        neck: gives the maps.
        width: channels of these.
        scales: strides and anchors, the coarsest first; one for each stride of the neck.
        classes: C.
    """

    def __init__(self, neck: Neck, width: int, scales: Sequence[Scale], classes: int) -> None:
        super().__init__()
        if tuple(scale.stride for scale in scales) != tuple(reversed(neck.strides)):
            raise ValueError(f"scales of strides {[scale.stride for scale in scales]} on a neck of {neck.strides}")
        self.neck = neck
        self.scales = tuple(scales)
        self.heads = nn.ModuleList(_head(width, len(scale.anchors), classes) for scale in scales)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Raw maps ``(N, B·(5 + C), H/s, W/s)`` of normalised images ``(N, 3, H, W)``, the coarsest first."""
        levels = reversed(self.neck(images))
        return tuple(head(level) for head, level in zip(self.heads, levels, strict=True))


def _head(width: int, anchors: int, classes: int) -> nn.Sequential:
    last = nn.Conv2d(width, anchors * (5 + classes), 1)
    nn.init.normal_(last.weight, std=0.01)
    assert last.bias is not None
    with torch.no_grad():
        last.bias.zero_().view(anchors, -1)[:, 4] = -math.log((1 - _PRIOR) / _PRIOR)
    return nn.Sequential(
        nn.ReLU(inplace=True), nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width),
        nn.LeakyReLU(0.1, inplace=True), last,
    )  # fmt: skip
