"""The common look of all figures."""

import io

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

__all__ = ["BLUE", "COLORS", "GREY", "ORANGE", "new_figure", "to_png"]

BLUE, ORANGE, GREY = "#2f6db5", "#d9722e", "#8a8f98"
COLORS = (BLUE, ORANGE, "#3f9b6c", "#b8518f", "#8a6fc7", "#c2a12f", "#4fb0bf", "#a3564a", "#5c6b7a", "#9fb54a")
"""Distinct also for most colour-blind people, in this order."""


def new_figure(width: float, height: float) -> Figure:
    """A figure of ``width`` × ``height`` inches, drawn without a display and without global state."""
    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def to_png(figure: Figure) -> bytes:
    """The figure as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", facecolor="white")
    return buffer.getvalue()
