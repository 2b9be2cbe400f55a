"""Training curves."""

from collections.abc import Mapping, Sequence
from typing import Any

from pendio.pictures.figure import BLUE, GREY, ORANGE, new_figure, to_png

__all__ = ["draw_curves"]


def draw_curves(history: Sequence[Mapping[str, Any]], metric: str) -> bytes:
    """Losses and a validation metric over epochs, the best evaluation marked.

    Args:
        history: records with ``epoch``, ``loss``, ``val_loss`` and ``val_<metric>``.
        metric: which one to draw beside the losses.
    """
    figure = new_figure(9, 3.2)
    losses, scores = figure.subplots(1, 2)
    epochs = [record["epoch"] for record in history]
    marker = "o" if len(epochs) < 3 else None
    losses.plot(epochs, [record["loss"] for record in history], color=BLUE, label="training", marker=marker)
    losses.plot(epochs, [record["val_loss"] for record in history], color=ORANGE, label="validation", marker=marker)
    values = [record["loss"] for record in history] + [record["val_loss"] for record in history]
    if min(values) > 0 and max(values) > 20 * min(values):
        losses.set_yscale("log")
    losses.set(xlabel="epoch", ylabel="loss")
    losses.legend(frameon=False)
    scores.plot(epochs, [record[f"val_{metric}"] for record in history], color=ORANGE, marker=marker)
    best = [record for record in history if record.get("best")]
    if best:
        scores.axvline(best[-1]["epoch"], color=GREY, linestyle=":", linewidth=1)
        scores.annotate(
            f" best: {best[-1][f'val_{metric}']:.4f}", (best[-1]["epoch"], 0.04), color=GREY,
            xycoords=("data", "axes fraction"), ha="right" if best[-1]["epoch"] > 0.6 * epochs[-1] else "left",
        )  # fmt: skip
    scores.set(xlabel="epoch", ylabel=f"validation {metric}")
    for axes in (losses, scores):
        axes.spines[["top", "right"]].set_visible(False)
        axes.xaxis.get_major_locator().set_params(integer=True)
    return to_png(figure)
