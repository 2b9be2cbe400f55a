"""Averages of weights over training: exponential (EMA) and over the last epochs (SWA)."""

import copy

import torch
from torch import Tensor

from pendio.descent.plan import Plan
from pendio.descent.task import Task

__all__ = ["Average"]


class Average:
    """A second copy of a task whose weights and buffers are an average of the first's.

    Buffers are averaged too: batch normalisation's running statistics must fit the averaged weights. Whole numbers, such
    as its count of batches, are copied.

    Args:
        task: the one that is trained.
        plan: says which average; ``ema`` moves by 1 − d each step, where d = min(``ema_decay``, (1 + t)/(10 + t)) so that
            early steps are forgotten soon; ``swa`` is the plain mean over epochs from ``swa_start`` on (Izmailov et al.,
            2018).
    """

    def __init__(self, task: Task, plan: Plan) -> None:
        self.task = copy.deepcopy(task).requires_grad_(False)
        self.plan = plan
        self.updates = 0
        self._pairs(task)

    def _pairs(self, task: Task) -> None:
        here, there = self.task.state_dict(keep_vars=True), task.state_dict(keep_vars=True)
        names = [name for name, value in here.items() if value.is_floating_point()]
        self._mine: list[Tensor] = [here[name].detach() for name in names]
        self._theirs: list[Tensor] = [there[name].detach() for name in names]
        self._copied = [(here[n].detach(), there[n].detach()) for n in here if not here[n].is_floating_point()]

    def after_step(self) -> None:
        """Take in the weights after an optimiser's step."""
        if self.plan.average == "ema":
            decay = min(self.plan.ema_decay, (1 + self.updates) / (10 + self.updates))
            self._move(1 - decay)

    def after_epoch(self, epoch: int) -> None:
        """Take in the weights after ``epoch``, counted from 0. Before ``swa_start`` the average is the last epoch."""
        if self.plan.average == "swa":
            averaging = epoch >= int(self.plan.swa_start * self.plan.epochs)
            self._move(1 / (self.updates + 1) if averaging else 1.0)
            self.updates = self.updates if averaging else 0

    def _move(self, share: float) -> None:
        """Move each value towards the trained one by ``share`` of the difference."""
        torch._foreach_lerp_(self._mine, self._theirs, share)
        for mine, theirs in self._copied:
            mine.copy_(theirs)
        self.updates += 1

    def state_dict(self) -> dict[str, object]:
        """What is needed to go on."""
        return {"updates": self.updates, "weights": self.task.state_dict()}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Go on from a saved state."""
        self.updates = int(state["updates"])  # type: ignore[call-overload]
        self.task.load_state_dict(state["weights"])  # type: ignore[arg-type]
