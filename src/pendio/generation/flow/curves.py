"""What the curves of a normalising flow tell."""

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
    return diagnose_curves(evidence, _FITTING, ())
