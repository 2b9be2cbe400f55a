"""The options of ``pendio train diffuse``."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from cyclopts import Parameter

from pendio.descent.plan import Optimizer, Plan
from pendio.errors import InputError
from pendio.generation.options import ExampleOptions
from pendio.options import check_types, flag

__all__ = ["DiffuseOptions", "DiffusePlan", "Predict", "Sampler", "ScheduleName"]

ScheduleName = Literal["linear", "cosine", "signal-rate"]
Predict = Literal["noise", "image", "velocity"]
Sampler = Literal["deterministic", "ddpm", "ddim", "heun"]


@dataclass(frozen=True, kw_only=True)
class DiffusePlan(Plan):
    """How to walk down, with what suits denoising: many epochs of a noisy loss, and an average of the weights."""

    epochs: int = 50
    """How many times to go through the training examples."""

    optimizer: Optimizer = "adamw"
    """Rule that turns gradients into steps."""

    lr: float = 2e-3
    """Learning rate at the schedule's highest point."""

    warmup: float = 1.0
    """Epochs in which the learning rate rises linearly from zero, before the schedule begins."""

    clip: float | None = 1.0
    """Scale gradients down to this total norm when they exceed it."""

    average: Literal["none", "ema", "swa"] = "ema"
    """Average weights and buffers over steps (`ema`) or over the last epochs (`swa`); the average is what is kept."""

    ema_decay: float = 0.995
    """Share of the old average that survives a step of `ema`, in [0, 1)."""


@dataclass(frozen=True, kw_only=True)
class DiffuseOptions(ExampleOptions):
    """What to learn to make, and how."""

    size: int | None = None
    """Side in pixels that images are brought to; by default their own, but 16 at least."""

    noise_schedule: ScheduleName = "cosine"
    """How signal gives way to noise from the first level to the last."""

    levels: int = 1000
    """Noise levels of the schedule; no sampler can take more steps."""

    predict: Predict = "velocity"
    """What the network's output means: the noise ε, the image x₀, or the velocity √α·ε − √(1−α)·x₀."""

    conditional: bool = False
    """Learn each class, so that examples of a class can be asked for."""

    draws: int | None = None
    """Noises that each example meets in a step, in pairs of opposite sign; by default 1 for images and 8 for tables."""

    label_dropout: float = 0.1
    """Share of labels left out in training, which guidance needs; only with --conditional."""

    width: int = 16
    """Channels of the network's largest maps, or a sixteenth of the units of a dense layer."""

    multipliers: str = "1,2,4"
    """Comma-separated widths of the network's resolutions, each half the one before, as multiples of --width."""

    depth: int = 1
    """Residual blocks of each resolution; of a dense network, a third of its blocks."""

    plan: Annotated[DiffusePlan, Parameter(name="*")] = field(default_factory=DiffusePlan)

    def __post_init__(self) -> None:
        check_types(self)
        ranges = (("size", 4, 1024), ("levels", 50, 10_000), ("width", 8, 512), ("depth", 1, 16))
        for name, low, high in ranges:
            if getattr(self, name) is not None and not low <= getattr(self, name) <= high:
                raise InputError(f"{flag(name)} must be {low} to {high}, got {getattr(self, name)}")
        if self.width % 8:
            raise InputError(
                f"--width must be a multiple of 8, for its maps are normalised in groups; got {self.width}"
            )
        if self.draws is not None and not (self.draws == 1 or (self.draws % 2 == 0 and 2 <= self.draws <= 1024)):
            raise InputError(f"--draws must be 1, or an even number up to 1024, got {self.draws}")
        if not 0 <= self.label_dropout < 1:
            raise InputError(f"--label-dropout must be in [0, 1), got {self.label_dropout:g}")
        _ = self.widths

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each resolution.

        Raises:
            InputError: the multipliers are not whole numbers above 0.
        """
        words = [word.strip() for word in self.multipliers.split(",")]
        if not all(word.isdecimal() and 0 < int(word) <= 64 for word in words) or len(words) > 8:
            raise InputError(f"--multipliers must be up to 8 whole numbers of 1 to 64 such as 1,2,4; "
                             f"got '{self.multipliers}'")  # fmt: skip
        return tuple(self.width * int(word) for word in words)
