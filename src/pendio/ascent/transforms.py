"""Small random changes of the view, so that what is climbed holds for more than one exact position."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pendio.data.randomness import uniforms

__all__ = ["Wobble"]


@dataclass(frozen=True)
class Wobble:
    """Shifts, scales and turns each image at random, in one resampling; beyond its border it is mirrored.

    Attributes:
        jitter: largest shift in pixels, in each direction.
        scale: largest relative change of size: 0.1 is from 1/1.1 to 1.1.
        rotate: largest angle in degrees.
    """

    jitter: float
    scale: float
    rotate: float

    @staticmethod
    def for_side(side: int) -> "Wobble":
        """What suits images of so many pixels a side: large ones move by pixels, tiny ones by parts of one."""
        return Wobble(jitter=side / 16, scale=0.1, rotate=10.0 if side >= 32 else 5.0)

    def __call__(self, images: Tensor, seed: int, step: int, rows: Tensor) -> Tensor:
        """Images ``(N, C, H, W)``, each changed as (seed, step, row) says."""
        draws = (2 * uniforms(seed, step, rows, 4) - 1).to(images)
        height, width = images.shape[2:]
        factor = (1 + self.scale) ** draws[:, 0]
        angle = draws[:, 1] * math.radians(self.rotate)
        cos, sin = torch.cos(angle) / factor, torch.sin(angle) / factor
        # The grid is in units of half a side, so that turning an oblong image must undo its proportion.
        rows_of_x = torch.stack([cos, -sin * height / width, 2 * self.jitter * draws[:, 2] / width], 1)
        rows_of_y = torch.stack([sin * width / height, cos, 2 * self.jitter * draws[:, 3] / height], 1)
        grid = F.affine_grid(torch.stack([rows_of_x, rows_of_y], 1), list(images.shape), align_corners=False)
        return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
