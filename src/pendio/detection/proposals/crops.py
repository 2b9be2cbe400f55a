"""Cutting regions out of images, and moving their boxes onto objects (Girshick et al., 2014, appendices A and C)."""

import math
from typing import cast

import torch
from torch import Tensor
from torchvision.ops import roi_align

from pendio.detection.boxes import to_centers, to_corners

__all__ = ["crop", "moved", "offsets"]

_CONTEXT = 16 / 227
"""Share of a crop on each side that shows what is around the region."""

_CENTER_UNIT = 0.1
_SIZE_UNIT = 0.2
"""What a network's answer of 1 means, so that answers are about as large as 1 (Girshick, 2015)."""

_LARGEST = math.log(1000 / 16)
"""The most by which the logarithm of a side can be moved: an untrained network must not answer infinite boxes."""


def crop(images: Tensor, regions: Tensor, side: int) -> Tensor:
    """Each region with a margin, warped to a square whatever its shape: ``(N·R, 3, side, side)``.

    Pixels are averaged where a region is larger than the square. What lies outside an image is 0.

    Args:
        images: normalised ``(N, 3, H, W)``, with 0 for the mean colour.
        regions: ``(N, R, 4)`` x1, y1, x2, y2 in pixels.
        side: of the squares in pixels.
    """
    centers = to_centers(regions.to(images))
    grown = torch.cat([centers[..., :2], centers[..., 2:] / (1 - 2 * _CONTEXT)], -1)
    return cast(Tensor, roi_align(images, list(to_corners(grown).unbind(0)), side, sampling_ratio=-1, aligned=True))


def offsets(regions: Tensor, boxes: Tensor) -> Tensor:
    """What moves regions onto boxes: ``(…, 4)``.

    t = ((x − x_r)/w_r, (y − y_r)/h_r) / 0.1 and (ln(w/w_r), ln(h/h_r)) / 0.2, of centres and sizes.

    Args:
        regions: ``(…, 4)`` x1, y1, x2, y2, of sides above 0.
        boxes: ``(…, 4)`` of sides above 0.
    """
    own, wanted = to_centers(regions), to_centers(boxes)
    shift = (wanted[..., :2] - own[..., :2]) / own[..., 2:] / _CENTER_UNIT
    return torch.cat([shift, (wanted[..., 2:] / own[..., 2:]).log() / _SIZE_UNIT], -1)


def moved(regions: Tensor, by: Tensor) -> Tensor:
    """Where ``(…, 4)`` offsets move regions: the inverse of :func:`offsets`. A side grows by a factor of 62.5 at most."""
    own = to_centers(regions)
    center = own[..., :2] + by[..., :2] * _CENTER_UNIT * own[..., 2:]
    size = own[..., 2:] * (by[..., 2:] * _SIZE_UNIT).clamp(max=_LARGEST).exp()
    return to_corners(torch.cat([center, size], -1))
