"""What is done to examples so that a network learns to undo it (Vincent et al., 2008)."""

import torch
from torch import Tensor

from pendio.generation.autoencoder.options import Corruption

__all__ = ["corrupt"]

_CELLS = 4
"""Masked squares have a quarter of the side of an image."""


def corrupt(examples: Tensor, kind: Corruption, level: float, generator: torch.Generator | None = None) -> Tensor:
    """Examples ``(N, …)`` with something wrong; the originals stay as they are.

    Args:
        examples: images in [0, 1], or standardised rows.
        kind: "gaussian" adds noise of deviation ``level``; "salt-pepper" sets a share ``level`` of pixels to black or white,
            in all channels, or of features to −2 or 2; "mask" blots out a share ``level`` of squares, or of features.
        level: how much.
        generator: of chance; the global one where it is None.
    """
    if kind == "none":
        return examples
    if kind == "gaussian":
        return examples + level * _normal(examples.shape, generator, examples)
    images = examples.ndim == 4
    if kind == "salt-pepper":
        shape = (len(examples), 1, *examples.shape[2:]) if images else examples.shape
        chance = _uniform(shape, generator, examples)
        low, high = (0.0, 1.0) if images else (-2.0, 2.0)
        spotted = torch.where(chance < level / 2, low, torch.where(chance < level, high, examples))
        return spotted.to(examples.dtype)
    if not images:
        return examples * (_uniform(examples.shape, generator, examples) >= level)
    cells = _uniform((len(examples), 1, _CELLS, _CELLS), generator, examples) >= level
    seen = torch.nn.functional.interpolate(cells.to(examples.dtype), examples.shape[2:], mode="nearest")
    return examples * seen


def _normal(shape: torch.Size, generator: torch.Generator | None, like: Tensor) -> Tensor:
    # A generator of the CPU gives the same numbers wherever they are used.
    drawn = torch.randn(shape, generator=generator, device=None if generator else like.device, dtype=like.dtype)
    return drawn.to(like.device)


def _uniform(shape: tuple[int, ...], generator: torch.Generator | None, like: Tensor) -> Tensor:
    drawn = torch.rand(shape, generator=generator, device=None if generator else like.device, dtype=like.dtype)
    return drawn.to(like.device)
