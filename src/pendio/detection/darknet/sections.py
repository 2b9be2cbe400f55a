"""The layers that darknet's files describe, each a frozen dataclass with the names and defaults of the format."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from pendio.errors import InputError

__all__ = [
    "LAYERS", "Activation", "Anchors", "AveragePool", "Config", "Convolutional", "Dropout", "Layer", "MaxPool", "Net",
    "Pairs", "Route", "Shortcut", "Softmax", "Upsample", "Yolo", "section_name", "sources",
]  # fmt: skip

Activation = Literal["linear", "leaky", "logistic", "relu", "mish"]

Pairs = tuple[tuple[str, str], ...]
Anchors = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Net:
    """What the network reads, in pixels and channels, and how darknet would train it.

    ``others`` are the settings of training as the file has them; here they are kept and not used.
    """

    width: int = 416
    height: int = 416
    channels: int = 3
    others: Pairs = ()

    def __post_init__(self) -> None:
        _check(self, 1, "width", "height", "channels")


@dataclass(frozen=True)
class Convolutional:
    """A convolution, batch normalisation if wished, and an activation.

    ``pad=1`` pads by half the kernel's size, rounded down, whatever ``padding`` says.
    """

    filters: int
    size: int = 1
    stride: int = 1
    pad: bool = False
    padding: int = 0
    groups: int = 1
    dilation: int = 1
    batch_normalize: bool = False
    activation: Activation = "logistic"

    def __post_init__(self) -> None:
        _check(self, 1, "filters", "size", "stride", "groups", "dilation")
        _check(self, 0, "padding")

    @property
    def margin(self) -> int:
        """Zeros on each side."""
        return self.size // 2 if self.pad else self.padding


@dataclass(frozen=True)
class MaxPool:
    """The greatest value of each window. ``padding`` counts both sides together, and by default is size − 1."""

    stride: int = 1
    size: int | None = None
    padding: int | None = None

    def __post_init__(self) -> None:
        _check(self, 1, "stride")
        if self.size is not None:
            _check(self, 1, "size")
        if self.padding is not None and not 0 <= self.padding <= 2 * (self.window // 2):
            raise InputError(f"padding must be 0 to {2 * (self.window // 2)}, got {self.padding}")

    @property
    def window(self) -> int:
        """Side of a window: the stride, where no size is given."""
        return self.stride if self.size is None else self.size

    @property
    def margins(self) -> tuple[int, int]:
        """Places added before and after; the odd one comes after."""
        total = self.window - 1 if self.padding is None else self.padding
        return total // 2, total - total // 2


@dataclass(frozen=True)
class Route:
    """Other layers' outputs beside each other; or one of ``groups`` equal parts of their channels.

    ``layers`` are numbers of layers from 0, or, below 0, counted back from this one.
    """

    layers: tuple[int, ...]
    groups: int = 1
    group_id: int = 0

    def __post_init__(self) -> None:
        if not self.layers:
            raise InputError("layers names no layer")
        _check(self, 1, "groups")
        if not 0 <= self.group_id < self.groups:
            raise InputError(f"group_id must be 0 to {self.groups - 1}, got {self.group_id}")


@dataclass(frozen=True)
class Shortcut:
    """The layer before plus another's output, numbered as in :class:`Route`; then an activation."""

    source: int
    activation: Activation = "linear"


@dataclass(frozen=True)
class Upsample:
    """Each value repeated ``stride`` times down and across."""

    stride: int = 2

    def __post_init__(self) -> None:
        _check(self, 1, "stride")


@dataclass(frozen=True)
class Yolo:
    """Where boxes are read off: the anchors of ``mask`` (of all, without one), sizes in pixels of the input.

    ``others`` are settings of training as the file has them, kept and not used.
    """

    anchors: Anchors
    classes: int = 20
    mask: tuple[int, ...] = ()
    num: int | None = None
    ignore_thresh: float = 0.5
    truth_thresh: float = 1.0
    others: Pairs = ()

    def __post_init__(self) -> None:
        _check(self, 1, "classes")
        if not self.anchors or not all(0 < side < float("inf") for anchor in self.anchors for side in anchor):
            raise InputError("anchors must be widths and heights greater than 0")
        if self.num is not None and self.num != len(self.anchors):
            raise InputError(f"num is {self.num}, but there are {len(self.anchors)} anchors")
        for number in self.mask:
            if not 0 <= number < len(self.anchors):
                raise InputError(f"mask names anchor {number}, but there are {len(self.anchors)}, counted from 0")
        if len(set(self.mask)) < len(self.mask):
            raise InputError("mask names an anchor twice")
        if not 0 <= self.ignore_thresh <= 1:
            raise InputError(f"ignore_thresh must be 0 to 1, got {self.ignore_thresh:g}")

    @property
    def chosen(self) -> Anchors:
        """The anchors of this layer."""
        return tuple(self.anchors[number] for number in self.mask) or self.anchors


@dataclass(frozen=True)
class AveragePool:
    """The mean of each channel."""


@dataclass(frozen=True)
class Softmax:
    """Probabilities over the channels, or over each of ``groups`` equal parts of them."""

    groups: int = 1

    def __post_init__(self) -> None:
        _check(self, 1, "groups")


@dataclass(frozen=True)
class Dropout:
    """Values set to zero in training, each with a ``probability``."""

    probability: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.probability < 1:
            raise InputError(f"probability must be at least 0 and below 1, got {self.probability:g}")


Layer = Convolutional | MaxPool | Route | Shortcut | Upsample | Yolo | AveragePool | Softmax | Dropout

LAYERS: dict[str, Callable[..., Layer]] = {
    "convolutional": Convolutional, "maxpool": MaxPool, "route": Route, "shortcut": Shortcut, "upsample": Upsample,
    "yolo": Yolo, "avgpool": AveragePool, "softmax": Softmax, "dropout": Dropout,
}  # fmt: skip
"""Name of a section → what it becomes."""


@dataclass(frozen=True)
class Config:
    """A network as a ``.cfg`` file describes it.

    Attributes:
        net: its input.
        layers: from first to last; a layer's place here is its number.
        source: the file's name, for messages.
        lines: on which line of it each layer begins; empty for a network made by code.
    """

    net: Net
    layers: tuple[Layer, ...]
    source: str = dataclasses.field(default="", compare=False)
    lines: tuple[int, ...] = dataclasses.field(default=(), compare=False)

    def place(self, number: int) -> str:
        """Where a layer stands, to begin a message with.

        >>> Config(Net(), (Convolutional(8),)).place(0)
        'layer 0 [convolutional]'
        """
        where = f"{self.source}:{self.lines[number]}: " if self.lines else ""
        return f"{where}layer {number} [{section_name(self.layers[number])}]"


def sources(layer: Layer, number: int) -> tuple[int, ...]:
    """Numbers of the layers whose outputs the layer with a ``number`` reads; −1 is the image.

    >>> sources(Route((-1, 61)), 86)
    (85, 61)

    Raises:
        InputError: one of them does not come before it.
    """
    match layer:
        case Route():
            return tuple(_before(other, number) for other in layer.layers)
        case Shortcut():
            return number - 1, _before(layer.source, number)
        case _:
            return (number - 1,)


def _before(other: int, number: int) -> int:
    found = number + other if other < 0 else other
    if not 0 <= found < number:
        raise InputError(f"there is no layer {other} before it")
    return found


def _check(section: Any, least: int, *names: str) -> None:
    for name in names:
        value = getattr(section, name)
        if not least <= value <= 1 << 20:
            raise InputError(f"{name} must be {least} to {1 << 20}, got {value}")


def section_name(layer: Layer | Net) -> str:
    """What stands in brackets above a layer."""
    return next(name for name, kind in {"net": Net, **LAYERS}.items() if kind is type(layer))
