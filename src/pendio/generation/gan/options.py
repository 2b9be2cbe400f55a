"""The options of ``pendio train gan``."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from cyclopts import Parameter

from pendio.descent.plan import Optimizer, Plan, Schedule
from pendio.errors import InputError, did_you_mean
from pendio.generation.options import ExampleOptions
from pendio.options import check_types, flag

__all__ = ["CHANGES", "Game", "GanOptions", "GanPlan", "usual_changes", "usual_r1"]

Game = Literal["minimax", "non-saturating", "hinge", "wasserstein"]

CHANGES = ("color", "translation", "cutout")
"""What differentiable augmentation can change, in the order in which it does."""

_INFINITE = float("inf")


def usual_changes(channels: int) -> tuple[str, ...]:
    """What is changed where nobody chose: of rows nothing, and of images everything, but of grey ones the place alone.

    Brightness, and what is cut out, are much of what a grey image shows.
    """
    return {0: (), 1: ("translation",)}.get(channels, CHANGES)


def usual_r1(images: bool) -> float:
    """γ of the penalty at real examples that suits them: rows of few numbers lie close together, and D must be steeper."""
    return 1.0 if images else 0.02


@dataclass(frozen=True, kw_only=True)
class GanPlan(Plan):
    """How to walk down, with what suits a game of two: little memory of old gradients, and an averaged generator."""

    epochs: int = 100
    """How many times to go through the training examples."""

    batch: int | Literal["all"] | None = None
    """Examples a step, over all devices together: all is full batch; by default 32, or all if fewer."""

    optimizer: Optimizer = "adam"
    """Rule that turns gradients into steps."""

    lr: float = 2e-3
    """Learning rate at the schedule's highest point."""

    beta1: float = 0.5
    """Share of the old mean of gradients that survives a step of `adam` and `adamw`, in [0, 1)."""

    beta2: float = 0.99
    """Share of the old mean of squared gradients that survives a step of `adam` and `adamw`, in [0, 1)."""

    weight_decay: float = 0.0
    """Decay of weights, never of biases and normalisation: decoupled in `adamw`, added to the gradient elsewhere."""

    schedule: Schedule = "linear"
    """How the learning rate changes over the run."""

    average: Literal["none", "ema", "swa"] = "ema"
    """Average weights and buffers over steps (`ema`) or over the last epochs (`swa`); the average is what is kept."""

    ema_decay: float = 0.995
    """Share of the old average that survives a step of `ema`, in [0, 1)."""

    _usual_batch = 32


@dataclass(frozen=True, kw_only=True)
class GanOptions(ExampleOptions):
    """What to learn to make, and by which game."""

    size: int | None = None
    """Side in pixels of the images, a multiple of 4 from 8 to 64; by default their own."""

    diff_augment: str | None = None
    """Changes to what the discriminator sees, of color, translation, cutout; by default all, of grey images translation."""

    conditional: bool = False
    """Learn each class, so that it can be asked for."""

    model: Literal["auto", "conv", "dense"] = "auto"
    """Networks of convolutions or of dense layers; by default conv for images and dense for tables."""

    latent: int = 64
    """Dimensions of the noise that the generator starts from."""

    width: int = 16
    """Channels of the largest maps of conv; dense layers have eight times as many units."""

    loss: Game = "non-saturating"
    """The game: minimax as written, non-saturating, hinge, or wasserstein."""

    critic_steps: int = 1
    """Turns that the discriminator takes for each of the generator."""

    gradient_penalty: float | None = None
    """Weight λ of (‖∇D‖ − 1)² between real and made; by default 10 in wasserstein, and 0 elsewhere."""

    r1: float | None = None
    """Weight γ of γ/2·‖∇D‖² at real examples; by default 1, of tables 0.02, and 0 in hinge or with another penalty."""

    spectral_norm: bool | None = None
    """Divide the discriminator's kernels by their largest singular values; by default in hinge alone."""

    discriminator_lr: float = 1.0
    """Learning rate of the discriminator, relative to --lr."""

    plan: Annotated[GanPlan, Parameter(name="*")] = field(default_factory=GanPlan)

    def __post_init__(self) -> None:
        check_types(self)
        for name, least, most in (("latent", 1, 4096), ("width", 1, 512), ("critic_steps", 1, 100), ("size", 8, 64)):
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise InputError(f"{flag(name)} must be {least} to {most}, got {value}")
        if self.size is not None and self.size % 4:
            raise InputError(f"--size must be a multiple of 4, got {self.size}")
        for name in ("gradient_penalty", "r1"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < _INFINITE:
                raise InputError(f"{flag(name)} must not be negative, got {value:g}")
        if not 0 < self.discriminator_lr < _INFINITE:
            raise InputError(f"--discriminator-lr must be greater than 0, got {self.discriminator_lr:g}")
        for change in self.changes(channels=3):
            if change not in CHANGES:
                raise InputError(f"unknown change '{change}' in --diff-augment: {did_you_mean(change, CHANGES)}")

    def changes(self, channels: int) -> tuple[str, ...]:
        """What differentiable augmentation changes, of images of so many channels, or of rows, which have none."""
        if self.diff_augment is not None:
            return tuple(name.strip() for name in self.diff_augment.split(",") if name.strip() not in ("", "none"))
        return usual_changes(channels)

    @property
    def penalty(self) -> float:
        """λ of the gradient penalty."""
        if self.gradient_penalty is not None:
            return self.gradient_penalty
        return 10.0 if self.loss == "wasserstein" else 0.0

    def r1_weight(self, images: bool) -> float:
        """γ of the penalty at real examples; by default what is usual, in games that have nothing else to calm them."""
        if self.r1 is not None:
            return self.r1
        if self.loss not in ("minimax", "non-saturating") or self.penalty:
            return 0.0
        return usual_r1(images)

    @property
    def normalized(self) -> bool:
        """Whether the discriminator's kernels are divided by their spectral norms."""
        return self.loss == "hinge" if self.spectral_norm is None else self.spectral_norm
