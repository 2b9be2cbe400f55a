"""Truths about games of a generator and a discriminator."""

import math

import torch
from torch import Tensor, nn

from pendio.data.examples import Examples
from pendio.exact.check import Check
from pendio.generation.gan import augmentation, games, networks, task

__all__ = ["CHECKS"]


def _normals(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _grid() -> tuple[Tensor, Tensor, Tensor]:
    """Places x, and the densities there of N(−½, 1) and N(1, 1.2²): everything in which they differ lies inside."""
    places = torch.linspace(-9, 10, 2001, dtype=torch.float64)
    real, made = (
        torch.exp(-((places - mean) ** 2) / (2 * spread**2)) / (spread * math.sqrt(2 * math.pi))
        for mean, spread in ((-0.5, 1.0), (1.0, 1.2))
    )
    return places, real, made


def _optimal() -> tuple[float, float]:
    """log p/q of two Gaussians is a quadratic, so that a quadratic can learn it: then σ(D) = p/(p + q) everywhere."""
    places, real, made = _grid()
    powers = torch.stack([torch.ones_like(places), places, places**2], 1)
    weights = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=200, tolerance_grad=1e-12, tolerance_change=1e-16,
                                  line_search_fn="strong_wolfe")  # fmt: skip
    step, zero = places[1] - places[0], torch.zeros_like(places)

    def loss() -> Tensor:
        optimizer.zero_grad()
        logits = powers @ weights
        on_real = games.discriminator_losses("minimax", logits, zero)
        on_made = games.discriminator_losses("minimax", zero, logits)
        total: Tensor = (real * on_real + made * on_made).sum() * step
        total.backward()
        return total

    optimizer.step(loss)
    found = (powers @ weights.detach()).sigmoid()
    return float((found - real / (real + made)).abs().max()), 0


def _value() -> tuple[float, float]:
    """Of the same examples on both sides no logits do better than 0, and their value is −log 4."""
    logits = _normals(4000)
    best = torch.zeros_like(logits)
    worse = games.value(logits, logits) - games.value(best, best)
    return float(games.value(best, best)) + max(0.0, float(worse)), -math.log(4)


def _gradients() -> tuple[float, float]:
    """What each loss gives back to the logits, against its derivative by hand."""
    logits = _normals(64).requires_grad_()
    sigma = logits.detach().sigmoid()
    one = torch.ones_like(sigma)
    low, high = (logits.detach() > -1).double(), (logits.detach() < 1).double()
    truths = {
        "minimax": (-(1 - sigma), sigma, -sigma),
        "non-saturating": (-(1 - sigma), sigma, sigma - 1),
        "hinge": (-high, low, -one),
        "wasserstein": (-one, one, -one),
    }
    worst = 0.0
    for game, truth in truths.items():
        zero = torch.zeros_like(logits)
        losses = (
            games.discriminator_losses(game, logits, zero),  # type: ignore[arg-type]
            games.discriminator_losses(game, zero, logits),  # type: ignore[arg-type]
            games.generator_losses(game, logits),  # type: ignore[arg-type]
        )
        for loss, expected in zip(losses, truth, strict=True):
            (gradient,) = torch.autograd.grad(loss.sum(), logits)
            worst = max(worst, float((gradient - expected).abs().max()))
    return worst, 0


def _penalty() -> tuple[float, float]:
    """Of D(x) = w·x it is (‖w‖ − 1)² for every pair, and 2(‖w‖ − 1)w/‖w‖ is its gradient; R1 is ‖w‖²."""
    weight = (0.5 * _normals(3, 4, 4)).requires_grad_()
    real, made = _normals(5, 3, 4, 4, seed=1), _normals(5, 3, 4, 4, seed=2)

    def judge(images: Tensor) -> Tensor:
        return (images * weight).sum((1, 2, 3))

    shares = torch.linspace(0, 1, 5, dtype=torch.float64)
    found = games.gradient_penalties(judge, real, made, shares)
    norm = weight.detach().norm()
    (gradient,) = torch.autograd.grad(found.mean(), weight)
    gaps = (
        (found - (norm - 1) ** 2),
        (gradient - 2 * (norm - 1) * weight / norm),
        games.r1_penalties(judge, real) - norm**2,
    )
    return max(float(gap.detach().abs().max()) for gap in gaps), 0


def _places() -> tuple[float, float]:
    """Of D(x) = ‖x‖²/2 it is (‖αx + (1 − α)x̂‖ − 1)², with each pair's own α."""
    real, made = _normals(6, 10), _normals(6, 10, seed=1)
    shares = torch.rand(6, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    found = games.gradient_penalties(lambda rows: rows.square().sum(1) / 2, real, made, shares)
    between = shares[:, None] * real + (1 - shares[:, None]) * made
    return float((found.detach() - (between.norm(dim=1) - 1) ** 2).abs().max()), 0


def _spectral() -> tuple[float, float]:
    """After many passes a kernel's largest singular value is 1, by SVD; also when u has shrunk, as averages do."""
    torch.manual_seed(0)
    worst = 0.0
    for layer in (nn.Linear(7, 5), nn.Conv2d(3, 6, 3)):
        norm = networks.SpectralNorm(layer.weight).double()
        weight = layer.weight.detach().double()
        for _ in range(300):
            norm(weight)
        norm.u *= 0.3
        largest = torch.linalg.svdvals(norm.eval()(weight).flatten(1))[0]
        worst = max(worst, abs(float(largest) - 1))
    return worst, 0


def _augmentation() -> tuple[float, float]:
    """Gradients through all changes against central differences; each pixel that is not cut counts."""
    images = (0.3 * _normals(3, 3, 8, 8)).requires_grad_()
    weights = _normals(3, 3, 8, 8, seed=1)
    way = _normals(3, 3, 8, 8, seed=2)

    def score(values: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(3)
        return (augmentation.augmented(values, ("color", "translation", "cutout"), generator) * weights).sum()

    (gradient,) = torch.autograd.grad(score(images), images)
    step = 1e-4
    with torch.no_grad():
        slope = (score(images + step * way) - score(images - step * way)) / (2 * step)
    return float((gradient * way).sum() - slope), 0


def _turns() -> tuple[float, float]:
    """How many weights of the other player get a gradient in a turn, and how many of one's own do not."""
    torch.manual_seed(0)
    game = task.Gan(networks.conv_generator(4, (1, 8, 8), 2), networks.conv_discriminator((1, 8, 8), 2), 4, (1, 8, 8))
    batch = Examples(torch.rand(6, 1, 8, 8), torch.zeros(6, dtype=torch.long), torch.arange(6))
    wrong = 0
    for player, other in ((game.discriminator, game.generator), (game.generator, game.discriminator)):
        game.zero_grad()
        loss = game.loss(batch) if player is game.discriminator else game.generator_loss(batch)
        loss.total.backward()
        wrong += sum(parameter.grad is None for parameter in player.parameters())
        wrong += sum(parameter.grad is not None for parameter in other.parameters())
    return wrong, 0


CHECKS = (
    Check("gan-optimum", "a discriminator at its optimum gives p/(p + q), of two Gaussians", _optimal, 1e-6),
    Check("gan-value", "where made equals real the value of the game is −log 4", _value, 1e-12),
    Check(
        "gan-gradients", "minimax, non-saturating, hinge and Wasserstein losses have their gradients", _gradients, 1e-12
    ),
    Check("gradient-penalty", "of a linear critic it is (‖w‖ − 1)², and its gradient follows", _penalty, 1e-12),
    Check("gradient-penalty-places", "it is taken between each made and each real example", _places, 1e-12),
    Check("spectral-norm", "a kernel's largest singular value becomes 1", _spectral, 1e-9),
    Check("diff-augmentation", "augmentation passes the gradients that differences have", _augmentation, 1e-7),
    Check("gan-turns", "in a player's turn its weights get gradients, and the other's none", _turns),
)
