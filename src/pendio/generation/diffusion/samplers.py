"""Samplers: ways from noise to an example, given what a denoiser says at each noise level."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from pendio.generation.diffusion.options import Sampler
from pendio.generation.diffusion.schedules import Level

__all__ = ["Coefficients", "Denoiser", "Draw", "Watch", "coefficients", "gaussian", "invert", "run", "stride"]

Denoiser = Callable[[Tensor, Level], Tensor]
"""x̂₀ = E[x₀ | x] of values ``(N, …)`` at a level: a network's guess, or the exact mean of a world with a closed form."""

Draw = Callable[[Tensor], Tensor]
"""Standard Gaussian noise in the form of a tensor."""

Watch = Callable[[Tensor, Level], Tensor]
"""Called after each step with where it led; what it returns is gone on with."""


class Coefficients(NamedTuple):
    """One step is x ← denoised·x̂₀ + kept·x + fresh·z."""

    denoised: float
    kept: float
    fresh: float


def coefficients(here: Level, there: Level, eta: float = 0.0) -> Coefficients:
    """Of a step between any two levels, neighbours or not (Song, Meng and Ermon, 2021, eq. 12 and 16).

    With ε̂ = (x − a·x̂₀)/b, the step is a′x̂₀ + √(b′² − s²)·ε̂ + s·z, where s = η·(b′/b)·√(1 − a²/a′²). η = 0 re-noises x̂₀
    with the noise that it was found in; η = 1 draws from the posterior q(x′|x, x̂₀): that is DDPM, at any spacing.

    Args:
        here: a and b.
        there: a′ and b′; cleaner than here.
        eta: in [0, 1].
    """
    fresh = eta * there.noise / here.noise * max(0.0, 1 - (here.signal / there.signal) ** 2) ** 0.5
    kept = max(0.0, there.noise**2 - fresh**2) ** 0.5 / here.noise
    return Coefficients(there.signal - kept * here.signal, kept, fresh)


def gaussian(generator: torch.Generator, device: torch.device) -> Draw:
    """Draws of a generator on the CPU; on another device, of one there that it seeds, so that no step waits for a copy."""
    if generator.device.type != device.type:
        seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
        generator = torch.Generator(device).manual_seed(seed)
    return lambda like: torch.randn(like.shape, generator=generator, dtype=like.dtype, device=like.device)


def stride(values: Tensor, denoised: Tensor, step: Coefficients, draw: Draw | None) -> Tensor:
    """One step from ``values`` of which ``denoised`` is known."""
    out = denoised * step.denoised
    if step.kept:
        out.add_(values, alpha=step.kept)
    if step.fresh:
        assert draw is not None
        out.add_(draw(values), alpha=step.fresh)
    return out


def run(
    sampler: Sampler, denoiser: Denoiser, values: Tensor, path: Sequence[Level], *,
    draw: Draw | None = None, eta: float = 0.0, watch: Watch | None = None,
) -> Tensor:  # fmt: skip
    """Walk ``values`` along a path.

    - ``deterministic``: find x̂₀, re-noise it to the next level with the noise found. It is ``ddim`` with η = 0.
    - ``ddpm``: draw from the posterior, which is ``ddim`` with η = 1 (Ho, Jain and Abbeel, 2020).
    - ``ddim``: with any η.
    - ``heun``: second order on the probability flow, whose slope in x/a against σ = b/a is (x/a − x̂₀)/σ (Karras et al.,
      2022, algorithm 1, without churn), whatever the schedule. Two evaluations a step, one at the last.

    Args:
        sampler: its name.
        denoiser: see :data:`Denoiser`.
        values: ``(N, …)`` at the first level of the path.
        path: levels from noisy to clean.
        draw: of fresh noise; needed where η > 0.
        eta: of ``ddim``.
        watch: sees, and may change, where each step led.
    """
    if sampler == "heun":
        return _heun(denoiser, values, path, watch)
    eta = {"deterministic": 0.0, "ddpm": 1.0, "ddim": eta}[sampler]
    steps = [coefficients(here, there, eta) for here, there in pairwise(path)]
    for here, there, step in zip(path, path[1:], steps, strict=False):
        values = stride(values, denoiser(values, here), step, draw)
        if watch is not None:
            values = watch(values, there)
    return values


def _heun(denoiser: Denoiser, values: Tensor, path: Sequence[Level], watch: Watch | None) -> Tensor:
    for here, there in pairwise(path):
        ahead = stride(values, denoiser(values, here), coefficients(here, there), None)
        values = _trapezoid(values, ahead, denoiser(ahead, there), here, there) if there.noise else ahead
        if watch is not None:
            values = watch(values, there)
    return values


def _trapezoid(values: Tensor, ahead: Tensor, denoised: Tensor, here: Level, there: Level) -> Tensor:
    """The mean of Euler's step ``ahead`` and of one with the slope found there.

    In x/a and σ: u + (σ′ − σ)(d + d′)/2, where d = (u′ − u)/(σ′ − σ) for Euler's u′, and d′ = (u′ − x̂₀′)/σ′.
    """
    sigma, next_sigma = here.noise / here.signal, there.noise / there.signal
    half = (next_sigma - sigma) / (2 * next_sigma)
    own = 0.5 + half
    return (ahead * own).add_(values, alpha=there.signal / (2 * here.signal)).sub_(denoised, alpha=half * there.signal)


def invert(denoiser: Denoiser, values: Tensor, path: Sequence[Level], refine: int = 3) -> Tensor:
    """The noise that the deterministic sampler would make ``values`` of.

    A step takes u = x/a to u′ = u − (σ − σ′)·ε̂(u) with σ = b/a. Going back solves that for u, by Newton's method with the
    slope that the step has for data of variance 1; for such a Gaussian one iteration is exact.

    Args:
        denoiser: see :data:`Denoiser`.
        values: ``(N, …)``, clean.
        path: levels from noisy to clean, as for :func:`run`.
        refine: evaluations a step.

    Returns:
        Values at the path's first level.
    """
    for there, here in pairwise(reversed(path)):
        clean, sigma = values / there.signal, here.noise / here.signal
        share = 1 - there.noise / there.signal / sigma
        guess = clean
        slope = 1 - share * here.noise**2
        for _ in range(refine):
            excess = guess - share * (guess - denoiser(guess * here.signal, here)) - clean
            guess = guess - excess / slope
        values = guess * here.signal
    return values
