"""The options of ``pendio train autoencode``."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from cyclopts import Parameter

from pendio.descent.plan import Plan
from pendio.errors import InputError
from pendio.generation.options import ExampleOptions
from pendio.options import check_types, flag

__all__ = ["AutoencodeOptions", "AutoencodePlan", "Corruption"]

Corruption = Literal["none", "gaussian", "salt-pepper", "mask"]


@dataclass(frozen=True, kw_only=True)
class AutoencodePlan(Plan):
    """How to walk down, with what suits autoencoders: long, for every example is its own target."""

    epochs: int = 100
    """How many times to go through the training examples."""

    lr: float = 1e-3
    """Learning rate at the schedule's highest point."""

    weight_decay: float = 0.0
    """Decay of weights, never of biases and normalisation: decoupled in `adamw`, added to the gradient elsewhere."""


@dataclass(frozen=True, kw_only=True)
class AutoencodeOptions(ExampleOptions):
    """What to compress, what to take away from it, and what to call strange."""

    model: Literal["auto", "conv", "dense"] = "auto"
    """Networks of convolutions or of dense layers; by default conv for images and dense for tables."""

    latent: int = 16
    """Dimensions of a code."""

    width: int = 16
    """Channels of the first maps of conv; dense layers have sixteen times as many units."""

    corrupt: Corruption = "none"
    """What is done to inputs in training, to be taken away again: gaussian noise, salt-pepper, or a mask of squares."""

    level: float = 0.3
    """How much: the standard deviation of gaussian, else the share of pixels or features."""

    normal: str | None = None
    """The class that is normal: nothing else is learned from, and other classes are anomalies when measured."""

    false_alarms: float = 0.05
    """Share of normal examples that may be called anomalies: the threshold is set on held-out ones."""

    plan: Annotated[AutoencodePlan, Parameter(name="*")] = field(default_factory=AutoencodePlan)

    def __post_init__(self) -> None:
        check_types(self)
        for name, least, most in (("latent", 1, 4096), ("width", 1, 512), ("size", 8, 256)):
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise InputError(f"{flag(name)} must be {least} to {most}, got {value}")
        if self.size is not None and self.size % 4:
            raise InputError(f"--size must be a multiple of 4, got {self.size}")
        highest = 10.0 if self.corrupt == "gaussian" else 1.0
        if not 0 < self.level <= highest:
            raise InputError(f"--level must be in (0, {highest:g}], got {self.level:g}")
        if not 0 < self.false_alarms < 1:
            raise InputError(f"--false-alarms must be in (0, 1), got {self.false_alarms:g}")
