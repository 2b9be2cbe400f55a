"""The bound that a variational autoencoder raises, and how its parts are weighed."""

from typing import NamedTuple

from torch import Tensor

__all__ = ["Objective", "kl_divergence", "reparametrize"]


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(μ, σ²) ‖ N(0, 1)) = ½(μ² + σ² − 1 − ln σ²) in nats, of each dimension: shaped as ``mean``.

    Written so that it keeps its digits where a dimension has nearly collapsed, σ ≈ 1.
    """
    return 0.5 * (mean.square() + log_variance.expm1() - log_variance)


def reparametrize(mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
    """z = μ + σ·ε with ε of a standard normal: a draw through which the gradient flows (Kingma and Welling, 2014)."""
    return mean + (0.5 * log_variance).exp() * noise


class Objective(NamedTuple):
    """loss = −log p(x|z) + w·Σ_j max(λ, KL_j), with KL_j the mean over the batch.

    With w = 1 and λ = 0 it is the negative evidence lower bound. The first part is summed over pixels as the second is
    over dimensions: a mean over pixels instead would be a β of as many, and makes codes collapse.

    Attributes:
        beta: w at the end; under a Gaussian of variance σ² the optimum is that of w = 1 and variance β·σ².
        anneal: steps in which w rises from 0 to β (Bowman et al., 2016); 0 for none.
        free_bits: λ in nats (Kingma et al., 2016).
    """

    beta: float = 1.0
    anneal: int = 0
    free_bits: float = 0.0

    def weight(self, step: Tensor) -> Tensor:
        """Scalar w before a ``step``, counted from 0."""
        return self.beta * ((step + 1) / max(1, self.anneal)).clamp(max=1)

    def kl(self, divergences: Tensor) -> Tensor:
        """Σ_j max(λ, KL_j) of the mean divergences ``(L,)`` of a batch."""
        return divergences.clamp(min=self.free_bits).sum() if self.free_bits else divergences.sum()
