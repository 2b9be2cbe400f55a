"""The smallest change by linearising the network again and again: DeepFool (Moosavi-Dezfooli et al., 2016)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pendio.ascent.attacks.goal import Attacked, Goal, check_images
from pendio.ascent.constraints import Norm
from pendio.ascent.reading import LOGITS, Precision, Reader, frozen, wide
from pendio.ascent.rules import by_image
from pendio.errors import InputError
from pendio.nn.network import Network

__all__ = ["DeepFool"]

TINY = 1e-30


@dataclass(frozen=True)
class DeepFool:
    """Steps to the nearest border of the linearised network until the goal is reached.

    For class k with f = z_k − z_y and w = ∇f, that border is |f|/‖w‖₂ away along w, and |f|/‖w‖₁ along sign(w) in L∞.

    Attributes:
        norm: in which the nearest border is sought.
        steps: at most.
        overshoot: how far beyond the border images go, relative to the change.
        candidates: how many classes are looked at: of those that are not to be left, the ones with the highest logits.
            A targeted attack looks at its target alone.
        mask: ``(1, 1, H, W)`` where images may change at all.
    """

    norm: Norm = "l2"
    steps: int = 50
    overshoot: float = 0.02
    candidates: int = 10
    mask: Tensor | None = None

    def __post_init__(self) -> None:
        if self.steps < 1 or self.candidates < 1:
            raise InputError(f"--steps and --candidates must be at least 1, got {self.steps} and {self.candidates}")
        if not self.overshoot >= 0:
            raise InputError(f"--overshoot must not be negative, got {self.overshoot:g}")

    def __call__(
        self, network: Network, images: Tensor, goal: Goal, *, seed: int = 0, precision: Precision = "float32"
    ) -> Attacked:
        """See :class:`Attack`. Nothing is random here: the seed changes nothing.

        Raises:
            InputError: a value or gradient is not finite.
        """
        check_images(network, images, goal)
        with frozen(network):
            return _Walk(self, Reader(network, [LOGITS], precision), images, goal).end()


class _Walk:
    """An attack under way."""

    def __init__(self, attack: DeepFool, reader: Reader, images: Tensor, goal: Goal) -> None:
        self.attack, self.reader, self.images, self.goal = attack, reader, images, goal
        self.wanted = goal.classes.to(images.device)
        self.found = images.clone()
        self.moved = torch.zeros_like(images)  # without the overshoot
        self.active = torch.arange(len(images), device=images.device)
        self.reached = torch.zeros(len(images), dtype=torch.bool, device=images.device)
        self.queries = torch.zeros(len(images), dtype=torch.long, device=images.device)

    def end(self) -> Attacked:
        """Step until all images have arrived, or the steps are used up."""
        rivals = self._rivals(self._look())
        for _ in range(self.attack.steps):
            if not len(self.active):
                break
            self._move(self._step(rivals[self.active]))
            self._look()
        return Attacked(self.images, self.found, self.reached, self.queries)

    def _read(self, images: Tensor) -> Tensor:
        """The logits of the images still under way."""
        self.queries[self.active] += 1
        return wide(self.reader(images, self.active)[LOGITS])

    @torch.no_grad()
    def _look(self) -> Tensor:
        """The logits of the images still under way, of which those leave that have arrived."""
        logits = self._read(self.found[self.active])
        done = self.goal.margin(logits, self.active) > 0
        self.reached[self.active[done]] = True
        self.active = self.active[~done]
        return logits

    def _rivals(self, logits: Tensor) -> Tensor:
        """``(N, candidates)`` the classes that images may be taken for, the likeliest first."""
        if self.goal.targeted:
            return self.wanted[:, None]
        others = logits.scatter(1, self.wanted[:, None], -torch.inf)
        return others.topk(min(self.attack.candidates, logits.shape[1] - 1), dim=1).indices

    def _step(self, rivals: Tensor) -> Tensor:
        """``(n, C, H, W)`` from each image to its nearest border, one backward pass for each rank of rivals."""
        # The overshoot is no part of the path: a border that it has not crossed would be undershot once more.
        points = (self.images[self.active] + self.moved[self.active]).requires_grad_()
        logits = self._read(points)
        leaving = self.wanted[self.active]
        if self.goal.targeted:
            leaving = logits.detach().scatter(1, leaving[:, None], -torch.inf).argmax(1)
        own = logits.gather(1, leaving[:, None])[:, 0]
        nearest = torch.full_like(own, torch.inf).detach()
        step, beyond = torch.zeros_like(points), self._beyond()
        for rank in range(rivals.shape[1]):
            apart = logits.gather(1, rivals[:, rank, None])[:, 0] - own
            (slope,) = torch.autograd.grad(apart.sum(), [points], retain_graph=rank + 1 < rivals.shape[1])
            distance, direction = self._border(apart.detach(), self._free(points.detach(), slope))
            nearer = distance < nearest
            nearest = torch.where(nearer, distance, nearest)
            step = torch.where(by_image(nearer, step), by_image(distance + beyond, step) * direction, step)
        return step

    def _beyond(self) -> Tensor:
        """``(n,)`` a tenth of the overshoot: so far steps lead beyond the border, the first one not.

        Where borders meet, exact steps go from one to the other and never arrive; the paper adds 10⁻⁴ to |f|.
        """
        flat = self.moved[self.active].flatten(1)
        length = flat.norm(dim=1) if self.attack.norm == "l2" else flat.abs().amax(1)
        return self.attack.overshoot / 10 * length

    def _free(self, points: Tensor, slope: Tensor) -> Tensor:
        """The slope of pixels that can still move: not those at the end of [0, 1] that would leave it."""
        blocked = ((points <= 0) & (slope < 0)) | ((points >= 1) & (slope > 0))
        free = slope.masked_fill(blocked, 0)
        return free if self.attack.mask is None else free * self.attack.mask

    def _border(self, apart: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
        """How far the linearised border is, ``(n,)``, and the direction of length 1 that leads there."""
        order, flat = (2, slope) if self.attack.norm == "l2" else (1, slope.sign())
        size = slope.flatten(1).norm(order, dim=1)
        self._check(apart + size)
        distance = apart.abs() / size.clamp(min=TINY)
        return distance, flat / by_image(size.clamp(min=TINY), flat) if order == 2 else flat

    def _check(self, numbers: Tensor) -> None:
        finite = torch.isfinite(numbers)
        if not bool(finite.all()):
            image = int(self.active[~finite][0]) + 1
            raise InputError(
                f"a logit or its gradient is not finite for image {image}: the network overflows there; "
                "try float32 if it ran in bf16"
            )

    def _move(self, step: Tensor) -> None:
        """Add a step, and go the overshoot beyond."""
        start = self.images[self.active]
        moved = (start + self.moved[self.active] + step).clamp(0, 1) - start
        self.moved[self.active] = moved
        self.found[self.active] = (start + (1 + self.attack.overshoot) * moved).clamp(0, 1)
