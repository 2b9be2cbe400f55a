"""Paths of optimisers over a surface."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from pendio.pictures.figure import COLORS, new_figure, to_png

__all__ = ["draw_paths"]

_RESOLUTION = 200


def draw_paths(
    height: Callable[[Tensor], Tensor],
    bounds: tuple[float, float, float, float],
    paths: Mapping[str, Tensor],
    minimum: tuple[float, float] | None = None,
) -> bytes:
    """Contours of a surface with a path a name.

    Args:
        height: maps points ``(…, 2)`` to heights.
        bounds: left, right, bottom and top.
        paths: name → points ``(T, 2)``.
        minimum: where to put a star.
    """
    left, right, bottom, top = bounds
    xs, ys = torch.linspace(left, right, _RESOLUTION), torch.linspace(bottom, top, _RESOLUTION)
    heights = height(torch.stack(torch.meshgrid(xs, ys, indexing="xy"), -1))
    # Levels crowd at the bottom, where optimisers differ.
    shown = torch.log1p((heights - heights.min()) * 50 / (heights.max() - heights.min()) * 20)
    figure = new_figure(6.4, 5.2)
    axes = figure.subplots()
    axes.contourf(xs.numpy(), ys.numpy(), shown.numpy(), levels=24, cmap="Greys", alpha=0.45)
    for number, (name, points) in enumerate(paths.items()):
        color = COLORS[number % len(COLORS)]
        dots = 2 if len(points) <= 150 else 0  # of a long path they would make a thick line
        axes.plot(points[:, 0], points[:, 1], color=color, label=name, linewidth=1.2, marker="o", markersize=dots)
    if minimum is not None:
        axes.plot(*minimum, "*", color="black", markersize=11)
    axes.set(xlim=(left, right), ylim=(bottom, top))
    axes.legend(fontsize=8, loc="upper right")
    return to_png(figure)
