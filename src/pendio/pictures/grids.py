"""Many small images side by side."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from pendio.pictures.figure import new_figure, to_png

__all__ = ["draw_grid"]


def draw_grid(
    images: Tensor, captions: Sequence[str], columns: int = 8, colors: Sequence[str] = (), width: float = 1.15
) -> bytes:
    """Images in rows, each with a caption below.

    Args:
        images: ``(N, C, H, W)``, uint8 or in [0, 1], with 1 or 3 channels.
        captions: one an image; may have several lines.
        columns: images a row.
        colors: of the captions; black where empty.
        width: of an image with its margin, in inches.
    """
    columns = max(1, min(columns, len(images)))
    rows = math.ceil(len(images) / columns)
    lines = max((caption.count("\n") + 1 for caption in captions), default=1)
    figure = new_figure(width * columns, (width - 0.05 + 0.17 * lines) * rows)
    values = images.float() / 255 if images.dtype == torch.uint8 else images.float()
    cells = figure.subplots(rows, columns, squeeze=False).ravel()
    for number, axes in enumerate(cells):
        axes.axis("off")
        if number < len(images):
            pixels = values[number].clamp(0, 1).permute(1, 2, 0).cpu().numpy()
            axes.imshow(pixels.squeeze(), cmap="gray", vmin=0, vmax=1)
            color = colors[number] if colors else "black"
            axes.text(
                0.5, -0.05, captions[number], transform=axes.transAxes, fontsize=7, color=color, ha="center", va="top"
            )
    return to_png(figure)
