"""What an autoencoder finds strange, drawn."""

import numpy as np
import torch
from matplotlib import colormaps
from torch import Tensor

from pendio.pictures.figure import BLUE, ORANGE, new_figure, to_png
from pendio.pictures.tiles import tiled

__all__ = ["draw_scores", "heat", "heated"]


def heat(maps: Tensor) -> Tensor:
    """Errors ``(N, H, W)`` as colours ``(N, 3, H, W)`` in [0, 1], from dark to light; the largest of all is the lightest."""
    scaled = maps / maps.max().clamp(min=1e-12)
    colors = colormaps["magma"](scaled.cpu().numpy())[..., :3]
    return torch.from_numpy(colors).movedim(-1, 1).float()


def heated(images: Tensor, reconstructions: Tensor, maps: Tensor) -> bytes:
    """Images, their reconstructions and their errors, a row each: a PNG file.

    Args:
        images, reconstructions: ``(N, C, H, W)`` in [0, 1].
        maps: ``(N, H, W)`` errors.
    """
    colored = [part.expand(-1, 3, -1, -1) for part in (images, reconstructions)]
    return tiled(torch.cat([*colored, heat(maps)]), columns=len(images))


def draw_scores(scores: Tensor, strange: Tensor, threshold: float) -> bytes:
    """How scores ``(N,)`` are spread, those of anomalies apart, and the threshold between them."""
    figure = new_figure(6.4, 3.2)
    axes = figure.subplots()
    values, anomalous = scores.cpu().numpy(), strange.cpu().numpy()
    edges = np.linspace(0, float(np.quantile(values, 0.995)) or 1.0, 50).tolist()
    axes.hist(values[~anomalous], edges, color=BLUE, alpha=0.7, density=True, label="normal")
    if anomalous.any():
        axes.hist(values[anomalous], edges, color=ORANGE, alpha=0.6, density=True, label="anomalies")
    axes.axvline(threshold, color="black", linewidth=1, linestyle="--", label="threshold")
    axes.set(xlabel="score", ylabel="density")
    axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    return to_png(figure)
