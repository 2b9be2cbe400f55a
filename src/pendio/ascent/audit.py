"""Looking at a result with other eyes than the climb's: saved and read back, seen from elsewhere, among real images."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from pendio.ascent.attacks.goal import Attacked, Goal, distances, eight_bit
from pendio.ascent.attacks.gradient import PGD
from pendio.ascent.constraints import Norm
from pendio.ascent.objectives import Objective
from pendio.ascent.reading import LOGITS, Reader, Readings, frozen
from pendio.ascent.transforms import Wobble
from pendio.data.embedded import PHOTOS, photo
from pendio.data.streams import frame
from pendio.nn.network import Network

__all__ = ["AttackAudit", "Audit", "audit", "audit_attack", "look", "real_photos"]

_HELD_OUT_SEED = (1 << 40) + 1
_VIEWS = 8
_CHUNK = 32


@dataclass(frozen=True)
class Audit:
    """What holds of an image beyond the climb that made it, a row an image.

    Attributes:
        value: ``(N,)`` the objective.
        saved: ``(N,)`` the same after saving in 8 bits and reading back.
        held_out: ``(N,)`` its mean over views that the climb never saw.
        real: ``(N, M)`` what each image's objective makes of M real images; None where there are none to compare with.
        outputs: "logits", or "probabilities" where the network ends in a softmax, which flattens every slope.
        was_training: whether the network was in training mode before it was looked into; the climb was not.
    """

    value: Tensor
    saved: Tensor
    held_out: Tensor
    real: Tensor | None
    outputs: str
    was_training: bool

    def to_dict(self, row: int) -> dict[str, Any]:
        """One image's, for tables and ``--json``."""
        found: dict[str, Any] = {
            "value": float(self.value[row]),
            "after_saving": float(self.saved[row]),
            "held_out_views": float(self.held_out[row]),
        }
        if self.real is not None:
            found["highest_real"] = float(self.real[row].max())
            found["percentile"] = float(100 * (self.real[row] < self.saved[row]).float().mean())
        return found | {"outputs": self.outputs, "was_training": self.was_training}


@lru_cache(maxsize=4)
def real_photos(size: int) -> Tensor:
    """The embedded photographs, ``(17, 3, size, size)`` in [0, 1]: real images for networks of colour pictures."""
    return torch.stack([frame(photo(name), size) for name in PHOTOS]).float() / 255


@torch.no_grad()
def look(network: Network, objective: Objective, images: Tensor, rows: Tensor) -> Tensor:
    """``(N,)`` values of an objective, in chunks; ``rows`` tells which of the climb's images each is compared with."""
    with frozen(network):
        reader = Reader(network, objective.layers)
        pairs = zip(images.split(_CHUNK), rows.split(_CHUNK), strict=True)
        return torch.cat([objective(reader(part, numbers)) for part, numbers in pairs])


@torch.no_grad()
def audit(
    network: Network, objective: Objective, images: Tensor, real: Tensor | None = None, was_training: bool = False
) -> Audit:
    """Audit images that were climbed to.

    Args:
        network: what was looked into.
        objective: what was climbed.
        images: ``(N, C, H, W)`` in [0, 1].
        real: ``(M, C, H, W)`` real images to compare with.
        was_training: the network's mode before.
    """
    count = len(images)
    rows = torch.arange(count, device=images.device)
    value = look(network, objective, images, rows)
    saved = look(network, objective, eight_bit(images), rows)
    wobble = Wobble.for_side(min(images.shape[2:]))
    views = [look(network, objective, wobble(images, _HELD_OUT_SEED, view, rows), rows) for view in range(_VIEWS)]
    among = _look_for_each(network, objective, real.to(images), count) if real is not None and len(real) else None
    return Audit(value, saved, torch.stack(views).mean(0), among, outputs(network, images), was_training)


def _look_for_each(network: Network, objective: Objective, images: Tensor, count: int) -> Tensor:
    """``(count, M)`` what the objective of each of the climb's images makes of M others, which are run once for all."""
    columns = []
    with frozen(network):
        reader = Reader(network, objective.layers)
        for part in images.split(_CHUNK):
            seen = reader(part)
            rows = [torch.full((len(part),), row, device=images.device) for row in range(count)]
            columns.append(torch.stack([objective(replace(seen, rows=row)) for row in rows]))
    return torch.cat(columns, 1)


@torch.no_grad()
def outputs(network: Network, images: Tensor) -> str:
    """Whether a network ends in "logits" or in "probabilities"."""
    with frozen(network):
        found = Reader(network, [LOGITS])(images[:_CHUNK])[LOGITS].float()
    sums = bool(
        found.ndim == 2 and (found >= 0).all() and torch.allclose(found.sum(1), torch.ones(len(found)), atol=1e-3)
    )
    return "probabilities" if sums else "logits"


@dataclass(frozen=True)
class AttackAudit:
    """What holds of an attack's images once they are PNG files.

    Attributes:
        saved: ``(N, C, H, W)`` as read back.
        reached: ``(N,)`` whether the goal is still reached.
        moved: distances, ``(N,)`` each.
        within: ``(N,)`` whether the saved image keeps the budget; all where there is none.
        predicted, certainty: ``(N,)`` the class and its probability.
        outputs: see :class:`Audit`.
        zero_gradients: share of the originals at which the loss has no gradient: a sign of gradient masking.
        unbounded: share of the originals that fall to this attack or to one without a budget; less than all is another.
    """

    saved: Tensor
    reached: Tensor
    moved: dict[str, Tensor]
    within: Tensor
    predicted: Tensor
    certainty: Tensor
    outputs: str
    zero_gradients: float
    unbounded: float


def audit_attack(
    network: Network, attacked: Attacked, goal: Goal, epsilon: float | None = None, norm: Norm = "linf"
) -> AttackAudit:
    """Audit an attack's images against its goal and budget."""
    saved = eight_bit(attacked.images)
    with frozen(network), torch.no_grad():
        reader = Reader(network, [LOGITS])
        logits = torch.cat([reader(part)[LOGITS].float() for part in saved.split(_CHUNK)])
    reached = goal.margin(logits, torch.arange(len(saved))) > 0
    moved = distances(attacked.originals, saved)
    within = torch.ones_like(reached) if epsilon is None else moved[norm] <= epsilon + 1e-5
    certainty, predicted = logits.softmax(1).max(1)
    zero, unbounded = _masking(network, attacked.originals[:_CHUNK], goal, reached[:_CHUNK])
    return AttackAudit(
        saved, reached, moved, within, predicted, certainty, outputs(network, saved), zero, unbounded
    )  # fmt: skip


def _masking(network: Network, images: Tensor, goal: Goal, reached: Tensor) -> tuple[float, float]:
    """Share of images without a gradient, and of those that were reached or fall to an attack without a budget."""
    classes = goal.classes[: len(images)]
    with frozen(network):
        points = images.clone().requires_grad_(True)
        readings: Readings = Reader(network, [LOGITS])(points)
        (gradient,) = torch.autograd.grad(Goal(classes, goal.targeted).objective()(readings).sum(), [points])
    still = (gradient.flatten(1).abs().amax(1) < 1e-12).float().mean()
    left = ~reached
    if bool(left.any()):
        free = PGD(epsilon=1.0, steps=40, step=4 / 255)(network, images[left], Goal(classes[left], goal.targeted))
        reached = reached.clone()
        reached[left] = free.reached
    return float(still), float(reached.float().mean())
