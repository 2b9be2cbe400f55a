"""What a decoder's output says of an example: densities in nats, summed over pixels or features."""

import math
from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Balanced", "Bernoulli", "Gaussian", "Learned", "Likelihood"]

_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)

_FLOOR = 1e-3
"""Least learned σ: data that is reproduced exactly would have an infinite density."""


class Likelihood(nn.Module, ABC):
    """The density p(x|z), of which the decoder gives the parameters."""

    @abstractmethod
    def nll(self, outputs: Tensor, inputs: Tensor) -> Tensor:
        """−log p(x|z) ``(N,)``, summed over all that an example has, of a decoder's ``outputs`` as of the ``inputs``."""

    @abstractmethod
    def mean(self, outputs: Tensor) -> Tensor:
        """E[x|z], of the same shape."""

    @abstractmethod
    def variance(self, means: Tensor) -> Tensor:
        """Scalar: the variance of a pixel or feature around its mean, averaged over ``means``."""


class Gaussian(Likelihood):
    """N(x̂, σ²) for each pixel or feature: −log p = Σ (x − x̂)²/(2σ²) + D·(ln σ + ½ ln 2π).

    Its logarithm belongs to the loss even where σ is fixed: with it, losses of different σ compare.

    Args:
        sigma: σ.
        bounded: whether x̂ is the sigmoid of the decoder's output, as for pixels, or the output itself.
    """

    log_sigma: Tensor

    def __init__(self, sigma: float, bounded: bool) -> None:
        super().__init__()
        self.bounded = bounded
        self.register_buffer("log_sigma", torch.tensor(math.log(sigma)))

    def sigma(self) -> Tensor:
        """Scalar σ."""
        return self.log_sigma.exp()

    def mean(self, outputs: Tensor) -> Tensor:
        """x̂."""
        return outputs.sigmoid() if self.bounded else outputs

    def variance(self, means: Tensor) -> Tensor:
        """σ²."""
        return self.sigma().square()

    def nll(self, outputs: Tensor, inputs: Tensor) -> Tensor:
        """See the class."""
        return self._density(self._squares(outputs, inputs), inputs[0].numel(), self.sigma())

    def _squares(self, outputs: Tensor, inputs: Tensor) -> Tensor:
        return (self.mean(outputs) - inputs).square().flatten(1).sum(1)

    def _density(self, squares: Tensor, size: int, sigma: Tensor) -> Tensor:
        return squares / (2 * sigma.square()) + size * (sigma.log() + _HALF_LOG_TWO_PI)


class Learned(Gaussian):
    """A Gaussian whose one σ is learned with the weights (Rybkin, Daniilidis and Levine, 2021).

    Args:
        sigma: where it starts; the deviation of the data is right for a decoder that knows nothing yet.
        bounded: see :class:`Gaussian`.
    """

    def __init__(self, sigma: float, bounded: bool) -> None:
        super().__init__(sigma, bounded)
        del self.log_sigma
        self.log_sigma = nn.Parameter(torch.tensor(math.log(max(sigma - _FLOOR, _FLOOR))))

    def sigma(self) -> Tensor:
        """Scalar σ, never under a thousandth."""
        return self.log_sigma.exp() + _FLOOR


class Balanced(Gaussian):
    """A Gaussian whose σ² follows the reconstruction error downwards (Asperti and Trentin, 2020).

    σ² ← min(σ², 0.99·σ² + 0.01·e) with the mean squared error e of each training batch: where σ² is the error, neither
    part of the loss outweighs the other.

    Args:
        sigma: where it starts.
        bounded: see :class:`Gaussian`.
    """

    _SHARE = 0.01

    def nll(self, outputs: Tensor, inputs: Tensor) -> Tensor:
        """See :class:`Gaussian`; in training mode σ is brought up to date first."""
        squares = self._squares(outputs, inputs)
        if self.training:
            with torch.no_grad():
                old = self.log_sigma.exp().square()
                error = squares.mean() / inputs[0].numel()
                new = torch.minimum(old, torch.lerp(old, error.to(old), self._SHARE)).clamp(min=_FLOOR**2)
                self.log_sigma.copy_(0.5 * new.log())
        # The buffer changes with each batch, and the backward pass must still see this one's.
        return self._density(squares, inputs[0].numel(), self.log_sigma.clone().exp())


class Bernoulli(Likelihood):
    """Cross-entropy of each pixel, in [0, 1], with the sigmoid of the decoder's output.

    Of greys it is no density but the usual surrogate: −Σ x·ln x̂ + (1 − x)·ln(1 − x̂) (Kingma and Welling, 2014).
    """

    def mean(self, outputs: Tensor) -> Tensor:
        """The probability of white."""
        return outputs.sigmoid()

    def variance(self, means: Tensor) -> Tensor:
        """The mean of x̂·(1 − x̂)."""
        return (means * (1 - means)).mean()

    def nll(self, outputs: Tensor, inputs: Tensor) -> Tensor:
        """See the class."""
        return F.binary_cross_entropy_with_logits(outputs, inputs, reduction="none").flatten(1).sum(1)
