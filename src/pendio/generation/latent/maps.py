"""Linear maps from one latent space to another, in closed form, and the support they are fitted on."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from pendio.errors import InputError

__all__ = ["LinearMap", "MapMethod", "d_optimal", "log_det", "procrustes", "random_support", "ridge"]

MapMethod = Literal["ridge", "procrustes"]

_PENALTIES = torch.logspace(-8, 2, 31, dtype=torch.float64)
"""Tried for ridge, in units of the largest squared singular value."""

_LEAST_GAIN = 1e-9


class LinearMap(NamedTuple):
    """x ↦ x·weights + offset.

    Attributes:
        weights: ``(D, E)``.
        offset: ``(E,)``.
        penalty: of ridge; 0 of Procrustes.
    """

    weights: Tensor
    offset: Tensor
    penalty: float

    def __call__(self, values: Tensor) -> Tensor:
        """Codes ``(N, E)`` of codes ``(N, D)``."""
        return values @ self.weights + self.offset


def ridge(source: Tensor, target: Tensor, penalty: float | None = None) -> LinearMap:
    """The map with offset that minimises ‖XW + b − Y‖² + λ‖W‖² (Hoerl and Kennard, 1970), the offset free.

    Args:
        source: X ``(S, D)``, float64.
        target: Y ``(S, E)``, float64.
        penalty: λ; None takes the one with the least leave-one-out error, which has a closed form (Allen, 1974).

    Raises:
        InputError: fewer than two points.
    """
    inputs, outputs = _centred(source, target)
    left, scales, right = torch.linalg.svd(inputs, full_matrices=False)
    seen = left.T @ outputs
    if penalty is None:
        penalty = _least_left_out(left, scales, seen, outputs)
    divisors = scales.square() + penalty
    shrunk = torch.where(divisors > 0, scales / divisors.clamp(min=1e-300), 0)
    weights = right.T @ (shrunk[:, None] * seen)
    return LinearMap(weights, target.mean(0) - source.mean(0) @ weights, float(penalty))


def _least_left_out(left: Tensor, scales: Tensor, seen: Tensor, outputs: Tensor) -> float:
    """The penalty of the least leave-one-out error: residuals over 1 − leverage, the mean's 1/S included."""
    powers = scales.square()
    largest = powers.max().clamp(min=1e-300)
    errors = []
    for penalty in _PENALTIES * largest:
        kept = powers / (powers + penalty)
        leverage = left.square() @ kept + 1 / len(left)
        residual = outputs - left @ (kept[:, None] * seen)
        errors.append((residual / (1 - leverage).clamp(min=1e-9)[:, None]).square().mean())
    return float(_PENALTIES[int(torch.stack(errors).argmin())] * largest)


def procrustes(source: Tensor, target: Tensor) -> LinearMap:
    """Rotation or reflection, scale and offset: XᵀY = UΣVᵀ, W = s·UVᵀ (Schönemann, 1966), the scale by least squares.

    Spaces of unlike size are joined by orthonormal rows or columns. Arguments as of :func:`ridge`.
    """
    inputs, outputs = _centred(source, target)
    left, scales, right = torch.linalg.svd(inputs.T @ outputs, full_matrices=False)
    turn = left @ right
    weights = turn * (scales.sum() / (inputs @ turn).square().sum().clamp(min=1e-300))
    return LinearMap(weights, target.mean(0) - source.mean(0) @ weights, 0.0)


def _centred(source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    if len(source) < 2:
        raise InputError(f"a map needs two support points at least, got {len(source)}; raise --support")
    return source - source.mean(0), target - target.mean(0)


def random_support(count: int, size: int, seed: int = 0) -> Tensor:
    """``size`` of ``count`` positions, drawn without replacement."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:size]


def log_det(values: Tensor, support: Tensor) -> float:
    """log det of the information matrix of a support, with the offset and a small prior that makes it finite."""
    points = _with_offset(values)
    return float(torch.linalg.slogdet(_information(points, support)).logabsdet)


def d_optimal(values: Tensor, size: int, exchanges: int = 100) -> Tensor:
    """Positions ``(size,)`` of the codes ``(N, D)`` that tell most about a linear map: greatest log det (Fedorov, 1972).

    Greedy, by the greatest leverage; then the best exchange of a chosen point for another, while that helps.

    Args:
        values: candidates.
        size: how many to choose; at most N.
        exchanges: at most.
    """
    points = _with_offset(values)
    inverse = torch.eye(points.shape[1], dtype=points.dtype) / _prior(points)
    leverage = points.square().sum(1) / _prior(points)
    chosen: list[int] = []
    free = torch.ones(len(points), dtype=torch.bool)
    for _ in range(min(size, len(points))):
        best = int(torch.where(free, leverage, -1.0).argmax())
        chosen.append(best)
        free[best] = False
        # Sherman and Morrison: one point more changes the inverse by one outer product.
        way = inverse @ points[best]
        scale = 1 + way @ points[best]
        inverse.addr_(way, way, alpha=-1 / float(scale))
        leverage -= (points @ way).square() / scale
    support = torch.tensor(chosen)
    for _ in range(exchanges):
        inverse = torch.linalg.inv(_information(points, support))
        spread = points @ inverse
        leverage = (spread * points).sum(1)
        shared = spread[support] @ points.T
        inside = leverage[support, None]
        gains = leverage - inside - leverage * inside + shared.square()
        gains[:, ~free] = -1.0
        worst, best = divmod(int(gains.argmax()), len(points))
        if not gains[worst, best] > _LEAST_GAIN:
            break
        free[support[worst]], free[best] = True, False
        support[worst] = best
    return support


def _with_offset(values: Tensor) -> Tensor:
    """Centred codes in units of their mean spread, and 1."""
    centred = values - values.mean(0)
    scale = centred.square().mean().sqrt().clamp(min=1e-12)
    return torch.cat([centred / scale, values.new_ones(len(values), 1)], 1)


def _prior(points: Tensor) -> float:
    return 1e-4 * float(points.square().mean())


def _information(points: Tensor, support: Tensor) -> Tensor:
    rows = points[support]
    return rows.T @ rows + _prior(points) * torch.eye(points.shape[1], dtype=points.dtype)
