"""Which steps of a sequence speak for an answer, and which against it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from pendio.pictures.figure import BLUE, COLORS, ORANGE, new_figure, to_png
from pendio.pictures.lettering import letter, sheet

__all__ = ["draw_listening", "draw_listening_numbers"]

_FOR, _AGAINST = (0.85, 0.45, 0.18), (0.18, 0.43, 0.71)


def draw_listening(names: Sequence[str], measures: Mapping[str, Tensor]) -> bytes:
    """A text once for each measure: orange where a token speaks for the answer, blue where against it, darker for more.

    Args:
        names: what each of the T tokens stands for.
        measures: name → ``(T,)``, above 0 for the answer, below 0 against it. Each has a scale of its own.
    """
    width, height = sheet(names)
    figure = new_figure(width + 0.2, len(measures) * (height + 0.35))
    cells = figure.subplots(len(measures), 1, squeeze=False).ravel()
    for axes, (name, values) in zip(cells, measures.items(), strict=True):
        axes.set_title(name, fontsize=8, loc="left")
        signed = values.double().cpu() / max(float(values.abs().max()), 1e-30)
        letter(axes, names, [(*(_FOR if value > 0 else _AGAINST), abs(value)) for value in signed.tolist()])
    return to_png(figure)


def draw_listening_numbers(inputs: Tensor, measures: Mapping[str, Tensor]) -> bytes:
    """Numbers over time, and below them a bar for each step and measure, orange for the answer and blue against it.

    Args:
        inputs: ``(T, F)``, a line each.
        measures: as for :func:`draw_listening`.
    """
    figure = new_figure(8.4, 1.6 * (1 + len(measures)))
    cells: Any = figure.subplots(1 + len(measures), 1, sharex=True)
    for feature, column in enumerate(inputs.T.double().cpu().numpy()):
        cells[0].plot(column, color=COLORS[feature % len(COLORS)], linewidth=0.8, label=f"input {feature}")
    cells[0].set_title("what it reads", fontsize=8, loc="left")
    for axes, (name, values) in zip(cells[1:], measures.items(), strict=True):
        heights = values.double().cpu().numpy()
        axes.bar(range(len(heights)), heights, width=1.0, color=np.where(heights > 0, ORANGE, BLUE))
        axes.set_title(name, fontsize=8, loc="left")
    cells[-1].set_xlabel("step")
    for axes in cells:
        axes.spines[["top", "right"]].set_visible(False)
    if inputs.shape[1] > 1:
        cells[0].legend(frameon=False, fontsize=7, ncols=4, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0)
    return to_png(figure)
