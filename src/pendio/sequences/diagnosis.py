"""Why training on sequences went as it did: the rules that several tasks share.

Each rule looks at numbers and says at most one thing; :mod:`pendio.runs.diagnosis` has the rules that hold for all tasks.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from pendio.data.text.tokens import Tokenizer
from pendio.runs.diagnosis import Diagnosis, Evidence, diagnose
from pendio.sequences.looking.memory import steps_back

__all__ = [
    "STOPPERS",
    "adapted",
    "diagnose_training",
    "exploding_over_time",
    "learnt_tokens",
    "overfitting",
    "padding_waste",
    "rare_tokens",
    "saturated_states",
    "unknown_tokens",
    "vanishing_over_time",
]

STOPPERS = frozenset({"lr-too-high", "lr-too-low", "exploding-gradients"})
"""Causes that explain most else: where one is found, their consequences need not be told."""

_LEAST_STEPS = 16
"""Steps of time below which a gradient has no way to vanish or explode on."""

_VANISHED = 1e-8
_EXPLODED = 100.0
_SATURATED = 0.8
_WASTE = 0.3
_RARE = 5
_RARE_SHARE = 0.25
_UNKNOWN = 0.01


def diagnose_training(evidence: Evidence) -> list[Diagnosis]:
    """What a run's curves and gradients tell of a network on sequences, before or after its end."""
    found = adapted(diagnose(evidence))
    late = overfitting(evidence.history)
    if late is not None and not any(one.kind in STOPPERS or one.kind == "overfitting" for one in found):
        found.append(late)
    return found


def adapted(found: Sequence[Diagnosis]) -> list[Diagnosis]:
    """Findings of the rules for all tasks, as they hold for sequences.

    What stands first is an embedding, of which a step moves few rows: that its gradient is small says nothing. And the
    remedies are options that these tasks have.
    """
    kept = [one for one in found if one.kind != "vanishing-gradients"]
    return [
        dataclasses.replace(one, **dict(zip(("fix", "flag"), _CURES.get(one.kind, ()), strict=False))) for one in kept
    ]


_CURES: Mapping[str, tuple[str, str]] = {
    "overfitting": (
        "more data, a smaller model, early stopping, averaging, dropout",
        "--dropout 0.3 --patience 3 --average ema",
    ),
    "underfitting": ("a larger model, more epochs, less dropout", "--width 256 --epochs 60"),
}


def vanishing_over_time(norms: Tensor, model: str) -> Diagnosis | None:
    """A gradient that does not get as far back as it should; an untrained network's may, and a trained one's need not.

    Args:
        norms: of :func:`pendio.sequences.looking.memory.gradient_over_time`.
        model: the family.
    """
    if len(norms) < _LEAST_STEPS or not bool(norms.max() > 0):
        return None
    share = float(_far(norms) / norms.max())
    if share > _VANISHED:
        return None
    reach = steps_back(norms)
    return Diagnosis(
        "vanishing-over-time",
        f"The gradient vanishes over time: it reaches {reach} steps back, and what stood before teaches nothing.",
        f"‖∂loss/∂x‖ is 1 % of its largest {reach} steps back, and {share:.1g} of it {len(norms) - 1} steps back",
        "gates or attention instead of the plain recurrence" if model == "rnn" else "attention instead of a state",
        "--model lstm" if model == "rnn" else "--model transformer",
    )


def exploding_over_time(norms: Tensor) -> Diagnosis | None:
    """Of :func:`pendio.sequences.looking.memory.gradient_over_time`."""
    if len(norms) < _LEAST_STEPS or not bool(norms[:_LEAST_STEPS].max() > 0):
        return None
    share = float(_far(norms) / norms[:_LEAST_STEPS].max())
    if share < _EXPLODED:
        return None
    return Diagnosis(
        "exploding-over-time",
        "The gradient explodes over time: what stood long ago moves the weights most, and by chance.",
        f"‖∂loss/∂x‖ is {share:.1g} times as large {len(norms) - 1} steps back as at the last steps",
        "clip it, take shorter parts, or use gates instead of the plain recurrence",
        "--clip 0.5",
    )


def _far(norms: Tensor) -> Tensor:
    """The mean over the tenth that is farthest back."""
    return norms[-max(1, len(norms) // 10) :].mean()


def saturated_states(shares: Sequence[float]) -> Diagnosis | None:
    """Of :func:`pendio.sequences.looking.memory.saturation`."""
    worst = max(shares, default=0.0)
    if worst < _SATURATED:
        return None
    return Diagnosis(
        "saturated-states",
        "Hidden states are saturated: at the ends of tanh its slope, and with it the gradient, is zero.",
        f"{worst:.0%} of the values of tanh in layer {shares.index(worst)} are beyond ±0.99",
        "lower the learning rate, clip gradients, or let weights decay",
        "--lr 1e-3 --clip 0.5 --weight-decay 0.1",
    )


def overfitting(history: Sequence[Mapping[str, Any]]) -> Diagnosis | None:
    """Validation loss that rises again while the training loss goes on falling."""
    rows = [record for record in history if "loss" in record and "val_loss" in record]
    if len(rows) < 3:
        return None
    best, last = min(rows, key=lambda record: float(record["val_loss"])), rows[-1]
    rise = last["val_loss"] - best["val_loss"]
    if not rise > max(0.02 * best["val_loss"], 0.01) or not last["loss"] < best["loss"]:
        return None
    fix, flag = _CURES["overfitting"]
    return Diagnosis(
        "overfitting",
        "The network overfits: it goes on learning its training data by heart, and gets worse at new data.",
        f"from epoch {best['epoch']} to {last['epoch']} the training loss fell from {best['loss']:.3g} to "
        f"{last['loss']:.3g}, and the validation loss rose from {best['val_loss']:.3g} to {last['val_loss']:.3g}",
        fix,
        flag,
    )


def learnt_tokens(tokenizer: Tokenizer) -> Tensor:
    """Which tokens a tokenizer learnt from a text, ``(V,)`` bool: neither marks, nor the single bytes that bpe joins."""
    sizes = torch.from_numpy(tokenizer.byte_lengths().copy())
    return sizes > 1 if tokenizer.kind == "bpe" else sizes > 0


def rare_tokens(kind: str, counts: Tensor, learnt: Tensor) -> Diagnosis | None:
    """Tokens of a vocabulary that was learnt from the text, and is too large for it.

    Args:
        kind: of the tokenizer. Characters and bytes are what they are, and a vocabulary from elsewhere is not for this text.
        counts: how often each token is in the training text, ``(V,)``.
        learnt: of :func:`learnt_tokens`.
    """
    if kind not in ("bpe", "words") or not bool(learnt.any()):
        return None
    own = counts[learnt]
    never, rare = int((own == 0).sum()), int((own < _RARE).sum())
    if rare < _RARE_SHARE * len(own):
        return None
    enough = max(16, len(counts) - rare)
    return Diagnosis(
        "unused-vocabulary",
        "The vocabulary is too large for the text: many of its tokens are too rare to be learnt.",
        f"of {len(own)} learnt tokens {rare} ({rare / len(own):.0%}) are in the training text less than {_RARE} times, "
        f"{never} never",
        "a smaller vocabulary, or more text",
        f"--vocabulary {enough}",
    )


def unknown_tokens(kind: str, unknown: int, total: int) -> Diagnosis | None:
    """Held-out text that the tokenizer cannot read, in tokens."""
    if unknown < _UNKNOWN * total or not unknown:
        return None
    return Diagnosis(
        "unknown-tokens",
        "Part of the held-out text is unknown to the tokenizer: the network cannot tell these tokens apart.",
        f"{unknown} of {total} held-out tokens ({unknown / total:.1%}) are the unknown one",
        "a larger vocabulary" if kind == "words" else "a tokenizer that knows every text",
        "--tokenizer bpe",
    )


def padding_waste(waste: float, batch: int) -> Diagnosis | None:
    """The share of a training epoch's tokens that are padding, in batches of ``batch``."""
    if waste < _WASTE:
        return None
    return Diagnosis(
        "padding-waste",
        "Much of the work is spent on padding: sequences of very unequal length share batches.",
        f"{waste:.0%} of the tokens in batches of {batch} are padding",
        "smaller batches, or leave out or cut the few that are much longer than the others",
        f"--batch {max(1, batch // 4)}",
    )
