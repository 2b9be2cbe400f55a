"""Descent in the open: surfaces over the plane, the paths of optimisers on them, and what theory says of a quadratic."""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pendio.descent.optimizers import make_optimizer
from pendio.descent.plan import Plan
from pendio.descent.task import Loss, Player

__all__ = ["SURFACES", "Path", "Surface", "descend", "divergence_threshold", "momentum_rate", "plain_rate"]


@dataclass(frozen=True)
class Surface:
    """A height over the plane.

    Attributes:
        about: a line on what it shows.
        height: maps points ``(…, 2)`` to heights ``(…)``.
        start: where descents begin.
        bounds: left, right, bottom and top of the part to draw.
        lr: a learning rate that suits plain descent.
        minimum: where it is lowest, or None where it has no lowest point.
    """

    about: str
    height: Callable[[Tensor], Tensor]
    start: tuple[float, float]
    bounds: tuple[float, float, float, float]
    lr: float
    minimum: tuple[float, float] | None = (0.0, 0.0)


def _quadratic(first: float, second: float) -> Callable[[Tensor], Tensor]:
    return lambda point: (first * point[..., 0] ** 2 + second * point[..., 1] ** 2) / 2


def _rosenbrock(point: Tensor) -> Tensor:
    x, y = point[..., 0], point[..., 1]
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


SURFACES: dict[str, Surface] = {
    "bowl": Surface("(x² + y²)/2: round, every optimiser's easy case", _quadratic(1, 1), (1.6, 1.2), (-2, 2, -2, 2), 0.1),
    "ravine": Surface(
        "(x² + 30y²)/2: thirty times steeper across than along", _quadratic(1, 30), (-1.8, 0.9), (-2, 2, -1.5, 1.5), 0.03
    ),
    "rosenbrock": Surface(
        "(1 − x)² + 100(y − x²)²: a bent valley with an almost flat floor (Rosenbrock, 1960)",
        _rosenbrock, (-1.2, 1.0), (-1.6, 1.6, -0.6, 1.8), 1e-3, (1.0, 1.0),
    ),
    "saddle": Surface(
        "(x² − y²)/2: flat at the origin, where nothing is won; down on both sides",
        _quadratic(1, -1), (-1.5, 1e-3), (-2, 2, -2, 2), 0.1, None,
    ),
}  # fmt: skip
"""Name → surface."""


@dataclass(frozen=True)
class Path:
    """Where an optimiser went: ``points`` ``(steps + 1, 2)`` and their ``heights``, to the last finite one."""

    points: Tensor
    heights: Tensor


class _Walker(nn.Module):
    """A point on a surface as something that optimisers can move."""

    def __init__(self, surface: Surface) -> None:
        super().__init__()
        self.surface = surface
        # A row of its own dimension: penalties and decay count it as a weight, though the demonstrations use neither.
        self.point = nn.Parameter(torch.tensor([surface.start], dtype=torch.float64))

    def loss(self, batch: object) -> Loss:
        """The height."""
        return Loss(self.surface.height(self.point).sum(), 1)


def descend(surface: Surface, plan: Plan, steps: int) -> Path:
    """Walk down a surface by the very optimiser that trains networks, without schedule and decay.

    Args:
        surface: where; one of ``SURFACES`` or another.
        plan: its ``optimizer``, ``lr`` and ``momentum`` count.
        steps: at most so many; fewer where the height is no longer finite.
    """
    walker = _Walker(surface)
    plan = dataclasses.replace(plan, weight_decay=0.0)
    optimizer = make_optimizer(Player("point", [walker], walker.loss), plan)
    points, heights = [], []
    for _ in range(steps + 1):
        optimizer.zero_grad()
        height = walker.loss(None).total
        if not math.isfinite(height.item()):
            break
        points.append(walker.point.detach()[0].clone())
        heights.append(height.detach())
        height.backward()
        optimizer.step()
    return Path(torch.stack(points), torch.stack(heights))


def plain_rate(lr: float, curvatures: tuple[float, ...]) -> float:
    """By what factor a step of plain descent shrinks the distance to a quadratic's minimum, in the end.

    max |1 − ηλ| over the curvatures λ; at least 1 means divergence.
    """
    return max(abs(1 - lr * curvature) for curvature in curvatures)


def momentum_rate(lr: float, momentum: float, curvatures: tuple[float, ...]) -> float:
    """The same for heavy-ball momentum (Polyak, 1964).

    Along a curvature λ the distance follows e₍ₜ₊₁₎ = (1 + μ − ηλ) eₜ − μ e₍ₜ₋₁₎, which shrinks by the largest modulus of
    the roots of z² − (1 + μ − ηλ) z + μ = 0.
    """
    rates = []
    for curvature in curvatures:
        b = 1 + momentum - lr * curvature
        discriminant = b * b - 4 * momentum
        root = math.sqrt(abs(discriminant))
        rates.append(math.sqrt(momentum) if discriminant < 0 else (abs(b) + root) / 2)
    return max(rates)


def divergence_threshold(surface: Surface, steps: int = 400, tolerance: float = 1e-4) -> float:
    """The learning rate from which on plain descent on a quadratic diverges, found by halving an interval of trials.

    Theory: 2/λ_max.
    """
    low, high = 0.0, 1.0
    while not _diverges(surface, high, steps):
        low, high = high, 2 * high
    while high - low > tolerance * high:
        middle = (low + high) / 2
        low, high = (low, middle) if _diverges(surface, middle, steps) else (middle, high)
    return (low + high) / 2


def _diverges(surface: Surface, lr: float, steps: int) -> bool:
    heights = descend(surface, Plan(optimizer="sgd", lr=lr), steps).heights
    return len(heights) <= steps or bool(heights[-1] > heights[len(heights) // 2])
