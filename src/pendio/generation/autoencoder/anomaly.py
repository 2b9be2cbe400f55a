"""From scores to alarms."""

import math

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from pendio.errors import InputError

__all__ = ["conformal_rank", "conformal_threshold", "separation"]


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


def separation(scores: ArrayLike, anomalous: ArrayLike) -> dict[str, float]:
    """How well scores tell anomalies from normal examples; empty where there is but one kind.

    Returns:
        "auroc", the probability that an anomaly has a higher score than a normal example, and "aupr", the average precision
        of the anomalies, which falls with their share.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score

    values, truth = np.asarray(scores, dtype=np.float64), np.asarray(anomalous, dtype=bool)
    if truth.all() or not truth.any():
        return {}
    return {
        "auroc": float(roc_auc_score(truth, values)),
        "aupr": float(average_precision_score(truth, values)),
    }
