"""How a run on sequences is asked, apart from the code that answers."""

from typing import NamedTuple

__all__ = ["Asking"]


class Asking(NamedTuple):
    """What ``pendio predict`` was told beside the inputs; None is the default of what is asked.

    Attributes:
        top: how many classes or likeliest tokens to name.
        beams: how many beginnings of a translation to keep.
        penalty: how lengths weigh in that.
    """

    top: int | None = None
    beams: int | None = None
    penalty: float | None = None
