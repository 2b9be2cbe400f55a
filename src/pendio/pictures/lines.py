"""Lines over a common axis."""

from collections.abc import Mapping, Sequence

from pendio.pictures.figure import COLORS, GREY, new_figure, to_png

__all__ = ["draw_lines"]


def draw_lines(
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    x_label: str,
    y_label: str,
    *,
    log_x: bool = False,
    log_y: bool = False,
    dots: bool = False,
    mark: float | None = None,
) -> bytes:
    """One line a name.

    Args:
        series: name → xs and ys of equal length.
        x_label, y_label: what the axes show.
        log_x, log_y: logarithmic axes.
        dots: mark each point.
        mark: an x to mark by a dotted line.
    """
    figure = new_figure(6.4, 3.6)
    axes = figure.subplots()
    for number, (name, (xs, ys)) in enumerate(series.items()):
        axes.plot(xs, ys, color=COLORS[number % len(COLORS)], label=name, marker="o" if dots else None, markersize=3)
    if log_x:
        axes.set_xscale("log")
    if log_y:
        axes.set_yscale("log")
    if mark is not None:
        axes.axvline(mark, color=GREY, linestyle=":")
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.spines[["top", "right"]].set_visible(False)
    if len(series) > 1:
        axes.legend(frameon=False, fontsize=8)
    return to_png(figure)
