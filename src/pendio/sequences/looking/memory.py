"""How far back in time a loss reaches, and whether what carries it is saturated."""

from collections.abc import Callable

import torch
from torch import Tensor

from pendio.nn.recurrent import Recurrent
from pendio.sequences.gradients import input_gradient
from pendio.sequences.looking.states import hidden_states

__all__ = ["gradient_over_time", "saturation", "steps_back"]

_END = 0.99


def gradient_over_time(losses: Callable[[Tensor], Tensor], values: Tensor, lengths: Tensor | None = None) -> Tensor:
    """How a loss at the last step depends on what was read k steps before: ‖∂L/∂x_{T−k}‖ for k = 0, 1, …, ``(T,)``.

    It is the root mean square over the rows of a batch, by one pass backward. In a recurrent network it is a product of k
    Jacobians, and falls or grows with k exponentially (Bengio, Simard and Frasconi, 1994).

    Args:
        losses: from ``values`` to the loss of each row at its last step, ``(N,)``.
        values: what the network reads, ``(N, T, F)``.
        lengths: ``(N,)`` steps of each row that are no padding; None where all are not. A k that no row is long enough
            for gets 0.
    """
    gradient = input_gradient(losses, values)
    squares = gradient.double().square().sum(2)
    rows, steps = squares.shape
    lengths = torch.full((rows,), steps, device=values.device) if lengths is None else lengths
    places = lengths[:, None] - 1 - torch.arange(steps, device=values.device)
    there = places >= 0
    found = torch.where(there, squares.gather(1, places.clamp_min(0)), 0.0)
    return (found.sum(0) / there.sum(0).clamp_min(1)).sqrt().cpu()


def steps_back(norms: Tensor, share: float = 0.01) -> int:
    """The largest k at which ``norms (T,)`` is at least this share of its largest."""
    return int((norms >= share * norms.max()).nonzero().max()) if bool(norms.max() > 0) else 0


@torch.no_grad()
def saturation(body: Recurrent, values: Tensor) -> list[float]:
    """Of each layer, the share of values of its tanh beyond ±0.99, where the slope is below 0.02.

    That is of a plain network's hidden states, and of an LSTM's cells, as they are shown: h = o ⊙ tanh(C).

    Args:
        body: in evaluation mode.
        values: what it reads, ``(N, T, inputs)``, without padding.
    """
    layers = range(body.network.num_layers)
    if body.kind == "lstm":
        shown = [body.gates(values, layer).cell.tanh() for layer in layers]
    else:
        shown = [hidden_states(body, values, layer) for layer in layers]
    return [float((one.abs() > _END).double().mean()) for one in shown]
