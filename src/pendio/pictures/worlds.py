"""Worlds of finitely many states: values, policies and action values, on a grid or as a table."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from pendio.errors import InputError
from pendio.pictures.figure import BLUE, GREY, ORANGE, new_figure, to_png

__all__ = ["Panel", "draw_table", "draw_world", "has_directions"]

DIRECTIONS = {
    "left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1),
    "west": (-1, 0), "east": (1, 0), "north": (0, -1), "south": (0, 1),
}  # fmt: skip
"""Name of an action → step in columns and rows, on a grid whose first row is at the top."""
PALE, INK = "#f3f6fb", "#20303f"
ENDS = {"G": "#3f9b6c", "H": "#4a5563", "#": "#d5d9df"}
"""Letter of a cell that has no value worth showing → its colour."""
SHADES = LinearSegmentedColormap.from_list("values", [PALE, "#b9cfe9", "#6f9fd3", BLUE])
LARGEST_WRITTEN = 16
"""Cells a side up to which numbers and arrows are drawn."""
LARGEST_LETTERED = 40
STRIP, MOST_STRIPS, TALLEST = 100, 12, 14.0
"""States a strip of a table, strips, and inches of height; more states make the strips longer, more actions flatter."""


@dataclass(frozen=True)
class Panel:
    """One grid of a picture.

    Attributes:
        title: above it.
        values: ``(S,)``, coloured and written into the cells.
        policy: ``(S,)`` actions, or ``(S, A)`` probabilities, drawn as arrows; or none.
        q: ``(S, A)``, drawn as a triangle a direction in place of values and arrows; or none.
    """

    title: str
    values: ArrayLike
    policy: ArrayLike | None = None
    q: ArrayLike | None = None


def draw_world(
    panels: Sequence[Panel], grid: tuple[int, int], actions: Sequence[str] = (), letters: Sequence[str] = ()
) -> bytes:
    """Worlds on a grid, one a panel, in common colours a kind: values with arrows, or action values as triangles.

    Args:
        panels: side by side where they are narrow, else one below the other.
        grid: rows R and columns C; state s lies in row s // C and column s % C.
        actions: names; left, right, up, down or the compass's make arrows and triangles.
        letters: ``(S,)``: G and H are drawn as ends, without a value, # as a cell that is never entered, others in a corner.

    Raises:
        InputError: sizes do not fit, or triangles are wanted of actions that are not four directions.
    """
    rows, columns = grid
    marks = list(letters) or [""] * (rows * columns)
    if len(marks) != rows * columns or any(np.shape(panel.values) != (rows * columns,) for panel in panels):
        raise InputError(f"a grid of {rows} × {columns} cells takes {rows * columns} letters and values a panel")
    cell = max(0.1, min(0.78, 9.5 / max(rows, columns)))
    across = max(1, min(len(panels), int(14.4 / (columns * cell + 0.9))))
    down = math.ceil(len(panels) / across)
    figure = new_figure(across * (columns * cell + 0.9), down * (rows * cell + 0.45))
    places = figure.subplots(down, across, squeeze=False).ravel()
    for axes in places:
        axes.axis("off")
    steps = [DIRECTIONS.get(name.lower()) for name in actions]
    scales = {kind: _scale([panel for panel in panels if (panel.q is not None) == kind], marks) for kind in (0, 1)}
    for axes, panel in zip(places, panels, strict=False):
        scale = scales[panel.q is not None]
        if panel.q is not None:
            _triangles(axes, np.asarray(panel.q, dtype=float), grid, steps, marks, scale, cell)
        else:
            _values(axes, np.asarray(panel.values, dtype=float), grid, marks, scale, cell)
            if panel.policy is not None and max(grid) <= LARGEST_WRITTEN:
                _arrows(axes, np.asarray(panel.policy), grid, steps, actions, marks, cell)
        _frame(figure, axes, panel.title, grid, marks, scale, cell)
    return to_png(figure)


def has_directions(actions: Sequence[str]) -> bool:
    """Whether the actions are left, right, up and down, or the compass's, so that triangles can be drawn."""
    return len(actions) == 4 and {DIRECTIONS.get(name.lower()) for name in actions} == {
        (-1, 0),
        (1, 0),
        (0, -1),
        (0, 1),
    }


def _scale(panels: Sequence[Panel], marks: Sequence[str]) -> Normalize:
    """Of the values of cells that are neither ends nor unreached; action values far below all of these are cut off."""
    live = [number for number, mark in enumerate(marks) if mark not in ENDS]
    values = np.concatenate([np.asarray(panel.values, dtype=float)[live].ravel() for panel in panels] or [np.zeros(1)])
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    worst = [float(np.asarray(panel.q, dtype=float)[live].min()) for panel in panels if panel.q is not None and live]
    if worst:
        low = max(min(worst), low - 0.15 * max(high - low, abs(high)))
    return Normalize(low, high if high > low else low + 1, clip=True)


def _written(value: float, values: NDArray[np.float64], scale: Normalize) -> str:
    """Without decimals where all values are whole, otherwise with three figures for the largest on the scale."""
    largest = max(abs(float(scale.vmin or 0)), abs(float(scale.vmax or 0)), 1e-9)
    decimals = max(0, min(4, 2 - math.floor(math.log10(largest))))
    if np.abs(values - values.round()).max() < 1e-6:
        decimals = 0
    return f"{value + 0.0:.{decimals}f}".replace("-", "−")


def _ink(value: float, scale: Normalize) -> str:
    return "white" if scale(value) > 0.72 else INK


def _values(
    axes: Axes, values: NDArray[np.float64], grid: tuple[int, int], marks: Sequence[str], scale: Normalize, cell: float
) -> None:
    axes.imshow(values.reshape(grid), cmap=SHADES, norm=scale)
    if max(grid) > LARGEST_WRITTEN:
        return
    for state, value in enumerate(values):
        if marks[state] not in ENDS:
            row, column = divmod(state, grid[1])
            text = _written(value, values, scale)
            axes.text(column, row + 0.36, text, ha="center", va="center", fontsize=9.5 * cell, color=_ink(value, scale))


def _arrows(
    axes: Axes, policy: NDArray[np.float64], grid: tuple[int, int], steps: Sequence[tuple[int, int] | None],
    actions: Sequence[str], marks: Sequence[str], cell: float,
) -> None:  # fmt: skip
    chances = policy if policy.ndim == 2 else np.eye(max(len(actions), int(policy.max()) + 1))[policy]
    for state, row_chances in enumerate(chances):
        if marks[state] in ENDS:
            continue
        row, column = divmod(state, grid[1])
        for action, share in enumerate(row_chances.tolist()):
            if share <= 0.01:
                continue
            step = steps[action] if action < len(steps) else None
            if step is None:
                name = actions[action] if action < len(actions) else str(action)
                axes.text(column, row - 0.08, name[:8], ha="center", va="center", fontsize=9 * cell, color=ORANGE)
                continue
            # A sure action's arrow goes through the middle; those of several start around it, as long as they are likely.
            tail, tip = (-0.19, 0.19) if share > 0.99 else (0.04, 0.14 + 0.16 * share)
            axes.annotate(
                "", (column + tip * step[0], row - 0.08 + tip * step[1]),
                (column + tail * step[0], row - 0.08 + tail * step[1]),
                arrowprops={"arrowstyle": "-|>,head_width=0.28,head_length=0.42", "color": ORANGE, "shrinkA": 0,
                            "shrinkB": 0, "linewidth": 2.2 * cell * share, "mutation_scale": (5 + 10 * share) * cell},
            )  # fmt: skip


def _triangles(
    axes: Axes, q: NDArray[np.float64], grid: tuple[int, int], steps: Sequence[tuple[int, int] | None],
    marks: Sequence[str], scale: Normalize, cell: float,
) -> None:  # fmt: skip
    if len(steps) != 4 or None in steps or len({*steps}) != 4 or q.shape != (grid[0] * grid[1], 4):
        raise InputError("action values are drawn as triangles where the four actions are left, right, up and down")
    corners, colors = [], []
    for state in range(len(q)):
        row, column = divmod(state, grid[1])
        for action, step in enumerate(steps):
            assert step is not None
            across, down = step[1] / 2, step[0] / 2  # the edge lies across the direction
            middle = column + step[0] / 2, row + step[1] / 2
            corners.append(
                [(column, row), (middle[0] - across, middle[1] - down), (middle[0] + across, middle[1] + down)]
            )
            colors.append(SHADES(scale(q[state, action])))
            if max(grid) <= LARGEST_WRITTEN and marks[state] not in ENDS:
                best = q[state, action] >= q[state].max() - 1e-7
                axes.text(
                    column + 0.31 * step[0], row + 0.34 * step[1], _written(q[state, action], q, scale),
                    ha="center", va="center", fontsize=6.6 * cell, fontweight="bold" if best else "normal",
                    color=_ink(q[state, action], scale),
                )  # fmt: skip
    axes.add_collection(PolyCollection(corners, facecolors=colors, edgecolors="white", linewidths=0.5 * cell))
    axes.set(xlim=(-0.5, grid[1] - 0.5), ylim=(grid[0] - 0.5, -0.5), aspect="equal")


def _frame(
    figure: Figure, axes: Axes, title: str, grid: tuple[int, int], marks: Sequence[str], scale: Normalize, cell: float
) -> None:
    """The letters, the lines between cells, the title and the scale."""
    overlay = np.zeros((len(marks), 4))
    for mark, color in ENDS.items():
        overlay[np.array(marks) == mark] = to_rgba(color)
    axes.imshow(overlay.reshape(*grid, 4), zorder=2)
    if max(grid) <= LARGEST_LETTERED:
        for state, mark in enumerate(marks):
            row, column = divmod(state, grid[1])
            shift, size, color = (0.0, 17, "white") if mark in ENDS else (0.37, 8.5, INK)
            axes.text(
                column - shift, row - shift, mark.replace("#", ""), ha="center", va="center", fontsize=size * cell,
                fontweight="bold", color=color, zorder=4,
            )  # fmt: skip
        axes.vlines(np.arange(grid[1] + 1) - 0.5, -0.5, grid[0] - 0.5, color="white", linewidth=2 * cell, zorder=3)
        axes.hlines(np.arange(grid[0] + 1) - 0.5, -0.5, grid[1] - 0.5, color="white", linewidth=2 * cell, zorder=3)
    axes.set_title(title, fontsize=10, color=INK)
    _bar(figure, axes, scale, aspect=24)


def _bar(figure: Figure, axes: Axes | list[Axes], scale: Normalize, aspect: float) -> None:
    bar = figure.colorbar(ScalarMappable(scale, SHADES), ax=axes, fraction=0.04, pad=0.02, aspect=aspect)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=7, colors=GREY, length=2)


def draw_table(q: ArrayLike, actions: Sequence[str] = (), states: Sequence[str] = (), title: str = "") -> bytes:
    """Action values of a world without a grid: states along, actions down, a dot at each state's best action.

    Args:
        q: ``(S, A)``. Values far below every state's best are drawn alike. Of up to 16 states they are written in place of
            the dot; dots are drawn of up to 1,200 states.
        actions, states: names, or none for numbers.
        title: above it.

    Raises:
        InputError: q has another shape, or there are too few or too many names.
    """
    table = np.asarray(q, dtype=float)
    if (
        table.ndim != 2
        or not table.size
        or (len(actions) or table.shape[1], len(states) or len(table)) != table.shape[::-1]
    ):
        sizes = f"{table.shape}, {len(states)} and {len(actions)}"
        raise InputError(f"a table of action values has shape (S, A) and S and A names or none, got {sizes}")
    best, written = table.max(1), len(table) <= LARGEST_WRITTEN
    room = 0.5 * (best.max() - best.min())
    low = max(table.min(), best.min() - room)
    scale = Normalize(low, best.max() if best.max() > low else low + 1, clip=True)
    strips = min(MOST_STRIPS, math.ceil(len(table) / STRIP))
    width = math.ceil(len(table) / strips)
    across, down = (0.62, 0.4) if written else (0.086, min(0.15, (TALLEST / strips - 0.3) / table.shape[1]))
    figure = new_figure(min(11.0, 2.4 + across * width), 0.6 + min(TALLEST, strips * (0.3 + down * table.shape[1])))
    places = figure.subplots(strips, 1, squeeze=False).ravel()
    for number, axes in enumerate(places):
        _strip(axes, table, (number * width, min(len(table), (number + 1) * width)), actions, scale, written)
        axes.set_xlim(number * width - 0.5, (number + 1) * width - 0.5)
    if written:
        names = list(states) or [str(state) for state in range(len(table))]
        places[0].set_xticks(range(len(table)), names, rotation=90 if max(map(len, names)) > 8 else 0)
    places[0].set_title(title, fontsize=10, color=INK)
    places[-1].set_xlabel("state", fontsize=8)
    _bar(figure, list(places), scale, aspect=40)
    return to_png(figure)


def _strip(
    axes: Axes,
    table: NDArray[np.float64],
    part: tuple[int, int],
    actions: Sequence[str],
    scale: Normalize,
    written: bool,
) -> None:
    begin, end = part
    count = table.shape[1]
    names = list(actions) or [str(action) for action in range(count)]
    axes.imshow(
        table[begin:end].T, cmap=SHADES, norm=scale, aspect="auto", interpolation="nearest",
        extent=(begin - 0.5, end - 0.5, count - 0.5, -0.5),
    )  # fmt: skip
    if written:
        for (state, action), value in np.ndenumerate(table):
            axes.text(
                state, action, _written(value, table, scale), ha="center", va="center", fontsize=8,
                fontweight="bold" if value >= table[state].max() - 1e-7 else "normal", color=_ink(value, scale),
            )  # fmt: skip
    elif len(table) <= STRIP * MOST_STRIPS:
        axes.plot(np.arange(begin, end), table[begin:end].argmax(1), "o", color=ORANGE, markersize=2.6)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    crowded = axes.get_window_extent().height < 11 * count
    axes.set_yticks([] if crowded else range(count), [] if crowded else names)
    axes.tick_params(labelsize=7, colors=INK, length=2)
    axes.spines[:].set_visible(False)
