"""Pictures of what diffusion made, on the way and at its end."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pendio.generation.diffusion.probe import LevelErrors
from pendio.pictures.figure import BLUE, COLORS, GREY, new_figure, to_png
from pendio.pictures.tiles import tiled

__all__ = ["draw_level_errors", "draw_rows", "draw_samples", "draw_trajectory"]


def draw_samples(made: Tensor, labels: Tensor | None = None, columns: int = 10) -> bytes:
    """Images in rows, or of rows of numbers the first two as points, coloured by class."""
    return tiled(made, columns) if made.ndim == 4 else draw_rows({"": made}, labels)


def draw_rows(panels: dict[str, Tensor], labels: Tensor | None = None) -> bytes:
    """The first two numbers of rows ``(N, F)`` as points, a panel each; a single number as a histogram."""
    figure = new_figure(3.2 * len(panels), 3.2)
    axes = figure.subplots(1, len(panels), squeeze=False, sharex=True, sharey=True)[0]
    colors = BLUE if labels is None else [COLORS[label % len(COLORS)] for label in labels.tolist()]
    for panel, (title, rows) in zip(axes, panels.items(), strict=True):
        values = rows.detach().float().cpu()
        if values.shape[1] == 1:
            panel.hist(values[:, 0].numpy(), bins=50, color=BLUE)
        else:
            panel.scatter(values[:, 0], values[:, 1], s=3, c=colors, linewidths=0)
        panel.set_title(title, fontsize=8)
        panel.spines[["top", "right"]].set_visible(False)
    return to_png(figure)


def draw_trajectory(stages: Sequence[Tensor], names: Sequence[str], labels: Tensor | None = None) -> bytes:
    """From noise on the left to examples on the right, a row each; rows of numbers as a panel a stage.

    Args:
        stages: ``(N, …)`` each, in the data's range.
        names: of the stages.
        labels: ``(N,)`` class numbers.
    """
    if stages[0].ndim == 4:
        return tiled(torch.stack(list(stages), 1).flatten(0, 1), len(stages))
    return draw_rows(dict(zip(names, stages, strict=True)), labels)


def draw_level_errors(errors: LevelErrors) -> bytes:
    """Error of x̂₀ at each noise level beside that of a guess that knows no more than means and variances."""
    figure = new_figure(6, 3.2)
    axes = figure.subplots()
    axes.plot(errors.noise, errors.trivial, color=GREY, linestyle=":", label="knowing mean and variance alone")
    axes.plot(errors.noise, errors.network, color=BLUE, marker="o", markersize=3, label="network")
    axes.set(xlabel="noise √(1−α)", ylabel="squared error of x̂₀")
    axes.set_yscale("log")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return to_png(figure)
