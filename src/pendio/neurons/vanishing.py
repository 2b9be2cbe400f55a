"""Why depth needs help: what is left of the gradient on its way through twenty layers."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from pendio.nn.residual import Residual

__all__ = ["Kind", "gradient_by_layer", "stack"]

Kind = Literal["sigmoid", "relu", "residual"]
"""Sigmoid layers, ReLU layers, or ReLU layers with batch normalisation and residual connections."""


def _layer(kind: Kind, width: int) -> nn.Module:
    linear = nn.Linear(width, width)
    match kind:
        case "sigmoid":
            return nn.Sequential(linear, nn.Sigmoid())
        case "relu":
            return nn.Sequential(linear, nn.ReLU())
        case "residual":
            return Residual(nn.Sequential(nn.BatchNorm1d(width), nn.ReLU(), linear))


def stack(kind: Kind, inputs: int, outputs: int, depth: int = 20, width: int = 64) -> nn.Sequential:
    """A multi-layer perceptron with ``depth`` hidden layers, on flattened inputs, as torch initialises it."""
    layers = [_layer(kind, width) for _ in range(depth)]
    return nn.Sequential(nn.Flatten(), nn.Linear(inputs, width), *layers, nn.Linear(width, outputs))


def gradient_by_layer(network: nn.Module, loss: Callable[[Tensor], Tensor], inputs: Tensor) -> list[float]:
    """Root mean square of the loss' gradient with respect to each linear layer's weights, the first layer first.

    Args:
        network: its linear layers in the order data flows.
        loss: of the network's outputs.
        inputs: a batch.
    """
    weights = [module.weight for module in network.modules() if isinstance(module, nn.Linear)]
    gradients = torch.autograd.grad(loss(network(inputs)), weights)
    return [float(gradient.square().mean().sqrt()) for gradient in gradients]
