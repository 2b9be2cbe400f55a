"""Decision regions of a classifier of points in the plane."""

from collections.abc import Callable, Sequence

import torch
from matplotlib.colors import to_rgb
from torch import Tensor

from pendio.pictures.figure import COLORS, new_figure, to_png

__all__ = ["draw_regions"]

_RESOLUTION = 240


def draw_regions(predict: Callable[[Tensor], Tensor], points: Tensor, targets: Tensor, classes: Sequence[str]) -> bytes:
    """The plane coloured by predicted class, paler where less sure, with labelled points on top.

    Args:
        predict: maps ``(N, 2)`` points to class probabilities ``(N, K)``.
        points: ``(N, 2)``.
        targets: ``(N,)`` class numbers.
        classes: their names.
    """
    low, high = points.min(0).values, points.max(0).values
    low, high = low - 0.1 * (high - low), high + 0.1 * (high - low)
    xs = torch.linspace(float(low[0]), float(high[0]), _RESOLUTION)
    ys = torch.linspace(float(low[1]), float(high[1]), _RESOLUTION)
    grid = torch.cartesian_prod(ys, xs).flip(1)
    probabilities = predict(grid).cpu()
    palette = torch.tensor([to_rgb(COLORS[number % len(COLORS)]) for number in range(len(classes))])
    sure, chosen = probabilities.max(1)
    strength = ((sure - 1 / len(classes)) / (1 - 1 / len(classes))).clamp(0, 1)[:, None] * 0.55
    pixels = (1 - strength) + strength * palette[chosen]
    figure = new_figure(5, 5)
    axes = figure.subplots()
    extent = (float(low[0]), float(high[0]), float(low[1]), float(high[1]))
    axes.imshow(pixels.view(_RESOLUTION, _RESOLUTION, 3).numpy(), extent=extent, origin="lower", aspect="auto")
    for number, name in enumerate(classes):
        members = points[targets == number]
        axes.scatter(members[:, 0], members[:, 1], s=9, color=palette[number].tolist(), edgecolor="white",
                     linewidth=0.4, label=name)  # fmt: skip
    axes.legend(title="class", fontsize=8, loc="upper right")
    return to_png(figure)
