"""Why a language model became what it is: rules over a run, and over what its weights make of the text."""

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pendio.data.text.corpus import Corpus
from pendio.data.text.windows import Windows
from pendio.nn.recurrent import Recurrent
from pendio.nn.temporal import Temporal
from pendio.nn.transformer import Transformer
from pendio.runs.diagnosis import Diagnosis, Evidence
from pendio.runs.run import Run
from pendio.sequences.decoding.sampling import Sampling, continued
from pendio.sequences.decoding.writing import silent
from pendio.sequences.diagnosis import (
    STOPPERS,
    diagnose_training,
    exploding_over_time,
    learnt_tokens,
    rare_tokens,
    saturated_states,
    unknown_tokens,
    vanishing_over_time,
)
from pendio.sequences.language.task import Language
from pendio.sequences.language.text import Text
from pendio.sequences.looking.memory import gradient_over_time, saturation

__all__ = ["Repetition", "diagnose_language", "loss_by_place", "repeated", "repetition", "repetitive", "unused_context"]

_ROWS = 16
"""Windows whose gradients and states are looked at."""

_WINDOWS = 256
"""Windows whose losses are looked at."""

_GRAM = 8
_TEXTS, _WRITTEN = 4, 256
_REPEATS = 0.15
_LEAST_CONTEXT = 32
_LEAST_WINDOWS = 16


@dataclass(frozen=True)
class Repetition:
    """The share of 8-grams that stood before in the same text of some hundred tokens.

    Attributes:
        usual: in the training text.
        drawn: in text drawn with the model's own probabilities.
        greedy: in text that always goes on with the likeliest token.
    """

    usual: float
    drawn: float
    greedy: float


def diagnose_language(run: Run, task: Language, corpus: Corpus, text: Text) -> list[Diagnosis]:
    """Why a run went as it did, the likeliest cause first; empty where nothing went wrong.

    Args:
        run: its folder.
        task: with the weights to look at.
        corpus: what it was trained on.
        text: the same in windows.

    Raises:
        InputError: the run's files are damaged.
    """
    task = copy.deepcopy(task).cpu().eval()
    found = diagnose_training(Evidence(run.history(), run.layers()))
    late = [one for one in found if one.kind == "overfitting"]
    causes = [one for one in found if one.kind != "overfitting"] + _memory(task, text) + _vocabulary(corpus)
    if any(one.kind in STOPPERS for one in causes):
        return causes
    rules = [repetitive(repetition(task, text))]
    if isinstance(task.model.body, Transformer):
        rules.append(unused_context(loss_by_place(task, text)))
    return causes + late + [one for one in rules if one is not None]


def _memory(task: Language, text: Text) -> list[Diagnosis]:
    """What becomes of gradients and states over time."""
    body, model = task.model.body, task.model
    if not isinstance(body, Recurrent | Temporal):
        return []
    batch = _some(text, _ROWS)
    with torch.no_grad():
        values = model.embedding(batch.inputs) * model.scale

    def losses(read: Tensor) -> Tensor:
        logits = model.logits(model.reader(read)[0][:, -1])
        return F.cross_entropy(logits, batch.targets[:, -1], reduction="none")

    norms = gradient_over_time(losses, values)
    # What a convolution does not see has no gradient, by construction.
    norms = norms[: model.reader.reach]
    states = saturated_states(saturation(body, values)) if isinstance(body, Recurrent) else None
    return [
        one
        for one in (
            vanishing_over_time(norms, body.kind if isinstance(body, Recurrent) else "tcn"),
            exploding_over_time(norms),
            states,
        )
        if one is not None
    ]


def _some(text: Text, most: int) -> Windows:
    """Windows from all over the validation part, as many as there are or ``most``."""
    tokens, length = text.val.tokens, text.val.length
    whole = (len(tokens) - 1) // length
    starts = torch.linspace(0, whole - 1, min(most, whole)).round().long() * length
    rows = torch.stack([_stretch(tokens, start, length + 1) for start in starts.tolist()])
    return Windows(rows[:, :-1], rows[:, 1:], torch.ones(len(rows), dtype=torch.bool))


def _stretch(tokens: Any, start: int, count: int) -> Tensor:
    """Of tokens in memory or in a mapped file: ``(count,)`` int64."""
    return torch.from_numpy(np.asarray(tokens[start : start + count]).astype(np.int64))


def _vocabulary(corpus: Corpus) -> list[Diagnosis]:
    tokenizer = corpus.tokenizer
    counts = torch.zeros(tokenizer.size, dtype=torch.long)
    for start in range(0, len(corpus.train), 1 << 22):
        counts += torch.bincount(_stretch(corpus.train.tokens, start, 1 << 22), minlength=tokenizer.size)
    rules = (
        rare_tokens(tokenizer.kind, counts, learnt_tokens(tokenizer)),
        unknown_tokens(tokenizer.kind, corpus.val.unknown, len(corpus.val)),
    )
    return [one for one in rules if one is not None]


def repeated(tokens: Tensor, length: int = _GRAM) -> float:
    """The share of the n-grams in the rows of ``tokens (N, T)`` that stood in the same row before.

    >>> repeated(torch.tensor([[1, 2, 1, 2, 1]]), 2)
    0.5
    """
    grams = tokens.unfold(1, length, 1)
    new = sum(len(row.unique(dim=0)) for row in grams)
    return 1 - new / (grams.shape[0] * grams.shape[1])


def repetition(task: Language, text: Text, most: int = _WRITTEN) -> Repetition:
    """How often a model repeats itself, in texts of ``most`` tokens, and how often the training text does.

    Args:
        task: in evaluation mode.
        text: what it was trained on; texts begin as its validation part does at several places.
        most: at least 9; fewer where the training part is shorter.
    """
    model = task.model
    tokens = text.train.tokens
    most = min(most, len(tokens))
    starts = torch.linspace(0, len(tokens) - most, 16).long().tolist()
    usual = torch.stack([_stretch(tokens, start, most) for start in starts])
    prompts = [row[:_GRAM] for row in _some(text, _TEXTS).inputs]
    never = silent(model, task.tokenizer)
    drawn, greedy = (
        torch.stack(list(continued(model, prompts, Sampling(temperature=temperature), most, never)), 1)
        for temperature in (1.0, 0.0)
    )
    return Repetition(repeated(usual), repeated(drawn), repeated(greedy))


def repetitive(found: Repetition) -> Diagnosis | None:
    """Of what is drawn alone: the likeliest text of nearly all small models goes round in circles."""
    if found.drawn < found.usual + _REPEATS:
        return None
    return Diagnosis(
        "repetition",
        "The model repeats itself: text drawn from it goes round in circles.",
        f"{found.drawn:.0%} of the 8-grams of drawn text stood in it before ({found.greedy:.0%} where the likeliest token "
        f"is taken), {found.usual:.0%} of those of the training text",
        "train longer or on more varied text; when writing, raise the temperature",
        "--epochs 16",
    )


def loss_by_place(task: Language, text: Text) -> Tensor:
    """Nats of each token of validation windows that begin anew, ``(N, T)``."""
    return task.surprise(_some(text, _WINDOWS))[0].nats


def unused_context(losses: Tensor) -> Diagnosis | None:
    """A Transformer that predicts no better with a window behind it than near its beginning; of :func:`loss_by_place`."""
    if losses.shape[0] < _LEAST_WINDOWS or losses.shape[1] < _LEAST_CONTEXT:
        return None
    length = losses.shape[1]
    early = float(losses[:, length // 16 : length // 8].double().mean())
    late = float(losses[:, -(length // 4) :].double().mean())
    if late < 0.99 * early:
        return None
    return Diagnosis(
        "context-unused",
        "The model makes nothing of its context: it predicts no better at the end of a window than near its beginning.",
        f"{late:.3g} nats a token in the last quarter of {length} tokens, {early:.3g} at tokens {length // 16} to "
        f"{length // 8 - 1}",
        "train longer, for looking back is learnt late; or take a shorter context, which trains faster",
        f"--epochs 16 --context {max(8, length // 4)}",
    )
