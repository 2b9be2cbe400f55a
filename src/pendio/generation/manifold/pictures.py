"""How far from the data inputs lie, drawn."""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor
from torchvision.utils import make_grid

from pendio.generation.manifold.distance import Distances, Group, Mark
from pendio.pictures.figure import BLUE, GREY, ORANGE, new_figure, to_png

__all__ = ["draw_distances"]

_SHOWN = 6
_LABELS = {"reconstruction": "way to the model's reconstruction (RMS)", "density": "−log p, nats a dimension"}


def draw_distances(groups: Sequence[Group], found: Sequence[Distances], marks: Sequence[Mark] = ()) -> bytes:
    """A row for each group: some of its images, and how its distances are spread by each yardstick. A PNG file.

    Args:
        groups: as :func:`~pendio.generation.manifold.distance.measure` was given them, the natural one first.
        found: what it gave.
        marks: single inputs, each a black line.
    """
    sticks = list(dict.fromkeys(distances.yardstick for distances in found))
    images = groups[0].inputs.ndim == 4
    columns = int(images) + len(sticks)
    figure = new_figure(3.0 * int(images) + 4.2 * len(sticks), 0.95 * len(groups) + 0.6)
    panels = figure.subplots(len(groups), columns, squeeze=False, sharex="col")
    for row, group in enumerate(groups):
        if images:
            _strip(panels[row, 0], group.inputs[:_SHOWN])
        panels[row, 0].set_title(group.name, fontsize=9, loc="left", pad=3)
    for column, stick in enumerate(sticks, int(images)):
        spread = [distances for distances in found if distances.yardstick == stick]
        edges = _edges([distances.values for distances in spread])
        for row, distances in enumerate(spread):
            axes = panels[row, column]
            axes.hist(
                np.clip(distances.values.numpy(), edges[0], edges[-1]), edges.tolist(), color=ORANGE if row else BLUE
            )
            axes.axvline(float(spread[0].values.median()), color=GREY, linewidth=1, linestyle=":")
            if distances.auroc is not None:
                axes.text(
                    0.99,
                    0.92,
                    f"AUROC {distances.auroc:.3f}",
                    transform=axes.transAxes,
                    ha="right",
                    va="top",
                    fontsize=8,
                )
            for mark in marks:
                axes.axvline(min(mark.values[stick], float(edges[-1])), color="black", linewidth=1)
            axes.set_yticks([])
            axes.spines[["top", "right", "left"]].set_visible(False)
        panels[-1, column].set_xlabel(_LABELS[stick], fontsize=9)
    return to_png(figure)


def _strip(axes: Axes, images: Tensor) -> None:
    axes.imshow(
        make_grid(images, nrow=_SHOWN, padding=1, pad_value=1.0).movedim(0, -1).numpy(), interpolation="nearest"
    )
    axes.axis("off")


def _edges(values: Sequence[Tensor]) -> np.ndarray:
    """Bins from the nearest to the farthest, but for the farthest hundredth of each group."""
    low = min(float(part.min()) for part in values)
    high = max(float(part.quantile(0.99)) for part in values)
    return torch.linspace(low, max(high, low + 1e-6), 60).numpy()
