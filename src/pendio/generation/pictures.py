"""What generative models of all kinds make, drawn."""

import numpy as np
from numpy.typing import ArrayLike

from pendio.pictures.figure import BLUE, GREY, new_figure, to_png

__all__ = ["draw_points"]


def draw_points(data: ArrayLike, made: ArrayLike) -> bytes:
    """The first two features of examples and of what was made, side by side on the same axes."""
    real, drawn = np.asarray(data), np.asarray(made)
    figure = new_figure(8, 3.8)
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    for axes, points, title, color in zip(panels, (real, drawn), ("data", "made"), (GREY, BLUE), strict=True):
        axes.scatter(points[:, 0], points[:, 1], s=4, color=color, linewidths=0)
        axes.set(title=title, xlabel="first feature")
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("second feature")
    return to_png(figure)
