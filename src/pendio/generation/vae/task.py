"""The variational autoencoder as a task: its loss, its metrics, its latent space and what it makes."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from pendio.descent.task import Loss, Player, Task
from pendio.errors import InputError
from pendio.generation.rows import Standard
from pendio.generation.vae.diagnosis import ACTIVE, diagnose_vae_curves
from pendio.generation.vae.evidence import iwae
from pendio.generation.vae.likelihoods import Gaussian, Likelihood
from pendio.generation.vae.mixture import Mixture
from pendio.generation.vae.objective import Objective, kl_divergence, reparametrize
from pendio.nn.network import unit_range
from pendio.pictures.tiles import beside, tiled
from pendio.runs.diagnosis import Diagnosis, Evidence

__all__ = ["Posterior", "Vae"]

_SIGMA_LR = 10.0
"""A learned σ is a single logarithm that has far to go: at the weights' own rate it would lag behind them for long."""

_BOUND = Objective()

_SHOWN = 64
_BESIDE = 12
_CHUNK = 1024


class Posterior(NamedTuple):
    """q(z|x), a Gaussian with a diagonal covariance: means and logarithms of variances, ``(N, L)`` each."""

    mean: Tensor
    log_variance: Tensor


class _Tally(Metric):
    """Sums over held-out examples."""

    count: Tensor
    nll: Tensor
    error: Tensor
    divergences: Tensor
    means: Tensor
    squares: Tensor

    def __init__(self, latent: int) -> None:
        super().__init__()
        for name, size in (("count", ()), ("nll", ()), ("error", ()), ("divergences", (latent,)), ("means", (latent,)),
                           ("squares", (latent,))):  # fmt: skip
            self.add_state(name, torch.zeros(size), dist_reduce_fx="sum")

    def update(self, nll: Tensor, error: Tensor, divergences: Tensor, means: Tensor) -> None:
        self.count += len(nll)
        self.nll += nll.sum()
        self.error += error
        self.divergences += divergences.sum(0)
        self.means += means.sum(0)
        self.squares += means.square().sum(0)

    def compute(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Means of nll, squared error and divergences, and the variances ``(L,)`` of the mean codes."""
        variances = self.squares / self.count - (self.means / self.count).square()
        return self.nll / self.count, self.error / self.count, self.divergences / self.count, variances


class Vae(Task):
    """An encoder that gives a Gaussian of codes for an example, and a decoder that gives examples for a code.

    What is learned is p(x) = ∫ p(x|z) N(z; 0, I) dz, through the bound E_q[log p(x|z)] − KL(q(z|x) ‖ N(0, I)) ≤ log p(x)
    (Kingma and Welling, 2014). All losses are in nats an example: sums over pixels, means over examples.

    Args:
        encoder: maps examples to ``(N, 2·L)``, means and logarithms of variances.
        decoder: maps codes ``(N, L)`` to what ``likelihood`` needs.
        likelihood: p(x|z).
        latent: L.
        shape: of an example.
        objective: how the parts of the loss are weighed.
        mean, std: of each feature of a table, which is standardised; empty for images.
        components: Gaussians of the second stage's mixture; 0 for none.

    Attributes:
        latent: shape of a code.
        classes: always empty: it learns without labels.
    """

    step: Tensor

    def __init__(
        self, encoder: nn.Module, decoder: nn.Module, likelihood: Likelihood, latent: int, shape: Sequence[int],
        objective: Objective = _BOUND, mean: Sequence[float] = (), std: Sequence[float] = (), components: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.encoder, self.decoder, self.likelihood = encoder, decoder, likelihood
        self.latent: tuple[int, ...] = (latent,)
        self.shape = tuple(shape)
        self.classes: tuple[str, ...] = ()
        self.objective = objective
        self.second_stage = Mixture(components, latent) if components else None
        self.register_buffer("step", torch.zeros((), dtype=torch.long))
        self.standard = Standard(mean, std)
        self.tally = _Tally(latent)
        self._held: Tensor | None = None

    @property
    def is_image(self) -> bool:
        """Whether an example is an image."""
        return len(self.shape) == 3

    # What is learned

    def players(self) -> Sequence[Player]:
        """One, whose learned σ moves ten times as fast."""
        parts = (self.encoder, self.decoder, self.likelihood)
        return [Player("model", parts, self.loss, (1.0, 1.0, _SIGMA_LR))]

    def prepare(self, inputs: Tensor) -> Tensor:
        """Examples as the encoder wants them: images in [0, 1], tables standardised."""
        return unit_range(inputs) if self.is_image else self.standard(inputs)

    def restore(self, means: Tensor) -> Tensor:
        """The opposite of :meth:`prepare`, of what was decoded."""
        return means if self.is_image else self.standard.inverse(means)

    def posterior(self, examples: Tensor) -> Posterior:
        """q(z|x) of prepared examples."""
        mean, log_variance = _wide(self.encoder(examples)).chunk(2, 1)
        return Posterior(mean, log_variance)

    def parts(self, examples: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor, Posterior]:
        """−log p(x|z) ``(N,)`` at a draw of the posterior, the KL divergences ``(N, L)``, and the posterior.

        Args:
            examples: as :meth:`prepare` gives them.
            noise: ε ``(N, L)`` of a standard normal; drawn from the global generator where it is None.
        """
        posterior = self.posterior(examples)
        codes = reparametrize(*posterior, torch.randn_like(posterior.mean) if noise is None else noise)
        nll = self.likelihood.nll(_wide(self.decoder(codes)), examples)
        return nll, kl_divergence(*posterior), posterior

    def loss(self, batch: Any) -> Loss:
        """See :class:`~pendio.generation.vae.objective.Objective`."""
        nll, divergences, _ = self.parts(self.prepare(batch.inputs))
        penalty = self.objective.weight(self.step) * self.objective.kl(divergences.mean(0))
        return Loss(nll.sum() + len(nll) * penalty, len(nll))

    def after_step(self) -> None:
        """Count steps, for annealing."""
        self.step += 1

    # How well

    def measure(self, batch: Any) -> None:
        """Take in a batch of held-out examples; the same examples always meet the same noise."""
        examples = self.prepare(batch.inputs)
        if self._held is None:
            self._held = examples[:_BESIDE].detach()
        generator = torch.Generator().manual_seed(int(batch.indices[0]))
        noise = torch.randn(len(examples), *self.latent, generator=generator).to(examples)
        nll, divergences, posterior = self.parts(examples, noise)
        means = self.likelihood.mean(_wide(self.decoder(posterior.mean)))
        error = (means - examples).square().flatten(1).mean(1).sum()
        self.tally.update(nll, error, divergences, posterior.mean)

    def metrics(self) -> dict[str, float]:
        """Means over the examples, in nats.

        ``loss`` is what training lowers at this moment, with the weight of the KL divergence as annealed so far; ``elbo``
        the bound on log p(x), with a weight of 1; ``nll`` and ``kl`` are its parts; ``mse`` is the squared error of
        reconstructions from mean codes; ``active`` the number of latent dimensions in use; ``sigma`` that of the likelihood,
        where it is Gaussian.
        """
        nll, error, divergences, variances = self.tally.compute()
        self.tally.reset()
        kl = float(divergences.sum())
        penalty = float(self.objective.weight(self.step) * self.objective.kl(divergences))
        spread = self.likelihood.sigma() if isinstance(self.likelihood, Gaussian) else None
        return {
            "loss": float(nll) + penalty,
            "elbo": -float(nll) - kl,
            "nll": float(nll),
            "kl": kl,
            "mse": float(error),
            "active": float((variances > ACTIVE).sum()),
            **({} if spread is None else {"sigma": float(spread)}),
        }

    def score(self, metrics: dict[str, float]) -> tuple[float, ...]:
        """−nll − β·kl, however far annealing is."""
        return (-metrics["nll"] - self.objective.beta * metrics["kl"],)

    def diagnose(self, evidence: Evidence) -> list[Diagnosis]:
        """What went wrong, as far as curves and gradients tell."""
        return diagnose_vae_curves(evidence)

    # What it is for

    @torch.no_grad()
    def encode(self, inputs: Tensor) -> Tensor:
        """The mean codes ``(N, L)`` of examples: images as bytes or in [0, 1], rows in the data's own units."""
        self.eval()
        return torch.cat([self.posterior(part).mean for part in self.prepare(inputs).split(_CHUNK)])

    @torch.no_grad()
    def decode(self, codes: Tensor) -> Tensor:
        """The mean examples ``(N, *shape)`` of codes: images in [0, 1], rows in the data's own units."""
        return self.restore(self._means(codes))

    def _means(self, codes: Tensor) -> Tensor:
        """E[x|z] ``(N, *shape)`` of codes, as :meth:`prepare` gives examples."""
        self.eval()
        return torch.cat([self.likelihood.mean(_wide(self.decoder(part))) for part in codes.split(_CHUNK)])

    def log_prob(self, inputs: Tensor) -> Tensor:
        """log p ``(N,)`` in nats, estimated from below with 64 codes that are the same at each call.

        See :func:`pendio.generation.vae.evidence.iwae`.
        """
        return iwae(self, inputs, generator=torch.Generator().manual_seed(0))

    def predict(self, inputs: Tensor) -> Tensor:
        """Reconstructions ``(N, *shape)`` from mean codes."""
        return self.decode(self.encode(inputs))

    def prior_codes(self, count: int, generator: torch.Generator, temperature: float = 1.0) -> Tensor:
        """Codes ``(count, L)`` of the prior, whose deviation is ``temperature``."""
        device = next(self.parameters()).device
        return temperature * torch.randn(count, *self.latent, generator=generator).to(device)

    @torch.no_grad()
    def sample(
        self, count: int, *, generator: torch.Generator, labels: Tensor | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Examples ``(count, *shape)`` of codes drawn from the second stage, or from the prior without one.

        Images are the means of their codes, for nobody wants to see the noise of pixels; rows are drawn from p(x|z), so that
        they vary as the data do. See :meth:`pendio.generation.making.Maker.sample`.

        Raises:
            InputError: classes are asked for, or training stopped before the second stage was fitted.
        """
        if labels is not None:
            raise InputError("a VAE learns without labels, so that no class can be asked of it; leave the class out")
        if self.second_stage is None:
            codes = self.prior_codes(count, generator, temperature)
        elif self.second_stage.fitted:
            codes = self.second_stage.sample(count, generator, temperature)
        else:
            raise InputError("training stopped before the second stage was fitted; go on with --resume")
        made = self._means(codes)
        if not self.is_image:
            noise = torch.randn(made.shape, generator=generator).to(made)
            made = made + temperature * self.likelihood.variance(made).sqrt() * noise
        return self.restore(made)

    def pictures(self) -> dict[str, bytes]:
        """Samples of the prior, and held-out images above their reconstructions; nothing of tables."""
        if not self.is_image:
            return {}
        drawn = {"samples": tiled(self.decode(self.prior_codes(_SHOWN, torch.Generator().manual_seed(0))))}
        if self._held is not None:
            drawn["reconstructions"] = beside(self._held, self.predict(self._held))
        return drawn


def _wide(values: Tensor) -> Tensor:
    """What came out of a network in bfloat16, in float32: sums of many pixels need the digits."""
    return values.float() if values.dtype == torch.bfloat16 else values
