"""Losses of class maps: cross-entropy, focal and Dice, alone and in sums."""

from collections.abc import Sequence
from typing import get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pendio.data.annotations.records import IGNORED
from pendio.descent.classes import balanced_weights
from pendio.descent.task import Loss
from pendio.errors import InputError, did_you_mean
from pendio.segmentation.kinds import ClassWeights, LossKind

__all__ = ["MapLoss", "class_weights", "dice", "focal"]

_NEXT_TO_NOTHING = 1e-12
"""Weight of a batch in which every pixel is ignored: its loss is 0, not 0/0."""


def focal(logits: Tensor, targets: Tensor, gamma: float = 2.0, weights: Tensor | None = None) -> Tensor:
    """Cross-entropy in which pixels that are known well already count little (Lin et al., 2017).

    FL = Σ −α_t·(1 − p_t)^γ·log p_t over all pixels that are not ignored, p_t being the probability of the true class.
    With γ = 0 it is the cross-entropy.

    Args:
        logits: ``(N, K, H, W)``.
        targets: ``(N, H, W)`` int64 class numbers; 255 is ignored.
        gamma: γ ≥ 0.
        weights: ``(K,)`` α of each class; None for 1.

    Returns:
        A scalar, the sum.
    """
    likelihood = -F.cross_entropy(logits, targets, ignore_index=IGNORED, reduction="none")
    # 1 − p by way of expm1, which is exact also where p is nearly 1; a power below 1 has no slope at 0.
    losses = -(-torch.expm1(likelihood)).clamp(min=_NEXT_TO_NOTHING).pow(gamma) * likelihood
    if weights is not None:
        losses = losses * F.pad(weights, (0, IGNORED + 1 - len(weights)))[targets]
    return losses.sum()


def dice(logits: Tensor, targets: Tensor) -> Tensor:
    """1 − the mean over classes of the soft Dice coefficient, which is 0 where the truth is met with certainty.

    D_c = 2·Σ p_c·t_c / (Σ p_c + Σ t_c), sums over all pixels of the batch that are not ignored (Milletari, Navab and
    Ahmadi, 2016, without their squares, as in Sudre et al., 2017). The mean is over classes that occur in the batch's
    truth: one that is absent counts neither as 0 nor as 1, and what is given to it is missing elsewhere. Being a ratio of
    sums, it is no sum over the parts of a batch.

    Args:
        logits: ``(N, K, H, W)``.
        targets: ``(N, H, W)`` int64 class numbers; 255 is ignored.

    Returns:
        A scalar in [0, 1]; 0 where every pixel is ignored.
    """
    classes = logits.shape[1]
    valid = targets != IGNORED
    probabilities = logits.softmax(1).movedim(1, -1)[valid]
    truth = targets[valid]
    given = probabilities.sum(0)
    wanted = torch.bincount(truth, minlength=classes).to(given)
    right = probabilities.gather(1, truth[:, None])[:, 0]
    met = torch.zeros_like(given).index_add(0, truth, right)
    coefficients = 2 * met / (given + wanted).clamp(min=_NEXT_TO_NOTHING)
    occurs = (wanted > 0).to(given)
    return (occurs * (1 - coefficients)).sum() / occurs.sum().clamp(min=1)


def class_weights(kind: ClassWeights, pixels: Sequence[int], name: str) -> list[float] | None:
    """The weight of each class in the loss, from how many training pixels it has.

    "balanced" weighs a class inversely to its pixels; "median-frequency" does so too, but such that the class in the
    middle weighs 1 (after Eigen and Fergus, 2015; they count only images in which a class occurs). A class without any
    pixel weighs 0 in both: there is nothing to learn from.

    Args:
        kind: which rule.
        pixels: how many training pixels each class has; empty where nobody counted.
        name: of the data, for messages.

    Returns:
        None for "none".

    Raises:
        InputError: pixels were not counted.
    """
    if kind == "none":
        return None
    if not sum(pixels):
        raise InputError(f"--class-weights {kind}: the pixels of the classes of '{name}' have not been counted")
    if kind == "balanced":
        weights = balanced_weights([count for count in pixels if count])
    else:
        present = torch.tensor([count for count in pixels if count], dtype=torch.float64)
        weights = (present.quantile(0.5) / present).tolist()
    each = iter(weights)
    return [next(each) if count else 0.0 for count in pixels]


class MapLoss(nn.Module):
    """A loss by name: the mean over pixels of cross-entropy or focal loss, Dice, or a mean plus Dice.

    Args:
        kind: "ce", "focal", "dice", "ce+dice" or "focal+dice".
        weights: ``(K,)`` of the classes in cross-entropy and focal loss; None for equal ones.
        gamma: γ of the focal loss.

    Raises:
        InputError: there is no such loss.
    """

    weights: Tensor | None

    def __init__(self, kind: LossKind = "ce", weights: Sequence[float] | None = None, gamma: float = 2.0) -> None:
        super().__init__()
        if kind not in get_args(LossKind):
            raise InputError(f"unknown loss '{kind}' in --loss: {did_you_mean(kind, get_args(LossKind))}")
        self.parts = kind.split("+")
        self.gamma = gamma
        self.register_buffer("weights", None if weights is None else torch.tensor(list(weights)), persistent=False)

    def forward(self, logits: Tensor, targets: Tensor) -> Loss:
        """The loss as a sum over pixels, and their number, or the sum of their classes' weights.

        Args:
            logits: ``(N, K, H, W)``.
            targets: ``(N, H, W)`` class numbers of any integer type; 255 is ignored.
        """
        logits, targets = logits if logits.dtype == torch.float64 else logits.float(), targets.long()
        weight = self._weight(targets).clamp(min=_NEXT_TO_NOTHING)
        total = logits.new_zeros(())
        if "ce" in self.parts:
            total = F.cross_entropy(logits, targets, self.weights, ignore_index=IGNORED, reduction="sum")
        if "focal" in self.parts:
            total = focal(logits, targets, self.gamma, self.weights)
        if "dice" in self.parts:
            total = total + weight * dice(logits, targets)
        return Loss(total, weight)

    def _weight(self, targets: Tensor) -> Tensor:
        if self.weights is None:
            return (targets != IGNORED).sum().float()
        return F.pad(self.weights, (0, IGNORED + 1 - len(self.weights)))[targets].sum()
