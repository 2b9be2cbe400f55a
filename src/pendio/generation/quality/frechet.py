"""Fréchet distance: how far apart two sets of features are, as if each were Gaussian."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from pendio.errors import InputError

__all__ = ["Moments", "check_finite", "frechet_distance"]


class Factor(NamedTuple):
    """F ``(D, R)`` with FFᵀ = Σ, and whether Σ is positive definite."""

    values: Tensor
    definite: bool


class Moments:
    """Mean and covariance of features that come in batches, in float64.

    Until there are more of them than they have dimensions D, the features themselves are kept: the singular covariance of
    so few is best known by them. From then on batches are merged and forgotten (Chan, Golub and LeVeque, 1979), so that
    memory stays at D² numbers however many come.
    """

    def __init__(self) -> None:
        self.count = 0
        self._rows: list[Tensor] = []
        self._center: Tensor | None = None
        self._scatter: Tensor | None = None

    @staticmethod
    def of(features: Tensor) -> "Moments":
        """Of features ``(N, D)`` in memory."""
        moments = Moments()
        moments.update(features)
        return moments

    @staticmethod
    def given(mean: Tensor, covariance: Tensor, count: int = 2) -> "Moments":
        """Moments that are known: ``(D,)`` and ``(D, D)``, as of ``count`` examples.

        Raises:
            InputError: the shapes do not belong together, values are not finite, or the covariance is not symmetric.
        """
        width = len(mean)
        if mean.ndim != 1 or covariance.shape != (width, width):
            raise InputError(f"a mean of shape {tuple(mean.shape)} and a covariance of {tuple(covariance.shape)} do not "
                             "belong together; expected (D,) and (D, D)")  # fmt: skip
        check_finite(mean)
        check_finite(covariance)
        if not torch.allclose(covariance, covariance.T):
            raise InputError("the covariance is not symmetric")
        moments = Moments()
        moments.count = count
        moments._center = mean.double()
        moments._scatter = covariance.double() * (count - 1)
        return moments

    def update(self, features: Tensor) -> None:
        """Take in a batch ``(N, D)``.

        Raises:
            InputError: it has another D than those before, or values that are not finite.
        """
        if features.ndim != 2:
            raise InputError(f"features of shape {tuple(features.shape)}; expected (N, D)")
        if self.count and features.shape[1] != self.width:
            raise InputError(f"features of {features.shape[1]} dimensions after features of {self.width}")
        check_finite(features)
        if not len(features):
            return
        rows = features.detach().double()
        count = self.count + len(rows)
        if self._scatter is not None and self._center is not None:
            center, rows = _centered(rows)
            shift = center - self._center
            self._scatter.addmm_(rows.T, rows).addr_(shift, shift, alpha=self.count * len(rows) / count)
            self._center = self._center + shift * (len(rows) / count)
        else:
            self._rows.append(rows)
            if count > rows.shape[1]:
                self._center, rows = _centered(torch.cat(self._rows))
                self._scatter = rows.T @ rows
                self._rows.clear()
        self.count = count

    @property
    def width(self) -> int:
        """D."""
        return self._rows[0].shape[1] if self._rows else len(self.mean)

    @property
    def mean(self) -> Tensor:
        """``(D,)``.

        Raises:
            InputError: there is no example yet.
        """
        if self._center is not None:
            return self._center
        if not self._rows:
            raise InputError("no examples to take the mean of")
        return torch.cat(self._rows).mean(0)

    @property
    def covariance(self) -> Tensor:
        """``(D, D)``, the unbiased estimate.

        Raises:
            InputError: there are fewer than two examples.
        """
        if self._scatter is not None:
            return self._scatter / self._pairs()
        rows = self._root()
        return rows @ rows.T

    @property
    def variance(self) -> float:
        """Trace of the covariance.

        Raises:
            InputError: there are fewer than two examples.
        """
        if self._scatter is not None:
            return float(self._scatter.trace()) / self._pairs()
        return float(self._root().square().sum())

    def factor(self) -> Factor:
        """A root of the covariance with no more columns than it needs.

        The centred examples themselves where they are few; otherwise the Cholesky factor, or of a singular covariance its
        eigenvectors in the length of their deviations.

        Raises:
            InputError: there are fewer than two examples.
        """
        if self._scatter is None:
            return Factor(self._root(), False)
        covariance = self.covariance
        noise = len(covariance) * torch.finfo(covariance.dtype).eps
        lower, failed = torch.linalg.cholesky_ex(covariance)
        if not failed and lower.diag().square().min() > noise * covariance.diag().max():
            return Factor(lower, True)
        variances, directions = torch.linalg.eigh(covariance)
        kept = variances > noise * variances[-1]
        return Factor(directions[:, kept] * variances[kept].sqrt(), False)

    def _root(self) -> Tensor:
        """``(D, N)``: the centred examples that are kept, over √(N − 1)."""
        pairs = self._pairs()
        return _centered(torch.cat(self._rows))[1].T / math.sqrt(pairs)

    def _pairs(self) -> int:
        if self.count < 2:
            raise InputError(f"{self.count} example has no covariance: at least 2 are needed")
        return self.count - 1


def frechet_distance(first: Moments, second: Moments) -> float:
    """d² = ‖μ₁ − μ₂‖² + tr(Σ₁ + Σ₂) − 2·tr√(Σ₁Σ₂) (Dowson and Landau, 1982; of Inception features: Heusel et al., 2017).

    With Σ = FFᵀ the last trace is the sum of the singular values of F₁ᵀF₂. Covariances may be singular: no square root of a
    matrix is taken, and nothing becomes complex. Of full rank, the singular values come from the eigenvalues of
    F₁ᵀF₂F₂ᵀF₁, which costs less; otherwise from F₁ᵀF₂ itself, whose zeros stay zeros.

    Returns:
        The *squared* distance, which is what the field calls by this name; 0 for equal moments, never less. Of few
        examples it is too large, of equal Gaussians with Σ = 1 by about (D² + 5D)/4·(1/N + 1/M): compare only distances of
        equally many.

    Raises:
        InputError: the sets have different dimensions, or one has fewer than two examples.
    """
    if first.count and second.count and first.width != second.width:
        raise InputError(f"features of {first.width} and of {second.width} dimensions cannot be compared: "
                         "take both from the same network")  # fmt: skip
    left, right = first.factor(), second.factor()
    product = left.values.T @ right.values
    if left.definite and right.definite:
        overlap = torch.linalg.eigvalsh(product @ product.T).clamp(min=0).sqrt().sum()
    else:
        overlap = torch.linalg.svdvals(product).sum()
    means = (first.mean - second.mean).square().sum()
    return max(0.0, float(means) + first.variance + second.variance - 2 * float(overlap))


def _centered(rows: Tensor) -> tuple[Tensor, Tensor]:
    center = rows.mean(0)
    return center, rows - center


def check_finite(features: Tensor) -> None:
    """Whether features are numbers.

    Raises:
        InputError: some are not finite.
    """
    if not features.isfinite().all():
        raise InputError("features have values that are not finite: what is compared, or the network, is broken")
