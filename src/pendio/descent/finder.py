"""The learning-rate finder: a short walk whose steps grow until the loss breaks down (Smith, 2017)."""

import copy
import itertools
import math
from dataclasses import dataclass

import torch
from torch import nn

from pendio.descent.devices import launch
from pendio.descent.optimizers import make_optimizer, set_lr
from pendio.descent.plan import Plan
from pendio.descent.task import Task, TrainingData
from pendio.errors import InputError

__all__ = ["Search", "find_lr"]

_LOWEST, _HIGHEST = 1e-6, 10.0


@dataclass(frozen=True)
class Search:
    """Learning rates that were tried, rising, the smoothed loss after each, and the suggested one."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    suggestion: float


def find_lr(task: Task, data: TrainingData, plan: Plan, steps: int = 100) -> Search:
    """Find a learning rate: where the loss falls fastest, on a copy of the task.

    The rate grows by a constant factor each step from 10⁻⁶ to 10; the loss is smoothed over about ten steps, and the walk
    ends where it is four times its lowest.

    Args:
        task: not changed.
        data: its training split is walked through, again from the start where it is short.
        plan: its optimiser, batch and seed count.
        steps: how many rates to try.

    Raises:
        InputError: the loss never falls.
    """
    fabric = launch(plan)
    walker = copy.deepcopy(task).to(fabric.device).train()
    if any(isinstance(module, nn.Conv2d) for module in walker.modules()):
        walker.to(memory_format=torch.channels_last)
    player = walker.players()[0]
    optimizer = make_optimizer(player, plan)
    split, size = data.train.to(fabric.device), plan.batch_size(len(data.train))
    growth = (_HIGHEST / _LOWEST) ** (1 / max(1, steps - 1))
    batches = (batch for epoch in itertools.count() for batch in split.batches(size, seed=plan.seed, epoch=epoch))
    rates: list[float] = []
    losses: list[float] = []
    smooth = 0.0
    for step, batch in enumerate(itertools.islice(batches, steps)):
        rate = _LOWEST * growth**step
        set_lr([optimizer], rate)
        optimizer.zero_grad()
        loss = player.loss(type(batch)(*(column.to(fabric.device) for column in batch)))
        mean = loss.total / loss.weight
        mean.backward()
        optimizer.step()
        smooth = 0.9 * smooth + 0.1 * mean.item()
        value = smooth / (1 - 0.9 ** (step + 1))
        if not math.isfinite(value) or (losses and value > 4 * min(losses)):
            break
        rates.append(rate)
        losses.append(value)
    return Search(tuple(rates), tuple(losses), _steepest(rates, losses))


def _steepest(rates: list[float], losses: list[float]) -> float:
    """Where the loss falls most over five tries: rates are spaced evenly on their logarithmic axis."""
    reach = 5
    falls = [losses[place - reach] - losses[place] for place in range(reach, len(losses))]
    if not falls or max(falls) <= 0:
        raise InputError("the loss does not fall at any learning rate: look at the data and the labels first")
    return rates[falls.index(max(falls)) + reach]
