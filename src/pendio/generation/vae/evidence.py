"""Importance-weighted estimates of log p(x): tighter than the bound that is trained."""

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from pendio.generation.vae.task import Vae

__all__ = ["iwae"]

_CHUNK = 4096
"""Codes that are decoded at once."""


@torch.no_grad()
def iwae(task: "Vae", inputs: Tensor, samples: int = 64, *, generator: torch.Generator) -> Tensor:
    """log (1/K) Σ_k p(x|z_k) p(z_k) / q(z_k|x) with z_k of q(z|x), ``(N,)`` in nats.

    Its mean is a lower bound on log p(x) that rises with K and meets it (Burda, Grosse and Salakhutdinov, 2016). Each
    example is encoded once; the sum over k is kept as one running logarithm, so that memory does not grow with K.

    Args:
        task: the model; the prior is its N(0, I), whatever a second stage has been fitted.
        inputs: images as bytes or in [0, 1], rows in the data's own units, which those of the density are too.
        samples: K.
        generator: of the noise, on the CPU.
    """
    task.eval()
    examples = task.prepare(inputs)
    units = task.standard.scale.log().sum()
    return torch.cat([_weighted(task, part, samples, generator) for part in examples.split(_CHUNK)]) - units


def _weighted(task: "Vae", examples: Tensor, samples: int, generator: torch.Generator) -> Tensor:
    mean, log_variance = task.posterior(examples)
    total = mean.new_full((len(examples),), -math.inf)
    at_once = max(1, _CHUNK // len(examples))
    for start in range(0, samples, at_once):
        count = min(at_once, samples - start)
        shape = (count, *mean.shape)
        noise = torch.randn(shape, generator=generator, dtype=mean.dtype).to(mean.device)
        codes = mean + (0.5 * log_variance).exp() * noise
        outputs = task.decoder(codes.flatten(0, 1)).to(mean.dtype)
        targets = examples.expand(count, *examples.shape).flatten(0, 1)
        likelihoods = -task.likelihood.nll(outputs, targets).view(count, -1)
        # log p(z) − log q(z|x): both have the same factors of 2π.
        ratios = 0.5 * (noise.square() + log_variance - codes.square()).sum(2)
        total = torch.logaddexp(total, (likelihoods + ratios).logsumexp(0))
    return total - math.log(samples)
