"""What a generator makes, drawn."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pendio.pictures.figure import BLUE, GREY, new_figure, to_png

__all__ = ["draw_game", "draw_modes"]


def draw_game(history: Sequence[Mapping[str, Any]]) -> bytes:
    """How well the discriminator tells made from held-out examples, and how various the made are, over epochs.

    Args:
        history: records with ``epoch``, ``val_accuracy`` and ``val_diversity``.
    """
    figure = new_figure(9, 2.8)
    epochs = [record["epoch"] for record in history]
    marker = "o" if len(epochs) < 3 else None
    panels = (
        ("val_accuracy", "accuracy of the discriminator", 0.5),
        ("val_diversity", "diversity of what is made", 1.0),
    )
    for axes, (name, label, ideal) in zip(figure.subplots(1, 2), panels, strict=True):
        axes.plot(epochs, [record[name] for record in history], color=BLUE, marker=marker)
        axes.axhline(ideal, color=GREY, linestyle=":", linewidth=1)
        axes.set(xlabel="epoch", ylabel=label, ylim=(0, None))
        axes.spines[["top", "right"]].set_visible(False)
        axes.xaxis.get_major_locator().set_params(integer=True)
    return to_png(figure)


def draw_modes(classes: Sequence[str], real: Sequence[float], made: Sequence[float]) -> bytes:
    """The share of each class among the data and among what is made, in [0, 1]."""
    figure = new_figure(6.4, 3.2)
    axes = figure.subplots()
    places = np.arange(len(classes))
    axes.bar(places - 0.2, real, 0.4, color=GREY, label="data")
    axes.bar(places + 0.2, made, 0.4, color=BLUE, label="made")
    axes.set_xticks(places, [name[:12] for name in classes], rotation=90 if len(classes) > 12 else 0)
    axes.set(xlabel="class", ylabel="share")
    axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    return to_png(figure)
