"""Constraints: where a climb must stay."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from pendio.ascent.rules import by_image

__all__ = ["Ball", "Norm", "box"]

Norm = Literal["linf", "l2"]


def box(images: Tensor) -> Tensor:
    """The nearest images with values in [0, 1]."""
    return images.clamp(0, 1)


@dataclass(frozen=True)
class Ball:
    """All images within a distance of given ones, and in [0, 1].

    Attributes:
        center: ``(N, C, H, W)``.
        radius: the largest distance, in units of the images' range, in ``norm``.
        norm: "linf", the largest change of a value, or "l2", the root of the sum of squares.
        mask: ``(1, 1, H, W)`` or ``(N, 1, H, W)``: where images may change at all.
    """

    center: Tensor
    radius: float
    norm: Norm = "linf"
    mask: Tensor | None = None

    def __call__(self, images: Tensor) -> Tensor:
        """The images projected onto the ball: the nearest ones in it, up to the corners that [0, 1] cuts off."""
        apart = images - self.center
        if self.mask is not None:
            apart = apart * self.mask
        if self.norm == "linf":
            apart = apart.clamp(-self.radius, self.radius)
        else:
            length = apart.flatten(1).norm(dim=1)
            apart = apart * by_image((self.radius / length.clamp(min=1e-30)).clamp(max=1), apart)
        return box(self.center + apart)

    def start(self, draws: Tensor) -> Tensor:
        """A random point of the ball, evenly distributed, from standard normal ``draws`` of the images' shape."""
        if self.norm == "linf":
            return self(self.center + self.radius * (2 * torch.special.ndtr(draws) - 1))
        # A normal vector's length says nothing of its direction, and its square is χ² distributed: F(‖d‖²)^(1/n) of the
        # radius is a length as the ball's volume has it.
        flat = draws.flatten(1).double()
        half = torch.tensor(flat.shape[1] / 2, dtype=torch.float64, device=flat.device)
        length = flat.norm(dim=1, keepdim=True)
        share = torch.special.gammainc(half, length.square() / 2) ** (1 / flat.shape[1])
        return self(self.center + (self.radius * share * flat / length).to(draws).view_as(draws))
