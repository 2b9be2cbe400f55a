"""What training did to each layer."""

from collections.abc import Mapping, Sequence

from matplotlib import colormaps

from pendio.pictures.figure import GREY, new_figure, to_png

__all__ = ["draw_layers"]


def draw_layers(gradients: Mapping[str, Sequence[float]], ratios: Mapping[str, Sequence[float]]) -> bytes:
    """Gradients and update-to-weight ratios over epochs, a line a layer, from dark for the first to light for the last.

    Args:
        gradients: layer → root mean square of its gradient in each epoch.
        ratios: layer → update to weight in each epoch.
    """
    figure = new_figure(9, 3.4)
    panels = figure.subplots(1, 2)
    for axes, values, label in zip(panels, (gradients, ratios), ("gradient", "update / weight"), strict=True):
        for number, (name, series) in enumerate(values.items()):
            shade = colormaps["viridis"](0.9 * number / max(1, len(values) - 1))
            ends = number in (0, len(values) - 1)
            epochs = range(1, len(series) + 1)
            axes.plot(epochs, [max(value, 1e-30) for value in series], color=shade, linewidth=1.8 if ends else 0.9,
                      label=name if ends else None, marker="o" if len(series) < 3 else None, markersize=3)  # fmt: skip
        axes.set_yscale("log")
        axes.set(xlabel="epoch", ylabel=label)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.spines[["top", "right"]].set_visible(False)
    # By experience, updates of a thousandth of the weights are healthy.
    panels[1].axhline(1e-3, color=GREY, linestyle=":", linewidth=1)
    panels[0].legend(frameon=False, fontsize=7)
    return to_png(figure)
