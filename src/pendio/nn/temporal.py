"""Convolutions along time that never look ahead: the window, and the dilated network (Bai, Kolter and Koltun, 2018)."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from pendio.nn.cache import Carried
from pendio.nn.dropout import Dropout

__all__ = ["CausalConvolution", "Temporal", "TemporalBlock", "Window"]


class CausalConvolution(nn.Module):
    """A convolution over the last ``kernel`` steps, ``dilation`` apart.

    Before the first step there is nothing: zeros. A sequence may be read in parts, the inputs that later outputs need
    being carried from one part to the next; the outputs are those of the whole.

    Args:
        inputs, outputs: features of a step.
        kernel: steps it sees.
        dilation: how far apart they are.
        normalized: learn the weights' length and direction apart (Salimans and Kingma, 2016).
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, dilation: int = 1, normalized: bool = False) -> None:
        super().__init__()
        convolution = nn.Conv1d(inputs, outputs, kernel, dilation=dilation)
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        nn.init.zeros_(cast(Tensor, convolution.bias))
        self.convolution = weight_norm(convolution) if normalized else convolution
        self.inputs = inputs
        self.past = (kernel - 1) * dilation

    def begin(self, rows: int) -> Tensor:
        """What stands before the first step: zeros ``(N, inputs, past)``."""
        return next(self.parameters()).new_zeros(rows, self.inputs, self.past)

    def forward(self, values: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        """``(N, outputs, T)`` of ``values (N, inputs, T)``, and what the next part needs of the past."""
        together = torch.cat([before, values], 2)
        return self.convolution(together), together[:, :, together.shape[2] - self.past :]


class TemporalBlock(nn.Module):
    """Two causal convolutions beside a shortcut: relu(x + drop(relu(conv(drop(relu(conv(x)))))))."""

    def __init__(self, inputs: int, outputs: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.first = CausalConvolution(inputs, outputs, kernel, dilation, normalized=True)
        self.second = CausalConvolution(outputs, outputs, kernel, dilation, normalized=True)
        self.dropout = Dropout(dropout)
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv1d(inputs, outputs, 1)

    def forward(self, values: Tensor, before: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """``(N, outputs, T)`` of ``(N, inputs, T)``, and the past of both convolutions."""
        hidden, past = self.first(values, before[0])
        branch, past_second = self.second(self.dropout(hidden.relu()), before[1])
        return (self.shortcut(values) + self.dropout(branch.relu())).relu(), [past, past_second]


class Temporal(nn.Module):
    """Blocks whose dilation doubles from one to the next: its reach grows with 2 to the power of its depth.

    The last output sees 1 + 2·(kernel − 1)·(2^layers − 1) steps.

    Args:
        inputs: features of one step.
        width: features between the blocks.
        layers: how many blocks.
        kernel: steps that one convolution sees.
        dropout: probability of dropping an activation.
    """

    carries = True

    def __init__(self, inputs: int, width: int, layers: int = 4, kernel: int = 3, dropout: float = 0.0) -> None:
        super().__init__()
        self.width = width
        self.reach: int | None = 1 + 2 * (kernel - 1) * (2**layers - 1)
        self.blocks = nn.ModuleList(
            TemporalBlock(inputs if layer == 0 else width, width, kernel, 2**layer, dropout) for layer in range(layers)
        )

    def begin(self, rows: int) -> Carried:
        """The state of ``rows`` sequences before their first step."""
        convolutions = (m for m in self.modules() if isinstance(m, CausalConvolution))
        return Carried([convolution.begin(rows) for convolution in convolutions])

    def forward(
        self, values: Tensor, state: Carried | None = None, present: Tensor | None = None
    ) -> tuple[Tensor, Carried]:  # fmt: skip
        """Features ``(N, T, width)`` of ``values (N, T, inputs)``, and the state; ``present`` changes nothing."""
        state = self.begin(len(values)) if state is None else state
        values, after = values.transpose(1, 2), []
        for number, block in enumerate(self.blocks):
            values, past = block(values, state.tensors[2 * number : 2 * number + 2])
            after += past
        return values.transpose(1, 2), Carried(after)


class Window(nn.Module):
    """A dense network on the last ``steps`` steps and nothing else: it has no memory (Bengio et al., 2003).

    Args:
        inputs: features of one step.
        width: units of each layer.
        steps: how many it sees.
        layers: how many hidden layers.
        dropout: probability of dropping an activation.
    """

    carries = True

    def __init__(self, inputs: int, width: int, steps: int = 8, layers: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        self.width = width
        self.reach: int | None = steps
        # A dense layer on steps laid side by side, at every place, is a convolution.
        self.first = CausalConvolution(inputs, width, steps)
        self.rest = nn.ModuleList(nn.Linear(width, width) for _ in range(layers - 1))
        self.dropout = Dropout(dropout)

    def begin(self, rows: int) -> Carried:
        """The state of ``rows`` sequences before their first step."""
        return Carried([self.first.begin(rows)])

    def forward(
        self, values: Tensor, state: Carried | None = None, present: Tensor | None = None
    ) -> tuple[Tensor, Carried]:  # fmt: skip
        """Features ``(N, T, width)`` of ``values (N, T, inputs)``, and the state; ``present`` changes nothing."""
        state = self.begin(len(values)) if state is None else state
        hidden, past = self.first(values.transpose(1, 2), state.tensors[0])
        features = self.dropout(hidden.transpose(1, 2).relu())
        for layer in self.rest:
            features = self.dropout(layer(features).relu())
        return features, Carried([past])
