"""Truths about diffusion: samplers in worlds where the best denoiser is known, and identities of what networks predict."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from pendio.data.examples import Examples
from pendio.exact.apart import told_apart
from pendio.exact.check import Check
from pendio.exact.worlds import Gaussian, Mixture
from pendio.generation.diffusion import denoising, samplers
from pendio.generation.diffusion.options import Predict
from pendio.generation.diffusion.schedules import Level, Schedule
from pendio.generation.diffusion.task import Diffusion
from pendio.generation.diffusion.unet import DenoisingMLP

__all__ = ["CHECKS"]

_MIXTURE = Mixture(
    torch.tensor([0.3, 0.7]).double(), torch.tensor([[-2.0], [2.0]]).double(), torch.full((2,), 0.3).double()
)
_PREDICTIONS: tuple[Predict, ...] = ("noise", "image", "velocity")
_SHARES = (torch.arange(2000, dtype=torch.float64) + 0.5) / 2000
_FULL = Schedule(torch.arange(1, 1001, dtype=torch.float64) / 1000 * (math.pi / 2))


def _gaussian() -> Gaussian:
    covariance = torch.tensor([[0.9, 0.4], [0.4, 0.5]], dtype=torch.float64)
    return Gaussian(torch.tensor([0.7, -1.2], dtype=torch.float64), covariance)


def _values(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def _score() -> tuple[float, float]:
    """−ε̂/b with ε̂ = (x − a·x̂₀)/b, against autograd of log p."""
    worst = 0.0
    for world, width in ((_gaussian(), 2), (_MIXTURE, 1)):
        for level in (Level.at(0.2), Level.at(0.9), Level.at(1.5)):
            values = (2 * _values(50, width)).requires_grad_()
            (slope,) = torch.autograd.grad(world.log_density(values, level).sum(), values)
            with torch.no_grad():
                noise = (values - level.signal * world(values, level)) / level.noise
                worst = max(worst, float((slope + noise / level.noise).abs().max()))
    return worst, 0


def _contrast() -> tuple[float, float]:
    """Of N(0, 1), n steps make a standard deviation of cosⁿ⁻¹(Δ/n)·cos(φ₁ + Δ/n)."""
    schedule = Schedule.named("signal-rate")
    first, last = math.acos(0.95), math.acos(0.02)
    one = torch.ones(1, 1, dtype=torch.float64)
    world = Gaussian(torch.zeros(1).double(), one)
    worst = 0.0
    for steps, printed in ((5, 0.74727), (20, 0.89598), (1000, 0.94889)):
        made = float(samplers.run("deterministic", world, one, schedule.path(steps)))
        turn = (last - first) / steps
        exact = math.cos(turn) ** (steps - 1) * math.cos(first + turn)
        worst = max(worst, abs(made - exact), max(0.0, abs(made - printed) - 3e-5))
    return worst, 0


def _wasserstein(made: Tensor) -> float:
    return float((made[:, 0].sort().values - _MIXTURE.quantiles(_SHARES)[:, 0]).abs().mean())


def _made(steps: int | Sequence[int]) -> Tensor:
    noise = torch.special.ndtri(_SHARES)[:, None]
    return samplers.run("deterministic", _MIXTURE, noise, _FULL.path(steps))


def _mixture() -> tuple[float, float]:
    """The distance from the mixture, times the number of steps over 20, stays what it is at 20: first order."""
    known = {10: 0.1228, 20: 0.0618, 100: 0.0124}
    return max(abs(_wasserstein(_made(steps)) / distance - 1) for steps, distance in known.items()), 0


def _uneven() -> tuple[float, float]:
    """Levels as they come: on 100 of them, closer where there is little noise, the same order of error as evenly."""
    numbers = sorted({round(1000 * (part / 100) ** 1.5) for part in range(1, 101)} - {0}, reverse=True)
    return _wasserstein(_made(numbers)), 0.018


def _heun_mixture() -> tuple[float, float]:
    """18 steps from σ = 80 to .002, as published for images."""
    angles = torch.linspace(math.atan(0.002), math.atan(80), 1000, dtype=torch.float64)
    path = Schedule(angles).curved_path(18)
    noise = torch.special.ndtri(_SHARES)[:, None]
    return _wasserstein(samplers.run("heun", _MIXTURE, noise, path)), 0.036


def _order() -> tuple[float, float]:
    """log₂ of the ratio of errors on 40 and on 80 steps of a Gaussian's flow, whose end is known."""
    world, values = _gaussian(), _values(20, 2)
    angles = torch.linspace(0.05, 1.5, 1000, dtype=torch.float64)
    errors = []
    for steps in (40, 80):
        path = Schedule(angles).curved_path(steps)[:-1]
        exact = world.flowed(values, path[0], path[-1])
        errors.append(float((samplers.run("heun", world, values, path) - exact).abs().max()))
    return math.log2(errors[0] / errors[1]), 2


def _marginals() -> tuple[float, float]:
    """Given x₀, each step leads from a, b to a′, b′ exactly, at any η and between any levels; η = 1 is Bayes' posterior."""
    worst = 0.0
    for here, there in ((1.5, 1.1), (1.2, 0.05), (0.7, 0.69)):
        a, b = Level.at(here)
        c, d = Level.at(there)
        for eta in (0.0, 0.4, 1.0):
            step = samplers.coefficients(Level(a, b), Level(c, d), eta)
            worst = max(worst, abs(step.denoised + step.kept * a - c))
            worst = max(worst, abs((step.kept * b) ** 2 + step.fresh**2 - d * d))
        alpha = (a / c) ** 2
        bayes = samplers.Coefficients(c * (1 - alpha) / b**2, alpha**0.5 * d**2 / b**2, d / b * (1 - alpha) ** 0.5)
        step = samplers.coefficients(Level(a, b), Level(c, d), 1.0)
        worst = max(worst, *(abs(mine - theirs) for mine, theirs in zip(step, bayes, strict=True)))
    return worst, 0


def _inverse() -> tuple[float, float]:
    """Noise → values → noise, back from the clean end."""
    world, values = _gaussian(), _values(20, 2)
    angles = torch.linspace(0.001, 1.5, 1000, dtype=torch.float64)
    path = Schedule(angles).path([*range(1000, 0, -20), 1])
    there = samplers.run("deterministic", world, values, path)
    return float((samplers.invert(world, there, path, 30) - values).abs().max()), 0


def _predictions() -> tuple[float, float]:
    """From ε, x₀ and v of the same example, the same x̂₀."""
    values, noise = _values(30, 4), _values(31, 4)[1:]
    worst = 0.0
    for angle in (0.1, 0.8, 1.5):
        a, b = torch.tensor(angle).double().cos(), torch.tensor(angle).double().sin()
        for predict in _PREDICTIONS:
            target = denoising.quantity(predict, values, noise, a, b)
            found = denoising.denoised(predict, a * values + b * noise, target, a, b)
            worst = max(worst, float((found - values).abs().max()))
    return worst, 0


@torch.no_grad()
def _guidance() -> tuple[float, float]:
    """w = 1 is the class alone, w = 0 none, and other w what two passes give."""
    torch.manual_seed(0)
    network = DenoisingMLP(3, 16, 1, classes=4).eval()
    values, labels = _values(8, 3).float(), torch.arange(8) % 4
    level = Level.at(0.8)
    angles = torch.full((8,), level.angle)
    told, untold = (network(values, network.conditioning(angles, given)) for given in (labels, None))
    worst = 0.0
    for weight in (0.0, 1.0, 3.0):
        output = untold + weight * (told - untold)
        expected = denoising.denoised("velocity", values, output, level.signal, level.noise)
        found = denoising.NetworkDenoiser(network, "velocity", [level], labels, weight)(values, level)
        worst = max(worst, float((found - expected).abs().max()))
    return worst, 0


def _least_loss() -> tuple[float, float]:
    """Of a Gaussian's examples, b²·tr(ΣC⁻¹)/D with C = a²Σ + b²I; and what a wrong guess adds is its distance squared.

    By 20,000 examples at each of ten levels: to a few thousandths.
    """
    world, path = _gaussian(), Schedule.named("cosine").path(10)
    losses = [
        level.noise**2 * torch.linalg.solve(world.noised(level).covariance, world.covariance).trace() / 2
        for level in path[:-1]
    ]
    exact = float(torch.stack(losses).mean())

    def guess(values: Tensor, level: Level) -> Tensor:
        # What depends on x shows also that the best guess is orthogonal to it.
        return world(values, level) + values

    found = told_apart(guess, world, path, 20_000)
    return max(abs(found.loss - exact), abs(found.total - found.loss - found.network)), 0


def _learned() -> tuple[float, float]:
    """A small network's distance from the best denoiser of correlated Gaussians, after 200 steps of training."""
    world = Gaussian(torch.zeros(2), torch.tensor([[1.0, 0.8], [0.8, 1.0]]))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        task = Diffusion(
            DenoisingMLP(2, 32, 1), Schedule.named("cosine"), "velocity", (2,), [0.0] * 2, [1.0] * 2, draws=8
        )
        optimizer = torch.optim.Adam(task.parameters())
        plan = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=200)
        generator = torch.Generator().manual_seed(1)
        for _ in range(200):
            rows = world.sample(64, generator)
            loss = task.loss(Examples(rows, torch.zeros(64).long(), torch.arange(64)))
            optimizer.zero_grad()
            (loss.total / loss.weight).backward()
            optimizer.step()
            plan.step()
    path = task.eval().path("deterministic", 20)
    return told_apart(task.denoiser(path), world, path).network, 0.003


CHECKS = (
    Check("diffusion-score", "the best denoiser's noise, divided by −√(1−α), is the slope of log p", _score, 1e-9),
    Check("diffusion-contrast", "of N(0, 1), n steps make a known standard deviation", _contrast, 1e-9),
    Check("diffusion-mixture", "with the best denoiser, the distance from a mixture falls as 1/steps", _mixture, 0.02),
    Check("diffusion-uneven", "unevenly spaced levels lead to the mixture as well", _uneven, 0.0, "≤"),
    Check("heun-mixture", "Heun's 18 steps come within W₁ = .036 of a mixture", _heun_mixture, 0.001),
    Check("heun-order", "halving the steps of Heun's sampler divides its error by four", _order, 0.15),
    Check(
        "diffusion-least-loss", "no denoiser has less loss than the best, and each its distance more", _least_loss, 0.01
    ),
    Check("diffusion-learned", "a trained network comes close to the best denoiser", _learned, 0.0, "≤"),
    Check("ddim-marginals", "a step of any η leads to the next level's signal and noise", _marginals, 1e-12),
    Check("ddim-inverse", "encoding inverts deterministic sampling", _inverse, 1e-6),
    Check("diffusion-predictions", "noise, image and velocity mean the same image", _predictions, 1e-12),
    Check(
        "diffusion-guidance", "guidance in one batch is that of two passes, and w = 1 changes nothing", _guidance, 1e-5
    ),
)
