"""One step: each player takes its turn."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from pendio.descent.finite import Guard
from pendio.descent.optimizers import penalize
from pendio.descent.plan import Plan
from pendio.descent.task import Loss, Task

__all__ = ["Step", "Turns", "clip", "split_batch"]


class Turns(nn.Module):
    """A task whose forward pass is a player's loss: what Fabric wraps for precision and for many devices."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task = task
        self.players = list(task.players())

    def forward(self, player: int, batch: Any) -> tuple[Tensor, Tensor | float]:
        """Total and weight of a player's loss on a batch."""
        return tuple(self.players[player].loss(batch))  # type: ignore[return-value]  # DDP knows plain tuples


def split_batch(batch: Any, parts: int) -> list[Any]:
    """A tuple of tensors with one row an example, cut into ``parts`` of nearly equal size; empty ones are left out."""
    if parts == 1:
        return [batch]
    columns = [column.tensor_split(parts) for column in batch]
    pieces = [piece for piece in zip(*columns, strict=True) if len(piece[0])]
    return [type(batch)(*piece) if hasattr(batch, "_fields") else piece for piece in pieces]


class Step:
    """Takes the players' turns on a batch.

    A turn's gradient is that of Σ total / Σ weight, over the parts of the batch and over all processes: exactly the
    whole batch's, however it was cut up.

    Args:
        fabric: the processes.
        turns: the task's turns, set up by ``fabric``.
        optimizers: one a player, in order, set up by ``fabric``.
        plan: says what happens to a gradient before the update.
        guard: looks at each loss before the update.
    """

    def __init__(self, fabric: Fabric, turns: Any, optimizers: Sequence[Any], plan: Plan, guard: Guard) -> None:
        self._fabric = fabric
        self._turns = turns
        self._optimizers = optimizers
        self._plan = plan
        self._guard = guard
        self._weights = [[p for group in optimizer.param_groups for p in group["params"]] for optimizer in optimizers]
        self._direct = plan.accumulate == 1 and fabric.world_size == 1
        # In full precision Fabric's wrapper has nothing to add, and small networks would notice what it costs.
        self._run = turns._forward_module if self._direct and plan.precision == "float32" else turns

    def __call__(self, batch: Any, step: int, stop: bool) -> tuple[list[Loss], bool]:
        """Every player's loss over the whole batch, and whether any process was asked to stop.

        Raises:
            LossNotFinite: see :class:`Guard`.
        """
        losses = []
        for index in range(len(self._optimizers)):
            loss, stop = self._backward(index, batch, stop)
            self._guard.admit(step, loss.total, self._optimizers[index].optimizer)
            losses.append(loss)
            self._update(index)
        return losses, stop

    def _backward(self, index: int, batch: Any, stop: bool) -> tuple[Loss, bool]:
        for parameter in self._weights[index]:
            parameter.grad = None
        if self._direct:
            total, weight = self._run(index, batch)
            if self._run is self._turns:
                self._fabric.backward(total / weight)
            else:
                (total / weight).backward()
            return Loss(total.detach(), weight), stop
        parts = split_batch(batch, self._plan.accumulate)
        sums = torch.zeros(3, device=self._fabric.device)
        for number, part in enumerate(parts, 1):
            with self._fabric.no_backward_sync(self._turns, enabled=number < len(parts)):
                total, weight = self._turns(index, part)
                self._fabric.backward(total)
            sums[0] += total.detach()
            sums[1] += weight
        # The request to stop travels with the sums, so that all processes stop after the same step.
        sums[2] = float(stop)
        sums = cast(Tensor, self._fabric.all_reduce(sums, reduce_op="sum"))
        gradients = [p.grad for p in self._weights[index] if p.grad is not None]
        # DDP has averaged over processes: undo that, and divide by the weight of the whole batch.
        torch._foreach_mul_(gradients, self._fabric.world_size / sums[1])
        return Loss(sums[0], sums[1]), bool(sums[2] > 0)

    def _update(self, index: int) -> None:
        plan, optimizer = self._plan, self._optimizers[index]
        if plan.l1 or plan.l2:
            penalize(self._weights[index], plan.l1, plan.l2)
        if plan.clip is not None:
            clip(self._weights[index], plan.clip)
        optimizer.step()


def clip(parameters: Sequence[Tensor], most: float) -> None:
    """Scale gradients down to a total norm of ``most`` where they exceed it."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not gradients:
        return
    norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    if norm.device.type != "cpu":
        torch._foreach_mul_(gradients, (most / norm).clamp(max=1.0))
    elif norm > most:
        # A CPU can be asked: most gradients need no second pass.
        torch._foreach_mul_(gradients, float(most / norm))
