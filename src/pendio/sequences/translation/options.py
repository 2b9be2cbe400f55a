"""The options of ``pendio train translate``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from pendio.data.text.kinds import Kind
from pendio.descent.plan import Plan
from pendio.errors import InputError
from pendio.options import check_types, flag, from_flat, own

__all__ = ["TranslateOptions", "TranslatePlan"]


@dataclass(frozen=True, kw_only=True)
class TranslatePlan(Plan):
    """How to walk down, with what suits Transformers: few epochs, and steps of a bounded gradient."""

    epochs: int = 8
    """How many times to go through the training pairs."""

    batch: int | Literal["all"] | None = None
    """Pairs a step on average, over all devices together: fewer where they are long; by default 64, or all if fewer."""

    warmup: float = 0.5
    """Epochs in which the learning rate rises linearly from zero, before the schedule begins."""

    clip: float | None = 1.0
    """Scale gradients down to this total norm when they exceed it."""


@dataclass(frozen=True, kw_only=True)
class TranslateOptions:
    """What to translate, with what, and how to learn it."""

    data: str = "dates"
    """dates, or a file with a source text, a tab and its target text on each line, and perhaps a split."""

    out: str | None = None
    """The run folder to make; by default the next unused runs/translate-DATA-N."""

    resume: bool = False
    """Go on in --out where it stopped, with the options it was started with."""

    tokenizer: Kind = "characters"
    """What a token is, on both sides; the vocabularies are learnt from the training pairs."""

    vocabulary: int | None = None
    """The most tokens of each side; by default all characters, 8,192 words or 2,048 byte pairs."""

    length: int = 256
    """The most tokens of a side, marks included; longer pairs are left out."""

    width: int = 64
    """Features between the layers."""

    layers: int = 2
    """Layers of the encoder, and as many of the decoder."""

    heads: int = 4
    """Heads of each attention."""

    positions: Literal["sinusoidal", "learned", "rotary"] = "sinusoidal"
    """How it is told where a token stands."""

    norm: Literal["pre", "post"] = "pre"
    """Whether branches normalise what they read, or the sum after them."""

    score: Literal["dot", "scaled", "cosine", "additive"] = "scaled"
    """How attention scores a key: by product, product over the root of the width, cosine, or a network."""

    label_smoothing: float = 0.1
    """Share of the probability that the loss spreads over all tokens, in [0, 1)."""

    split_seed: int = 0
    """Seed of the split where the data brings none; the same for all seeds of training, so that runs compare."""

    plan: Annotated[TranslatePlan, Parameter(name="*")] = field(default_factory=TranslatePlan)

    def __post_init__(self) -> None:
        check_types(self)
        if not 0 <= self.label_smoothing < 1:
            raise InputError(f"--label-smoothing must be in [0, 1), got {self.label_smoothing}")
        for name, least, most in _RANGES:
            if not least <= getattr(self, name) <= most:
                raise InputError(f"{flag(name)} must be {least} to {most}, got {getattr(self, name)}")
        if self.vocabulary is not None and self.vocabulary < 1:
            raise InputError(f"--vocabulary must be at least 1, got {self.vocabulary}")
        if self.split_seed < 0:
            raise InputError(f"--split-seed must not be negative, got {self.split_seed}")
        if self.width % self.heads:
            raise InputError(f"--width {self.width} must be a multiple of --heads {self.heads}")
        if self.positions == "sinusoidal" and self.width % 2:
            raise InputError(f"--positions sinusoidal needs an even --width, got {self.width}")
        if self.positions == "rotary" and self.width // self.heads % 2:
            raise InputError(f"--positions rotary needs an even number of features a head, and --width {self.width} by "
                             f"--heads {self.heads} is {self.width // self.heads}")  # fmt: skip

    @staticmethod
    def of(options: Mapping[str, Any]) -> "TranslateOptions":
        """Options from flat names and values, as in a config file.

        Raises:
            InputError: a name is unknown or a value is out of range.
        """
        return from_flat(TranslateOptions, options)

    def own(self) -> dict[str, Any]:
        """The options by name, without those of the plan."""
        return own(self)


_RANGES = (("length", 3, 4096), ("width", 1, 4096), ("layers", 1, 64), ("heads", 1, 256))
