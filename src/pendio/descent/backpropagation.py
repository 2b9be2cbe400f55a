"""Backpropagation written as its formulae read, to be compared with autograd.

For layers z_l = W_l a_{l−1} + b_l, a_l = f_l(z_l) and a loss of a_K (Rumelhart, Hinton and Williams, 1986):

    δ_K = ∂ℓ/∂a_K ⊙ f_K′(z_K)
    δ_l = (W_{l+1}ᵀ δ_{l+1}) ⊙ f_l′(z_l)
    ∂ℓ/∂W_l = δ_l a_{l−1}ᵀ        ∂ℓ/∂b_l = δ_l

A batch stands as rows, so that a matrix product adds up the examples: ∂W_l = Δ_lᵀ A_{l−1}.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pendio.anatomy.matrix import convolution_matrix, tied_entries

__all__ = ["ACTIVATIONS", "Activation", "Gradients", "backpropagate", "backpropagate_convolution"]


@dataclass(frozen=True)
class Activation:
    """An element-wise function f and its derivative f′, both of z."""

    value: Callable[[Tensor], Tensor]
    slope: Callable[[Tensor], Tensor]


ACTIVATIONS: dict[str, Activation] = {
    "identity": Activation(lambda z: z, torch.ones_like),
    "sigmoid": Activation(torch.sigmoid, lambda z: torch.sigmoid(z) * (1 - torch.sigmoid(z))),
    "tanh": Activation(torch.tanh, lambda z: 1 - torch.tanh(z) ** 2),
    # At the kink itself, as everywhere left of it, the slope is 0: autograd's choice too.
    "relu": Activation(torch.relu, lambda z: (z > 0).to(z.dtype)),
    "softplus": Activation(lambda z: torch.log1p(torch.exp(-z.abs())) + z.clamp(min=0), torch.sigmoid),
}
"""Name → activation."""


@dataclass(frozen=True)
class Gradients:
    """The output ``(N, F_K)`` and, layer by layer, the gradients of weights ``(F_l, F_{l−1})`` and biases ``(F_l,)``.

    ``deltas`` are the δ_l, ``(N, F_l)``: the gradient of the loss with respect to each z_l.
    """

    outputs: Tensor
    weights: tuple[Tensor, ...]
    biases: tuple[Tensor, ...]
    deltas: tuple[Tensor, ...]


@torch.no_grad()
def backpropagate(
    inputs: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
    activations: Sequence[Activation],
    loss_slope: Callable[[Tensor], Tensor],
) -> Gradients:
    """The gradients of a multi-layer perceptron by the δ recursion.

    Args:
        inputs: ``(N, F_0)``.
        weights: W_l ``(F_l, F_{l−1})``.
        biases: b_l ``(F_l,)``.
        activations: f_l, one a layer.
        loss_slope: ∂ℓ/∂a_K ``(N, F_K)`` of the outputs.
    """
    layers = list(zip(weights, biases, activations, strict=True))
    values, sums = [inputs], []
    for weight, bias, activation in layers:
        sums.append(values[-1] @ weight.T + bias)
        values.append(activation.value(sums[-1]))
    delta = loss_slope(values[-1]) * activations[-1].slope(sums[-1])
    deltas = [delta]
    for index in range(len(layers) - 2, -1, -1):
        delta = (delta @ weights[index + 1]) * activations[index].slope(sums[index])
        deltas.insert(0, delta)
    return Gradients(
        values[-1],
        tuple(delta.T @ value for delta, value in zip(deltas, values, strict=False)),
        tuple(delta.sum(0) for delta in deltas),
        tuple(deltas),
    )


@torch.no_grad()
def backpropagate_convolution(layer: nn.Conv2d, images: Tensor, delta: Tensor) -> tuple[Tensor, Tensor]:
    """The same for a convolution, which is a matrix with tied entries.

    With z = M x, the gradient of each entry of M is δ xᵀ, and that of a kernel's weight the *sum* over all entries it
    stands in; the input's gradient is Mᵀ δ.

    Args:
        layer: without bias or with one; its gradient is not asked for here.
        images: ``(N, C, H, W)``.
        delta: ``(N, D, H′, W′)``, the gradient of the loss with respect to the layer's output.

    Returns:
        The gradients of the kernel, shaped as it, and of the images.
    """
    matrix = convolution_matrix(layer, images.shape[2:]).to(delta.dtype)
    rows, columns, kernel_index = tied_entries(layer, images.shape[2:])
    flat_delta, flat_images = delta.flatten(1), images.flatten(1)
    entries = (flat_delta[:, rows] * flat_images[:, columns]).sum(0)
    kernel = torch.zeros(layer.weight.numel(), dtype=delta.dtype).index_add_(0, kernel_index, entries)
    return kernel.view_as(layer.weight), (matrix.T @ flat_delta.T).T.view_as(images)
