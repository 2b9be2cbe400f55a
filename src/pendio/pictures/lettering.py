"""A text in a picture, piece by piece, each on a colour of its own."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

__all__ = ["letter", "placed", "sheet"]

_COLUMNS = 80

Color = tuple[float, float, float, float]


def placed(names: Sequence[str]) -> list[tuple[int, int]]:
    """Line and column of each piece, as it is read; a line is broken after a line end, and where it is full."""
    places, line, column = [], 0, 0
    for name in names:
        if column and column + len(name) > _COLUMNS:
            line, column = line + 1, 0
        places.append((line, column))
        column += len(name)
        if name.endswith("\\n"):
            line, column = line + 1, 0
    return places


def sheet(names: Sequence[str]) -> tuple[float, float]:
    """Inches that a text takes: width and height."""
    columns, lines = _extent(names)
    return 0.102 * columns, 0.2 * lines


def _extent(names: Sequence[str]) -> tuple[int, int]:
    """Columns and lines; never so few columns that a title above them would find no room."""
    places = placed(names)
    widest = max(column + len(name) for name, (_, column) in zip(names, places, strict=True))
    return max(widest, _COLUMNS // 2), max(line for line, _ in places) + 1


def letter(axes: Axes, names: Sequence[str], colors: Sequence[Color]) -> None:
    """Write pieces of text at their places, each on a colour in red, green, blue and strength, all in [0, 1]."""
    places, (columns, lines) = placed(names), _extent(names)
    axes.set(xlim=(0, columns), ylim=(lines, 0))
    axes.axis("off")
    for name, color, (row, start) in zip(names, colors, places, strict=True):
        axes.add_patch(Rectangle((start, row), len(name), 1, facecolor=color, edgecolor="none"))
        for number, character in enumerate(name):
            axes.text(start + number + 0.5, row + 0.5, character, ha="center", va="center", family="monospace",
                      fontsize=7.5, color="white" if color[3] > 0.6 else "black", parse_math=False)  # fmt: skip
