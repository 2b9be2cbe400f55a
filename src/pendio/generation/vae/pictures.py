"""What a variational autoencoder makes, drawn."""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.ticker import MaxNLocator
from scipy.stats import norm
from torch import Tensor

from pendio.pictures.figure import BLUE, ORANGE, new_figure, to_png

__all__ = ["draw_dimensions", "plane_codes"]


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
