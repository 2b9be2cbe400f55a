"""What a recurrent network holds at each step."""

import math

import torch
from torch import Tensor, nn

from pendio.nn.recurrent import Recurrent, rnn_step

__all__ = ["hidden_states", "ordered_units"]


@torch.no_grad()
def hidden_states(body: Recurrent, values: Tensor, layer: int) -> Tensor:
    """The hidden states of one layer, ``(N, T, width)``, computed anew step by step.

    Args:
        body: in evaluation mode.
        values: what it reads, ``(N, T, inputs)``.
        layer: its number, from 0 on.
    """
    if isinstance(body.network, nn.LSTM):
        return body.gates(values, layer).hidden
    start = body.begin(len(values)).tensors[0]
    for number in range(layer + 1):
        steps, hidden = [], start[:, number]
        for inputs in values.unbind(1):
            hidden = rnn_step(inputs, hidden, body.network, number)
            steps.append(hidden)
        values = torch.stack(steps, 1)
    return values


def ordered_units(values: Tensor, most: int) -> Tensor:
    """Numbers of the ``most`` units that move most, ``(U,)``, those that move alike side by side.

    Units are ordered by the angle of their loadings on the two largest principal components of the correlations, and the
    circle is cut where it has its widest gap (Friendly, 2002).

    Args:
        values: ``(T, width)``.
        most: how many to give at most.
    """
    values = values.double()
    chosen = values.var(0, correction=0).argsort(descending=True, stable=True)[:most].sort().values
    centred = values[:, chosen] - values[:, chosen].mean(0)
    spread = centred.norm(dim=0)
    scaled = centred / torch.where(spread > 0, spread, 1)
    if len(chosen) < 3:
        return chosen
    loadings = torch.linalg.eigh(scaled.T @ scaled).eigenvectors[:, -2:]
    angles, order = torch.atan2(loadings[:, 0], loadings[:, 1]).sort(stable=True)
    gaps = torch.cat([angles[1:] - angles[:-1], angles[:1] + 2 * math.pi - angles[-1:]])
    return chosen[order.roll(-1 - int(gaps.argmax()))]
