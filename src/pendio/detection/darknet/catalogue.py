"""YOLOv3, its tiny sibling and Darknet-53, layer by layer (Redmon and Farhadi, 2018)."""

from collections.abc import Callable, Sequence

from pendio.detection.darknet.sections import (
    AveragePool,
    Config,
    Convolutional,
    Layer,
    MaxPool,
    Net,
    Route,
    Shortcut,
    Softmax,
    Upsample,
    Yolo,
)
from pendio.errors import InputError

__all__ = ["ANCHORS", "BODY", "DETECTORS", "DETECTOR_STRIDES", "TINY_ANCHORS", "darknet53", "yolov3", "yolov3_tiny"]

Anchors = Sequence[Sequence[tuple[float, float]]]
"""Widths and heights in pixels, for each scale: the coarsest first, by rising area in each."""

ANCHORS: Anchors = (
    ((116, 90), (156, 198), (373, 326)), ((30, 61), (62, 45), (59, 119)), ((10, 13), (16, 30), (33, 23)),
)  # fmt: skip
"""At 416, found on COCO by k-means."""

TINY_ANCHORS: Anchors = (((81, 82), (135, 169), (344, 319)), ((10, 14), (23, 27), (37, 58)))

BODY = {"yolov3": 75, "yolov3-tiny": 15, "darknet53": 75}
"""Layers from the first that know nothing of the classes: what a network for other classes can take over."""

_TRAINING = (
    ("batch", "64"), ("subdivisions", "16"), ("momentum", "0.9"), ("decay", "0.0005"), ("angle", "0"),
    ("saturation", "1.5"), ("exposure", "1.5"), ("hue", ".1"), ("learning_rate", "0.001"), ("burn_in", "1000"),
    ("max_batches", "500200"), ("policy", "steps"), ("steps", "400000,450000"), ("scales", ".1,.1"),
)  # fmt: skip
"""The schedule of the paper's authors, so that darknet itself can train what is written."""


def yolov3(classes: int = 80, anchors: Anchors = ANCHORS, size: int = 416) -> Config:
    """The detector with Darknet-53: 107 layers, 75 of them convolutions, at strides 32, 16 and 8.

    Args:
        classes: how many are told apart.
        anchors: of each of the three scales, at least one.
        size: side of the input in pixels, a multiple of 32.

    Raises:
        InputError: the size is no multiple of 32.
    """
    layers = _body()
    for scale, (filters, earlier) in enumerate([(512, None), (256, 61), (128, 36)]):
        if earlier is not None:
            layers += [Route((-4,)), _convolution(filters, 1), Upsample(2), Route((-1, earlier))]
        for _ in range(3):
            layers += [_convolution(filters, 1), _convolution(2 * filters, 3)]
        layers += _head(classes, anchors, scale)
    return Config(_net(size), tuple(layers))


def yolov3_tiny(classes: int = 80, anchors: Anchors = TINY_ANCHORS, size: int = 416) -> Config:
    """The small detector: 13 convolutions, 6 poolings, two scales, at strides 32 and 16. Arguments as of :func:`yolov3`.

    Raises:
        InputError: the size is no multiple of 32.
    """
    layers: list[Layer] = []
    for filters in (16, 32, 64, 128, 256):
        layers += [_convolution(filters, 3), MaxPool(2, 2)]
    layers += [_convolution(512, 3), MaxPool(1, 2), _convolution(1024, 3), _convolution(256, 1), _convolution(512, 3)]
    layers += _head(classes, anchors, 0)
    layers += [Route((-4,)), _convolution(128, 1), Upsample(2), Route((-1, 8)), _convolution(256, 3)]
    layers += _head(classes, anchors, 1)
    return Config(_net(size), tuple(layers))


def darknet53(classes: int = 1000, size: int = 256) -> Config:
    """The classifier on whose body YOLOv3 stands: 53 layers with weights, 52 of them in the body."""
    head: list[Layer] = [AveragePool(), Convolutional(classes, pad=True, activation="linear"), Softmax()]
    return Config(Net(size, size), (*_body(), *head))


DETECTORS: dict[str, Callable[..., Config]] = {"yolov3": yolov3, "yolov3-tiny": yolov3_tiny}
"""Name → what makes its config, of classes, anchors and size."""

DETECTOR_STRIDES = {"yolov3": (32, 16, 8), "yolov3-tiny": (32, 16)}
"""Name → pixels from cell to cell of its scales."""


def _body() -> list[Layer]:
    """Darknet-53: five times half the size and twice the channels, then residual blocks."""
    layers: list[Layer] = [_convolution(32, 3)]
    for filters, blocks in ((64, 1), (128, 2), (256, 8), (512, 8), (1024, 4)):
        layers.append(_convolution(filters, 3, stride=2))
        for _ in range(blocks):
            layers += [_convolution(filters // 2, 1), _convolution(filters, 3), Shortcut(-3)]
    return layers


def _convolution(filters: int, size: int, stride: int = 1) -> Convolutional:
    return Convolutional(filters, size, stride, pad=True, batch_normalize=True, activation="leaky")


def _head(classes: int, anchors: Anchors, scale: int) -> list[Layer]:
    """The last convolution of a scale, 0 the coarsest, with B·(5 + C) channels, and where boxes are read off them."""
    if not all(anchors):
        raise ValueError(f"a scale has no anchors: {anchors}")
    # The file numbers all anchors through, those of the finest scale first.
    rising = [anchor for share in reversed(anchors) for anchor in share]
    first, share = sum(len(finer) for finer in anchors[scale + 1 :]), len(anchors[scale])
    yolo = Yolo(
        tuple((float(width), float(height)) for width, height in rising), classes, tuple(range(first, first + share)),
        len(rising), ignore_thresh=0.7, others=(("jitter", ".3"), ("random", "1")),
    )  # fmt: skip
    return [Convolutional(share * (5 + classes), pad=True, activation="linear"), yolo]


def _net(size: int) -> Net:
    if size < 32 or size % 32:
        raise InputError(f"the size must be a multiple of 32 pixels, got {size}")
    return Net(size, size, others=_TRAINING)
