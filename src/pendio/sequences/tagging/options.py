"""The options of ``pendio train tag``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from pendio.data.text.kinds import Kind
from pendio.descent.plan import Plan
from pendio.errors import InputError, did_you_mean
from pendio.options import check_types, from_flat, own
from pendio.sequences.architecture import FAMILIES, Architecture

__all__ = ["TagOptions", "TagPlan"]


@dataclass(frozen=True, kw_only=True)
class TagPlan(Plan):
    """How to walk down, with what suits long sequences: steps of a bounded gradient."""

    epochs: int = 15
    """How many times to go through the training sequences."""

    lr: float = 3e-3
    """Learning rate at the schedule's highest point."""

    warmup: float = 1.0
    """Epochs in which the learning rate rises linearly from zero, before the schedule begins."""

    clip: float | None = 1.0
    """Scale gradients down to this total norm when they exceed it."""

    dropout: float = 0.1
    """Probability of dropping an activation, in [0, 1)."""


@dataclass(frozen=True, kw_only=True)
class TagOptions(Architecture):
    """What to train, on what, and how."""

    model: str = "lstm"
    """window, rnn, lstm, tcn or transformer."""

    layers: int = 1
    """How many layers."""

    data: str = "names"
    """names, adding, copying, pixels, a CSV or TSV file of text and label, or a folder of texts in a folder a class."""

    target: str | None = None
    """The column of a table to predict; by default "label"."""

    tokenizer: Kind = "characters"
    """Into what text is cut: characters, bytes, words or bpe."""

    vocabulary: int | None = None
    """The most tokens; by default all characters, 8,192 words, 2,048 byte pairs."""

    length: int | None = None
    """The most tokens of a text; or how long the sequences of adding (200) and the gaps of copying (100) are."""

    freeze: bool = False
    """Train a new head alone, on a pretrained encoder that stays as it is."""

    label_smoothing: float = 0.0
    """Share of each label that is spread over all classes, in [0, 1)."""

    class_weights: Literal["none", "balanced"] = "none"
    """Whether rare classes weigh more in the loss, as if all were equally frequent."""

    split_seed: int = 0
    """Seed of the split where the data brings none; the same for all seeds of training, so that runs compare."""

    out: str | None = None
    """The run folder to make; by default the next unused runs/tag-DATA-N."""

    resume: bool = False
    """Go on in --out where it stopped, with the options it was started with."""

    plan: Annotated[TagPlan, Parameter(name="*")] = field(default_factory=TagPlan)

    def __post_init__(self) -> None:
        check_types(self)
        super().__post_init__()
        if self.model not in FAMILIES and not self.pretrained:
            raise InputError(f"unknown --model '{self.model}': neither a folder with BERT's weights, nor one of the "
                             f"families; {did_you_mean(self.model, FAMILIES)}")  # fmt: skip
        if self.freeze and not self.pretrained:
            raise InputError(f"--freeze keeps trained weights, and '{self.model}' has none: give a folder as --model")
        if not 0 <= self.label_smoothing < 1:
            raise InputError(f"--label-smoothing must be in [0, 1), got {self.label_smoothing}")
        for name in ("length", "vocabulary"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise InputError(f"--{name} must be at least 1, got {getattr(self, name)}")
        if self.split_seed < 0:
            raise InputError(f"--split-seed must not be negative, got {self.split_seed}")

    @property
    def pretrained(self) -> bool:
        """Whether the model is a folder with weights."""
        return self.model not in FAMILIES and Path(self.model).is_dir()

    @staticmethod
    def of(options: Mapping[str, Any]) -> "TagOptions":
        """Options from flat names and values, as in a config file.

        Raises:
            InputError: a name is unknown or a value is out of range.
        """
        return from_flat(TagOptions, options)

    def own(self) -> dict[str, Any]:
        """The options by name, without those of the plan."""
        return own(self)
