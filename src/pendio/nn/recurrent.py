"""Recurrent networks: the plain one and the LSTM, with a state that starts as it is told, and gates that can be read."""

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from pendio.nn.cache import Carried
from pendio.nn.kinds import Initial, Recurrence

__all__ = ["Gates", "Recurrent", "lstm_step", "rnn_step"]

_SPREAD = 0.1


class Gates(NamedTuple):
    """What happens in an LSTM in one step, ``(N, width)`` each.

    Attributes:
        forget: f = σ(W_f·[x, h] + b_f), what is kept of the old cell.
        input: i = σ(W_i·[x, h] + b_i), what is let in.
        candidate: C̃ = tanh(W_C·[x, h] + b_C), what might be let in.
        output: o = σ(W_o·[x, h] + b_o), what is shown of the cell.
        cell: C = f ⊙ C_old + i ⊙ C̃.
        hidden: h = o ⊙ tanh(C).
    """

    forget: Tensor
    input: Tensor
    candidate: Tensor
    output: Tensor
    cell: Tensor
    hidden: Tensor


def lstm_step(inputs: Tensor, hidden: Tensor, cell: Tensor, lstm: nn.LSTM, layer: int = 0) -> Gates:
    """One step of a layer of ``lstm``, written out (Hochreiter and Schmidhuber, 1997; Gers, Schmidhuber and Cummins, 2000).

    Args:
        inputs: ``(N, F)``.
        hidden, cell: ``(N, width)`` of the step before.
        lstm: whose weights are used; it stacks those of i, f, C̃ and o in this order.
        layer: its number.
    """
    gates = _projected(inputs, hidden, lstm, layer)
    let_in, forget, candidate, output = gates.chunk(4, 1)
    forget, let_in, candidate, output = forget.sigmoid(), let_in.sigmoid(), candidate.tanh(), output.sigmoid()
    cell = forget * cell + let_in * candidate
    return Gates(forget, let_in, candidate, output, cell, output * cell.tanh())


def rnn_step(inputs: Tensor, hidden: Tensor, rnn: nn.RNN, layer: int = 0) -> Tensor:
    """One step of a layer of ``rnn``, written out: h = tanh(W·[x, h_old] + b) (Elman, 1990); shapes as :func:`lstm_step`."""
    return _projected(inputs, hidden, rnn, layer).tanh()


def _projected(inputs: Tensor, hidden: Tensor, network: nn.RNNBase, layer: int) -> Tensor:
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    into, back, into_bias, back_bias = (cast(Tensor, getattr(network, f"{name}_l{layer}")) for name in names)
    return inputs @ into.T + into_bias + hidden @ back.T + back_bias


class Recurrent(nn.Module):
    """Reads a sequence step by step; torch's fused kernels do the work.

    Args:
        kind: "rnn" (tanh) or "lstm".
        inputs: features of one step.
        width: of the hidden state.
        layers: how many, each reading the hidden states of the one before.
        dropout: probability of dropping an activation between layers.
        initial: the state before the first step. A sampled one is drawn from N(0, 0.1²) in training, and 0 otherwise.
    """

    carries = True
    reach: int | None = None

    def __init__(
        self,
        kind: Recurrence,
        inputs: int,
        width: int,
        layers: int = 1,
        dropout: float = 0.0,
        initial: Initial = "zero",
    ) -> None:
        super().__init__()
        self.kind, self.width, self.initial = kind, width, initial
        make = nn.LSTM if kind == "lstm" else nn.RNN
        self.network = make(inputs, width, layers, batch_first=True, dropout=dropout if layers > 1 else 0.0)
        if initial == "learned":
            self.start = nn.Parameter(torch.zeros(len(self._parts), layers, width))
        if kind == "lstm":
            # A forget gate that is open at first lets the gradient through (Jozefowicz, Zaremba and Sutskever, 2015).
            for layer in range(layers):
                bias = getattr(self.network, f"bias_ih_l{layer}")
                nn.init.ones_(bias.data[width : 2 * width])

    @property
    def _parts(self) -> tuple[str, ...]:
        return ("hidden", "cell") if self.kind == "lstm" else ("hidden",)

    def begin(self, rows: int) -> Carried:
        """The state of ``rows`` sequences before their first step: for each part ``(N, layers, width)``."""
        one = next(self.parameters())
        shape = (rows, self.network.num_layers, self.width)
        if self.initial == "learned":
            return Carried([part.expand(shape) for part in self.start])
        if self.initial == "sampled" and self.training:
            return Carried([torch.randn(shape, device=one.device, dtype=one.dtype) * _SPREAD for _ in self._parts])
        return Carried([one.new_zeros(shape) for _ in self._parts])

    def forward(
        self, values: Tensor, state: Carried | None = None, present: Tensor | None = None
    ) -> tuple[Tensor, Carried]:  # fmt: skip
        """Hidden states ``(N, T, width)`` of ``values (N, T, inputs)``, and the state after the last step.

        ``present`` changes nothing: what follows a step cannot reach it.
        """
        state = self.begin(len(values)) if state is None else state
        parts = [part.transpose(0, 1).contiguous() for part in state.tensors]
        features, after = self.network(values, tuple(parts) if self.kind == "lstm" else parts[0])
        after = after if self.kind == "lstm" else (after,)
        return features, Carried([part.transpose(0, 1) for part in after])

    def gates(self, values: Tensor, layer: int = 0, state: Carried | None = None) -> Gates:
        """What an LSTM's layer does at each step: ``(N, T, width)`` each, by :func:`lstm_step`.

        Raises:
            ValueError: this is no LSTM, or has no such layer.
        """
        if not isinstance(self.network, nn.LSTM) or not 0 <= layer < self.network.num_layers:
            raise ValueError(f"layer {layer} of this {self.kind} has no gates to read")
        state = self.begin(len(values)) if state is None else state
        for number in range(layer + 1):
            hidden, cell = (part[:, number] for part in state.tensors)
            steps = []
            for inputs in values.unbind(1):
                steps.append(lstm_step(inputs, hidden, cell, self.network, number))
                hidden, cell = steps[-1].hidden, steps[-1].cell
            gates = Gates(*(torch.stack(part, 1) for part in zip(*steps, strict=True)))
            values = gates.hidden
        return gates
