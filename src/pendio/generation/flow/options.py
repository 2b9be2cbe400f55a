"""The options of ``pendio train flow``."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from cyclopts import Parameter

from pendio.descent.plan import Plan
from pendio.errors import InputError
from pendio.generation.options import ExampleOptions
from pendio.options import check_types, flag

__all__ = ["FlowModel", "FlowOptions", "FlowPlan"]

FlowModel = Literal["auto", "realnvp", "glow", "maf", "nsf", "nsf-ar"]


@dataclass(frozen=True, kw_only=True)
class FlowPlan(Plan):
    """How to walk down, with what suits flows: averaged weights and steps of a bounded gradient."""

    epochs: int = 100
    """How many times to go through the training examples."""

    weight_decay: float = 1e-4
    """Decay of weights, never of biases and normalisation: decoupled in `adamw`, added to the gradient elsewhere."""

    clip: float | None = 5.0
    """Scale gradients down to this total norm when they exceed it."""


@dataclass(frozen=True, kw_only=True)
class FlowOptions(ExampleOptions):
    """What to learn the density of, and by which invertible network."""

    size: int | None = None
    """Side in pixels of the images, an even number for glow and realnvp; by default their own."""

    conditional: bool = False
    """Learn the density of each class, so that classes can be asked for."""

    model: FlowModel = "auto"
    """Affine couplings (realnvp, glow), masked autoregression (maf), splines (nsf, nsf-ar); by default glow or nsf."""

    layers: int = 6
    """Transforms in a row: at each scale of realnvp and glow on images, in all elsewhere."""

    width: int = 64
    """Units of the hidden layers, or channels on images."""

    bins: int = 8
    """Pieces of each spline of nsf and nsf-ar."""

    bound: float = 5.0
    """Splines act from minus this to this, in standard deviations, and leave what lies outside as it is."""

    alpha: float = 0.05
    """Pixels are squeezed into [α, 1 − α] before the logit takes them to the line."""

    plan: Annotated[FlowPlan, Parameter(name="*")] = field(default_factory=FlowPlan)

    def __post_init__(self) -> None:
        check_types(self)
        for name, least, most in (("layers", 1, 64), ("width", 1, 4096), ("bins", 2, 64), ("size", 4, 256)):
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise InputError(f"{flag(name)} must be {least} to {most}, got {value}")
        if not 0.1 <= self.bound <= 1000:
            raise InputError(f"--bound must be 0.1 to 1000, got {self.bound:g}")
        if not 1e-6 <= self.alpha < 0.5:
            raise InputError(f"--alpha must be at least 0.000001 and below 0.5, got {self.alpha:g}")
