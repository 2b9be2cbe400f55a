"""Optimisers, learning-rate schedules and penalties of a plan."""

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch.optim import Optimizer

from pendio.descent.plan import Plan
from pendio.descent.task import Player

__all__ = ["lr_factor", "make_optimizer", "penalize", "set_lr"]


def is_decayed(parameter: Tensor) -> bool:
    """Whether decay and penalties apply: to kernels and matrices, not to biases and normalisation's scales."""
    return parameter.ndim > 1


def make_optimizer(player: Player, plan: Plan) -> Optimizer:
    """The plan's optimiser over a player's trainable weights.

    Groups carry ``lr_factor``, their learning rate relative to the plan's.
    """
    groups = _groups(player, plan)
    if not groups:
        raise ValueError(f"player '{player.name}' has no weights to train")
    # One fused kernel for all weights: small networks spend more on launching updates than on computing them.
    match plan.optimizer:
        case "sgd":
            return torch.optim.SGD(groups, lr=plan.lr, fused=True)
        case "momentum":
            return torch.optim.SGD(groups, lr=plan.lr, momentum=plan.momentum, fused=True)
        case "nesterov":
            return torch.optim.SGD(groups, lr=plan.lr, momentum=plan.momentum, nesterov=True, fused=True)
        case "rmsprop":
            return torch.optim.RMSprop(groups, lr=plan.lr, momentum=plan.momentum, foreach=True)
        case "adam":
            return torch.optim.Adam(groups, lr=plan.lr, betas=(plan.beta1, plan.beta2), fused=True)
        case "adamw":
            return torch.optim.AdamW(groups, lr=plan.lr, betas=(plan.beta1, plan.beta2), fused=True)


def _groups(player: Player, plan: Plan) -> list[dict[str, object]]:
    """As few groups as there are different treatments: each costs a step of its own."""
    factors = list(player.lr_factors) or [1.0] * len(player.modules)
    members: dict[tuple[float, float], list[Tensor]] = {}
    for module, factor in zip(player.modules, factors, strict=True):
        for parameter in module.parameters():
            if parameter.requires_grad:
                decay = plan.weight_decay if is_decayed(parameter) else 0.0
                members.setdefault((decay, factor), []).append(parameter)
    return [
        {"params": parameters, "weight_decay": decay, "lr_factor": factor}
        for (decay, factor), parameters in members.items()
    ]


def set_lr(optimizers: Iterable[Optimizer], lr: float) -> None:
    """Give every group its share of the learning rate."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = lr * group["lr_factor"]


def lr_factor(plan: Plan, step: int, steps_per_epoch: int, total_steps: int) -> float:
    """Learning rate of a step relative to the plan's, in [0, 1].

    With warm-up of w steps it rises as (step + 1)/(w + 1); then, with t in [0, 1) the share of the remaining steps done:
    ``linear`` falls as 1 − t; ``cosine`` as (1 + cos πt)/2 (Loshchilov and Hutter, 2017); ``step`` drops by ``step_factor``
    every ``step_every`` epochs; ``onecycle`` rises from 1/25 to 1 by t = 0.3 and falls to 1/250,000, both along cosines
    (Smith, 2018); ``inverse-root`` falls as √(w/step) (Vaswani et al., 2017), whatever the number of steps to come.
    """
    warmup = round(plan.warmup * steps_per_epoch)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    t = (step - warmup) / max(1, total_steps - warmup)
    match plan.schedule:
        case "constant":
            return 1.0
        case "linear":
            return 1 - min(t, 1.0)
        case "step":
            return plan.step_factor ** (step // (plan.step_every * steps_per_epoch))
        case "cosine":
            return (1 + math.cos(math.pi * min(t, 1.0))) / 2
        case "onecycle":
            return _cosine(1 / 25, 1.0, t / 0.3) if t < 0.3 else _cosine(1.0, 4e-6, min(1.0, (t - 0.3) / 0.7))
        case "inverse-root":
            # A warm-up of less than half a step still has its one step, to fall from.
            return math.sqrt(max(1, warmup) / max(1, step))


def _cosine(start: float, end: float, t: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * t)) / 2


def penalize(parameters: Sequence[Tensor], l1: float, l2: float) -> None:
    """Add the gradient of l1·Σ|w| + l2/2·Σw² to the gradients of the decayed weights."""
    chosen = [p for p in parameters if p.grad is not None and is_decayed(p)]
    weights = [parameter.detach() for parameter in chosen]
    gradients = [parameter.grad for parameter in chosen if parameter.grad is not None]
    if l1 and weights:
        torch._foreach_add_(gradients, torch._foreach_sign(weights), alpha=l1)
    if l2 and weights:
        torch._foreach_add_(gradients, weights, alpha=l2)
