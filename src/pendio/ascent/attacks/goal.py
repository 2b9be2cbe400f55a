"""What an attack wants, and what came of it."""

from dataclasses import dataclass
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from pendio.ascent.objectives import Objective
from pendio.ascent.reading import LOGITS, Precision, Readings, wide
from pendio.errors import InputError
from pendio.nn.network import Network

__all__ = ["Attack", "Attacked", "Goal", "Loss", "check_images", "check_loss", "distances", "eight_bit"]

Loss = Literal["cross-entropy", "margin", "ratio"]


@dataclass(frozen=True)
class Goal:
    """To be taken for anything but a class, or for one class.

    Attributes:
        classes: ``(N,)`` the classes to leave or, when ``targeted``, to reach.
        targeted: which of both.
    """

    classes: Tensor
    targeted: bool = False

    def margin(self, logits: Tensor, rows: Tensor) -> Tensor:
        """``(n,)`` the wanted logit less the highest unwanted one: positive when the goal is reached."""
        wanted = self.classes.to(logits.device)[rows.to(logits.device)]
        own = logits.gather(1, wanted[:, None])[:, 0]
        others = logits.scatter(1, wanted[:, None], -torch.inf).amax(1)
        return own - others if self.targeted else others - own

    def objective(self, loss: Loss = "cross-entropy") -> Objective:
        """What to climb: cross-entropy towards or away from the classes, the margin, or the margin relative to the logits'
        spread, which no scaling of the network hides (Croce and Hein, 2020).
        """

        def value(readings: Readings) -> Tensor:
            logits = wide(readings[LOGITS])
            if loss == "margin":
                return self.margin(logits, readings.rows)
            if loss == "ratio":
                ranked = logits.topk(min(4, logits.shape[1]), dim=1).values
                third = ranked[:, min(2, ranked.shape[1] - 1)]
                floor = (third + ranked[:, -1]) / 2 if self.targeted else third
                return self.margin(logits, readings.rows) / (ranked[:, 0] - floor).clamp(min=1e-12)
            wanted = self.classes.to(logits.device)[readings.rows.to(logits.device)]
            entropy = F.cross_entropy(logits, wanted, reduction="none")
            return -entropy if self.targeted else entropy

        return Objective(frozenset([LOGITS]), value)

    def reached(self, readings: Readings) -> Tensor:
        """``(n,)`` whether each image is taken for what is wanted."""
        return self.margin(wide(readings[LOGITS]), readings.rows) > 0


@dataclass(frozen=True)
class Attacked:
    """What came of an attack, a row an image.

    Attributes:
        originals, images: ``(N, C, H, W)`` in [0, 1], before and after.
        reached: ``(N,)`` whether the goal was reached.
        queries: ``(N,)`` how often the network was run on it.
    """

    originals: Tensor
    images: Tensor
    reached: Tensor
    queries: Tensor


class Attack(Protocol):
    """An attack with its parameters, called like a function. It leaves the network as it was."""

    def __call__(
        self, network: Network, images: Tensor, goal: Goal, *, seed: int = 0, precision: Precision = "float32"
    ) -> Attacked:
        """Attack images ``(N, C, H, W)`` in [0, 1], each on its own: a batch of N gives what N singles give."""
        ...


def check_loss(loss: Loss, network: Network, goal: Goal) -> None:
    """Whether a loss can be climbed: with fewer classes than it ranks, "ratio" is constant.

    Raises:
        InputError: it cannot.
    """
    needed = 4 if goal.targeted else 3
    if loss == "ratio" and len(network.classes) < needed:
        raise InputError(
            f"--loss ratio needs {needed} classes{' to aim at one' if goal.targeted else ''}, and this network has "
            f"{len(network.classes)}; use --loss margin"
        )


def eight_bit(images: Tensor) -> Tensor:
    """The images as a PNG file keeps them: values in [0, 1] rounded to 255ths."""
    return (images.clamp(0, 1) * 255).round() / 255


def distances(originals: Tensor, images: Tensor) -> dict[str, Tensor]:
    """How far images were moved, ``(N,)`` each: ``l0`` pixels changed, ``l2``, ``linf``, and ``ssim``.

    SSIM is the structural similarity (Wang et al., 2004), 1 for equal images; of images under 7 pixels a side it is
    computed over windows of 3.
    """
    from skimage.metrics import structural_similarity

    apart = (images - originals).float()
    side = min(images.shape[2:])
    similar = [
        structural_similarity(
            before.cpu().numpy(), after.cpu().numpy(), data_range=1.0, channel_axis=0, win_size=7 if side >= 7 else 3
        )
        if side >= 3
        else float(bool((before == after).all()))
        for before, after in zip(originals.float(), images.float(), strict=True)
    ]
    return {
        "l0": (apart.abs().amax(1) > 1e-6).flatten(1).sum(1),
        "l2": apart.flatten(1).norm(dim=1),
        "linf": apart.flatten(1).abs().amax(1),
        "ssim": torch.tensor(similar, dtype=torch.float32),
    }


def check_images(network: Network, images: Tensor, goal: Goal) -> None:
    """What every attack must be sure of.

    Raises:
        InputError: images are not floats in [0, 1], or the goal has other rows or classes than there are.
    """
    if not images.is_floating_point() or bool(((images < 0) | (images > 1)).any()):
        raise InputError("an attack takes images with values in [0, 1] as floats: divide bytes by 255")
    if len(goal.classes) != len(images):
        raise InputError(f"the goal names {len(goal.classes)} classes for {len(images)} images")
    if len(images) and not 0 <= int(goal.classes.min()) <= int(goal.classes.max()) < len(network.classes):
        raise InputError(
            f"there is no class {int(goal.classes.max())}: they are numbered 0 to {len(network.classes) - 1}"
        )
