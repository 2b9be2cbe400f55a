"""How outputs depend on what a trained network reads."""

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["gradient_times_input", "input_gradient"]


def input_gradient(output: Callable[[Tensor], Tensor], values: Tensor) -> Tensor:
    """∂(Σ output)/∂values, in the shape of ``values``; no weight gets a gradient."""
    # The fused LSTM of a GPU has no gradient outside of training.
    with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
        read = values.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(output(read).sum(), read)
    return gradient


def gradient_times_input(output: Callable[[Tensor], Tensor], values: Tensor) -> Tensor:
    """Σ_f x_tf · ∂z/∂x_tf of an output z of one sequence, ``(T,)``, signed (Shrikumar et al., 2016).

    Where z is linear in x, the sum over all steps is z without its bias.

    Args:
        output: from ``values`` to z.
        values: what stands for the steps, ``(1, T, F)``.
    """
    return (values.detach() * input_gradient(output, values))[0].sum(1)
