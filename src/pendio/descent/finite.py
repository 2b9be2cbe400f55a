"""Finding out where a loss stopped being a finite number."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from pendio.errors import InputError

__all__ = ["Guard", "LossNotFinite", "NotFiniteError", "first_not_finite"]


class NotFiniteError(InputError):
    """The loss became NaN or infinite; the message names the step and the layer. Checkpoints stay as they were."""


def first_not_finite(module: nn.Module, forward: Callable[[], Any]) -> str:
    """What was the first thing in ``module`` not to be finite when ``forward`` runs: a sentence.

    Weights come first: if an update already spoilt them, outputs only follow.
    """
    for name, parameter in module.named_parameters():
        if not parameter.isfinite().all():
            return f"weights '{name}' were spoilt by an earlier update"
    culprit: list[str] = []
    handles = [
        layer.register_forward_hook(_watch(name or "the network", culprit))
        for name, layer in module.named_modules()
        if not any(True for _ in layer.children())
    ]
    try:
        with torch.no_grad():
            forward()
    finally:
        for handle in handles:
            handle.remove()
    return (
        f"first at the output of layer '{culprit[0]}'" if culprit else "every layer's output is finite: the loss itself"
    )


def _watch(name: str, culprit: list[str]) -> Callable[[nn.Module, Any, Any], None]:
    def hook(layer: nn.Module, inputs: Any, output: Any) -> None:
        values = inputs if isinstance(inputs, tuple) else (inputs,)
        spoilt = any(isinstance(value, Tensor) and not value.isfinite().all() for value in values)
        if culprit:
            return
        if spoilt:
            culprit.append(f"{name} (its input was not finite)")
        elif isinstance(output, Tensor) and not output.isfinite().all():
            culprit.append(name)

    return hook


class LossNotFinite(Exception):  # noqa: N818  (a signal to the loop, which tells the user more)
    """The loss of ``step`` was not finite, and the weights still are those that gave it."""

    def __init__(self, step: int) -> None:
        super().__init__(step)
        self.step = step


class Guard:
    """Notices a loss that is no longer finite, without making the device wait for each step's answer.

    On a device other than the CPU the check stays there: from the first bad loss on, fused optimisers skip their updates
    (by the same ``found_inf`` that gradient scalers use), so that the weights still are those that gave the bad loss when
    the host looks, every ``patience`` steps. On the CPU, or where an optimiser is not fused, the host looks each step.

    Args:
        optimizers: torch's, not wrapped.
        device: where the loss is.
        patience: steps between looks; by default 1 on the CPU and 50 elsewhere.
    """

    def __init__(self, optimizers: Sequence[Optimizer], device: torch.device, patience: int | None = None) -> None:
        fused = all(optimizer.defaults.get("fused") for optimizer in optimizers)
        self._patience = patience or (1 if device.type == "cpu" or not fused else 50)
        self._bad_step = torch.full((), -1, dtype=torch.long, device=device)

    def admit(self, step: int, total: Tensor, optimizer: Optimizer) -> None:
        """Take note of a loss before the update that follows from it.

        Raises:
            LossNotFinite: this loss, or one since the last look, is not finite.
        """
        if self._patience == 1:
            if not math.isfinite(float(total.detach())):
                raise LossNotFinite(step)
            return
        self._bad_step = torch.where((self._bad_step < 0) & ~total.isfinite(), step, self._bad_step)
        optimizer.found_inf = (self._bad_step >= 0).float()  # type: ignore[attr-defined]
        optimizer.grad_scale = None  # type: ignore[attr-defined]
        if step % self._patience == 0:
            self.look()

    def look(self) -> None:
        """Ask the device.

        Raises:
            LossNotFinite: a loss since the last look is not finite.
        """
        bad = int(self._bad_step)
        if bad >= 0:
            raise LossNotFinite(bad)
