"""How precise a detector is the more it finds, and what its mistakes cost."""

from collections.abc import Sequence

from torch import Tensor

from pendio.pictures.figure import BLUE, GREY, new_figure, to_png
from pendio.pictures.palette import class_color

__all__ = ["draw_errors", "draw_precision"]

_NAMED = 20
"""Classes up to which each has a colour and a name; of more, they are grey."""


def draw_precision(curves: Tensor, classes: Sequence[str]) -> bytes:
    """Precision over recall of each class, and in black their mean.

    Args:
        curves: ``(C, K)`` precision at K recalls evenly from 0 to 1; rows below 0 belong to classes without objects.
        classes: names.
    """
    figure = new_figure(6.4, 4)
    axes = figure.subplots()
    count = curves.shape[1]
    recalls = [number / (count - 1) for number in range(count)]
    present = [number for number in range(len(classes)) if bool((curves[number] >= 0).all())]
    for number in present:
        named = len(present) <= _NAMED
        color = "#{:02x}{:02x}{:02x}".format(*class_color(number)) if named else GREY
        label = f"{classes[number][:20]} {float(curves[number].mean()):.2f}" if named else None
        axes.plot(recalls, curves[number].tolist(), color=color, linewidth=1 if named else 0.5, label=label)
    if present:
        mean = curves[present].mean(0)
        axes.plot(recalls, mean.tolist(), color="black", linewidth=2.2, label=f"mean {float(mean.mean()):.2f}")
        axes.legend(title="average precision", frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    axes.spines[["top", "right"]].set_visible(False)
    return to_png(figure)


def draw_errors(kinds: Sequence[str], gains: Sequence[float], counts: Sequence[int]) -> bytes:
    """A bar for each kind of mistake: what mending it would bring, and how often it is made.

    Args:
        kinds: names.
        gains: of average precision, in [−1, 1].
        counts: one for each kind.
    """
    figure = new_figure(6.4, 0.8 + 0.32 * len(kinds))
    axes = figure.subplots()
    places = list(range(len(kinds)))[::-1]
    axes.barh(places, gains, color=BLUE, height=0.6)
    for place, gain, count in zip(places, gains, counts, strict=True):
        axes.text(max(0.0, gain), place, f" +{gain:.3f}  ({count:,})" if gain >= 0 else f" {gain:.3f}  ({count:,})",
                  va="center", fontsize=8)  # fmt: skip
    axes.set_yticks(places, kinds)
    axes.set(
        xlabel="gain of average precision, were it mended (times made)",
        xlim=(min(0.0, *gains), 1.25 * max(0.02, *gains)),
    )
    axes.spines[["top", "right"]].set_visible(False)
    return to_png(figure)
