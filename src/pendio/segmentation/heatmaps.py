"""Where in an image a classifier sees a class."""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from pendio.ascent.reading import frozen
from pendio.ascent.spoken import class_number
from pendio.errors import InputError
from pendio.nn.network import Network, unit_range
from pendio.segmentation.convolutional import Convolutional, convolutionalize

__all__ = ["MAX_PIXELS", "Heatmap", "heatmap", "overlay"]

MAX_PIXELS = 20_000_000
"""Largest image that is looked over, after it was scaled: a long and narrow one could become of any size."""

_SCALE = {"window": 2.0, "place": 1.0}

_OPACITY = 0.6


@dataclass(frozen=True)
class Heatmap:
    """How much of a class a classifier sees in each part of an image.

    Attributes:
        name: of the class.
        map: ``(H, W)`` float32, of the image's own size.
        unit: what it holds: the probability of the class in a window around each pixel, or the logit of each place.
        peak: x and y of the pixel in the middle of the cell with the highest value.
        score: that value.
        cells: height and width of the map that the network gave, before it was brought to the image's size.
    """

    name: str
    map: Tensor
    unit: Literal["probability", "logit"]
    peak: tuple[int, int]
    score: float
    cells: tuple[int, int]

    def to_dict(self) -> dict[str, object]:
        """For ``--json``: everything but the pixels."""
        return {
            "class": self.name, "unit": self.unit, "peak": list(self.peak), "score": self.score,
            "cells": list(self.cells), "size": list(self.map.shape),
        }  # fmt: skip


@torch.no_grad()
def heatmap(
    network: Network | Convolutional,
    image: Tensor,
    what: str | int,
    *,
    of: Literal["window", "place"] = "window",
    scale: float | None = None,
) -> Heatmap:
    """Move a classifier over an image and map what it says of one class.

    Of a "window": the probability that the classifier gives to the part of the image around each pixel that it would
    take for a whole image. Of a "place": the logit that each place of the last map contributes, which is finer, and which
    only networks have that end in a global mean and linear layers. Between the centres of cells values are interpolated;
    towards the image's border, where no window has its centre, the last cell's goes on.

    Args:
        network: a classifier of images, or what :func:`convolutionalize` made of it (then ``of`` must be as it was made).
        image: ``(C, H, W)``, uint8 or in [0, 1], of any size.
        what: name or number of a class.
        of: "window" or "place".
        scale: how many windows long the image's shorter side is made, 1 at least: the more, the smaller the objects that
            are found, and the less of a large one is seen at once. By default 2, or 1 for places.

    Raises:
        InputError: there is no such class, the network cannot become convolutional, the image has other channels than it
            or would become too large, or the scale is less than 1.
    """
    number = class_number(network, str(what))
    if scale is None:
        scale = _SCALE[of]
    if not scale >= 1:
        raise InputError(f"a heat map's scale is the image's shorter side in windows, 1 at least; got {scale:g}")
    if len(network.shape) == 3 and image.shape[0] not in (1, network.shape[0]):
        raise InputError(f"an image of {image.shape[0]} channels; this network takes {network.shape[0]}")
    made = network if isinstance(network, Convolutional) else convolutionalize(network, pooled=of == "window")
    with frozen(made):
        values = _scaled(made, unit_range(image[None].to(made.mean.device)), scale)
        logits = made(values)[0].float()
    cells = logits.softmax(0)[number] if of == "window" else logits[number]
    looked, size = (values.shape[2], values.shape[3]), (image.shape[1], image.shape[2])
    best = divmod(int(cells.argmax()), cells.shape[1])
    y, x = (
        min(size[axis] - 1, int((made.start[axis] + best[axis] * made.stride[axis]) * size[axis] / looked[axis]))
        for axis in (0, 1)
    )
    unit: Literal["probability", "logit"] = "probability" if of == "window" else "logit"
    full = _to_pixels(cells, made, looked, size).cpu()
    return Heatmap(made.classes[number], full, unit, (x, y), float(cells[best]), (cells.shape[0], cells.shape[1]))


def _scaled(network: Convolutional, image: Tensor, scale: float) -> Tensor:
    """The image at a size that windows fill without a rest."""
    shorter = min(image.shape[2:])
    sides = []
    for side, window, stride in zip(image.shape[2:], network.window, network.stride, strict=True):
        steps = round((scale * window * side / shorter - window) / stride)
        sides.append(window + max(0, steps) * stride)
    if sides[0] * sides[1] > MAX_PIXELS:
        raise InputError(
            f"an image of {image.shape[3]}×{image.shape[2]} pixels would be looked over at {sides[1]}×{sides[0]}, more than "
            f"{MAX_PIXELS:,} pixels: cut it, or choose a smaller scale than {scale:g}"
        )
    if sides == list(image.shape[2:]):
        return image
    return F.interpolate(image, sides, mode="bicubic", antialias=True).clamp(0, 1)


def _to_pixels(cells: Tensor, network: Convolutional, scaled: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Cells ``(h, w)``, each at the centre of its window, as ``(H, W)`` by bilinear interpolation."""
    places = []
    for axis in (0, 1):
        centers = (torch.arange(size[axis], device=cells.device) + 0.5) * (scaled[axis] / size[axis])
        cell = (centers - network.start[axis]) / network.stride[axis]
        last = cells.shape[axis] - 1
        places.append(2 * cell / last - 1 if last else torch.zeros_like(cell))
    grid = torch.stack(torch.meshgrid(places[1], places[0], indexing="xy"), -1)
    return F.grid_sample(cells[None, None], grid[None], padding_mode="border", align_corners=True)[0, 0]


def overlay(image: Tensor, heat: Tensor, low: float | None = None, high: float | None = None) -> Tensor:
    """An image in grey under the colours of a map: dark blue and black for its lowest values, yellow for its highest.

    The colours are matplotlib's "inferno", whose lightness rises evenly.

    Args:
        image: uint8 ``(3, H, W)`` or ``(1, H, W)``.
        heat: ``(H, W)``.
        low, high: values of the darkest and the lightest colour; by default the map's own.

    Returns:
        uint8 ``(3, H, W)``.
    """
    import matplotlib

    low = float(heat.min()) if low is None else low
    high = float(heat.max()) if high is None else high
    share = ((heat.float() - low) / max(high - low, 1e-12)).clamp(0, 1)
    colors = torch.from_numpy(matplotlib.colormaps["inferno"](share.cpu().numpy())[..., :3]).float().permute(2, 0, 1)
    grey = image.float().mean(0, keepdim=True).cpu()
    return ((1 - _OPACITY) * grey + _OPACITY * 255 * colors).round().to(torch.uint8)
