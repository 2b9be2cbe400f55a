"""The plan of a descent: every choice about how to walk down, in one frozen dataclass."""

import dataclasses
from dataclasses import dataclass
from typing import Literal

from pendio.errors import InputError
from pendio.options import check_types, flag

__all__ = ["Optimizer", "Plan", "Schedule"]

Optimizer = Literal["sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw"]
Schedule = Literal["constant", "linear", "step", "cosine", "onecycle", "inverse-root"]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How to walk down: validated when made, saved with the run.

    Raises:
        InputError: a value is out of its range; the message names the option and the range.
    """

    epochs: int = 30
    """How many times to go through the training examples."""

    steps: int | None = None
    """Stop after this many steps, even in the middle of an epoch, which then counts as done."""

    batch: int | Literal["all"] | None = None
    """Examples a step, over all devices together: all is full batch, 1 is online; by default 64, or all if fewer."""

    optimizer: Optimizer = "adamw"
    """Rule that turns gradients into steps."""

    lr: float = 2e-3
    """Learning rate at the schedule's highest point."""

    momentum: float = 0.9
    """Momentum of `momentum`, `nesterov` and `rmsprop`, in [0, 1)."""

    beta1: float = 0.9
    """Share of the old mean of gradients that survives a step of `adam` and `adamw`, in [0, 1)."""

    beta2: float = 0.999
    """Share of the old mean of squared gradients that survives a step of `adam` and `adamw`, in [0, 1)."""

    weight_decay: float = 0.01
    """Decay of weights, never of biases and normalisation: decoupled in `adamw`, added to the gradient elsewhere."""

    l1: float = 0.0
    """Strength of the penalty l1·Σ|w| on weights, never on biases and normalisation."""

    l2: float = 0.0
    """Strength of the penalty l2/2·Σw² on weights, never on biases and normalisation."""

    schedule: Schedule = "cosine"
    """How the learning rate changes over the run."""

    warmup: float = 0.0
    """Epochs in which the learning rate rises linearly from zero, before the schedule begins."""

    step_every: int = 10
    """Epochs between drops of the `step` schedule."""

    step_factor: float = 0.1
    """What the `step` schedule multiplies the learning rate by."""

    dropout: float = 0.0
    """Probability of dropping an activation before the last layer, in [0, 1)."""

    clip: float | None = None
    """Scale gradients down to this total norm when they exceed it."""

    accumulate: int = 1
    """Split each step's batch into this many parts, to need less memory for the same gradient."""

    patience: int | None = None
    """Stop early when this many evaluations in a row bring no improvement."""

    average: Literal["none", "ema", "swa"] = "none"
    """Average weights and buffers over steps (`ema`) or over the last epochs (`swa`); the average is what is kept."""

    ema_decay: float = 0.999
    """Share of the old average that survives a step of `ema`, in [0, 1)."""

    swa_start: float = 0.75
    """Share of the epochs after which `swa` begins to average, in [0, 1)."""

    precision: Literal["float32", "bf16"] = "float32"
    """Number format of the forward and backward pass; weights stay in float32."""

    accelerator: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute."""

    devices: int = 1
    """How many devices to train on; under torchrun, its own numbers count."""

    compile: bool = False
    """Compile the network first: a slow start, then faster steps."""

    workers: int | None = None
    """Processes that read examples which do not fit into memory; by default one a core, at most 8."""

    seed: int = 0
    """Seed of everything random: weights, order, augmentation, dropout."""

    save_every: float = 30.0
    """Seconds between checkpoints; the first and the last state are always saved."""

    log: Literal["none", "tensorboard", "csv"] = "none"
    """Also log the curves for TensorBoard or as CSV, into the run folder."""

    _usual_batch = 64

    def __post_init__(self) -> None:
        check_types(self)
        positive = ("epochs", "steps", "batch", "lr", "step_every", "step_factor", "clip", "accumulate", "patience")
        for name in (*positive, "devices"):
            value = getattr(self, name)
            if isinstance(value, int | float) and not value > 0:
                raise InputError(f"{flag(name)} must be greater than 0, got {value}")
        for name in ("weight_decay", "l1", "l2", "warmup", "workers", "save_every", "seed"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise InputError(f"{flag(name)} must not be negative, got {value}")
        for name in ("momentum", "beta1", "beta2", "dropout", "ema_decay", "swa_start"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{flag(name)} must be in [0, 1), got {getattr(self, name)}")
        for name, value in dataclasses.asdict(self).items():
            if value in (float("inf"), float("-inf")):
                raise InputError(f"{flag(name)} must be finite, got {value}")
        if self.schedule == "inverse-root" and self.warmup == 0:
            raise InputError("--schedule inverse-root falls from the end of a warm-up, and there is none; "
                             "give its epochs with --warmup")  # fmt: skip

    def batch_size(self, examples: int) -> int:
        """Examples in one step when there are ``examples`` to train on.

        Raises:
            InputError: the batch is larger than the data, or too small for the parts it shall be split into.
        """
        chosen = min(self._usual_batch, examples) if self.batch is None else self.batch
        size = examples if chosen == "all" else chosen
        if size > examples:
            raise InputError(
                f"--batch {size} is larger than the {examples} training examples; "
                f"give at most {examples}, or --batch all"
            )
        if self.accumulate > size:
            raise InputError(f"--accumulate {self.accumulate} cannot split a batch of {size}; give at most {size}")
        return size
