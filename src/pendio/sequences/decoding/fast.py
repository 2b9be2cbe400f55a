"""Weights in eight bits: a model that writes faster on a CPU, where reading the weights takes most of the time."""

import copy
import math

import torch
from torch import Tensor, nn

from pendio.errors import InputError
from pendio.sequences.models.language_model import LanguageModel

__all__ = ["Int8Linear", "int8_linear", "lightened"]

_WORTHWHILE = 1 << 17
"""Weights from which on a layer is faster in eight bits: below, rounding its inputs takes longer than is saved."""

_LEAST = 1e-30
"""Added to scales, for nothing can be divided by 0."""


class Int8Linear(nn.Module):
    """A dense layer of 8-bit weights, for inference: y = s_x s_w ⊙ (x̂ Ŵᵀ) + b.

    Ŵ is the weight over s_w = max|W|/127 of each output, x̂ the input over s_x = max|x|/127 of each row, both rounded to
    the nearest whole number; their product is exact in whole numbers. A row's output does not depend on other rows.

    Args:
        weight: ``(outputs, inputs)``.
        bias: ``(outputs,)``, or None.
    """

    weight: Tensor
    scale: Tensor
    bias: Tensor | None
    least: Tensor

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        super().__init__()
        weight = weight.detach().float()
        scale = weight.abs().amax(1) / 127 + _LEAST
        self.register_buffer("weight", (weight / scale[:, None]).round().to(torch.int8).t())
        self.register_buffer("scale", scale)
        self.register_buffer("bias", None if bias is None else bias.detach().float())
        self.register_buffer("least", torch.tensor(_LEAST))

    def forward(self, values: Tensor) -> Tensor:
        """``(…, outputs)`` of ``values (…, inputs)``."""
        rows = values.reshape(-1, values.shape[-1])
        out = int8_linear(rows, self.weight, self.scale, self.bias, self.least)
        return out.view(*values.shape[:-1], -1)


def int8_linear(rows: Tensor, weight: Tensor, scale: Tensor, bias: Tensor | None, least: Tensor) -> Tensor:
    """What :class:`Int8Linear` makes of ``rows (N, inputs)`` with its ``weight (inputs, outputs)``: ``(N, outputs)``."""
    largest = torch.linalg.vector_norm(rows, math.inf, 1, keepdim=True)
    # One operation for largest/127 and never 0: calls cost as much here as what they compute.
    step = torch.add(least, largest, alpha=1 / 127)
    product = torch._int_mm(rows.div(step).round_().to(torch.int8), weight) * step
    return product.mul_(scale) if bias is None else torch.addcmul(bias, product, scale)


def lightened(model: LanguageModel) -> LanguageModel:
    """A copy of a model for inference whose dense layers have 8-bit weights, its head among them.

    Layers of fewer than 131,072 weights stay as they are, for they would be slower.

    Args:
        model: on a CPU; it stays as it is.

    Raises:
        InputError: the model is on another device, or has no layer that is large enough.
    """
    device = next(model.parameters()).device
    if device.type != "cpu":
        raise InputError(f"--weights int8 is for a CPU, and the model is on {device.type}: leave it out")
    large = [m for m in model.modules() if isinstance(m, nn.Linear) and m.weight.numel() >= _WORTHWHILE]
    tied = model.head is None and model.embedding.weight.numel() >= _WORTHWHILE
    if not large and not tied:
        raise InputError(f"--weights int8: this model has no dense layer of {_WORTHWHILE:,} weights or more, below which "
                         "float32 is as fast; leave it out")  # fmt: skip
    # What deepcopy is told that it has copied already, it takes from here.
    light = copy.deepcopy(model, {id(layer): Int8Linear(layer.weight, layer.bias) for layer in large})
    if tied:
        light.head = Int8Linear(model.embedding.weight)
    return light.eval()
