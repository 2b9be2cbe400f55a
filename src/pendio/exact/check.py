"""What a check is, and running checks."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["Check", "Row"]


@dataclass(frozen=True)
class Row:
    """What came of a check: ``measured`` against ``expected``, within ``tolerance`` of it or at most it."""

    name: str
    about: str
    measured: float
    expected: float
    tolerance: float
    relation: Literal["=", "≤"]
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether the truth holds; nothing that is not a number passes."""
        excess = self.measured - self.expected
        return (excess if self.relation == "≤" else abs(excess)) <= self.tolerance

    def to_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self) | {"passed": self.passed}


@dataclass(frozen=True)
class Check:
    """Something exact about a method.

    Attributes:
        name: one word or several with hyphens, unique.
        about: what is exact about it, in a sentence.
        measure: the measured and the expected value.
        tolerance: how far apart they may be, because of rounding or of a finite number of steps.
        relation: "=" or, where theory gives a bound, "≤".
    """

    name: str
    about: str
    measure: Callable[[], tuple[float, float]]
    tolerance: float = 0.0
    relation: Literal["=", "≤"] = "="

    def run(self) -> Row:
        """Measure. A method that breaks down is one whose truth does not hold: its row fails and says why."""
        began = time.perf_counter()
        try:
            measured, expected = self.measure()
        except Exception as error:
            measured = expected = math.nan
            about = f"{self.about}: {type(error).__name__}: {error}"
        else:
            about = self.about
        seconds = time.perf_counter() - began
        return Row(
            self.name, about, float(measured), float(expected), self.tolerance, self.relation, seconds
        )  # fmt: skip
