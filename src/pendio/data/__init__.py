"""Where examples come from: embedded sets, folders, CSV files, NumPy arrays and any ``torch`` data set."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pendio.data.arrays import from_arrays, from_dataset
    from pendio.data.examples import Data, Examples
    from pendio.data.opening import open  # noqa: A004

__all__ = ["Data", "Examples", "from_arrays", "from_dataset", "open"]

_HOME = {
    "Data": "examples",
    "Examples": "examples",
    "from_arrays": "arrays",
    "from_dataset": "arrays",
    "open": "opening",
}


def __getattr__(name: str) -> Any:
    # The command line imports this package for its options alone: torch loads when data is opened.
    if name not in _HOME:
        raise AttributeError(f"module 'pendio.data' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"pendio.data.{_HOME[name]}"), name)
