"""How well a score tells strange examples from normal ones."""

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["separation"]


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
