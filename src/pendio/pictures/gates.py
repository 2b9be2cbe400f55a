"""What the units of a recurrent network do over time."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from pendio.pictures.figure import new_figure, to_png

__all__ = ["Units", "draw_units"]

_LABELS = 90
"""Steps that are named on the axis; of more, only every so many."""


class Units(NamedTuple):
    """What units do over time, to be drawn as one map.

    Attributes:
        name: what it is.
        values: ``(T, U)``.
        signed: whether values may be below 0; others lie in [0, 1].
    """

    name: str
    values: Tensor
    signed: bool


def draw_units(maps: Sequence[Units], steps: Sequence[str]) -> bytes:
    """Maps one below the other, a row for each unit and a column for each step.

    Those in [0, 1] go from white to dark blue; signed ones from blue through white for 0 to red, on a scale that is
    symmetric and ends at 1, or at the largest value where that is more.

    Args:
        maps: of the same units over the same steps.
        steps: T names.

    Raises:
        ValueError: the names are not as many as the steps.
    """
    if any(len(one.values) != len(steps) for one in maps):
        raise ValueError(f"{len(steps)} names for maps of {[len(one.values) for one in maps]} steps")
    units = maps[0].values.shape[1]
    figure = new_figure(max(4.0, min(13.0, 1.5 + 0.13 * len(steps))), len(maps) * (0.35 + 0.045 * units) + 0.4)
    cells = figure.subplots(len(maps), 1, squeeze=False, sharex=True).ravel()
    for axes, one in zip(cells, maps, strict=True):
        values = one.values.float().cpu().numpy()
        end = max(1.0, float(one.values.abs().max()))
        low, color = (-end, "RdBu_r") if one.signed else (0.0, "Blues")
        image = axes.imshow(
            values.T, cmap=color, vmin=low, vmax=end if one.signed else 1.0, aspect="auto", interpolation="nearest"
        )  # fmt: skip
        axes.set_ylabel(one.name, fontsize=8)
        axes.set_yticks([])
        figure.colorbar(image, ax=axes, pad=0.01).ax.tick_params(labelsize=6)
    every = max(1, math.ceil(len(steps) / _LABELS))
    shown = [name if len(name) <= 8 else f"{name[:7]}…" for name in steps[::every]]
    rotation = 90 if max(map(len, shown), default=0) > 2 else 0
    cells[-1].set_xticks(range(0, len(steps), every), shown, fontsize=7, rotation=rotation, parse_math=False)
    return to_png(figure)
