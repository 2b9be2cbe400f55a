"""Directions in a latent space: towards what has an attribute, and those in which codes differ most."""

from typing import Literal

import torch
from torch import Tensor

from pendio.errors import InputError

__all__ = ["Method", "attribute_direction", "principal_directions"]

Method = Literal["mean", "lda", "logistic"]

_SHRINKAGE = 0.05
"""Share of the mean variance added to a covariance, so that collapsed dimensions, of no effect on examples, do not lead."""

_NEWTON_STEPS = 25


def attribute_direction(values: Tensor, has: Tensor, method: Method = "lda") -> Tensor:
    """The unit direction ``(D,)`` in which codes come to have an attribute.

    ``mean`` is the difference of the means; ``lda`` that difference in units of the covariance within the two sides,
    Σ⁻¹(μ₁ − μ₀) (Fisher, 1936); ``logistic`` the weights of a logistic regression with a small penalty, by Newton's method.

    Args:
        values: codes ``(N, D)``, float64.
        has: which have it, ``(N,)`` booleans.
        method: how it is found.

    Raises:
        InputError: fewer than two codes have it, or lack it.
    """
    with_it, without = values[has], values[~has]
    if len(with_it) < 2 or len(without) < 2:
        raise InputError(
            f"an attribute needs two examples with it and two without, got {len(with_it)} and {len(without)}"
        )
    gap = with_it.mean(0) - without.mean(0)
    if method == "lda":
        inner = torch.cat([with_it - with_it.mean(0), without - without.mean(0)])
        gap = torch.linalg.solve(_shrunk(inner.T @ inner / len(inner)), gap)
    elif method == "logistic":
        gap = _logistic(values, has)
    direction: Tensor = gap / gap.norm().clamp(min=1e-300)
    return direction


def _shrunk(covariance: Tensor) -> Tensor:
    size = len(covariance)
    floor = _SHRINKAGE * covariance.trace() / size + 1e-12
    return covariance + floor * torch.eye(size, dtype=covariance.dtype)


def _logistic(values: Tensor, has: Tensor) -> Tensor:
    """Weights of a ridge-penalised logistic regression on standardised codes, given back in the codes' own units."""
    spread = values.std(0).clamp(min=1e-9)
    inputs = torch.cat([(values - values.mean(0)) / spread, values.new_ones(len(values), 1)], 1)
    penalty = torch.full((inputs.shape[1],), 1.0, dtype=values.dtype)
    penalty[-1] = 0
    weights = values.new_zeros(inputs.shape[1])
    for _ in range(_NEWTON_STEPS):
        chance = (inputs @ weights).sigmoid()
        gradient = inputs.T @ (chance - has.double()) + penalty * weights
        curvature = (inputs * (chance * (1 - chance))[:, None]).T @ inputs + penalty.diag()
        curvature[-1, -1] += 1e-9
        weights = weights - torch.linalg.solve(curvature, gradient)
    return weights[:-1] / spread


def principal_directions(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The unit directions ``(count, D)`` in which codes vary most, and their standard deviations ``(count,)``.

    Each has its largest component positive, so that the same codes give the same directions.
    """
    centred = values - values.mean(0)
    _, scales, directions = torch.linalg.svd(centred, full_matrices=False)
    directions = directions[:count]
    signs = directions.gather(1, directions.abs().argmax(1, keepdim=True)).sign()
    return directions * signs, scales[:count] / max(len(values) - 1, 1) ** 0.5
