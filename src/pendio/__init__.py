"""pendio: the canon of deep learning as one working tool.

The public face. Importing it is cheap: torch loads when work begins.
"""

from typing import Any

__version__ = "0.1.0"

__all__ = ["InputError", "Network", "Plan", "climb", "evaluate", "fit", "load", "train"]

_HOME = {
    "InputError": "pendio.errors",
    "Network": "pendio.nn.network",
    "Plan": "pendio.descent.plan",
    "climb": "pendio.ascent.climb",
    "evaluate": "pendio.descent.loop",
    "fit": "pendio.descent.loop",
    "load": "pendio.recipes",
    "train": "pendio.recipes",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'pendio' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOME[name]), name)
