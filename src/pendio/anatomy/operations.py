"""What the operations of a forward pass cost: multiply-adds by formula, nothing, or unknown."""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["is_pointwise", "multiply_adds", "without_values"]

aten = torch.ops.aten


def _convolution(inputs: Sequence[Any], output: Tensor) -> int:
    """K_h·K_w·C/groups for each output value; of a transposed convolution, K_h·K_w·D/groups for each *input* value."""
    given, weight, transposed = inputs[0], inputs[1], inputs[6]
    places = given.numel() if transposed else output.numel()
    return int(places * math.prod(weight.shape[1:]))


def _attention(inputs: Sequence[Any], output: Tensor) -> int:
    """Queries times keys, and weights times values: L·S·(E_k + E_v) for each head."""
    query, key, value = inputs[:3]
    return int(math.prod(query.shape[:-1]) * key.shape[-2] * (query.shape[-1] + value.shape[-1]))


_FORMULAS: dict[Any, Callable[[Sequence[Any], Tensor], int]] = {
    aten.convolution: _convolution,
    aten._convolution: _convolution,
    aten.mm: lambda inputs, output: output.numel() * inputs[0].shape[-1],
    aten.bmm: lambda inputs, output: output.numel() * inputs[0].shape[-1],
    aten.mv: lambda inputs, output: inputs[0].numel(),
    aten.dot: lambda inputs, output: inputs[0].numel(),
    aten.addmm: lambda inputs, output: output.numel() * inputs[1].shape[-1],
    aten.baddbmm: lambda inputs, output: output.numel() * inputs[1].shape[-1],
    aten.linear: lambda inputs, output: output.numel() * inputs[0].shape[-1],
    **{
        getattr(aten, name): _attention
        for name in (
            "scaled_dot_product_attention",
            "_scaled_dot_product_flash_attention",
            "_scaled_dot_product_flash_attention_for_cpu",
            "_scaled_dot_product_efficient_attention",
            "_scaled_dot_product_fused_attention_overrideable",
            "_scaled_dot_product_attention_math",
        )
    },
}

_FREE = frozenset({
    # Copies, shapes and constants.
    "clone", "copy_", "_to_copy", "lift_fresh", "contiguous", "empty", "empty_like", "zeros", "zeros_like", "ones",
    "ones_like", "full", "full_like", "arange", "new_empty", "new_zeros", "new_ones", "new_full", "empty_strided",
    "scalar_tensor", "linspace", "eye", "detach", "alias", "view", "_unsafe_view", "_reshape_alias", "expand",
    "slice", "select", "index", "index_select", "gather", "take", "embedding", "cat", "stack", "constant_pad_nd",
    "pad", "fill_", "reflection_pad1d", "reflection_pad2d", "replication_pad2d", "roll", "flip", "repeat", "tril",
    "triu", "tril_indices", "triu_indices", "slice_scatter", "select_scatter", "index_put", "index_put_", "scatter",
    "unfold", "im2col", "col2im", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "native_channel_shuffle",
    "repeat_interleave", "meshgrid", "rand", "randn", "bernoulli", "bernoulli_", "uniform_",
    # Sums and comparisons, normalisation, pooling and resizing: additions, but no products with weights.
    "sum", "mean", "amax", "amin", "max", "min", "argmax", "argmin", "topk", "sort", "cumsum", "var", "std",
    "var_mean", "std_mean", "norm", "linalg_vector_norm", "prod", "all", "any", "_softmax", "_log_softmax",
    "_safe_softmax", "softmax", "log_softmax", "native_batch_norm", "_native_batch_norm_legit_no_training",
    "cudnn_batch_norm", "_batch_norm_no_update", "native_layer_norm", "native_group_norm", "_fused_rms_norm",
    "max_pool2d_with_indices", "max_pool3d_with_indices", "avg_pool1d", "avg_pool2d", "avg_pool3d",
    "adaptive_avg_pool1d", "adaptive_max_pool2d", "_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "mean_dim",
    "upsample_nearest1d", "upsample_nearest2d", "upsample_bilinear2d", "upsample_bicubic2d",
    "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa", "native_dropout", "grid_sampler_2d", "logsumexp",
    "nan_to_num", "where", "log_sigmoid_forward", "masked_fill", "_local_scalar_dense", "glu",
})  # fmt: skip

_POINTWISE = frozenset({
    # Those that torch does not tag as such.
    "hardswish", "hardsigmoid", "hardtanh", "relu6", "celu", "elu", "gelu", "leaky_relu", "mish",
    "prelu", "_prelu_kernel", "rrelu_with_noise", "selu", "silu", "softplus", "threshold",
})  # fmt: skip


@functools.cache
def is_pointwise(operation: Any) -> bool:
    """Whether each value of an ATen operation's result depends on the values at its own place alone."""
    name = operation.overloadpacket.__name__
    return torch.Tag.pointwise in operation.tags or name.rstrip("_") in _POINTWISE or name in _POINTWISE


def multiply_adds(operation: Any, inputs: Sequence[Any], output: Any) -> int | None:
    """Multiply-adds of one call of an ATen operation: of products with weights and between activations.

    Element-wise functions, sums, normalisation, pooling and copies count as nothing, as is the custom.

    Returns:
        None for an operation that is none of these, such as a Fourier transform or somebody's own: what it costs is not
        known.
    """
    if _is_free(operation):
        return 0
    formula = _FORMULAS.get(operation.overloadpacket)
    return None if formula is None else formula(inputs, output)


@functools.cache
def _is_free(operation: Any) -> bool:
    name = operation.overloadpacket.__name__
    if operation.overloadpacket in _FORMULAS:
        return False
    return operation.is_view or is_pointwise(operation) or name in _FREE or name.rstrip("_") in _FREE


_NORMS = frozenset({aten.native_batch_norm, aten._native_batch_norm_legit_no_training})


def without_values(operation: Any, inputs: Sequence[Any], options: Mapping[str, Any]) -> Any:
    """The result of an operation on tensors without values.

    Torch finds it for some by tracing their whole arithmetic in Python; of those that networks are full of, the shape is
    known at once.
    """
    packet = operation.overloadpacket
    if packet in _NORMS:
        nothing = inputs[0].new_empty(0)
        return torch.empty_like(inputs[0]), nothing, nothing.clone()
    name = packet.__name__
    if name.rstrip("_") in _POINTWISE and name != "_prelu_kernel":
        return inputs[0] if name.endswith("_") else torch.empty_like(inputs[0])
    return operation(*inputs, **options)
