"""Why a variational autoencoder became what it is: rules over its curves, its codes and what it makes of them."""

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pendio.data.examples import Data
from pendio.generation.examples import spaced
from pendio.generation.vae.mixture import Mixture
from pendio.generation.vae.objective import kl_divergence, reparametrize
from pendio.runs.diagnosis import STUCK, Diagnosis, Evidence, diagnose_curves
from pendio.runs.run import Run

if TYPE_CHECKING:
    from pendio.generation.vae.task import Vae

__all__ = [
    "ACTIVE", "CodeProbe", "codes_of", "diagnose_all", "diagnose_codes", "diagnose_vae", "diagnose_vae_curves", "probe",
]  # fmt: skip

ACTIVE = 0.01
"""Variance over examples of a dimension's mean code above which it is in use (Burda, Grosse and Salakhutdinov, 2016)."""

_LOOKED_AT = 1024
"""Examples of a split that are looked at."""

_FITTED = 8192
"""Draws of the posterior that a mixture is fitted to, at least."""

_COLLAPSED = 0.01
_UNUSED = 0.25
_LAW = 0.25
_MISFIT = 1.0
_BLURRED = 0.5

_FITTING = {
    "overfitting": "--augment shift --average ema --latent 8",
    "underfitting": "--epochs 200 --width 64",
    "vanishing-gradients": "--model conv",
}
"""Kind of a finding of all tasks → the options that autoencoders have for it."""


@dataclass(frozen=True)
class CodeProbe:
    """What the best weights make of the data; L is the number of latent dimensions.

    Attributes:
        divergences: KL divergence of each dimension from the prior, in nats ``(L,)``.
        posterior: mean over examples of each posterior variance ``(L,)``.
        spread: variance over examples of each mean code ``(L,)``.
        variance: β·σ², the variance that the loss amounts to under a Gaussian.
        eigenvalues: of the data's covariance, largest first: its principal components.
        misfit: nats by which held-out codes are likelier under a mixture fitted to the training codes than under the
            prior. Its mean is a lower bound on KL(aggregate posterior ‖ prior).
        sharpness: roughness of reconstructions over that of their originals; None of tables.
        staged: whether there is a second stage.
    """

    divergences: Tensor
    posterior: Tensor
    spread: Tensor
    variance: float
    eigenvalues: Tensor
    misfit: float
    sharpness: float | None
    staged: bool = False

    @property
    def active(self) -> int:
        """Dimensions in use."""
        return int((self.spread > ACTIVE).sum())

    @property
    def predicted(self) -> list[float]:
        """½ ln(λ/βσ²), the divergences in nats of a linear VAE, of the principal components with λ > βσ² alone.

        The others collapse (Lucas et al., 2019). At most as many as there are latent dimensions; none where β is 0.
        """
        if self.variance <= 0:
            return []
        carried = self.eigenvalues[self.eigenvalues > self.variance][: len(self.spread)]
        return [0.5 * math.log(value / self.variance) for value in carried.tolist()]


def diagnose_vae_curves(evidence: Evidence) -> list[Diagnosis]:
    """What a run's curves and gradients tell, before or after its end; empty where nothing went wrong."""
    return diagnose_curves(evidence, _FITTING, (_nothing_carried, _past_its_best))


def _nothing_carried(history: Sequence[Mapping[str, Any]]) -> Diagnosis | None:
    if len(history) < 5 or "val_kl" not in history[-1]:
        return None
    late = [float(record["val_kl"]) for record in history[-3:]]
    if max(late) > 0.1:
        return None
    return Diagnosis(
        "posterior-collapse",
        "The posterior has collapsed: codes carry nothing, and every reconstruction is the mean of the data.",
        f"the KL divergence is {late[-1]:.2g} nats after {history[-1]['epoch']} epochs",
        "let σ be learned, let the weight of the KL divergence rise slowly, or give each dimension some nats for free",
        "--likelihood learned --beta 1 --anneal 20 --free-bits 0.1",
    )


def _past_its_best(history: Sequence[Mapping[str, Any]]) -> Diagnosis | None:
    """Held-out likelihood that falls while that of training examples still rises."""
    if len(history) < 10 or "val_elbo" not in history[-1]:
        return None
    bounds = [float(record["val_elbo"]) for record in history]
    best = bounds.index(max(bounds))
    gain = max(bounds) - bounds[0]
    if best > 0.7 * len(bounds) or max(bounds) - bounds[-1] < 0.05 * abs(gain) or gain <= 0:
        return None
    if history[-1]["loss"] > history[best]["loss"]:
        return None
    return Diagnosis(
        "overfitting",
        "The network overfits: held-out examples become less likely while training examples become more so.",
        f"the bound on their log-likelihood was {bounds[best]:.4g} nats in epoch {history[best]['epoch']} and is "
        f"{bounds[-1]:.4g} at the end",
        "more data or augmentation, early stopping, averaging, a smaller model",
        _FITTING["overfitting"],
    )


def diagnose_vae(run: Run, task: "Vae", data: Data) -> list[Diagnosis]:
    """Why a run went as it did, the likeliest cause first; empty where nothing went wrong.

    Args:
        run: its folder.
        task: with the weights to look at.
        data: what it was trained on.

    Raises:
        InputError: the run's files are damaged.
    """
    return diagnose_all(Evidence(run.history(), run.layers()), probe(task, data))


def diagnose_all(evidence: Evidence, probe: CodeProbe) -> list[Diagnosis]:
    """What curves, gradients and codes tell together, each thing once."""
    found = diagnose_vae_curves(evidence)
    if any(one.kind in STUCK for one in found):
        return found
    known = {one.kind for one in found}
    return found + [one for one in diagnose_codes(probe) if one.kind not in known]


@torch.no_grad()
def probe(task: "Vae", data: Data) -> CodeProbe:
    """Look at what the task makes of up to 1,024 examples of the training and of the validation split each."""
    task = copy.deepcopy(task).cpu().eval()
    train, val = (task.prepare(spaced(split, _LOOKED_AT).inputs) for split in (data.train, data.val))
    posterior = task.posterior(train)
    means = task.likelihood.mean(task.decoder(posterior.mean))
    return CodeProbe(
        divergences=kl_divergence(*posterior).mean(0),
        posterior=posterior.log_variance.exp().mean(0),
        spread=posterior.mean.var(0, correction=0),
        variance=task.objective.beta * float(task.likelihood.variance(means)),
        eigenvalues=torch.linalg.svdvals((train - train.mean(0)).flatten(1)).square() / len(train),
        misfit=_misfit(task, train, val),
        sharpness=_roughness(means) / max(_roughness(train), 1e-12) if task.is_image else None,
        staged=task.second_stage is not None,
    )


def _roughness(images: Tensor) -> float:
    """Mean square of the discrete Laplacian, in which edges stand out."""
    kernel = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]]).to(images)
    return float(F.conv2d(images.flatten(0, 1)[:, None], kernel[None, None]).square().mean())


@torch.no_grad()
def codes_of(task: "Vae", examples: Tensor, least: int = _FITTED) -> Tensor:
    """Draws ``(≥ least, L)`` of the posteriors of prepared examples, as many of each; always the same."""
    posterior = task.posterior(examples)
    times = -(-least // len(examples))
    noise = torch.randn(times, *posterior.mean.shape, generator=torch.Generator().manual_seed(0))
    return reparametrize(*posterior, noise.to(posterior.mean)).flatten(0, 1)


def _misfit(task: "Vae", train: Tensor, val: Tensor) -> float:
    mixture = Mixture(min(10, max(1, len(train) // 50)), *task.latent)
    mixture.fit(codes_of(task, train))
    codes = codes_of(task, val, 1)
    prior = torch.distributions.Normal(0.0, 1.0).log_prob(codes).sum(1)
    return float((mixture.log_prob(codes) - prior).mean())


def diagnose_codes(probe: CodeProbe) -> list[Diagnosis]:
    """What went wrong, by what the weights make of the data; empty where nothing did."""
    if (collapse := _collapse(probe)) is not None:
        return [collapse]
    rules = (_unused, _law, _mismatch, _blur)
    return [finding for rule in rules if (finding := rule(probe)) is not None]


def _threshold(probe: CodeProbe) -> str:
    largest, count = float(probe.eigenvalues[0]), int((probe.eigenvalues > probe.variance).sum())
    return (
        f"the loss amounts to a variance of βσ² = {probe.variance:.3g}; the data's principal components have up to "
        f"{largest:.3g}, and {count} lie above it, which is what a linear VAE would keep"
    )


def _collapse(probe: CodeProbe) -> Diagnosis | None:
    if probe.active > 0 and float(probe.divergences.max()) > _COLLAPSED:
        return None
    return Diagnosis(
        "posterior-collapse",
        "The posterior has collapsed: codes carry nothing, and every reconstruction is the mean of the data.",
        f"0 of {len(probe.spread)} dimensions are in use, and their KL divergence is "
        f"{float(probe.divergences.sum()):.2g} nats; {_threshold(probe)}",
        "let σ be learned, let the weight of the KL divergence rise slowly, or give each dimension some nats for free",
        "--likelihood learned --beta 1 --anneal 20 --free-bits 0.1",
    )


def _unused(probe: CodeProbe) -> Diagnosis | None:
    unused = len(probe.spread) - probe.active
    if unused < max(1, _UNUSED * len(probe.spread)):
        return None
    return Diagnosis(
        "unused-dimensions",
        "Many latent dimensions are not in use: their posterior is the prior, whatever the example.",
        f"{probe.active} of {len(probe.spread)} have mean codes that vary by more than {ACTIVE:g}; {_threshold(probe)}",
        "no harm to samples; for fewer, take as many as are in use, or let them carry some nats for free",
        f"--latent {probe.active}",
    )


def _law(probe: CodeProbe) -> Diagnosis | None:
    """Posterior variance + variance of the mean codes = 1 in each dimension, wherever the prior is met."""
    sums = probe.posterior + probe.spread
    worst = int((sums - 1).abs().argmax())
    if abs(float(sums[worst]) - 1) < _LAW:
        return None
    return Diagnosis(
        "variance-law",
        "Codes do not fill the prior: the variance of posteriors and that of mean codes do not add up to 1.",
        f"{float(probe.posterior[worst]):.3g} + {float(probe.spread[worst]):.3g} = {float(sums[worst]):.3g} in dimension "
        f"{worst + 1}, on average {float(sums.mean()):.3g}",
        "train longer, give the KL divergence more weight, or sample from a density fitted to the codes",
        "--epochs 200" if probe.staged else "--second-stage mixture",
    )


def _mismatch(probe: CodeProbe) -> Diagnosis | None:
    if probe.staged or probe.misfit < _MISFIT:
        return None
    return Diagnosis(
        "prior-mismatch",
        "The codes of all examples together are not distributed as the prior: some samples decode codes never seen.",
        f"held-out codes are {probe.misfit:.2f} nats likelier under a mixture of Gaussians than under the prior",
        "sample from a density fitted to the codes, or give the KL divergence more weight",
        "--second-stage mixture",
    )


def _blur(probe: CodeProbe) -> Diagnosis | None:
    if probe.sharpness is None or probe.sharpness > _BLURRED:
        return None
    return Diagnosis(
        "blur",
        "Reconstructions are blurred: the variance of the likelihood forgives what edges cost.",
        f"they have {probe.sharpness:.0%} of the roughness of their originals, at βσ² = {probe.variance:.3g}",
        "a smaller or learned σ, a lower β, a wider decoder or more latent dimensions",
        "--likelihood learned --width 64 --latent 32",
    )
