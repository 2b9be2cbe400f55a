"""Options that work for each family and each embedded set. What is named on the command line goes before them."""

from collections.abc import Mapping
from typing import Any

__all__ = ["FAMILY_PRESETS", "LONG_PRESETS", "preset"]

FAMILY_PRESETS: Mapping[str, Mapping[str, Any]] = {
    "window": {"layers": 2},
    "rnn": {"lr": 1e-3},
    "tcn": {"width": 64, "layers": 5, "lr": 2e-3},
    "transformer": {"layers": 2, "lr": 1e-3, "epochs": 20},
}
"""Family → options by name; the LSTM's are the defaults."""

LONG_PRESETS: Mapping[str, Mapping[str, Any]] = {
    "rnn": {"width": 64, "epochs": 12},
    "lstm": {"width": 64, "epochs": 12},
    "tcn": {"width": 24, "kernel": 7, "lr": 4e-3, "batch": 32, "epochs": 18},
    "transformer": {"width": 32, "lr": 2e-3, "batch": 32, "epochs": 8},
}
"""The same for the sets that are drawn anew in each epoch, 200 steps long: small networks, and nothing dropped."""

_LONG = ("adding", "copying")


def preset(model: str, data: str = "names") -> dict[str, Any]:
    """What is known to work for a family on some data; empty for that of the defaults."""
    options = dict(FAMILY_PRESETS.get(model, {}))
    return options | {"dropout": 0.0} | dict(LONG_PRESETS.get(model, {})) if data in _LONG else options
