"""Which family reads a sequence, and how large it is: options that all tasks on sequences share."""

from dataclasses import dataclass
from typing import Literal, get_args

from pendio.errors import InputError
from pendio.nn.kinds import Initial, Score
from pendio.options import flag

__all__ = ["FAMILIES", "Architecture", "Family"]

Family = Literal["window", "rnn", "lstm", "tcn", "transformer"]

FAMILIES: tuple[Family, ...] = get_args(Family)

_LAYERS = {"window": 1, "rnn": 2, "lstm": 2, "tcn": 5}


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Which family, and how large: options that all tasks on sequences share."""

    model: str = "transformer"
    """window, rnn, lstm, tcn or transformer."""

    width: int = 128
    """Features between the layers."""

    layers: int | None = None
    """How many layers; by default 4, in a tcn 5, in an rnn or lstm 2, in a window 1."""

    heads: int = 4
    """Heads of each attention."""

    kernel: int = 3
    """Steps that one convolution of a tcn sees."""

    window: int = 8
    """Steps that a window sees."""

    initial: Initial = "zero"
    """What the state of rnn and lstm is before the first step: zero, drawn anew for each sequence, or learned."""

    positions: Literal["sinusoidal", "learned", "rotary"] = "learned"
    """How a transformer is told where a token stands."""

    norm: Literal["pre", "post"] = "pre"
    """Whether a transformer's branches normalise what they read, or the sum after them."""

    score: Score = "scaled"
    """How a transformer's attention scores a key: by product, product over the root of the width, cosine, or a network."""

    @property
    def depth(self) -> int:
        """How many layers there are."""
        return _LAYERS.get(self.model, 4) if self.layers is None else self.layers

    def __post_init__(self) -> None:
        for name in ("width", "heads", "kernel", "window"):
            if getattr(self, name) < 1:
                raise InputError(f"{flag(name)} must be at least 1, got {getattr(self, name)}")
        if self.depth < 1:
            raise InputError(f"--layers must be at least 1, got {self.depth}")
        if self.model == "transformer" and self.width % self.heads:
            raise InputError(f"--width {self.width} must be a multiple of --heads {self.heads}")
        if self.model == "transformer" and self.positions != "learned" and self.width // self.heads % 2:
            raise InputError(f"--positions {self.positions} needs an even number of features a head, and --width "
                             f"{self.width} by --heads {self.heads} is {self.width // self.heads}")  # fmt: skip
        if self.model == "tcn" and self.kernel < 2:
            raise InputError("--kernel 1 sees no step but the last; give 2 at least")
