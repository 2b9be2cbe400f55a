"""What a normalising flow knows and makes, drawn."""

from typing import NamedTuple

import torch
from torch import Tensor

from pendio.generation.flow.task import Flow
from pendio.pictures.figure import BLUE, GREY, new_figure, to_png

__all__ = ["Plane", "density_plane", "draw_density"]


class Plane(NamedTuple):
    """Densities on a grid.

    Attributes:
        density: ``(side, side)``, rows from below.
        low, high: its corners ``(2,)``.
        integral: the sum of the densities times the area of a cell: 1, but for what lies outside and the grid's coarseness.
    """

    density: Tensor
    low: Tensor
    high: Tensor
    integral: float


def density_plane(task: Flow, points: Tensor, side: int = 300, margin: float = 0.5) -> Plane:
    """The density of a flow of two features around these points ``(N, 2)``.

    Args:
        task: the flow.
        points: what must lie inside.
        side: cells along each axis.
        margin: what is added at each end, relative to the extent of the points.
    """
    low, high = points.min(0).values, points.max(0).values
    low, high = low - margin * (high - low), high + margin * (high - low)
    cell = (high - low) / side
    # The middles of the cells.
    steps = (torch.arange(side).to(points) + 0.5)[:, None] * cell + low
    grid = torch.cartesian_prod(steps[:, 1], steps[:, 0]).flip(1)
    density = task.log_prob(grid).exp().view(side, side)
    return Plane(density, low, high, float(density.double().sum() * cell.double().prod()))


def draw_density(plane: Plane, points: Tensor, made: Tensor) -> bytes:
    """The density, the data and samples side by side, on the same axes: a PNG file."""
    figure = new_figure(10, 3.6)
    panels = figure.subplots(1, 3, sharex=True, sharey=True)
    extent = (float(plane.low[0]), float(plane.high[0]), float(plane.low[1]), float(plane.high[1]))
    panels[0].imshow(plane.density.numpy(), origin="lower", extent=extent, aspect="auto", cmap="magma")
    panels[0].set_title(f"density, in sum {plane.integral:.4f}")
    for axes, values, title, color in ((panels[1], points, "data", GREY), (panels[2], made, "samples", BLUE)):
        axes.scatter(*values[:, :2].T.numpy(), s=4, color=color, linewidths=0)
        axes.set_title(title)
    return to_png(figure)
