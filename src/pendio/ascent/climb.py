"""The climbing loop: the weights are fixed, and points move up the slope of an objective."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pendio.ascent.canvas import Canvas
from pendio.ascent.objectives import Objective
from pendio.ascent.reading import Precision, Reader, Readings, frozen
from pendio.ascent.rules import LBFGS, Rule
from pendio.ascent.transforms import Wobble
from pendio.errors import InputError
from pendio.nn.network import Network

__all__ = ["Climb", "OnStep", "climb", "counting_from"]

OnStep = Callable[[int, float], None]
"""Told after each step: how many are done, and the mean value before it."""


@dataclass(frozen=True)
class Climb:
    """Where a climb ended, a row an image.

    Attributes:
        images: ``(N, C, H, W)`` in [0, 1].
        points: ``(N, …)`` of the canvas.
        values: ``(N,)`` the objective of those images, unmoved.
        steps: ``(N,)`` how many each took.
        stopped: ``(N,)`` whether it stopped before its last step because it had arrived.
        queries: ``(N,)`` how often the network was run on it.
        history: mean value before each step, as the climb saw it.
    """

    images: Tensor
    points: Tensor
    values: Tensor
    steps: Tensor
    stopped: Tensor
    queries: Tensor
    history: list[float]


def climb(
    network: Network,
    objective: Objective,
    canvas: Canvas,
    start: Tensor,
    *,
    rule: Rule,
    steps: int,
    project: Callable[[Tensor], Tensor] | None = None,
    wobble: Wobble | None = None,
    until: Callable[[Readings], Tensor] | None = None,
    keep: Callable[[Readings], Tensor] | None = None,
    seed: int = 0,
    rows: Tensor | None = None,
    precision: Precision = "float32",
    on_step: OnStep | None = None,
) -> Climb:
    """Move points up the slope of an objective. Each image climbs on its own, and leaves the batch when it has arrived.

    Args:
        network: stays exactly as it is.
        objective: what to raise.
        canvas: the images that points stand for.
        start: ``(N, …)`` points to begin at; they stay as they are.
        rule: how to step.
        steps: how many at most.
        project: brings points back to where they may be, after each step.
        wobble: moves the images at random in each step.
        until: which images have arrived, ``(n,)`` of what was read; only without ``wobble``.
        keep: a score ``(n,)``: of each image the point of the highest score is kept instead of the last; only without
            ``wobble``.
        seed: of ``wobble``.
        rows: ``(N,)`` numbers of the images in ``wobble``'s draws; by default 0, 1, ….
        precision: number format of the network's passes.
        on_step: told how it goes.

    Raises:
        InputError: the network cannot take such images, a layer is missing, or a value or gradient is not finite.
    """
    if isinstance(rule, LBFGS) and len(start) > 1:
        raise ValueError("L-BFGS climbs with one image at a time")
    if wobble is not None and (until is not None or keep is not None):
        raise ValueError("until and keep look at images as they are: leave out wobble")
    with frozen(network):
        walk = _Walk(network, objective, canvas, start, until, keep, precision)
        walk.view(wobble, seed, rows)
        for step in range(steps):
            if walk.arrived():
                break
            rule.step(walk.points, walk.evaluate)
            if project is not None:
                walk.points.data = project(walk.points.data)
            walk.after_step(step, on_step)
        return walk.end()


def counting_from(done: int, on_step: OnStep | None) -> OnStep | None:
    """Tells ``on_step`` of the steps of one climb of several, ``done`` of which steps were taken before."""
    return None if on_step is None else lambda step, value: on_step(done + step, value)


class _Walk:
    """The state of a climb."""

    def __init__(
        self,
        network: Network,
        objective: Objective,
        canvas: Canvas,
        start: Tensor,
        until: Callable[[Readings], Tensor] | None,
        keep: Callable[[Readings], Tensor] | None,
        precision: Precision,
    ) -> None:
        self.objective, self.canvas, self.until, self.keep = objective, canvas, until, keep
        self.reader = Reader(network, objective.layers, precision)
        self.points = start.detach().clone().requires_grad_(True)
        count, device = len(start), start.device
        self.active = torch.arange(count, device=device)
        self.steps = torch.zeros(count, dtype=torch.long, device=device)
        self.queries = torch.zeros(count, dtype=torch.long, device=device)
        self.stopped = torch.zeros(count, dtype=torch.bool, device=device)
        self.kept = self.points.detach().clone()
        number = torch.promote_types(start.dtype, torch.float32)
        self.values = torch.full((count,), -torch.inf, device=device, dtype=number)
        self.scores = torch.full_like(self.values, -torch.inf)
        self.history: list[float] = []
        self._ahead: Readings | None = None

    def view(self, wobble: Wobble | None, seed: int, rows: Tensor | None) -> None:
        """How the network sees the images."""
        self.wobble, self.seed = wobble, seed
        self.numbers = torch.arange(len(self.points)) if rows is None else rows

    def _read(self, moved: bool) -> Readings:
        """What the network makes of the images still climbing."""
        everyone = len(self.active) == len(self.points)
        images = self.canvas.images(self.points if everyone else self.points[self.active], self.active)
        if moved and self.wobble is not None:
            images = self.wobble(images, self.seed, len(self.history), self.numbers[self.active.cpu()])
        self.queries[self.active] += 1
        return self.reader(images, self.active)

    def arrived(self) -> bool:
        """Look at the images still climbing, and let those leave that have arrived; whether all have left."""
        if self.until is None and self.keep is None:
            return False
        readings = self._look()
        self._ahead = readings if len(self.active) else None
        return len(self.active) == 0

    def _look(self) -> Readings:
        """Take in where the images are; what was read of those that go on."""
        readings = self._read(moved=False)
        with torch.no_grad():
            better = torch.ones_like(self.active, dtype=torch.bool)
            if self.keep is not None:
                scores = self.keep(readings).to(self.scores)
                better = scores > self.scores[self.active]
                self.scores[self.active[better]] = scores[better]
            chosen = self.active[better]
            self.kept[chosen] = self.points.detach()[chosen]
            self.values[chosen] = self.objective(readings)[better].to(self.values)
            if self.until is None or not bool((done := self.until(readings)).any()):
                return readings
            self.stopped[self.active[done]] = True
            self.active = self.active[~done]
        return Readings(
            readings.images[~done],
            {layer: output[~done] for layer, output in readings.outputs.items()},
            readings.rows[~done],
        )

    def evaluate(self) -> Tensor:
        """Values of all images, −∞ for those that have left; sets the gradient of the points."""
        readings, self._ahead = self._ahead or self._read(moved=True), None
        values = self.objective(readings)
        (self.points.grad,) = torch.autograd.grad(values.sum(), [self.points])
        at = len(self.history) + 1
        self._check(values, "objective", at)
        self._check(self.points.grad[self.active].flatten(1).sum(1), "gradient", at)
        self.history.append(float(values.detach().mean()))
        everyone = torch.full_like(self.values, -torch.inf)
        everyone[self.active] = values.detach().to(everyone)
        return everyone

    def _check(self, numbers: Tensor, what: str, step: int) -> None:
        finite = torch.isfinite(numbers.detach())
        if not bool(finite.all()):
            image = int(self.active[~finite][0]) + 1
            raise InputError(
                f"the {what} is not finite at step {step} for image {image}: the network overflows there; "
                "try smaller steps, or float32 if it ran in bf16"
            )

    def after_step(self, step: int, on_step: OnStep | None) -> None:
        """Count, and tell."""
        self.steps[self.active] += 1
        if on_step is not None:
            on_step(step + 1, self.history[-1])

    @torch.no_grad()
    def end(self) -> Climb:
        """Take in where the last step led."""
        if len(self.active) and (self.until is not None or self.keep is not None):
            self._look()
        elif len(self.active):
            readings = self._read(moved=False)
            self.kept[self.active] = self.points[self.active]
            self.values[self.active] = self.objective(readings).to(self.values)
        images = self.canvas.images(self.kept, torch.arange(len(self.kept), device=self.kept.device))
        return Climb(images, self.kept, self.values, self.steps, self.stopped, self.queries, self.history)
