"""Attacks that climb the loss by its gradient within a ball: FGSM, iterative, momentum and PGD."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pendio.ascent.attacks.goal import Attacked, Goal, Loss, check_images, check_loss, eight_bit
from pendio.ascent.canvas import Pixels, noise
from pendio.ascent.climb import Climb, climb
from pendio.ascent.constraints import Ball, Norm
from pendio.ascent.reading import Precision
from pendio.ascent.rules import Normalized, Rule, Sign
from pendio.errors import InputError
from pendio.nn.network import Network

__all__ = ["PGD", "Levels", "check_search", "fgsm", "iterative", "momentum", "random_start", "with_restarts"]


@dataclass(frozen=True)
class Levels:
    """Pixels that the network sees as a PNG file will keep them: whole grey levels, 255ths, within a ball.

    Levels are rounded to the nearest, as far as the ball allows. The gradient passes the rounding unchanged.

    Attributes:
        ball: around images of whole levels.
    """

    ball: Ball

    def images(self, points: Tensor, rows: Tensor) -> Tensor:
        """The nearest images of whole levels in the ball."""
        center = self.ball.center[rows]
        levels = (center * 255).round() + self._rounded((points.detach() - center) * 255)
        return levels / 255 + (points - points.detach())

    def _rounded(self, apart: Tensor) -> Tensor:
        size, radius = apart.abs(), self.ball.radius * 255
        # What a float lacks of a whole level is an error of its arithmetic.
        whole = (size + 1e-3).floor()
        part = size - whole
        up = part >= 0.5
        if self.ball.norm == "linf":
            up &= whole + 1 <= radius + 1e-3
        else:
            # One level more costs (w + 1)² − w² of the squared radius: spent first where rounding up is the nearest.
            cost = torch.where(up, 2 * whole + 1, 0).flatten(1)
            order = part.flatten(1).argsort(dim=1, descending=True, stable=True)
            spent = whole.flatten(1).square().sum(1, keepdim=True) + cost.gather(1, order).cumsum(1)
            up &= torch.zeros_like(cost, dtype=torch.bool).scatter(1, order, spent <= radius**2).view_as(up)
        return apart.sign() * (whole + up)


@dataclass(frozen=True)
class PGD:
    """Projected gradient ascent from random starts (Madry et al., 2018).

    Attributes:
        epsilon: the largest distance, in units of the images' range: 8/255 is eight grey levels.
        norm: in which it is measured.
        steps: at most, for each start.
        step: size of a step; by default 2.5 · epsilon / steps, at least a grey level.
        restarts: how many starts are tried; an image whose goal is reached is not tried again.
        random_start: begin at a random point of the ball instead of the image.
        momentum: share of the last step's direction that is kept (L∞ only).
        loss: what is climbed.
        eight_bit: look for images that survive saving in 8 bits. The originals then count as 8 bits keep them, too.
        mask: ``(1, 1, H, W)`` where images may change at all.
    """

    epsilon: float = 8 / 255
    norm: Norm = "linf"
    steps: int = 40
    step: float | None = None
    restarts: int = 1
    random_start: bool = True
    momentum: float = 0.0
    loss: Loss = "cross-entropy"
    eight_bit: bool = True
    mask: Tensor | None = None

    def __post_init__(self) -> None:
        check_search(self.epsilon, self.steps, self.restarts)

    def __call__(
        self, network: Network, images: Tensor, goal: Goal, *, seed: int = 0, precision: Precision = "float32"
    ) -> Attacked:
        """See :class:`Attack`."""
        check_images(network, images, goal)
        check_loss(self.loss, network, goal)

        def attempt(originals: Tensor, goal: Goal, number: int) -> Climb:
            ball = Ball(originals, self.epsilon, self.norm, self.mask)
            return climb(
                network, goal.objective(self.loss), Levels(ball) if self.eight_bit else Pixels(),
                random_start(ball, seed, number) if self.random_start else originals, rule=self._rule(), steps=self.steps,
                project=ball, until=goal.reached, precision=precision,
            )  # fmt: skip

        return with_restarts(eight_bit(images) if self.eight_bit else images, goal, self.restarts, attempt)

    def _rule(self) -> Rule:
        size = self.step if self.step is not None else max(2.5 * self.epsilon / self.steps, 1 / 255)
        return Sign(min(size, self.epsilon), self.momentum) if self.norm == "linf" else Normalized(size)


def check_search(epsilon: float, steps: int, restarts: int) -> None:
    """Whether a ball can be searched so.

    Raises:
        InputError: a number is out of its range.
    """
    if not epsilon >= 0:
        raise InputError(f"--epsilon must not be negative, got {epsilon:g}")
    if steps < 1 or restarts < 1:
        raise InputError(f"--steps and --restarts must be at least 1, got {steps} and {restarts}")


def random_start(ball: Ball, seed: int, attempt: int) -> Tensor:
    """A random point of each image's ball, by the same numbers for all: an image's company must not matter to it."""
    draws = noise(tuple(ball.center.shape[1:]), seed, torch.zeros(1, dtype=torch.long), attempt)
    return ball.start(draws.to(ball.center).expand_as(ball.center))


def with_restarts(
    originals: Tensor, goal: Goal, restarts: int, attempt: Callable[[Tensor, Goal, int], Climb]
) -> Attacked:
    """Climb from several starts; an image whose goal is reached is not tried again, and others show where they came highest.

    Args:
        originals: ``(N, C, H, W)``.
        goal: of each of them.
        restarts: how many starts are tried.
        attempt: climbs from one start with some of the originals, until their goal is reached.
    """
    found = originals.clone()
    reached = torch.zeros(len(originals), dtype=torch.bool, device=originals.device)
    queries = torch.zeros(len(originals), dtype=torch.long, device=originals.device)
    highest = torch.full((len(originals),), -torch.inf, device=originals.device)
    for number in range(restarts):
        left = (~reached).nonzero()[:, 0]
        if not len(left):
            break
        climbed = attempt(originals[left], replace(goal, classes=goal.classes[left.to(goal.classes.device)]), number)
        better = climbed.stopped | (climbed.values > highest[left])
        found[left[better]] = climbed.images[better]
        highest[left[better]] = climbed.values[better].to(highest)
        reached[left] = climbed.stopped
        queries[left] += climbed.queries
    return Attacked(originals, found, reached, queries)


def fgsm(epsilon: float = 8 / 255) -> PGD:
    """The fast gradient sign method: one step of the ball's radius from the image (Goodfellow et al., 2015)."""
    return PGD(epsilon=epsilon, steps=1, step=epsilon, random_start=False)


def iterative(epsilon: float = 8 / 255, steps: int = 10) -> PGD:
    """The basic iterative method: small steps from the image itself (Kurakin et al., 2017)."""
    return PGD(epsilon=epsilon, steps=steps, random_start=False)


def momentum(epsilon: float = 8 / 255, steps: int = 10, share: float = 1.0) -> PGD:
    """The momentum iterative method, whose images fool other networks more often (Dong et al., 2018)."""
    return PGD(epsilon=epsilon, steps=steps, random_start=False, momentum=share)
