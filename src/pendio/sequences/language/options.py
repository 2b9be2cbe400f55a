"""The options of ``pendio train language``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from pendio.data.text.kinds import Kind
from pendio.descent.plan import Optimizer, Plan
from pendio.errors import InputError, did_you_mean
from pendio.options import check_types, from_flat
from pendio.sequences.architecture import FAMILIES, Architecture

__all__ = ["LanguageOptions", "LanguagePlan"]


@dataclass(frozen=True, kw_only=True)
class LanguagePlan(Plan):
    """How to walk down, with what suits text: steps of a bounded gradient, for a recurrent network's may explode."""

    epochs: int = 10
    """How many times to go through the training text."""

    batch: int | Literal["all"] | None = None
    """Windows a step, over all devices together: all is full batch, 1 is online; by default 16, or all if fewer."""

    optimizer: Optimizer = "adamw"
    """Rule that turns gradients into steps."""

    lr: float = 2e-3
    """Learning rate at the schedule's highest point."""

    warmup: float = 0.2
    """Epochs in which the learning rate rises linearly from zero, before the schedule begins."""

    weight_decay: float = 0.1
    """Decay of weights, never of biases and normalisation: decoupled in `adamw`, added to the gradient elsewhere."""

    clip: float | None = 1.0
    """Scale gradients down to this total norm when they exceed it."""

    dropout: float = 0.1
    """Probability of dropping an activation, in [0, 1)."""

    _usual_batch = 16


@dataclass(frozen=True, kw_only=True)
class LanguageOptions(Architecture):
    """What to train, on what text, and how."""

    data: str = "pydocs"
    """A text file, a folder of them, or pydocs: the text of Python's own reference."""

    tokenizer: Kind = "characters"
    """What the text is cut into; bpe learns which bytes to join."""

    vocabulary: int | None = None
    """The most tokens the tokenizer may have; by default all characters, 8192 words, 2048 byte pairs."""

    context: int = 128
    """Tokens of a window; a transformer sees no further, the others carry on what they know."""

    out: str | None = None
    """The run folder to make; by default the next unused runs/language-DATA-N."""

    resume: bool = False
    """Go on in --out where it stopped, with the options it was started with."""

    plan: Annotated[LanguagePlan, Parameter(name="*")] = field(default_factory=LanguagePlan)

    def __post_init__(self) -> None:
        check_types(self)
        super().__post_init__()
        if self.context < 1:
            raise InputError(f"--context must be at least 1, got {self.context}")
        if self.model not in FAMILIES and not Path(self.model).is_dir():
            raise InputError(f"unknown --model '{self.model}': neither a folder with GPT-2's weights, nor one of the "
                             f"families; {did_you_mean(self.model, FAMILIES)}")  # fmt: skip
        if self.plan.accumulate > 1 and self.model in ("window", "rnn", "lstm", "tcn"):
            raise InputError(f"--accumulate cuts up the batch whose rows a {self.model} carries on; leave it out")

    @staticmethod
    def of(options: Mapping[str, Any]) -> "LanguageOptions":
        """Options from flat names and values, as in a config file.

        Raises:
            InputError: a name is unknown or a value is out of range.
        """
        return from_flat(LanguageOptions, options)
