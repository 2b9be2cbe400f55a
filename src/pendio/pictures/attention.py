"""Where attention looks: a row for each token that looks, a column for each that is looked at."""

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from pendio.pictures.figure import new_figure, to_png

__all__ = ["draw_attention", "draw_heads"]

_CELL = 0.17
"""Inches of a token."""

_MOST = 8.0
"""Inches of a map; longer sequences are drawn smaller."""

_LABELS = 60
"""Tokens that are named on an axis; of more, only every so many."""


def draw_attention(weights: Tensor, rows: Sequence[str], columns: Sequence[str], title: str = "") -> bytes:
    """One map, from white for 0 to dark for 1.

    Args:
        weights: ``(T, S)`` in [0, 1].
        rows: T names of the tokens that look.
        columns: S names of the tokens that are looked at.
        title: above the map.

    Raises:
        ValueError: the names are not as many as the weights.
    """
    return draw_heads(weights[None], rows, columns, [title], across=1)


def draw_heads(
    weights: Tensor, rows: Sequence[str], columns: Sequence[str], titles: Sequence[str] = (), across: int = 2
) -> bytes:
    """A map for each of several heads over the same tokens, side by side.

    Args:
        weights: ``(heads, T, S)`` in [0, 1].
        rows, columns: as for :func:`draw_attention`.
        titles: one a head; by default their numbers from 0.
        across: maps side by side.

    Raises:
        ValueError: the names are not as many as the weights.
    """
    heads = weights.shape[0]
    titles = titles or [f"head {number}" for number in range(heads)]
    if tuple(weights.shape) != (len(titles), len(rows), len(columns)):
        raise ValueError(
            f"weights of shape {tuple(weights.shape)} for {len(titles)} maps of {len(rows)} × {len(columns)}"
        )
    across = min(across, heads)
    down = math.ceil(heads / across)
    width, height = (min(_MOST, 0.7 + _CELL * count) for count in (max(len(columns), 6), max(len(rows), 4)))
    figure = new_figure(width * across, (height + 0.4) * down)
    cells = figure.subplots(down, across, squeeze=False).ravel()
    for number, axes in enumerate(cells):
        if number >= heads:
            axes.axis("off")
            continue
        axes.imshow(weights[number].float().cpu().numpy(), cmap="Blues", vmin=0, vmax=1, aspect="auto")
        axes.set_title(titles[number], fontsize=8, parse_math=False)
        _name(axes.set_yticks, rows)
        _name(axes.set_xticks, columns, rotation=90 if max(map(len, columns), default=0) > 2 else 0)
    return to_png(figure)


def _name(place: Any, names: Sequence[str], rotation: int = 0) -> None:
    """Tokens on an axis; theirs is no mathematics, whatever signs they have."""
    every = max(1, math.ceil(len(names) / _LABELS))
    shown = [name if len(name) <= 12 else f"{name[:11]}…" for name in names[::every]]
    place(range(0, len(names), every), shown, fontsize=7, rotation=rotation, parse_math=False)
