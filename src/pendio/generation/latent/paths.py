"""Paths through a latent space: between two codes, and along one dimension."""

import torch
from torch import Tensor

__all__ = ["lerp", "slerp", "traversals"]

_PARALLEL = 1e-6
"""Sine of an angle below which there is no great circle to follow."""


def lerp(start: Tensor, end: Tensor, steps: int) -> Tensor:
    """The straight line (1 − t)·start + t·end, ``(steps, D)``, t from 0 to 1.

    In many dimensions its middle is nearer to the origin than codes of the prior are: of independent ends by a factor √½.
    """
    times = torch.linspace(0, 1, steps, dtype=start.dtype)[:, None]
    return (1 - times) * start + times * end


def slerp(start: Tensor, end: Tensor, steps: int) -> Tensor:
    """The great circle sin((1 − t)θ)/sin θ · start + sin(tθ)/sin θ · end, ``(steps, D)`` (Shoemake, 1985).

    The directions go along it at even speed and the norm goes evenly from one to the other. Ends that point the same way, or
    exactly opposite ways, have no such circle between them: the norm is then all that can be kept even, on a straight line.
    """
    norms = lerp(start.norm()[None], end.norm()[None], steps)
    if not (start.norm() > 0 and end.norm() > 0):
        return lerp(start, end, steps)
    first, last = start / start.norm(), end / end.norm()
    angle = torch.atan2((first - last).norm(), (first + last).norm()) * 2
    if angle.sin() < _PARALLEL:
        return lerp(start, end, steps)
    times = torch.linspace(0, 1, steps, dtype=start.dtype)[:, None]
    directions = (((1 - times) * angle).sin() * first + (times * angle).sin() * last) / angle.sin()
    path: Tensor = norms * directions
    return path


def traversals(
    values: Tensor, dimensions: Tensor, steps: int = 9, reach: float = 3.0, at: Tensor | None = None
) -> Tensor:
    """Codes along each of some dimensions, ``(K, steps, D)``: ± ``reach`` standard deviations of the codes.

    Args:
        values: codes ``(N, D)`` that say how far each dimension goes.
        dimensions: ``(K,)`` which of them to follow.
        steps: codes along each.
        reach: in standard deviations.
        at: the code ``(D,)`` to start from; the mean code by default.
    """
    mean, spread = values.mean(0), values.std(0)
    base = mean if at is None else at
    path = base.repeat(len(dimensions), steps, 1)
    offsets = torch.linspace(-reach, reach, steps, dtype=values.dtype)
    rows = torch.arange(len(dimensions))
    path[rows, :, dimensions] = mean[dimensions, None] + spread[dimensions, None] * offsets
    return path
