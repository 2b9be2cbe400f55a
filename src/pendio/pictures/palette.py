"""The colour of each class, the same in every picture of masks and boxes."""

import colorsys
from functools import cache

from matplotlib.colors import to_rgb

from pendio.pictures.figure import COLORS

__all__ = ["class_color"]

_GOLDEN = (5**0.5 - 1) / 2


@cache
def class_color(number: int) -> tuple[int, int, int]:
    """Red, green and blue of a class, each 0 … 255.

    The first ten are those of all figures, distinct also for most colour-blind people. Further ones turn the hue by the
    golden ratio, so that it never comes near its last few values, and change in lightness too.

    >>> class_color(0)
    (47, 109, 181)
    """
    if number < len(COLORS):
        red, green, blue = to_rgb(COLORS[number])
    else:
        turns = number - len(COLORS)
        red, green, blue = colorsys.hls_to_rgb(turns * _GOLDEN % 1, (0.42, 0.6, 0.5)[turns % 3], 0.62)
    return round(255 * red), round(255 * green), round(255 * blue)
