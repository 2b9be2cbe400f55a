"""Truths about latent spaces."""

import torch
from torch import Tensor

from pendio.exact.check import Check
from pendio.generation.latent import directions, disentanglement, maps, paths

__all__ = ["CHECKS"]


def _points(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _ridge() -> tuple[float, float]:
    """A map that is known, from as many points as fix it, and with a penalty against the normal equations."""
    source, weights, offset = _points(0, 9, 8), _points(1, 8, 5), _points(2, 5)
    target = source @ weights + offset
    exact = maps.ridge(source, target, 0.0)
    worst = float((exact.weights - weights).abs().max()), float((exact.offset - offset).abs().max())
    centred = source - source.mean(0)
    system = centred.T @ centred + 0.7 * torch.eye(8, dtype=torch.float64)
    expected = torch.linalg.solve(system, centred.T @ (target - target.mean(0)))
    return max(*worst, float((maps.ridge(source, target, 0.7).weights - expected).abs().max())), 0


def _left_out() -> tuple[float, float]:
    """The penalty that is chosen against leaving each point out in turn and fitting anew."""
    source, target = _points(0, 12, 6), _points(1, 12, 3) + _points(0, 12, 6)[:, :3]
    largest = torch.linalg.matrix_norm(source - source.mean(0), 2).square()
    errors = []
    for penalty in maps._PENALTIES * largest:
        error = 0.0
        for out in range(12):
            rest = torch.arange(12) != out
            fit = maps.ridge(source[rest], target[rest], float(penalty))
            error += float((fit(source[out]) - target[out]).square().sum())
        errors.append(error)
    best = float(maps._PENALTIES[int(torch.tensor(errors).argmin())] * largest)
    return maps.ridge(source, target).penalty / best, 1


def _procrustes() -> tuple[float, float]:
    """A known rotation, scale and offset."""
    source, turn, offset = _points(0, 9, 8), torch.linalg.qr(_points(1, 8, 8))[0], _points(2, 8)
    found = maps.procrustes(source, 2.5 * source @ turn + offset)
    return max(float((found.weights - 2.5 * turn).abs().max()), float((found.offset - offset).abs().max())), 0


def _slerp() -> tuple[float, float]:
    """Between codes of one norm: that norm everywhere, and even angles."""
    ends = _points(0, 2, 20)
    start, end = 3 * ends / ends.norm(dim=1, keepdim=True)
    path = paths.slerp(start, end, 9)
    cosines = (path[1:] * path[:-1]).sum(1) / 9
    whole = (start @ end / 9).acos()
    return max(float((path.norm(dim=1) - 3).abs().max()), float((cosines.acos() - whole / 8).abs().max())), 0


def _middle() -> tuple[float, float]:
    """The middle of the straight line between orthogonal codes of norm 1 has norm √½."""
    ends = torch.eye(2, dtype=torch.float64)
    return float(paths.lerp(ends[0], ends[1], 3)[1].norm()), 0.5**0.5


def _support() -> tuple[float, float]:
    """The best log det of 200 random supports against the D-optimal one's."""
    codes = _points(0, 60, 5)
    best = max(maps.log_det(codes, maps.random_support(60, 8, seed)) for seed in range(200))
    return best, maps.log_det(codes, maps.d_optimal(codes, 8))


def _discriminant() -> tuple[float, float]:
    """LDA of two Gaussians of covariance Σ points along Σ⁻¹(μ₁ − μ₀), here with exact moments."""
    inner = _points(0, 40, 4)
    inner = torch.cat([inner, -inner])
    gap = _points(1, 4)
    codes, has = torch.cat([inner, inner + gap]), torch.arange(160) >= 80
    covariance = inner.T @ inner / 80
    floor = directions._SHRINKAGE * covariance.trace() / 4
    expected = torch.linalg.solve(covariance + floor * torch.eye(4, dtype=torch.float64), gap)
    found = directions.attribute_direction(codes, has, "lda")
    return float(found @ (expected / expected.norm())), 1


def _disentangled() -> tuple[float, float]:
    """All scores of three independent yes-or-no factors, each with a dimension of its own, are 1."""
    factors = torch.cartesian_prod(*[torch.arange(2)] * 3)
    codes = factors[:, [2, 0, 1]].double() * torch.tensor([1.0, -3.0, 5.0], dtype=torch.float64)
    found = disentanglement.dci(codes, factors, penalty=0.0)
    scores = disentanglement.mig(codes, factors), disentanglement.sap(codes, factors), *found
    return max(abs(score - 1) for score in scores), 0


def _entangled() -> tuple[float, float]:
    """Of a dimension given twice no score has a gap."""
    factors = torch.cartesian_prod(torch.arange(2), torch.arange(2))
    codes = torch.cat([factors, factors], 1).double()
    return max(disentanglement.mig(codes, factors), disentanglement.sap(codes, factors)), 0


CHECKS = (
    Check("latent-ridge", "ridge recovers a known linear map, and solves the normal equations", _ridge, 1e-9),
    Check("latent-left-out", "the penalty is that of the least error when each point is left out", _left_out, 1e-9),
    Check("latent-procrustes", "Procrustes recovers a known rotation, scale and offset", _procrustes, 1e-9),
    Check("latent-slerp", "the great circle keeps the norm and goes at even speed", _slerp, 1e-7),
    Check("latent-lerp", "the middle of the straight line between orthogonal unit codes has norm √½", _middle, 1e-12),
    Check("latent-support", "no random support has a greater log det than the D-optimal one", _support, 1e-9, "≤"),
    Check("latent-lda", "LDA points along Σ⁻¹(μ₁−μ₀)", _discriminant, 1e-10),
    Check("latent-disentangled", "MIG, SAP and DCI of a perfectly disentangled code are 1", _disentangled, 1e-9),
    Check("latent-entangled", "MIG and SAP of a code that says everything twice are 0", _entangled, 1e-9),
)
