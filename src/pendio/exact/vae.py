"""Truths about variational autoencoders: where everything is linear and Gaussian, all of it can be computed."""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pendio.exact.check import Check
from pendio.generation.vae import objective
from pendio.generation.vae.evidence import iwae
from pendio.generation.vae.likelihoods import Gaussian
from pendio.generation.vae.task import Vae

__all__ = ["CHECKS"]

_EIGENVALUES = (4.0, 2.0, 0.9, 0.3, 0.2, 0.1)
_VARIANCE = 0.5
_LATENT = 5
"""Three of five dimensions have something to carry: the fourth and fifth eigenvalue are below the variance."""


class _Encoder(nn.Module):
    """A linear encoder: means of a linear map, and variances that are the same for all examples."""

    def __init__(self, features: int, latent: int) -> None:
        super().__init__()
        self.means = nn.Linear(features, latent)
        self.log_variances = nn.Parameter(torch.zeros(latent))

    def forward(self, inputs: Tensor) -> Tensor:
        means = self.means(inputs)
        return torch.cat([means, self.log_variances.expand_as(means)], 1)


def _linear_vae(features: int, latent: int, variance: float) -> Vae:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder, decoder = _Encoder(features, latent), nn.Linear(latent, features)
    likelihood = Gaussian(math.sqrt(variance), bounded=False)
    task = Vae(encoder, decoder, likelihood, latent, (features,), mean=[0.0] * features, std=[1.0] * features).double()
    # It was rounded before it was made double.
    likelihood.log_sigma.fill_(0.5 * math.log(variance))
    return task


def _rotation(size: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    rotation: Tensor = torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64))[0]
    return rotation


def _examples(eigenvalues: Sequence[float]) -> Tensor:
    """``(2F, F)`` rows of mean zero whose covariance has exactly these eigenvalues, along directions of no axis."""
    spread = torch.tensor(eigenvalues, dtype=torch.float64).mul(len(eigenvalues)).sqrt()
    points = spread * _rotation(len(eigenvalues)).T
    return torch.cat([points, -points])


def _cubature(latent: int) -> Tensor:
    """``(2L, L)`` points ±√L·e_j, whose mean and covariance are a standard normal's: exact for what is quadratic."""
    points = math.sqrt(latent) * torch.eye(latent, dtype=torch.float64)
    return torch.cat([points, -points])


class _Trained(NamedTuple):
    """Mean of the bound, divergences of the dimensions, largest first, and what the variance law says is 1."""

    bound: float
    divergences: Tensor
    law: Tensor


def _train() -> _Trained:
    """A linear VAE at the optimum of its loss, the expectation over noise taken exactly."""
    examples, noise = _examples(_EIGENVALUES), _cubature(_LATENT)
    task = _linear_vae(len(_EIGENVALUES), _LATENT, _VARIANCE)
    rows, draws = examples.repeat(len(noise), 1), noise.repeat_interleave(len(examples), 0)
    weights = [weight for weight in task.parameters() if weight.requires_grad]
    optimizer = torch.optim.LBFGS(weights, max_iter=500, history_size=50, line_search_fn="strong_wolfe",
                                  tolerance_grad=1e-9, tolerance_change=1e-14)  # fmt: skip

    def loss() -> Tensor:
        nll, divergences, _ = task.parts(rows, draws)
        return nll.mean() + task.objective.weight(task.step) * task.objective.kl(divergences.mean(0))

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    optimizer.step(closure)
    with torch.no_grad():
        _, divergences, posterior = task.parts(rows, draws)
        law = posterior.log_variance.exp().mean(0) + posterior.mean.var(0, correction=0)
        return _Trained(-float(loss()), divergences.mean(0).sort(descending=True).values, law)


def _bound() -> tuple[float, float]:
    """The bound against log p under the principal components that are kept, and σ² in all other directions."""
    kept = [max(value, _VARIANCE) for value in _EIGENVALUES[:_LATENT]] + [_VARIANCE] * (len(_EIGENVALUES) - _LATENT)
    pairs = zip(_EIGENVALUES, kept, strict=True)
    return _train().bound, -0.5 * sum(math.log(2 * math.pi * own) + value / own for value, own in pairs)


def _divergences() -> tuple[float, float]:
    """Every dimension's divergence against ½ ln(λ/σ²), or 0 where λ ≤ σ²."""
    expected = [0.5 * math.log(max(1.0, value / _VARIANCE)) for value in _EIGENVALUES[:_LATENT]]
    return float((_train().divergences - torch.tensor(expected, dtype=torch.float64)).abs().max()), 0


def _law() -> tuple[float, float]:
    return float((_train().law - 1).abs().max()), 0


def _kl() -> tuple[float, float]:
    """Against torch's own, and near the prior against the series ½μ² + ¼v², where v is the logarithm of the variance."""
    generator = torch.Generator().manual_seed(0)
    mean, log_variance = torch.randn(2, 64, 8, generator=generator, dtype=torch.float64)
    ours = objective.kl_divergence(mean, log_variance)
    posterior = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    theirs = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0))
    small = torch.tensor([1e-6], dtype=torch.float64)
    near = objective.kl_divergence(small, small) / (0.75 * small**2) - 1
    return max(float((ours - theirs).abs().max()), 1e-6 * float(near.abs())), 0


def _beta() -> tuple[float, float]:
    """Gradients under β at σ², and β times those under 1 at βσ²."""
    examples, beta = _examples(_EIGENVALUES), 3.0
    noise = torch.randn(len(examples), _LATENT, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def gradients(weight: float, variance: float) -> list[Tensor]:
        task = _linear_vae(len(_EIGENVALUES), _LATENT, variance)
        task.objective = objective.Objective(weight)
        nll, divergences, _ = task.parts(examples, noise)
        loss = nll.mean() + task.objective.weight(task.step) * task.objective.kl(divergences.mean(0))
        return list(torch.autograd.grad(loss, list(task.parameters())))

    pairs = zip(gradients(beta, 0.2), gradients(1.0, 0.2 * beta), strict=True)
    return max(float((one - beta * other).abs().max()) for one, other in pairs), 0


def _solved(widened: float = 1.0, moved: float = 0.0) -> tuple[Vae, Tensor, Tensor]:
    """A linear VAE whose encoder gives the exact posterior, examples, and their exact log p.

    The columns of the decoder's matrix W are orthogonal, so that the posterior has a diagonal covariance:
    σ²·(WᵀW + σ²)⁻¹, around (WᵀW + σ²)⁻¹Wᵀ(x − b). Its variances can be ``widened`` and its means ``moved``.
    """
    features, latent, variance = 5, 3, 0.4
    task = _linear_vae(features, latent, variance)
    lengths = torch.tensor([1.5, 1.0, 0.5], dtype=torch.float64)
    columns = _rotation(features)[:, :latent] * lengths
    offset = torch.linspace(-1, 1, features, dtype=torch.float64)
    inverse = 1 / (lengths.square() + variance)
    encoder, decoder = task.encoder, task.decoder
    assert isinstance(encoder, _Encoder)
    assert isinstance(decoder, nn.Linear)
    with torch.no_grad():
        decoder.weight.copy_(columns)
        decoder.bias.copy_(offset)
        encoder.means.weight.copy_(inverse[:, None] * columns.T)
        encoder.means.bias.copy_(-inverse * (columns.T @ offset) + moved)
        encoder.log_variances.copy_((widened * variance * inverse).log())
    covariance = columns @ columns.T + variance * torch.eye(features, dtype=torch.float64)
    model = torch.distributions.MultivariateNormal(offset, covariance)
    noise = torch.randn(400, features, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    examples = offset + noise @ torch.linalg.cholesky(covariance).T
    return task, examples, model.log_prob(examples)


def _estimate(task: Vae, examples: Tensor, samples: int) -> Tensor:
    return iwae(task, examples, samples, generator=torch.Generator().manual_seed(0))


def _constant() -> tuple[float, float]:
    """With the exact posterior every importance weight is p(x) itself."""
    task, examples, exact = _solved()
    return float((_estimate(task, examples, 7) - exact).abs().max()), 0


def _rises() -> tuple[float, float]:
    """With a wrong posterior, the mean bound of 1, 4, 16 and 64 samples: the smallest rise, with its sign turned."""
    task, examples, _ = _solved(widened=0.5, moved=0.3)
    bounds = [float(_estimate(task, examples, samples).mean()) for samples in (1, 4, 16, 64)]
    return max(low - high for low, high in itertools.pairwise(bounds)), 0


def _limit() -> tuple[float, float]:
    task, examples, exact = _solved(widened=1.5, moved=0.2)
    return float(_estimate(task, examples, 1000).mean()), float(exact.mean())


CHECKS = (
    Check("vae-ppca-bound", "the bound of a linear VAE is the likelihood of probabilistic PCA", _bound, 1e-8),
    Check("vae-ppca-kl", "a dimension carries ½ ln(λ/σ²) nats, and collapses where λ ≤ σ²", _divergences, 1e-6),
    Check("vae-variance-law", "posterior variance and variance of mean codes add up to 1", _law, 1e-6),
    Check("vae-kl", "the KL divergence from the prior in closed form", _kl, 1e-12),
    Check("vae-beta", "a weight β of the KL divergence is a variance of β·σ²", _beta, 1e-10),
    Check("iwae-exact", "with the exact posterior the importance-weighted estimate is log p(x)", _constant, 1e-10),
    Check("iwae-tightens", "the importance-weighted bound rises with the number of samples", _rises, 0.0, "≤"),
    Check("iwae-limit", "with a wrong posterior 1,000 samples come to log p(x)", _limit, 5e-3),
)
