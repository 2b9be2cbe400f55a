"""A function, the networks that approximate it, and their error against width."""

from collections.abc import Sequence

from torch import Tensor

from pendio.pictures.figure import BLUE, COLORS, GREY, new_figure, to_png

__all__ = ["draw_approximation"]


def draw_approximation(
    points: Tensor, targets: Tensor, outputs: Sequence[Tensor], widths: Sequence[int], errors: Sequence[float]
) -> bytes:
    """The function and up to three of its approximations; beside them all errors, both axes logarithmic.

    Args:
        points, targets: ``(M,)`` of the function.
        outputs: ``(M,)`` a network.
        widths, errors: one a network.
    """
    figure = new_figure(9, 3.4)
    curves, falls = figure.subplots(1, 2)
    curves.plot(points, targets, color=GREY, linewidth=4, alpha=0.5, label="f")
    for number, index in enumerate(range(0, len(outputs), max(1, -(-len(outputs) // 3)))):
        curves.plot(points, outputs[index], color=COLORS[number], linewidth=1.2, label=f"{widths[index]} units")
    curves.set(xlabel="x", ylabel="f(x)")
    curves.legend(frameon=False, fontsize=8)
    falls.loglog(widths, errors, color=BLUE, marker="o", markersize=4)
    falls.set_xticks(widths, [str(width) for width in widths])
    falls.set_xticks([], minor=True)
    falls.set(xlabel="hidden units", ylabel="largest error")
    for axes in (curves, falls):
        axes.spines[["top", "right"]].set_visible(False)
    return to_png(figure)
