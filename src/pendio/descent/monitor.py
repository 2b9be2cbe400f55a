"""Watching what a step does to each layer, for diagnosis."""

import torch
from torch import Tensor, nn

from pendio.descent.optimizers import is_decayed
from pendio.runs.diagnosis import LayerStep

__all__ = ["Monitor"]


class Monitor:
    """Compares weights before and after a step.

    Args:
        module: whose kernels and matrices are watched, in their order.
    """

    def __init__(self, module: nn.Module) -> None:
        self._watched = {
            name: parameter
            for name, parameter in module.named_parameters()
            if is_decayed(parameter) and parameter.requires_grad
        }
        self._before: list[Tensor] = []

    def before_step(self) -> None:
        """Remember the weights."""
        self._before = [parameter.detach().clone() for parameter in self._watched.values()]

    @torch.no_grad()
    def after_step(self) -> dict[str, LayerStep]:
        """What the step did, layer by layer; gradients are still those it was made of."""
        steps = {}
        for (name, parameter), before in zip(self._watched.items(), self._before, strict=True):
            gradient = torch.zeros_like(before) if parameter.grad is None else parameter.grad
            squares = torch.stack([value.float().square().mean() for value in (before, gradient, parameter - before)])
            steps[name] = LayerStep(*squares.sqrt().tolist())
        self._before = []
        return steps
