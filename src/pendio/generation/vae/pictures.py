"""What a variational autoencoder makes, drawn."""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike
from scipy.stats import norm
from torch import Tensor

from pendio.pictures.figure import BLUE, GREY, ORANGE, new_figure, to_png

__all__ = ["draw_dimensions", "draw_points", "plane_codes"]


def plane_codes(side: int = 15) -> Tensor:
    """Codes ``(side², 2)`` on a grid of equal shares of the prior, row by row from the top: quantiles, not lengths."""
    steps = torch.from_numpy(norm.ppf((np.arange(side) + 0.5) / side)).float()
    down, across = torch.meshgrid(-steps, steps, indexing="ij")
    return torch.stack([across.flatten(), down.flatten()], 1)


def draw_dimensions(divergences: Sequence[float], predicted: Sequence[float] = ()) -> bytes:
    """The KL divergence of each latent dimension, largest first.

    Args:
        divergences: in nats.
        predicted: of the linear theory, largest first; drawn as a line.
    """
    values = sorted(divergences, reverse=True)
    figure = new_figure(6.4, 3.2)
    axes = figure.subplots()
    axes.bar(range(1, len(values) + 1), values, color=BLUE, label="measured")
    if predicted:
        places = range(1, len(predicted) + 1)
        axes.plot(places, predicted, color=ORANGE, marker="o", markersize=3, label="a linear VAE's: ½ ln(λ/βσ²)")
        axes.legend(frameon=False, fontsize=8)
    axes.set(xlabel="latent dimension, by divergence", ylabel="KL divergence (nats)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    return to_png(figure)


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
