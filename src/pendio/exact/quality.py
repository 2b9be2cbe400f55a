"""Truths about how generated examples are measured."""

import itertools

import torch
from torch import Tensor

from pendio.exact.check import Check
from pendio.generation.quality import frechet, judge, kernel, neighbors

__all__ = ["CHECKS"]


def _points(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _commuting() -> tuple[float, float]:
    """Of Gaussians whose covariances share their axes, one of them singular: ‖μ₁ − μ₂‖² + Σ(√λ₁ − √λ₂)²."""
    directions = torch.linalg.qr(_points(0, 40, 40))[0]
    first, second = _points(1, 40).square(), _points(2, 40).square()
    mean = _points(3, 40)
    worst = 0.0
    for zeros in (0, 15):
        second[:zeros] = 0
        left, right = ((directions * values) @ directions.T for values in (first, second))
        found = frechet.frechet_distance(
            frechet.Moments.given(mean, left), frechet.Moments.given(torch.zeros(40), right)
        )
        worst = max(worst, abs(found - float(mean.square().sum() + (first.sqrt() - second.sqrt()).square().sum())))
    return worst, 0


def _general() -> tuple[float, float]:
    """Of samples, more and fewer than dimensions, with tr√(Σ₁Σ₂) from the eigenvalues of the product itself."""
    worst = 0.0
    for counts in ((90, 70), (90, 12), (12, 9)):
        left, right = _points(0, counts[0], 20) @ _points(1, 20, 20), _points(2, counts[1], 20) + 1
        covariances = left.T.cov(), right.T.cov()
        roots = torch.linalg.eigvals(covariances[0] @ covariances[1]).real.clamp(min=0).sqrt().sum()
        expected = (left.mean(0) - right.mean(0)).square().sum() + sum(cov.trace() for cov in covariances) - 2 * roots
        found = frechet.frechet_distance(frechet.Moments.of(left), frechet.Moments.of(right))
        worst = max(worst, abs(found - float(expected)) / float(expected))
    return worst, 0


def _streamed() -> tuple[float, float]:
    """Mean and covariance of features far from the origin, in batches of 1 to 30, against all at once."""
    features = _points(0, 101, 8) + 1e4
    moments = frechet.Moments()
    for part in features.split([1, 3, 30, 9, 8, 30, 20]):
        moments.update(part)
    gaps = (moments.mean - features.mean(0)).abs().max(), (moments.covariance - features.T.cov()).abs().max()
    return float(max(gaps)), 0


def _kernel() -> tuple[float, float]:
    """Against the sums written out, pair by pair."""
    real, made = _points(0, 9, 3), _points(1, 7, 3) + 0.5

    def mean(left: Tensor, right: Tensor, itself: bool) -> float:
        pairs = [(x, y) for i, x in enumerate(left) for j, y in enumerate(right) if itself or i != j]
        return sum(float((x @ y) / 3 + 1) ** 3 for x, y in pairs) / len(pairs)

    expected = mean(real, real, False) + mean(made, made, False) - 2 * mean(real, made, True)
    return kernel.kernel_distance(real, made).value, expected


def _unbiased() -> tuple[float, float]:
    """The mean over all ways to part eight points into two sets of four: of one distribution the distance is 0."""
    points, everyone = _points(0, 8, 2), set(range(8))
    values = [
        kernel.kernel_distance(points[list(chosen)], points[sorted(everyone - set(chosen))]).value
        for chosen in itertools.combinations(range(8), 4)
    ]
    return sum(values) / len(values), 0


def _neighbors() -> tuple[float, float]:
    """All four shares against balls and distances written out."""
    real, made = _points(0, 40, 3), _points(1, 30, 3) * 0.7 + 0.3

    def radii(points: Tensor, k: int) -> Tensor:
        return torch.stack([(points - point).norm(dim=1).sort().values[k] for point in points])

    gaps = torch.stack([(made - point).norm(dim=1) for point in real])
    near, wide = gaps <= radii(real, 3)[:, None], gaps <= radii(real, 5)[:, None]
    expected = (
        near.any(0).double().mean(), (gaps <= radii(made, 3)).any(1).double().mean(),
        wide.sum(0).double().mean() / 5, wide.any(1).double().mean(),
    )  # fmt: skip
    found = neighbors.neighborhoods(real, made)
    shares = (found.precision, found.recall, found.density, found.coverage)
    return max(abs(share - float(truth)) for share, truth in zip(shares, expected, strict=True)), 0


def _class_score() -> tuple[float, float]:
    """K sure and equally frequent classes score K, examples without information 1, and two groups between what they must.

    Half of the examples certain of one of two classes, half undecided between them: H = ln 2 less a mean of ½ ln 2, so √2.
    """
    sure, vague = torch.eye(7, dtype=torch.float64), torch.full((5, 7), 1 / 7, dtype=torch.float64)
    mixed = torch.tensor([[1, 0], [0, 1], [0.5, 0.5], [0.5, 0.5]], dtype=torch.float64)
    truths = ((sure.repeat(3, 1), 7.0), (vague, 1.0), (mixed, 2**0.5))
    return max(abs(judge.class_score(probabilities) - truth) for probabilities, truth in truths), 0


CHECKS = (
    Check("frechet-commuting", "Gaussians that share their axes are ‖μ₁−μ₂‖² + Σ(√λ₁−√λ₂)² apart", _commuting, 1e-10),
    Check(
        "frechet-samples",
        "tr√(Σ₁Σ₂) sums the roots of Σ₁Σ₂'s eigenvalues, also of few examples",
        _general,
        1e-7,
    ),
    Check("moments-streamed", "mean and covariance of batches are those of all examples at once", _streamed, 1e-7),
    Check("kernel-pairs", "the kernel distance is its sums over pairs written out", _kernel, 1e-12),
    Check("kernel-unbiased", "over all ways to halve a set, the kernel distances average to 0", _unbiased, 1e-12),
    Check("neighbors-balls", "precision, recall, density and coverage count points in balls", _neighbors),
    Check("class-score", "K sure and equally frequent classes score K, no information scores 1", _class_score, 1e-12),
)
