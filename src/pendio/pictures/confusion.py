"""Confusion matrices."""

from collections.abc import Sequence

from torch import Tensor

from pendio.pictures.figure import new_figure, to_png

__all__ = ["draw_confusion"]

_NAMED = 40


def draw_confusion(counts: Tensor, classes: Sequence[str]) -> bytes:
    """Counts ``(K, K)`` of (true, predicted), coloured by the share of the true class; with names up to 40 classes."""
    size = min(10.0, 2.2 + 0.34 * len(classes))
    figure = new_figure(size, size)
    axes = figure.subplots()
    share = counts.double() / counts.sum(1, keepdim=True).clamp(min=1)
    axes.imshow(share.numpy(), cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="predicted", ylabel="true")
    if len(classes) > _NAMED:
        return to_png(figure)
    ticks = range(len(classes))
    names = [name if len(name) <= 16 else f"{name[:15]}…" for name in classes]
    axes.set_xticks(ticks, names, rotation=90 if max(map(len, names)) > 2 else 0, fontsize=8)
    axes.set_yticks(ticks, names, fontsize=8)
    for row in ticks:
        for column in ticks:
            if counts[row, column]:
                color = "white" if share[row, column] > 0.5 else "black"
                axes.text(column, row, str(int(counts[row, column])), ha="center", va="center", fontsize=7, color=color)
    return to_png(figure)
