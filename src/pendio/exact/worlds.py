"""Worlds in which everything is known: data whose score, denoiser, density and divergence have closed forms.

Each world stands wherever a trained denoiser would, as ``world(values, level)``. What then is still wrong with samples is
the solver's doing; what a network does worse than the world on the same data is the network's.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from pendio.generation.diffusion.schedules import CLEAN, Level

__all__ = ["Gaussian", "LinearGaussian", "Mixture", "World"]

_LOG_2PI = math.log(2 * math.pi)


class World(Protocol):
    """A distribution of rows ``(D,)`` whose noised versions x = a·x₀ + b·ε are known at every level."""

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Rows ``(count, D)``."""
        ...

    def log_density(self, values: Tensor, level: Level = CLEAN) -> Tensor:
        """log p(x) at a level, ``(N,)`` of values ``(N, D)``."""
        ...

    def score(self, values: Tensor, level: Level = CLEAN) -> Tensor:
        """∇ₓ log p(x) at a level, ``(N, D)``."""
        ...

    def __call__(self, values: Tensor, level: Level) -> Tensor:
        """The best denoiser E[x₀ | x], ``(N, D)``."""
        ...


@dataclass(frozen=True)
class Gaussian:
    """N(μ, Σ). Noised it is N(aμ, a²Σ + b²I).

    Attributes:
        mean: ``(D,)``.
        covariance: ``(D, D)``, positive definite.
    """

    mean: Tensor
    covariance: Tensor

    def noised(self, level: Level) -> "Gaussian":
        """The distribution of x at a level."""
        identity = torch.eye(len(self.mean)).to(self.covariance)
        return Gaussian(level.signal * self.mean, level.signal**2 * self.covariance + level.noise**2 * identity)

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """See :class:`World`."""
        noise = torch.randn(count, len(self.mean), generator=generator, dtype=self.mean.dtype)
        out: Tensor = self.mean + noise @ torch.linalg.cholesky(self.covariance).T
        return out

    def log_density(self, values: Tensor, level: Level = CLEAN) -> Tensor:
        """See :class:`World`."""
        there = self.noised(level)
        centred = values - there.mean
        squared = (centred * torch.linalg.solve(there.covariance, centred.T).T).sum(1)
        out: Tensor = -0.5 * (squared + torch.logdet(there.covariance) + len(self.mean) * _LOG_2PI)
        return out

    def score(self, values: Tensor, level: Level = CLEAN) -> Tensor:
        """−C⁻¹(x − aμ), C the noised covariance."""
        there = self.noised(level)
        out: Tensor = -torch.linalg.solve(there.covariance, (values - there.mean).T).T
        return out

    def __call__(self, values: Tensor, level: Level) -> Tensor:
        """μ + aΣC⁻¹(x − aμ)."""
        out: Tensor = self.mean - level.signal * self.score(values, level) @ self.covariance
        return out

    def kl(self, other: "Gaussian") -> Tensor:
        """KL(self ‖ other) = ½(tr Σ′⁻¹Σ + (μ′−μ)ᵀΣ′⁻¹(μ′−μ) − D + ln |Σ′|/|Σ|), a scalar in nats."""
        apart = (other.mean - self.mean)[:, None]
        trace = torch.linalg.solve(other.covariance, self.covariance).trace()
        squared = (apart * torch.linalg.solve(other.covariance, apart)).sum()
        logs = torch.logdet(other.covariance) - torch.logdet(self.covariance)
        out: Tensor = 0.5 * (trace + squared - len(self.mean) + logs)
        return out

    def flowed(self, values: Tensor, here: Level, there: Level) -> Tensor:
        """Where the probability flow carries ``values`` from one level to another, exactly.

        Along each eigenvector of Σ, (x − aμ)/√(a²λ + b²) never changes.
        """
        variances, axes = torch.linalg.eigh(self.covariance)
        scales = [(level.signal**2 * variances + level.noise**2).sqrt() for level in (here, there)]
        along = (values - here.signal * self.mean) @ axes
        out: Tensor = there.signal * self.mean + (along * scales[1] / scales[0]) @ axes.T
        return out


class LinearGaussian(Gaussian):
    """x = Wz + μ + σn with z and n standard Gaussian: the world of probabilistic PCA (Tipping and Bishop, 1999).

    Args:
        weights: W, ``(D, L)``.
        mean: μ, ``(D,)``.
        noise: σ, above 0.
    """

    weights: Tensor
    noise: float

    def __init__(self, weights: Tensor, mean: Tensor, noise: float) -> None:
        identity = torch.eye(len(mean)).to(weights)
        super().__init__(mean, weights @ weights.T + noise**2 * identity)
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "noise", noise)

    def posterior(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Means ``(N, L)`` and covariance ``(L, L)`` of z given x: M⁻¹Wᵀ(x − μ) and σ²M⁻¹, where M = WᵀW + σ²I."""
        identity = torch.eye(self.weights.shape[1]).to(self.weights)
        inner = self.weights.T @ self.weights + self.noise**2 * identity
        means = torch.linalg.solve(inner, self.weights.T @ (values - self.mean).T).T
        return means, self.noise**2 * torch.linalg.inv(inner)


@dataclass(frozen=True)
class Mixture:
    """Σ πₖ N(μₖ, sₖ²I). Noised it is Σ πₖ N(aμₖ, (a²sₖ² + b²)I).

    Attributes:
        weights: π, ``(K,)`` of sum 1.
        means: ``(K, D)``.
        stds: s, ``(K,)``.
    """

    weights: Tensor
    means: Tensor
    stds: Tensor

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """See :class:`World`."""
        which = torch.multinomial(self.weights, count, True, generator=generator)
        noise = torch.randn(count, self.means.shape[1], generator=generator, dtype=self.means.dtype)
        return self.means[which] + self.stds[which, None] * noise

    def _terms(self, values: Tensor, level: Level) -> tuple[Tensor, Tensor, Tensor]:
        """log πₖp(x|k) ``(N, K)``, x − aμₖ ``(N, K, D)``, and the noised variances ``(K,)``."""
        variances = level.signal**2 * self.stds**2 + level.noise**2
        apart = values[:, None] - level.signal * self.means
        logs = -0.5 * (apart.square().sum(2) / variances + self.means.shape[1] * (variances.log() + _LOG_2PI))
        return self.weights.log() + logs, apart, variances

    def log_density(self, values: Tensor, level: Level = CLEAN) -> Tensor:
        """See :class:`World`."""
        return self._terms(values, level)[0].logsumexp(1)

    def score(self, values: Tensor, level: Level = CLEAN) -> Tensor:
        """−Σ rₖ(x − aμₖ)/vₖ, where rₖ is the share of component k in p(x)."""
        logs, apart, variances = self._terms(values, level)
        return -((logs.softmax(1) / variances)[:, :, None] * apart).sum(1)

    def __call__(self, values: Tensor, level: Level) -> Tensor:
        """Σ rₖ(μₖ + a·sₖ²/vₖ·(x − aμₖ))."""
        logs, apart, variances = self._terms(values, level)
        gains = (level.signal * self.stds**2 / variances)[:, None]
        return (logs.softmax(1)[:, :, None] * (self.means + gains * apart)).sum(1)

    def cumulative(self, values: Tensor) -> Tensor:
        """P(X ≤ x), ``(N,)`` of values ``(N, 1)``; in one dimension only."""
        out: Tensor = (self.weights * torch.special.ndtr((values - self.means[:, 0]) / self.stds)).sum(1)
        return out

    def quantiles(self, shares: Tensor) -> Tensor:
        """x with P(X ≤ x) = share, ``(N, 1)`` of ``(N,)``, by bisection; in one dimension only."""
        reach = 12 * self.stds.max()
        low = (self.means.min() - reach).expand(len(shares)).clone()
        high = (self.means.max() + reach).expand(len(shares)).clone()
        for _ in range(80):
            middle = (low + high) / 2
            below = self.cumulative(middle[:, None]) < shares
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return middle[:, None]
