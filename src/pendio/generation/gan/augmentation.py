"""Differentiable augmentation: what the discriminator sees, real or made, is changed at random (Zhao et al., 2020).

A discriminator learns few examples by heart. It cannot when they never look the same; and because the changes pass
gradients on and meet what is made as well, the generator does not learn to make them.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["augmented"]


def augmented(images: Tensor, changes: Sequence[str], generator: torch.Generator | None = None) -> Tensor:
    """Images ``(N, C, H, W)`` in [−1, 1], each changed in its own way; black comes in where they are moved or cut.

    Args:
        images: what is seen.
        changes: of ``color`` (brightness by up to ½ of white, saturation of 0 to 2, contrast of ½ to 1½), ``translation``
            (by up to an eighth of a side) and ``cutout`` (a square of half a side), which are done in this order.
        generator: of all draws, on the images' device; the global one where it is None.
    """
    if "color" in changes:
        images = _colored(images, generator)
    if "translation" in changes:
        images = _moved(images, generator)
    if "cutout" in changes:
        images = _cut(images, generator)
    return images


def _uniform(images: Tensor, generator: torch.Generator | None) -> Tensor:
    """``(N, 1, 1, 1)`` in [0, 1)."""
    return torch.rand(len(images), 1, 1, 1, generator=generator, device=images.device, dtype=images.dtype)


def _integers(images: Tensor, low: int, high: int, generator: torch.Generator | None) -> Tensor:
    """``(N, 1)`` from low to high − 1."""
    return torch.randint(low, high, (len(images), 1), generator=generator, device=images.device)


def _colored(images: Tensor, generator: torch.Generator | None) -> Tensor:
    images = images + _uniform(images, generator) - 0.5
    if images.shape[1] > 1:
        grey = images.mean(1, keepdim=True)
        images = grey + (images - grey) * 2 * _uniform(images, generator)
    mean = images.mean((1, 2, 3), keepdim=True)
    return mean + (images - mean) * (_uniform(images, generator) + 0.5)


def _places(images: Tensor) -> tuple[Tensor, Tensor]:
    """Numbers ``(H,)`` and ``(W,)`` of rows and columns."""
    height, width = images.shape[2:]
    return torch.arange(height, device=images.device), torch.arange(width, device=images.device)


def _moved(images: Tensor, generator: torch.Generator | None) -> Tensor:
    height, width = images.shape[2:]
    reach_y, reach_x = max(1, round(height / 8)), max(1, round(width / 8))
    rows, columns = _places(images)
    rows = rows + _integers(images, -reach_y, reach_y + 1, generator)
    columns = columns + _integers(images, -reach_x, reach_x + 1, generator)
    inside = ((rows >= 0) & (rows < height))[:, None, :, None] & ((columns >= 0) & (columns < width))[:, None, None, :]
    index = rows.clamp(0, height - 1)[:, None, :, None] * width + columns.clamp(0, width - 1)[:, None, None, :]
    flat = images.flatten(2).gather(2, index.expand(-1, images.shape[1], -1, -1).flatten(2))
    return torch.where(inside, flat.view_as(images), -1.0)


def _cut(images: Tensor, generator: torch.Generator | None) -> Tensor:
    """The square's middle lies anywhere in the image, so that it may stick out."""
    height, width = images.shape[2:]
    rows, columns = _places(images)
    top = _integers(images, 0, height, generator) - height // 4
    left = _integers(images, 0, width, generator) - width // 4
    down = (rows >= top) & (rows < top + height // 2)
    across = (columns >= left) & (columns < left + width // 2)
    return torch.where(down[:, None, :, None] & across[:, None, None, :], -1.0, images)
