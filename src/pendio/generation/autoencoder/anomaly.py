"""From scores to alarms."""

import math

from torch import Tensor

from pendio.errors import InputError

__all__ = ["conformal_rank", "conformal_threshold"]


def conformal_threshold(scores: Tensor, false_alarms: float) -> float:
    """The score above which an example is called an anomaly: of ``(n,)`` scores the one of :func:`conformal_rank`.

    The scores are of normal examples that nothing was learned from. A further normal example lies above the threshold with
    a probability of at most ``false_alarms``, whatever the distribution of scores (Vovk et al., 2005).

    Raises:
        InputError: see :func:`conformal_rank`.
    """
    return float(scores.double().sort().values[conformal_rank(len(scores), false_alarms) - 1])


def conformal_rank(count: int, false_alarms: float) -> int:
    """⌈(n + 1)(1 − α)⌉: which of n scores, from 1 on in rising order, is the threshold.

    Args:
        count: n.
        false_alarms: α.

    Raises:
        InputError: n is too small for any threshold to keep its promise.
    """
    # Without the slack (n + 1)(1 − α) would be rounded up from a whole number's upper neighbour.
    rank = math.ceil((count + 1) * (1 - false_alarms) - 1e-9)
    if rank > count:
        least = math.ceil(1 / false_alarms - 1 - 1e-9)
        raise InputError(f"--false-alarms {false_alarms:g} needs {least} held-out examples at least, and there are {count}: "
                         "give more data, or allow more false alarms")  # fmt: skip
    return max(rank, 1)
