"""Projected gradient ascent that finds its own step size: AutoPGD (Croce and Hein, 2020)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pendio.ascent.attacks.goal import Attacked, Goal, Loss, check_images, check_loss, eight_bit
from pendio.ascent.attacks.gradient import Levels, check_search, random_start, with_restarts
from pendio.ascent.canvas import Pixels
from pendio.ascent.climb import Climb, climb
from pendio.ascent.constraints import Ball, Norm
from pendio.ascent.reading import LOGITS, Precision, wide
from pendio.ascent.rules import Evaluate, by_image
from pendio.nn.network import Network

__all__ = ["AutoPGD", "checkpoints"]

MOMENTUM = 0.75
"""α, the share of the new step against that of the last one."""

RISING = 0.75
"""ρ, the share of steps that must raise the loss for a step size to be kept."""


@dataclass(frozen=True)
class AutoPGD:
    """Gradient ascent with momentum whose steps start at the ball's diameter and halve when they bring nothing more.

    Attributes:
        epsilon: the largest distance, in units of the images' range: 8/255 is eight grey levels.
        norm: in which it is measured.
        steps: at most, for each start.
        restarts: how many random starts are tried; an image whose goal is reached is not tried again.
        loss: what is climbed; "ratio" needs three classes, and four when a class is aimed at.
        eight_bit: look for images that survive saving in 8 bits. The originals then count as 8 bits keep them, too.
        mask: ``(1, 1, H, W)`` where images may change at all.
    """

    epsilon: float = 8 / 255
    norm: Norm = "linf"
    steps: int = 100
    restarts: int = 1
    loss: Loss = "ratio"
    eight_bit: bool = True
    mask: Tensor | None = None

    def __post_init__(self) -> None:
        check_search(self.epsilon, self.steps, self.restarts)

    def __call__(
        self, network: Network, images: Tensor, goal: Goal, *, seed: int = 0, precision: Precision = "float32"
    ) -> Attacked:
        """See :class:`Attack`. Images whose goal is not reached are shown where the loss was highest."""
        check_images(network, images, goal)
        check_loss(self.loss, network, goal)

        def attempt(originals: Tensor, goal: Goal, number: int) -> Climb:
            ball = Ball(originals, self.epsilon, self.norm, self.mask)
            return climb(
                network, goal.objective(self.loss), Levels(ball) if self.eight_bit else Pixels(),
                random_start(ball, seed, number), rule=_Halving(ball, self.steps), steps=self.steps, project=ball,
                until=goal.reached, keep=lambda readings: goal.margin(wide(readings[LOGITS]), readings.rows),
                precision=precision,
            )  # fmt: skip

        return with_restarts(eight_bit(images) if self.eight_bit else images, goal, self.restarts, attempt)


def checkpoints(steps: int) -> list[int]:
    """After which steps the step size is judged: at 22 % of all, then at intervals 3 % shorter each, down to 6 %."""
    percent, gap, found = 0, 22, []
    while percent + gap <= 100:
        percent, gap = percent + gap, max(gap - 3, 6)
        found.append(-(-percent * steps // 100))
    return sorted(set(found))


class _Halving:
    """x⁺ = P(x + α(z − x) + (1 − α)(x − x⁻)) with z = P(x + η·direction), from x⁻ to x to x⁺, η = 2ε at first.

    At a checkpoint an image halves its η and goes back to its best point, if fewer than ρ of the steps since the last
    one raised its loss, or if neither its η nor its best loss has changed.
    """

    def __init__(self, ball: Ball, steps: int) -> None:
        device = ball.center.device
        self.ball = ball
        self.checkpoints = [0, *checkpoints(steps)]
        self.taken = 0
        self.size = torch.full((len(ball.center),), 2 * ball.radius, dtype=ball.center.dtype, device=device)
        self.before = torch.full_like(self.size, -torch.inf)
        self.rises = torch.zeros_like(self.size)
        self.halved = torch.zeros_like(self.size, dtype=torch.bool)
        self.highest, self.judged = self.before.clone(), self.before.clone()
        self.best = ball.center.clone()
        self.slope = torch.zeros_like(ball.center)
        self.last = ball.center

    def step(self, points: Tensor, evaluate: Evaluate) -> None:
        """See :class:`Rule`."""
        values = evaluate()
        assert points.grad is not None
        here, gradient = points.detach().clone(), points.grad
        self._note(here, gradient, values)
        if self.taken in self.checkpoints[1:]:
            stuck = self._judge()
            here[stuck], gradient[stuck] = self.best[stuck], self.slope[stuck]
        ahead = self.ball(here + by_image(self.size, here) * self._direction(gradient))
        if self.taken:
            ahead = here + MOMENTUM * (ahead - here) + (1 - MOMENTUM) * (here - self.last)
        self.last = here
        points.data = ahead
        self.taken += 1

    def _direction(self, gradient: Tensor) -> Tensor:
        """The steepest ascent of length 1 in the ball's norm."""
        if self.ball.norm == "linf":
            return gradient.sign()
        within = gradient if self.ball.mask is None else gradient * self.ball.mask
        return within / by_image(within.flatten(1).norm(dim=1).clamp(min=1e-30), within)

    def _note(self, here: Tensor, gradient: Tensor, values: Tensor) -> None:
        """Count what rose, and remember the best points and their gradients."""
        self.rises += (values > self.before) if self.taken else 0
        self.before = values
        better = values > self.highest
        self.highest = torch.where(better, values, self.highest)
        self.best[better], self.slope[better] = here[better], gradient[better]

    def _judge(self) -> Tensor:
        """At a checkpoint: ``(N,)`` which images halve their steps and go back to their best point."""
        at = self.checkpoints.index(self.taken)
        few = self.rises < RISING * (self.checkpoints[at] - self.checkpoints[at - 1])
        stuck = few | (~self.halved & (self.highest <= self.judged))
        self.size = torch.where(stuck, self.size / 2, self.size)
        self.before = torch.where(stuck, self.highest, self.before)
        self.halved, self.judged = stuck, self.highest.clone()
        self.rises = torch.zeros_like(self.rises)
        return stuck
