"""Receptive fields: which part of the input an output value depends on, followed through a forward pass.

Along each axis, value i of a map sees the input's pixels first + i·stride … last + i·stride. A convolution or pooling with
kernel k, dilation d, stride s and padding p turns (stride, first, last) into

    (s·stride, first − p·stride, last + ((k − 1)·d − p)·stride)

(Araujo, Norris and Sim, 2019); where ways join, the union is seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from pendio.anatomy.operations import is_pointwise

__all__ = ["WHOLE", "Axis", "Field", "propagate"]


@dataclass(frozen=True)
class Axis:
    """Along one axis: the distance of neighbouring values in input pixels, and the first value's first and last pixel."""

    stride: int = 1
    first: int = 0
    last: int = 0

    @property
    def size(self) -> int:
        """How many pixels a value sees, those in the padding included."""
        return self.last - self.first + 1

    def through(self, kernel: int, stride: int, padding: int, dilation: int) -> "Axis":
        """After a convolution or pooling."""
        reach = (kernel - 1) * dilation - padding
        return Axis(self.stride * stride, self.first - padding * self.stride, self.last + reach * self.stride)

    def padded(self, before: int) -> "Axis":
        """After so many places have been put before the first."""
        return Axis(self.stride, self.first - before * self.stride, self.last - before * self.stride)


@dataclass(frozen=True)
class Field:
    """The receptive field of a map's values: its vertical and horizontal axes; without axes, the whole input."""

    axes: tuple[Axis, ...] = ()


WHOLE = Field()
"""Everything is seen."""

_POOLS = ("max_pool2d_with_indices", "avg_pool2d", "max_pool2d")
_NORMS = ("native_batch_norm", "_native_batch_norm_legit_no_training", "cudnn_batch_norm", "_batch_norm_no_update")
_PADS = ("constant_pad_nd", "reflection_pad2d", "replication_pad2d")
_SAME = ("cat", "clone", "_to_copy", "contiguous", "detach", "alias", "native_dropout", "lift_fresh", "split", "chunk",
         "split_with_sizes")  # fmt: skip


def propagate(operation: Any, inputs: Sequence[Any], fields: Sequence[Field | None], output: Tensor) -> Field | None:
    """The field of an operation's output.

    Args:
        operation: of ATen.
        inputs: its arguments.
        fields: those of the tensors among them (lists of tensors flattened), None for one that the input does not reach.
        output: its result.

    Returns:
        None where the input is not reached at all, :data:`WHOLE` where nothing narrower can be said.
    """
    reached = [field for field in fields if field is not None]
    if not reached:
        return None
    name = operation.overloadpacket.__name__
    given = inputs[0]
    if name in ("convolution", "_convolution") and reached[0].axes and not inputs[6]:
        weight, _, strides, paddings, dilations = inputs[1:6]
        return Field(_through(reached[0].axes, weight.shape[2:], strides, paddings, dilations))
    if name in _POOLS and reached[0].axes:
        return Field(_pooled(reached[0].axes, name, list(inputs[1:])))
    if name in _PADS and reached[0].axes and len(inputs[1]) == 4:
        left, _, top, _ = inputs[1]
        return Field((reached[0].axes[0].padded(top), reached[0].axes[1].padded(left)))
    if name in _NORMS:
        return reached[0]
    if (is_pointwise(operation) or name in _SAME) and all(_keeps_place(field, output) for field in reached):
        return _union(reached)
    if isinstance(given, Tensor) and given.ndim == 4 and operation.is_view and given.shape == output.shape:
        return reached[0]
    return WHOLE


def _pooled(axes: tuple[Axis, ...], name: str, settings: list[Any]) -> tuple[Axis, ...]:
    kernel = settings[0]
    stride = settings[1] if len(settings) > 1 and settings[1] else kernel
    padding = settings[2] if len(settings) > 2 else [0, 0]
    dilation = settings[3] if len(settings) > 3 and name.startswith("max") else [1, 1]
    return _through(axes, kernel, stride, padding, dilation)


def _through(axes: tuple[Axis, ...], *settings: Sequence[int]) -> tuple[Axis, ...]:
    """Both axes after a kernel with its stride, padding and dilation; one number stands for both."""
    both = [list(values) * (len(axes) // len(values)) for values in settings]
    return tuple(axis.through(*rest) for axis, *rest in zip(axes, *both, strict=True))


def _keeps_place(field: Field, output: Tensor) -> bool:
    return not field.axes or output.ndim == 2 + len(field.axes)


def _union(fields: Sequence[Field]) -> Field:
    """What is seen where ways join: only maps of equal stride can be joined place by place."""
    first = fields[0]
    for field in fields[1:]:
        if len(field.axes) != len(first.axes) or any(
            a.stride != b.stride for a, b in zip(field.axes, first.axes, strict=True)
        ):
            return WHOLE
        joined = zip(field.axes, first.axes, strict=True)
        first = Field(tuple(Axis(a.stride, min(a.first, b.first), max(a.last, b.last)) for a, b in joined))
    return first
