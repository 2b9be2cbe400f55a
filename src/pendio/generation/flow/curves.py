"""What the curves of a normalising flow tell."""

import math

from pendio.runs.diagnosis import Diagnosis, Evidence, diagnose_curves

__all__ = ["diagnose_flow_curves"]

_FITTING = {
    "overfitting": "--width 32 --layers 4 --average ema",
    "underfitting": "--epochs 300 --width 128",
    "vanishing-gradients": "--layers 4",
}
"""Kind of a finding of all tasks → the options that flows have for it."""


def diagnose_flow_curves(evidence: Evidence) -> list[Diagnosis]:
    """What a run's curves and gradients tell, before or after its end; empty where nothing went wrong."""
    found = diagnose_curves(evidence, _FITTING, ())
    losses = [float(record["loss"]) for record in evidence.history]
    if losses and all(math.isfinite(loss) for loss in losses) and min(losses) <= 0:
        # The rule asks by which factor the loss rose, and a log density may be negative.
        found = [one for one in found if one.kind != "lr-too-high"]
    return found
