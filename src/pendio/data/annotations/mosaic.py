"""Mosaics: four pictures around a random centre, so that a batch shows more objects, smaller ones and cut ones.

Source: Bochkovskiy, Wang and Liao (2020), section 3.3.
"""

import math
from collections.abc import Sequence

from pendio.data.annotations.joint import Place, Window

__all__ = ["is_mosaic", "partners", "quarters"]


def is_mosaic(draws: Sequence[float]) -> bool:
    """Whether a sample becomes a mosaic: half of them do, so that whole pictures are learned as well."""
    return draws[10] < 0.5


def partners(draws: Sequence[float], count: int) -> list[int]:
    """The three samples, of ``count``, that join a sample in its mosaic."""
    return [int(draw * count) for draw in draws[13:16]]


def quarters(draws: Sequence[float], size: int, names: tuple[str, ...]) -> list[tuple[Place, Window]]:
    """For each of the four pictures its place on the canvas, and the window of the canvas that it fills.

    The centre lies in the middle half of either side. A picture is at least as large as its window, and at most as large
    as the canvas (one and a half times with "scale"); which part of it is seen is random.
    """
    x, y = (round(size * (0.25 + 0.5 * draw)) for draw in draws[11:13])
    windows = (Window(0, 0, y, x), Window(0, x, y, size), Window(y, 0, size, x), Window(y, x, size, size))
    largest = size * 1.5 if "scale" in names else size
    found = []
    for number, window in enumerate(windows):
        flip, scale, across, down = draws[16 + 4 * number : 20 + 4 * number]
        height, width = window.bottom - window.top, window.right - window.left
        least = max(height, width)
        side = math.floor(least + scale * (largest - least))
        left = window.left - round(across * (side - width))
        top = window.top - round(down * (side - height))
        found.append((Place(side, top, left, "flip" in names and flip < 0.5), window))
    return found
