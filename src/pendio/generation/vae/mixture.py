"""The second stage: a density fitted to the codes, to sample from instead of the prior."""

import warnings
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from pendio.errors import InputError

__all__ = ["Mixture"]


class Mixture(nn.Module):
    """A mixture of Gaussians with full covariances, held in buffers so that it is saved with the weights.

    The codes of all examples together need not be distributed as the prior. Where they are not, the decoder has never
    seen much of what the prior gives. A density fitted to the codes gives what it has seen (Dai and Wipf, 2019, with a
    second autoencoder; Ghosh et al., 2020, with a mixture).

    Args:
        components: how many Gaussians, K.
        latent: dimensions of a code, L.
    """

    weights: Tensor
    means: Tensor
    factors: Tensor

    def __init__(self, components: int, latent: int) -> None:
        super().__init__()
        self.register_buffer("weights", torch.zeros(components))
        self.register_buffer("means", torch.zeros(components, latent))
        self.register_buffer("factors", torch.zeros(components, latent, latent))

    @property
    def fitted(self) -> bool:
        """Whether it was fitted."""
        return bool(self.weights.sum() > 0)

    def fit(self, codes: Tensor, seed: int = 0) -> None:
        """Fit to codes ``(N, L)`` by expectation-maximisation; the same seed gives the same mixture.

        Raises:
            InputError: there are fewer codes than Gaussians.
        """
        # The sum of scikit-learn's import is a second, and most runs have no second stage.
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture

        components = len(self.weights)
        if len(codes) < components:
            raise InputError(f"--components {components} is more than the {len(codes)} codes to fit a mixture to")
        points = codes.detach().cpu().double().numpy()
        model = GaussianMixture(components, covariance_type="full", reg_covar=1e-5, max_iter=200, random_state=seed)
        with warnings.catch_warnings():
            # A fit that is not quite at its end is a density all the same.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(points)
        factors = np.linalg.cholesky(model.covariances_)
        for mine, found in ((self.weights, model.weights_), (self.means, model.means_), (self.factors, factors)):
            mine.copy_(torch.from_numpy(found))

    def sample(self, count: int, generator: torch.Generator, temperature: float = 1.0) -> Tensor:
        """Codes ``(count, L)``: of a Gaussian chosen by its weight, whose deviations are scaled by ``temperature``."""
        which = torch.multinomial(self.weights.cpu(), count, replacement=True, generator=generator)
        noise = torch.randn(count, self.means.shape[1], generator=generator)
        which, noise = which.to(self.means.device), noise.to(self.means)
        return self.means[which] + temperature * torch.einsum("nij,nj->ni", self.factors[which], noise)

    def log_prob(self, codes: Tensor) -> Tensor:
        """Log density ``(N,)`` in nats of codes ``(N, L)``."""
        gaussians = torch.distributions.MultivariateNormal(self.means, scale_tril=self.factors, validate_args=False)
        return cast(Tensor, (gaussians.log_prob(codes[:, None]) + self.weights.log()).logsumexp(1))
