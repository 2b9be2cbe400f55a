"""Class maps: over their image, as files, and truth beside prediction."""

import io
import math
from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.patches import Patch
from PIL import Image
from skimage.segmentation import find_boundaries
from torch import Tensor

from pendio.pictures.figure import new_figure, to_png
from pendio.pictures.palette import class_color

__all__ = ["BACKGROUND", "draw_masks", "mask_png", "overlay", "painted"]

BACKGROUND = "background"
"""Name of a class that is left uncoloured over images."""

_COLORS = 256
_IGNORED = 255
_IGNORED_COLOR = (236, 236, 236)
_NAMED = 30
_ACROSS = 6
"""Pictures in a row."""


def _palette(classes: Sequence[str] = ()) -> Tensor:
    """Colour of each mask value: ``(256, 3)`` uint8."""
    colors = [class_color(number) for number in range(_COLORS)]
    colors[_IGNORED] = _IGNORED_COLOR
    if classes and classes[0] == BACKGROUND:
        # The first colour is worth more than to be spent on what is left as it is.
        colors = [(0, 0, 0), *colors[: _IGNORED - 1], _IGNORED_COLOR]
    return torch.tensor(colors, dtype=torch.uint8)


def painted(mask: Tensor, classes: Sequence[str] = ()) -> Tensor:
    """A mask ``(H, W)`` of class numbers in colours: uint8 ``(3, H, W)``; a first class "background" is black, 255 pale."""
    return _palette(classes)[mask.cpu().long()].permute(2, 0, 1)


def mask_png(mask: Tensor, classes: Sequence[str] = ()) -> bytes:
    """A mask ``(H, W)`` as a PNG file whose pixels are the class numbers, with a palette that shows them in colours."""
    image = Image.fromarray(mask.cpu().to(torch.uint8).contiguous().numpy(), mode="P")
    image.putpalette(_palette(classes).flatten().tolist())
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def overlay(image: Tensor, mask: Tensor, classes: Sequence[str] = (), strength: float = 0.5) -> Tensor:
    """An image with each pixel tinted in its class's colour, and outlined in it.

    Args:
        image: ``(C, H, W)``, uint8 or in [0, 1], with 1 or 3 channels.
        mask: ``(H, W)`` class numbers; 255, and a first class called "background", leave the image as it is.
        classes: names of the classes.
        strength: of the tint, in [0, 1].

    Returns:
        uint8 ``(3, H, W)``.
    """
    values = image.cpu().float() * (1.0 if image.dtype == torch.uint8 else 255.0)
    values = values.expand(3, -1, -1)
    numbers = mask.cpu().long()
    plain = numbers == _IGNORED
    if classes and classes[0] == BACKGROUND:
        plain |= numbers == 0
    edges = torch.from_numpy(find_boundaries(numbers.numpy(), mode="inner", background=-1))
    share = torch.where(edges, 1.0, strength).masked_fill(plain, 0.0)
    mixed = values * (1 - share) + painted(numbers, classes).float() * share
    return mixed.round().clamp(0, 255).to(torch.uint8)


def draw_masks(
    images: Sequence[Tensor], truths: Sequence[Tensor], predictions: Sequence[Tensor] | None, captions: Sequence[str],
    classes: Sequence[str],
) -> bytes:  # fmt: skip
    """Images beside their true and their predicted masks, with a legend of the classes that occur.

    Args:
        images: each ``(C, H, W)``, uint8 or in [0, 1].
        truths, predictions: each ``(H, W)`` class numbers; 255 is ignored. Without predictions the truth stands alone.
        captions: one an image, below it.
        classes: names of the classes.
    """
    titles = ("image", "truth") if predictions is None else ("image", "truth", "prediction")
    across = max(1, min(_ACROSS // len(titles), len(images)))
    rows = max(1, math.ceil(len(images) / across))
    legend = _legend([*truths, *(predictions if predictions is not None else ())], classes)
    lines = max((caption.count("\n") + bool(caption) for caption in captions), default=0)
    width = 1.5 * len(titles) * across
    strips = math.ceil(len(legend) / (width / 0.9))
    figure = new_figure(width, (1.5 + 0.15 * lines) * rows + 0.25 + 0.2 * strips)
    cells = figure.subplots(rows, len(titles) * across, squeeze=False).ravel()
    for axes in cells:
        axes.axis("off")
    for number, (image, truth, caption) in enumerate(zip(images, truths, captions, strict=True)):
        shown = [overlay(image, torch.full_like(truth, _IGNORED)), painted(truth, classes)]
        if predictions is not None:
            shown.append(painted(predictions[number], classes))
        mine = cells[len(titles) * number :]
        for axes, picture, title in zip(mine, shown, titles, strict=False):
            axes.imshow(np.ascontiguousarray(picture.permute(1, 2, 0).numpy()), interpolation="nearest")
            if number < across:
                axes.set_title(title, fontsize=8)
        mine[0].text(0, -0.04, caption, transform=mine[0].transAxes, fontsize=7, va="top", parse_math=False)
    if legend:
        figure.legend(
            handles=legend, loc="outside lower center", ncols=math.ceil(len(legend) / strips), fontsize=7, frameon=False,
            handlelength=1, handleheight=1,
        )  # fmt: skip
    return to_png(figure)


def _legend(masks: Sequence[Tensor], classes: Sequence[str]) -> list[Patch]:
    seen = sorted({int(value) for mask in masks for value in mask.unique()})
    palette = _palette(classes)
    patches = []
    for value in seen[:_NAMED]:
        name = "ignored" if value == _IGNORED else classes[value] if value < len(classes) else str(value)
        color = tuple(channel / 255 for channel in palette[value].tolist())
        patches.append(Patch(facecolor=color, edgecolor="#c0c0c0", linewidth=0.4, label=name[:18].replace("$", r"\$")))
    return patches
