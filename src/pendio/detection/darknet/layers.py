"""Darknet's layers as modules, and the shapes that they give."""

import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pendio.detection.darknet.sections import (
    Activation,
    AveragePool,
    Convolutional,
    Dropout,
    Layer,
    MaxPool,
    Route,
    Shortcut,
    Softmax,
    Upsample,
    Yolo,
)
from pendio.errors import InputError

__all__ = ["EPSILON", "SLOPE", "Routed", "Shape", "Shortened", "layer_module", "shape_after"]

SLOPE = 0.1
"""Of the leaky rectifier below zero."""

EPSILON = 1e-5
"""Added to the variance, under the root."""

_MOMENTUM = 0.1
"""Share of a batch's statistics that enters the running ones. darknet's 0.01 is for half a million steps: after a thousand
its running ones would still be those of a younger network."""


class Shape(NamedTuple):
    """Channels, height and width of a layer's output."""

    channels: int
    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.channels}×{self.height}×{self.width}"


def shape_after(layer: Layer, inputs: Sequence[Shape]) -> Shape:
    """Shape of a layer's output, of those of what it reads.

    Raises:
        InputError: the layer cannot read such shapes.
    """
    channels, height, width = inputs[0]
    match layer:
        case Convolutional():
            if channels % layer.groups or layer.filters % layer.groups:
                raise InputError(
                    f"{channels} channels and {layer.filters} filters do not part into {layer.groups} groups"
                )
            sides = [_side(side + 2 * layer.margin, layer.dilation * (layer.size - 1) + 1, layer.stride)
                     for side in (height, width)]  # fmt: skip
            return Shape(layer.filters, *sides)
        case MaxPool():
            return Shape(channels, *(_side(side + sum(layer.margins), layer.window, layer.stride)
                                     for side in (height, width)))  # fmt: skip
        case Route():
            return _routed(layer, inputs)
        case Shortcut():
            if inputs[0] != inputs[1]:
                raise InputError(f"cannot add {inputs[1]} to {inputs[0]}: the shapes must be the same")
        case Upsample():
            return Shape(channels, height * layer.stride, width * layer.stride)
        case Yolo():
            wanted = len(layer.chosen) * (5 + layer.classes)
            if channels != wanted:
                raise InputError(f"{len(layer.chosen)} anchors and {layer.classes} classes need filters={wanted} in the "
                                 f"layer before, which has {channels}")  # fmt: skip
        case AveragePool():
            return Shape(channels, 1, 1)
        case Softmax():
            if channels % layer.groups:
                raise InputError(f"{channels} channels do not part into {layer.groups} groups")
        case Dropout():
            pass
    return inputs[0]


def _side(padded: int, window: int, stride: int) -> int:
    if window > padded:
        raise InputError(f"a window of {window} is larger than the padded map of {padded}")
    return (padded - window) // stride + 1


def _routed(layer: Route, inputs: Sequence[Shape]) -> Shape:
    if len({shape[1:] for shape in inputs}) > 1:
        raise InputError(f"cannot join maps of different sizes: {', '.join(map(str, inputs))}")
    if any(shape.channels % layer.groups for shape in inputs):
        raise InputError(f"channels of {', '.join(map(str, inputs))} do not part into {layer.groups} groups")
    return Shape(sum(shape.channels for shape in inputs) // layer.groups, *inputs[0][1:])


def layer_module(layer: Layer, channels: int) -> nn.Module:
    """A layer as a module of the maps ``(N, C, H, W)`` that it reads.

    Args:
        layer: the section.
        channels: of the first map it reads.
    """
    match layer:
        case Convolutional():
            return _convolution(layer, channels)
        case MaxPool():
            return _Pooled(layer)
        case Route():
            return Routed(layer.groups, layer.group_id)
        case Shortcut():
            return Shortened(_activation(layer.activation))
        case Upsample():
            return nn.Upsample(scale_factor=layer.stride, mode="nearest")
        case AveragePool():
            return nn.AdaptiveAvgPool2d(1)
        case Softmax():
            return _Probabilities(layer.groups)
        case Dropout():
            return nn.Dropout(layer.probability)
        case Yolo():
            return nn.Identity()


def _convolution(layer: Convolutional, channels: int) -> nn.Sequential:
    convolution = nn.Conv2d(
        channels, layer.filters, layer.size, layer.stride, layer.margin, layer.dilation, layer.groups,
        bias=not layer.batch_normalize,
    )  # fmt: skip
    nn.init.kaiming_normal_(convolution.weight, SLOPE, nonlinearity="leaky_relu")
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)
    parts: OrderedDict[str, nn.Module] = OrderedDict(convolution=convolution)
    if layer.batch_normalize:
        parts["normalization"] = nn.BatchNorm2d(layer.filters, EPSILON, _MOMENTUM)
    if layer.activation != "linear":
        parts["activation"] = _activation(layer.activation)
    return nn.Sequential(parts)


def _activation(name: Activation) -> nn.Module:
    match name:
        case "linear":
            return nn.Identity()
        case "leaky":
            return nn.LeakyReLU(SLOPE, inplace=True)
        case "logistic":
            return nn.Sigmoid()
        case "relu":
            return nn.ReLU(inplace=True)
        case "mish":
            return nn.Mish(inplace=True)


class Routed(nn.Module):
    """Maps beside each other along the channels; of each, one of ``groups`` equal parts."""

    def __init__(self, groups: int = 1, part: int = 0) -> None:
        super().__init__()
        self.groups, self.part = groups, part

    def forward(self, *maps: Tensor) -> Tensor:
        """The joined ``(N, ΣC / groups, H, W)``."""
        parts = [values.chunk(self.groups, 1)[self.part] for values in maps]
        return parts[0] if len(parts) == 1 else torch.cat(parts, 1)


class Shortened(nn.Module):
    """The sum of two maps, and an activation of it."""

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.activation = activation

    def forward(self, values: Tensor, earlier: Tensor) -> Tensor:
        """``(N, C, H, W)`` of two such."""
        out: Tensor = self.activation(values + earlier)
        return out


class _Pooled(nn.Module):
    """Max pooling where the odd place that is added lies below and right: of size 2 and stride 1, the size stays."""

    def __init__(self, layer: MaxPool) -> None:
        super().__init__()
        self.window, self.stride, self.margins = layer.window, layer.stride, layer.margins

    def forward(self, maps: Tensor) -> Tensor:
        before, after = self.margins
        if before == after:
            return F.max_pool2d(maps, self.window, self.stride, before)
        if (
            not before
            and self.window == self.stride
            and not (maps.shape[2] % self.stride or maps.shape[3] % self.stride)
        ):
            return F.max_pool2d(maps, self.window)  # whole windows never reach what would be added after them
        padded = F.pad(maps, (before, after, before, after), value=-math.inf)
        return F.max_pool2d(padded, self.window, self.stride)


class _Probabilities(nn.Module):
    """Softmax over the channels, or each of several equal parts of them."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, maps: Tensor) -> Tensor:
        out: Tensor = maps.unflatten(1, (self.groups, -1)).softmax(2).flatten(1, 2)
        return out
