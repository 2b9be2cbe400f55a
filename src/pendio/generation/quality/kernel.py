"""Kernel distance: how far apart two sets of features are, without taking them for Gaussian and without bias."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from pendio.errors import InputError
from pendio.generation.quality.frechet import check_finite

__all__ = ["KernelDistance", "kernel_distance"]

_CHUNK = 2048
"""Rows of the kernel matrix that are in memory at once."""


class KernelDistance(NamedTuple):
    """An estimate of the squared distance, which may be negative, and its standard error."""

    value: float
    error: float


def kernel_distance(
    real: Tensor, made: Tensor, *, subsets: int = 100, size: int = 1000, seed: int = 0
) -> KernelDistance:  # fmt: skip
    """Squared maximum mean discrepancy with the kernel (x·y/D + 1)³, unbiased (Gretton et al., 2012).

    The field's kernel inception distance, where the features are Inception's (Bińkowski et al., 2018).

    MMD² = mean_{i≠j} k(xᵢ, xⱼ) + mean_{i≠j} k(yᵢ, yⱼ) − 2·mean_{ij} k(xᵢ, yⱼ). All pairs are taken where that is no
    more work than ``subsets`` random subsets of ``size`` examples of each set: it estimates the same with less variance.
    With more examples the estimate is the mean over the subsets.

    Args:
        real, made: ``(N, D)`` and ``(M, D)``.
        subsets, size: how many, and examples of each set in one.
        seed: of the choice of subsets.

    Raises:
        InputError: a set has fewer than two examples, dimensions differ, or values are not finite.
    """
    check_pair(real, made)
    if subsets < 1 or size < 2:
        raise InputError(f"subsets must be at least 1 and their size at least 2, got {subsets} and {size}")
    if max(len(real), len(made)) ** 2 <= subsets * size**2:
        return _all_pairs(real, made)
    generator = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(subsets):
        chosen = (_choice(len(real), size, generator), _choice(len(made), size, generator))
        found.append(_all_pairs(real[chosen[0].to(real.device)], made[chosen[1].to(made.device)]).value)
    values = torch.tensor(found, dtype=torch.float64)
    return KernelDistance(float(values.mean()), float(values.std(correction=0)) / math.sqrt(subsets))


def check_pair(real: Tensor, made: Tensor, least: int = 2) -> None:
    """Whether two sets of features can be compared.

    Raises:
        InputError: they are no matrices of the same width, have too few examples, or values that are not finite.
    """
    for features in (real, made):
        if features.ndim != 2:
            raise InputError(f"features of shape {tuple(features.shape)}; expected (N, D)")
        if len(features) < least:
            raise InputError(f"too few examples: {len(features)}; comparing needs at least {least} of each kind")
        check_finite(features)
    if real.shape[1] != made.shape[1]:
        raise InputError(f"features of {real.shape[1]} and of {made.shape[1]} dimensions cannot be compared: "
                         "take both from the same network")  # fmt: skip


def _choice(count: int, size: int, generator: torch.Generator) -> Tensor:
    return torch.randperm(count, generator=generator)[:size]


def _all_pairs(real: Tensor, made: Tensor) -> KernelDistance:
    """The estimate of all pairs. Its error is that of a U-statistic: 4·Var(h)/N of each set.

    h(x) is the mean of k(x, x′) − k(x, y) over the others, and h(y) the mean of k(y, y′) − k(y, x).
    """
    across, back = _means(real, made)
    h_real, h_made = _means_within(real) - across, _means_within(made) - back
    value = h_real.mean() + h_made.mean()
    error = 2 * (h_real.var(correction=0) / len(real) + h_made.var(correction=0) / len(made)).sqrt()
    return KernelDistance(float(value), float(error))


def _means(left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """For each of ``left`` the mean of its kernel with all of ``right``, and the other way round."""
    rows, columns = [], torch.zeros(len(right), dtype=torch.float64, device=right.device)
    for part in left.split(_CHUNK):
        values = _kernel(part, right)
        rows.append(values.mean(1, dtype=torch.float64))
        columns += values.sum(0, dtype=torch.float64)
    return torch.cat(rows), columns / len(left)


def _means_within(features: Tensor) -> Tensor:
    """For each example the mean of its kernel with all others."""
    sums = torch.cat([_kernel(part, features).sum(1, dtype=torch.float64) for part in features.split(_CHUNK)])
    itself = (features.double().square().mean(1) + 1) ** 3
    return (sums - itself) / (len(features) - 1)


def _kernel(left: Tensor, right: Tensor) -> Tensor:
    products = left @ right.T
    return products.div_(left.shape[1]).add_(1).pow_(3)
