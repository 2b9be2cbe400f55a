"""The smallest change by optimisation: the L2 attack of Carlini and Wagner (2017)."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pendio.ascent.attacks.goal import Attacked, Goal, check_images
from pendio.ascent.canvas import Canvas, Masked
from pendio.ascent.climb import Climb, climb
from pendio.ascent.objectives import Objective
from pendio.ascent.reading import LOGITS, Precision, Readings, wide
from pendio.ascent.rules import Evaluate, by_image
from pendio.errors import InputError
from pendio.nn.network import Network

__all__ = ["CarliniWagner", "Tanh"]

INTERVALS = 20
"""How often in a climb an image's headway is judged."""


@dataclass(frozen=True)
class CarliniWagner:
    """Minimises ‖δ‖² + c·max(−margin, −confidence) by Adam, and seeks for each image the c of the smallest δ.

    Attributes:
        confidence: the margin that the wanted logit must have over all others; above 0, images survive more.
        steps: at most, for each c; an image that makes no more headway goes on to its next c.
        searches: how many c are tried.
        constant: the first c.
        lr: first step size of Adam in the space of the inverse tanh.
        mask: ``(1, 1, H, W)`` where images may change at all.
    """

    confidence: float = 0.0
    steps: int = 200
    searches: int = 7
    constant: float = 1.0
    lr: float = 0.1
    mask: Tensor | None = None

    def __post_init__(self) -> None:
        if not self.confidence >= 0:
            raise InputError(f"--confidence must not be negative, got {self.confidence:g}")
        if self.steps < 1 or self.searches < 1:
            raise InputError(f"--steps and --searches must be at least 1, got {self.steps} and {self.searches}")
        if not (self.constant > 0 and self.lr > 0):
            raise InputError(f"--constant and --lr must be positive, got {self.constant:g} and {self.lr:g}")

    def __call__(
        self, network: Network, images: Tensor, goal: Goal, *, seed: int = 0, precision: Precision = "float32"
    ) -> Attacked:
        """See :class:`Attack`. Nothing is random here: the seed changes nothing. Images whose goal is never reached with
        the confidence stay as they were.
        """
        check_images(network, images, goal)
        found = images.clone()
        distance = torch.full((len(images),), torch.inf, dtype=images.dtype, device=images.device)
        queries = torch.zeros(len(images), dtype=torch.long, device=images.device)
        constant = torch.full_like(distance, self.constant)
        low, high = torch.zeros_like(distance), torch.full_like(distance, torch.inf)
        for _ in range(self.searches):
            climbed = self._climb(network, images, goal, constant, precision)
            # Of an image that never succeeded nothing was kept, so that it has no value.
            succeeded = torch.isfinite(climbed.values)
            apart = (climbed.images - images).flatten(1).norm(dim=1)
            better = succeeded & (apart < distance)
            found[better], distance[better] = climbed.images[better], apart[better]
            queries += climbed.queries
            low, high = torch.where(succeeded, low, constant), torch.where(succeeded, constant, high)
            constant = _between(low, high)
        return Attacked(images, found, torch.isfinite(distance), queries)

    def _climb(self, network: Network, images: Tensor, goal: Goal, constant: Tensor, precision: Precision) -> Climb:
        """One descent for each image, by its own c; the nearest image that succeeds is kept."""
        canvas: Canvas = Tanh() if self.mask is None else Masked(Tanh(), images, self.mask)

        def squares(readings: Readings) -> Tensor:
            return (readings.images - images[readings.rows]).flatten(1).square().sum(1)

        def margin(readings: Readings) -> Tensor:
            return goal.margin(wide(readings[LOGITS]), readings.rows)

        def value(readings: Readings) -> Tensor:
            shortfall = (-margin(readings)).clamp(min=-self.confidence)
            return -(squares(readings) + constant[readings.rows] * shortfall)

        def nearness(readings: Readings) -> Tensor:
            return torch.where(margin(readings) > self.confidence, -squares(readings), -torch.inf)

        start = Tanh.points(images)
        rule = _Cooling(start, self.lr, math.ceil(self.steps / INTERVALS))
        objective = Objective(frozenset([LOGITS]), value)
        return climb(
            network, objective, canvas, start, rule=rule, steps=self.steps, project=Tanh.project, until=rule.settled,
            keep=nearness, precision=precision,
        )  # fmt: skip


def _between(low: Tensor, high: Tensor) -> Tensor:
    """The next c: ten times as much while none succeeded, a tenth while all did, else the geometric mean.

    The paper halves the interval, which takes long where c is off by orders of magnitude.
    """
    next_ = torch.where(low == 0, high / 10, (low * high).sqrt())
    return torch.where(torch.isinf(high), low * 10, next_)


@dataclass(frozen=True)
class Tanh:
    """Images as ½ + ½·tanh(w)/s, with |w| ≤ atanh(s).

    With s = 1, as in the paper, black and white lie at infinity, where no gradient moves them. Here they lie at the ends
    of the interval, and images can begin and end on them.
    """

    SPAN = 0.9

    @staticmethod
    def points(images: Tensor) -> Tensor:
        """The points that stand for images in [0, 1]."""
        return torch.atanh((2 * images - 1) * Tanh.SPAN)

    @staticmethod
    def project(points: Tensor) -> Tensor:
        """The nearest points that stand for images in [0, 1]."""
        end = math.atanh(Tanh.SPAN)
        return points.clamp(-end, end)

    def images(self, points: Tensor, rows: Tensor) -> Tensor:
        """See :class:`Canvas`."""
        images = 0.5 + 0.5 * torch.tanh(points) / self.SPAN
        # Rounding may lead beyond [0, 1]; cut off, it would have no gradient.
        return images + (images.clamp(0, 1) - images).detach()


class _Cooling:
    """Adam (Kingma and Ba, 2015) with a step size for each image.

    Near the border the objective has a crease, over which steps of one size jump for ever. So an image whose best value
    rose by less than a thousandth in an interval goes back to its best point, with steps of a quarter.
    """

    def __init__(self, start: Tensor, lr: float, interval: int) -> None:
        self.interval = interval
        self.taken = 0
        self.size = torch.full((len(start),), lr, dtype=start.dtype, device=start.device)
        self.least = lr / 4**3
        self.highest = torch.full_like(self.size, -torch.inf)
        self.judged = self.highest.clone()
        self.best = start.clone()
        self.mean, self.square = torch.zeros_like(start), torch.zeros_like(start)

    def settled(self, readings: Readings) -> Tensor:
        """``(n,)`` which images make no headway by the smallest steps."""
        return self.size[readings.rows] < self.least

    def step(self, points: Tensor, evaluate: Evaluate) -> None:
        """See :class:`Rule`."""
        values = evaluate()
        assert points.grad is not None
        here = points.detach().clone()
        better = values > self.highest
        self.highest = torch.where(better, values, self.highest)
        self.best[better] = here[better]
        self.taken += 1
        if self.taken % self.interval == 0:
            stuck = self.highest - self.judged <= 1e-3 * self.highest.abs()
            self.judged = self.highest.clone()
            self.size = torch.where(stuck, self.size / 4, self.size)
            here[stuck] = self.best[stuck]
        self.mean = 0.9 * self.mean + 0.1 * points.grad
        self.square = 0.999 * self.square + 0.001 * points.grad.square()
        mean, square = self.mean / (1 - 0.9**self.taken), self.square / (1 - 0.999**self.taken)
        points.data = here + by_image(self.size, here) * mean / (square.sqrt() + 1e-8)
