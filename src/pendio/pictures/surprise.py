"""A text coloured by how it surprised a model."""

import math
from collections.abc import Sequence

from pendio.pictures.figure import new_figure, to_png
from pendio.pictures.lettering import letter, sheet

__all__ = ["draw_surprise"]

_BITS = 8.0
"""Surprise at which the colour is full."""


def draw_surprise(names: Sequence[str], nats: Sequence[float]) -> bytes:
    """Tokens as they are read, line by line, each the darker the less it was expected.

    Args:
        names: what each token stands for; a line is broken after a line end.
        nats: −ln of the probability of each.
    """
    width, height = sheet(names)
    figure = new_figure(width + 0.2, height + 0.2)
    strengths = [min(1.0, surprise / math.log(2) / _BITS) for surprise in nats]
    letter(figure.subplots(), names, [(0.85, 0.33, 0.1, strength) for strength in strengths])
    return to_png(figure)
