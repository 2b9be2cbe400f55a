"""Many observations in the plane: how often each place was visited, and what it is worth."""

from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from numpy.typing import ArrayLike, NDArray

from pendio.pictures.figure import BLUE, new_figure, to_png

__all__ = ["draw_cloud"]

_CELLS = 42
_BLUES = LinearSegmentedColormap.from_list("visits", ["#b9d0ea", BLUE, "#10294a"])
"""Dark enough at its light end for a place that was visited once to be seen."""


def draw_cloud(observations: ArrayLike, values: ArrayLike | None = None) -> bytes:
    """Observations counted in the cells of a plane, and beside it the mean value in each.

    Two numbers an observation are drawn as they are; of more, the plane in which they differ most: their first two
    principal components, each number in units of its standard deviation.

    Args:
        observations: ``(N, F)`` with F ≥ 2.
        values: of each ``(N,)``; None draws the counts alone.
    """
    points = np.asarray(observations, dtype=np.float64)
    plane, labels = (points, ("first number", "second number")) if points.shape[1] == 2 else _principal(points)
    figure = new_figure(9 if values is not None else 4.6, 3.6)
    panels = figure.subplots(1, 1 if values is None else 2, squeeze=False)[0]
    extent: Any = (*_range(plane[:, 0]), *_range(plane[:, 1]))
    shared: dict[str, Any] = {"gridsize": _CELLS, "extent": extent, "linewidths": 0.1}
    visits = panels[0].hexbin(*plane.T, cmap=_BLUES, norm=LogNorm(), mincnt=1, **shared)
    figure.colorbar(visits, ax=panels[0], label="visits")
    if values is not None:
        worth = panels[1].hexbin(*plane.T, C=np.asarray(values), cmap="viridis", reduce_C_function=np.mean, **shared)
        figure.colorbar(worth, ax=panels[1], label="value")
    for axes in panels:
        axes.set(xlabel=labels[0], ylabel=labels[1])
        axes.spines[["top", "right"]].set_visible(False)
    return to_png(figure)


def _principal(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], tuple[str, str]]:
    """The first two principal components ``(N, 2)``, and how much of the variance each holds."""
    scaled = (points - points.mean(0)) / np.maximum(points.std(0), 1e-12)
    variances, directions = np.linalg.eigh(scaled.T @ scaled / len(scaled))
    shares = variances[::-1] / max(variances.sum(), 1e-12)
    labels = (f"first component ({shares[0]:.0%})", f"second component ({shares[1]:.0%})")
    return scaled @ directions[:, :-3:-1], labels


def _range(values: NDArray[np.float64]) -> tuple[float, float]:
    """Where nearly all values lie: a few far ones would leave no room for the others."""
    low, high = np.quantile(values, (0.002, 0.998))
    margin = 0.05 * (high - low) or 1.0
    return float(low - margin), float(high + margin)
