"""Classifiers whose dense layers have become convolutions: images of any size in, maps of logits out."""

import copy
from typing import cast

import torch
from torch import Tensor, fx, nn

from pendio.errors import InputError
from pendio.nn.network import Network
from pendio.segmentation.surgery import NEW, Surgery, trace

__all__ = ["Convolutional", "convolutionalize", "dense_layers"]

_FAR = 1 << 15
"""Pixels by which an image is enlarged to measure a stride. Only its shape is: a batch of none costs nothing."""

_CLOSE = 1e-4
"""Share of the largest logit by which a map at the native size may differ from the classifier: rounding alone."""


class Convolutional(Network):
    """A classifier that is moved over an image: a map of logits instead of one row of them.

    At the size that the classifier was made for, the map has one cell, which holds the classifier's logits. A larger
    image gives a cell for each place of this window, ``stride`` pixels apart. Zeros that padded layers put around their
    maps now stand around the whole image instead of around each window, and what a layer takes from its whole map, as
    squeeze-and-excitation does, it takes from the whole image: where a network has neither, each cell is exactly what the
    classifier says of its window (Sermanet et al., 2014; Long, Shelhamer and Darrell, 2015, section 3.1).

    Args:
        module: maps normalised images to logits.
        network: the classifier that it was made of.
        cells: of its map at the native size.

    Attributes:
        window: height and width of the image that one cell was made for.
        stride: pixels between the windows of neighbouring cells, down and across.
        start: centre of the first cell's window in pixels, down and across.
    """

    def __init__(self, module: nn.Module, network: Network, cells: tuple[int, int] = (1, 1)) -> None:
        super().__init__(
            module, network.shape, network.mean.flatten().tolist(), network.std.flatten().tolist(), network.classes
        )
        self.mean, self.std = network.mean.clone(), network.std.clone()
        self.window = (self.shape[1], self.shape[2])
        self.stride = _stride(module, self.mean.new_zeros(1, *self.shape))
        self.start = (
            (self.window[0] - (cells[0] - 1) * self.stride[0]) / 2,
            (self.window[1] - (cells[1] - 1) * self.stride[1]) / 2,
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits ``(N, K, h, w)`` of images ``(N, C, H, W)``, uint8 or in [0, 1], at their own size."""
        return super().forward(inputs)


def convolutionalize(network: Network, *, pooled: bool = True) -> Convolutional:
    """A classifier of images as a fully convolutional network; they share their layers, and their mode.

    Works for networks that end in a global pooling and dense layers (ResNet, EfficientNet, ConvNeXt, …), in dense layers
    on a flattened map (VGG, AlexNet, LeNet), or in convolutions (SqueezeNet). A global mean becomes a mean over the window
    that it had, moved in steps of one cell; the first dense layer on a flattened map of h × w becomes an h × w convolution,
    all others 1 × 1. What a network drops while it trains other than by layers of its own is not dropped any more.

    Args:
        network: its module is left as it is.
        pooled: False leaves out the global mean, where all that follows it is linear. The map then has a finer view, the
            logits that each place contributes: their mean over the native map is the classifier's row of logits. It is
            also known as class activation mapping (Zhou et al., 2016).

    Raises:
        InputError: the network takes no images, is no convolutional one, or has no global mean to leave out.
    """
    if len(network.shape) != 3:
        raise InputError(f"only a classifier of images can become convolutional; this takes {network.shape[0]} numbers")
    module = network.module
    native = torch.randn(1, *network.shape, generator=torch.Generator().manual_seed(0)).to(network.mean)
    modes = [(part, part.training) for part in module.modules()]
    try:
        module.eval()
        with torch.no_grad():
            traced, answer = trace(module, native)
            cells = Surgery(traced, pooled).operate()
            made = Convolutional(traced, network, cells)
            _prove(made, native, answer, pooled)
    finally:
        for part, mode in modes:
            part.training = mode
    return made


def dense_layers(network: Convolutional) -> nn.Sequential:
    """Layers between the last map and the classes, as convolutions that keep a map's size: VGG's fc6 and fc7.

    Raises:
        InputError: the network has no dense layers on a flattened map, or their map has an even side.
    """
    graph = cast(fx.GraphModule, network.module)
    layers: list[nn.Module] = []
    for node in graph.graph.nodes:
        if node.op == "call_module" and (layers or str(node.target).startswith(f"{NEW}_conv")):
            layers.append(copy.deepcopy(graph.get_submodule(str(node.target))))
    first = layers[0] if layers else None
    if not isinstance(first, nn.Conv2d) or first.kernel_size == (1, 1):
        raise InputError("this classifier has no dense layers on a flattened map; only those of VGG's kind do")
    if 0 in (first.kernel_size[0] % 2, first.kernel_size[1] % 2):
        raise InputError(f"dense layers on a map of {first.kernel_size[0]}×{first.kernel_size[1]} have no middle place")
    first.padding = (first.kernel_size[0] // 2, first.kernel_size[1] // 2)
    while layers and not isinstance(layers.pop(), nn.Conv2d):
        pass  # the last convolution gives the classes
    return nn.Sequential(*layers)


def _stride(module: nn.Module, like: Tensor) -> tuple[int, int]:
    """Pixels between cells: a far larger image has one more cell for each, give or take what borders cost.

    A batch of no images has the shapes of any other, and costs nothing.
    """
    _, channels, height, width = like.shape
    try:
        with torch.no_grad():
            cells = module(like.new_zeros(0, channels, height + _FAR, width + _FAR)).shape[2:]
    except Exception as error:
        # A network of any make raises whatever it does with a size that it was not written for.
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"this network takes no images of other sizes: {reason[:150]}") from error
    if len(cells) != 2 or 1 in cells:
        raise InputError("this network brings every image to the same size within; it cannot become convolutional")
    return round(_FAR / (cells[0] - 1)), round(_FAR / (cells[1] - 1))


def _prove(made: Convolutional, native: Tensor, answer: Tensor, pooled: bool) -> None:
    """Refuse a network whose parts were taken for something else than they are."""
    measured = made.module(native).mean((2, 3))
    if answer.shape == measured.shape and (answer - measured).abs().max() <= _CLOSE * answer.abs().max():
        return
    if not pooled:
        raise InputError("the global mean cannot be left out: what lies between it and the classes is not linear")
    raise InputError("this network cannot become convolutional: its map at the native size is not what it answers")
