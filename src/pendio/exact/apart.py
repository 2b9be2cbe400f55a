"""Whose error is it? A denoiser beside the best one of a world in which everything is known."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from pendio.exact.worlds import World
from pendio.generation.diffusion import samplers
from pendio.generation.diffusion.samplers import Denoiser
from pendio.generation.diffusion.schedules import Level

__all__ = ["Apart", "told_apart"]

_FINE = 16
"""Steps of Heun's method for each step of the path that is judged."""


class Apart(NamedTuple):
    """Errors of x̂₀ are mean squares over levels and numbers; errors of samples are root mean squares, of the same noise.

    Attributes:
        loss: of the best denoiser E[x₀ | x], which nobody can help.
        network: E|x̂₀ − E[x₀ | x]|²: what the denoiser does worse. Both add up to ``total`` (Pythagoras).
        total: of the denoiser.
        solver: how far the best denoiser's samples by these steps lie from where the probability flow leads.
        made: how far the denoiser's samples lie from the best one's, by the same steps.
    """

    loss: float
    network: float
    total: float
    solver: float
    made: float


@torch.no_grad()
def told_apart(denoiser: Denoiser, world: World, path: Sequence[Level], count: int = 2000, seed: int = 0) -> Apart:
    """Measure a denoiser in a world that it learned from.

    Args:
        denoiser: of values in the world's units, such as a trained :class:`NetworkDenoiser` of data with mean 0 and
            variance 1.
        world: where its data come from; like the denoiser, on the CPU.
        path: of the deterministic sampler, from noise to clean; errors of x̂₀ are measured at its levels but the last.
        count: examples, at each level.
        seed: of examples and noise.
    """
    generator = torch.Generator().manual_seed(seed)
    losses, networks, totals = [], [], []
    for level in path[:-1]:
        clean = world.sample(count, generator)
        noise = torch.randn(clean.shape, generator=generator, dtype=clean.dtype)
        values = level.signal * clean + level.noise * noise
        best, found = world(values, level), denoiser(values, level)
        losses.append(_squared(best - clean))
        networks.append(_squared(found - best))
        totals.append(_squared(found - clean))
    start = torch.randn(clean.shape, generator=generator, dtype=clean.dtype)
    exact = samplers.run("heun", world, start, _finer(path))
    best, made = (samplers.run("deterministic", by, start, path) for by in (world, denoiser))
    loss, network, total = (sum(values) / len(values) for values in (losses, networks, totals))
    return Apart(loss, network, total, _squared(best - exact) ** 0.5, _squared(made - best) ** 0.5)


def _finer(path: Sequence[Level]) -> list[Level]:
    """The same way in many more steps, evenly spaced in angle between two levels."""
    shares = [part / _FINE for part in range(_FINE)]
    between = [
        Level.at(here.angle + share * (there.angle - here.angle)) for here, there in pairwise(path) for share in shares
    ]
    return [*between, path[-1]]


def _squared(gap: Tensor) -> float:
    return float(gap.square().mean())
