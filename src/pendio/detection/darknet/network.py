"""The network that a ``.cfg`` file describes, as a module."""

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from pendio.detection.darknet.layers import Shape, layer_module, shape_after
from pendio.detection.darknet.sections import Config, Convolutional, Yolo, sources
from pendio.detection.yolo.scales import Scale
from pendio.errors import InputError

__all__ = ["DarknetNetwork", "output_shapes"]

_MOST_WEIGHTS = 1 << 30
"""Four gigabytes of them: a mistyped number of filters should end in a message, not in memory."""

_MOST_VALUES = 1 << 30

_PRIOR = 0.01
"""Objectness of an untrained network: few places have an object, and being surprised by all others drowns the rest."""


class DarknetNetwork(nn.Module):
    """Runs a config's layers in their order, and keeps an output only until the last layer that reads it.

    Kernels begin normal with variance 2/(1.01 · K²C), which keeps the scale of what leaky rectifiers pass on (He et al.,
    2015); those before a [yolo] with a deviation of 0.01, and objectness at 0.01 (Lin et al., 2017).

    Args:
        config: the layers.

    Attributes:
        config: the layers.
        layers: their modules, by the same numbers.
        scales: of each [yolo] in turn, its stride and anchors in pixels; none of a classifier.
        classes: how many a [yolo] tells apart, or channels of the last layer.
        ignore: IoU with an object above which a prediction that is not responsible for it is not held to be background.

    Raises:
        InputError: a layer cannot read what it is given, [yolo] layers disagree on the classes, or there are more than
            2³⁰ weights.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        shapes = output_shapes(config)
        self._check_size(shapes)
        read = [sources(layer, number) for number, layer in enumerate(config.layers)]
        self.layers = nn.ModuleList(
            layer_module(layer, shapes[inputs[0]].channels) for layer, inputs in zip(config.layers, read, strict=True)
        )
        self._read = read
        self._ends = _ends(read)
        self._heads = [number for number, layer in enumerate(config.layers) if isinstance(layer, Yolo)]
        self.scales = tuple(self._scale(number, shapes[number]) for number in self._heads)
        self.classes = self._classes(shapes[len(config.layers) - 1].channels)
        self.ignore = min((layer.ignore_thresh for layer in config.layers if isinstance(layer, Yolo)), default=0.5)
        for number in self._heads:
            self._begin(number)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Raw maps ``(N, B·(5 + C), H/s, W/s)`` of each [yolo], in the config's order; else the last layer's output alone.

        Args:
            images: ``(N, C, H, W)`` in [0, 1], sides multiples of the greatest stride.

        Raises:
            InputError: the sides are not.
        """
        greatest = max((scale.stride for scale in self.scales), default=1)
        if images.shape[2] % greatest or images.shape[3] % greatest:
            raise InputError(f"images of {images.shape[2]}×{images.shape[3]}: sides must be multiples of {greatest}")
        kept = {-1: images}
        found = []
        for number, (module, inputs, over) in enumerate(zip(self.layers, self._read, self._ends, strict=True)):
            kept[number] = module(*(kept[other] for other in inputs))
            if number in self._heads:
                found.append(kept[number])
            for other in over:
                del kept[other]
        return tuple(found) or (kept[len(self.layers) - 1],)

    def _scale(self, number: int, shape: Shape) -> Scale:
        net, layer = self.config.net, cast(Yolo, self.config.layers[number])
        stride = net.width // shape.width
        if (shape.width * stride, shape.height * stride) != (net.width, net.height):
            raise InputError(f"{self.config.place(number)}: a grid of {shape.height}×{shape.width} does not divide the "
                             f"input of {net.height}×{net.width}")  # fmt: skip
        return Scale(stride, layer.chosen)

    def _classes(self, channels: int) -> int:
        heads = [cast(Yolo, self.config.layers[number]) for number in self._heads]
        if len({head.classes for head in heads}) > 1:
            raise InputError(f"{self.config.place(self._heads[-1])}: classes={heads[-1].classes}, but {heads[0].classes} in "
                             "the first [yolo]")  # fmt: skip
        return heads[0].classes if heads else channels

    def _check_size(self, shapes: dict[int, Shape]) -> None:
        weights = 0
        for number, layer in enumerate(self.config.layers):
            if isinstance(layer, Convolutional):
                channels = shapes[sources(layer, number)[0]].channels
                weights += layer.filters * channels // layer.groups * layer.size**2
            if weights > _MOST_WEIGHTS:
                raise InputError(f"{self.config.place(number)}: more than {_MOST_WEIGHTS:,} weights up to here")

    def _begin(self, number: int) -> None:
        """The weights of the convolution that a [yolo] reads."""
        layer, head = self.layers[number - 1] if number else None, cast(Yolo, self.config.layers[number])
        convolution = layer[-1] if isinstance(layer, nn.Sequential) else None
        if isinstance(convolution, nn.Conv2d) and convolution.bias is not None:
            nn.init.normal_(convolution.weight, std=0.01)
            with torch.no_grad():
                convolution.bias.view(-1, 5 + head.classes)[:, 4] = math.log(_PRIOR / (1 - _PRIOR))


def output_shapes(config: Config) -> dict[int, Shape]:
    """Number of each layer → shape of its output for an image of the size that the config names; −1 is the image.

    Raises:
        InputError: a layer cannot read what it is given; the message says which.
    """
    shapes = {-1: Shape(config.net.channels, config.net.height, config.net.width)}
    for number, layer in enumerate(config.layers):
        try:
            shapes[number] = shape_after(layer, [shapes[other] for other in sources(layer, number)])
        except InputError as error:
            raise InputError(f"{config.place(number)}: {error}") from error
        if math.prod(shapes[number]) > _MOST_VALUES:
            raise InputError(f"{config.place(number)}: an output of {shapes[number]} is more than can be meant")
    return shapes


def _ends(read: Sequence[Sequence[int]]) -> list[list[int]]:
    """For each layer, the outputs that no later layer reads."""
    last = {other: number for number, inputs in enumerate(read) for other in inputs}
    ends: list[list[int]] = [[] for _ in read]
    for other, number in last.items():
        ends[number].append(other)
    return ends
