"""How text is written: options, apart from the code that loads torch."""

from dataclasses import dataclass

from pendio.errors import InputError
from pendio.options import check_types, flag

__all__ = ["Sampling"]


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How the next token is chosen.

    Raises:
        InputError: a value is out of its range.
    """

    temperature: float = 1.0
    """Of texts: what logits are divided by; 0 takes the likeliest token. Of examples: deviation of their first noise."""

    top_k: int | None = None
    """Only the so many likeliest tokens may be chosen."""

    top_p: float | None = None
    """Only the fewest tokens that have this probability together may be chosen, in (0, 1]."""

    seed: int = 0
    """Of chance; the same seed gives the same texts or examples."""

    def __post_init__(self) -> None:
        check_types(self)
        if not 0 <= self.temperature < float("inf"):
            raise InputError(f"{flag('temperature')} must be 0 or more, got {self.temperature:g}")
        if self.top_k is not None and self.top_k < 1:
            raise InputError(f"{flag('top_k')} must be at least 1, got {self.top_k}")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise InputError(f"{flag('top_p')} must be in (0, 1], got {self.top_p:g}")
        if self.seed < 0:
            raise InputError(f"{flag('seed')} must not be negative, got {self.seed}")
