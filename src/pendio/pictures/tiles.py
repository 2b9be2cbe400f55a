"""Many small images in milliseconds, so that every epoch can have a picture."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.utils import make_grid

from pendio.pictures.png import image_png

__all__ = ["beside", "tiled"]

_LEAST_SIDE = 48
"""Pixels of a tile's side: smaller images are enlarged by whole numbers, so that each pixel stays sharp."""


def tiled(images: Tensor, columns: int = 8) -> bytes:
    """Images ``(N, C, H, W)`` in [0, 1] in rows, each pixel as a square: a PNG file."""
    factor = max(1, -(-_LEAST_SIDE // max(images.shape[2:])))
    large = F.interpolate(images.detach().float().cpu(), scale_factor=factor, mode="nearest")
    return image_png(make_grid(large, nrow=columns, padding=2, pad_value=1.0))


def beside(images: Tensor, others: Tensor) -> bytes:
    """Images above what was made of them, ``(N, C, H, W)`` in [0, 1] each: a PNG file."""
    return tiled(torch.cat([images, others]), columns=len(images))
