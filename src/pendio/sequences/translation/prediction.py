"""Translating texts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pendio.data.text.tokens import END
from pendio.errors import InputError
from pendio.sequences.decoding.beam import beam_search
from pendio.sequences.translation.task import Translate

__all__ = ["Candidate", "Translation", "translate_texts"]

_MOST_BEAMS = 64


@dataclass(frozen=True)
class Candidate:
    """A translation that beam search found.

    Attributes:
        text: the translation.
        log_probability: natural logarithm.
    """

    text: str
    log_probability: float


@dataclass(frozen=True)
class Translation:
    """What became of one text.

    Attributes:
        source: the text, without white space at its ends.
        translation: its translation.
        finished: whether the translator came to an end by itself; else it was cut off
            where it was as long as the longest that the translator learnt from.
        unknown: characters or words of the source that the vocabulary lacks.
        candidates: what beam search found, the best first; empty where it was not used.
    """

    source: str
    translation: str
    finished: bool = True
    unknown: tuple[str, ...] = ()
    candidates: tuple[Candidate, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        found = [{"text": one.text, "log_probability": one.log_probability} for one in self.candidates]
        return {
            "source": self.source, "translation": self.translation, "finished": self.finished,
            "unknown": list(self.unknown), "candidates": found,
        }  # fmt: skip

    def __str__(self) -> str:
        cut = "" if self.finished else " (cut off)"
        unknown = f" (not known: {', '.join(map(repr, self.unknown))})" if self.unknown else ""
        return f"{self.source} → {self.translation}{cut}{unknown}"


@torch.no_grad()
def translate_texts(
    task: Translate,
    texts: Sequence[str],
    beams: int = 1,
    penalty: float = 1.0,
    *,
    batch: int = 128,
    allow_unknown: bool = False,
) -> list[Translation]:
    """Translate texts, in their order.

    Args:
        task: a trained translator.
        texts: what to translate; white space at the ends does not count, as in training.
        beams: beginnings that are kept of each translation; 1 is greedy decoding.
        penalty: how lengths weigh in beam search; see :func:`pendio.sequences.decoding.beam.beam_search`.
        batch: texts that are translated at once.
        allow_unknown: translate also what the network never saw in training.

    Raises:
        InputError: see :meth:`pendio.sequences.translation.task.Translate.encode`; or an option is out of range.
    """
    if not 1 <= beams <= _MOST_BEAMS:
        raise InputError(f"--beams must be 1 to {_MOST_BEAMS}, got {beams}")
    if not 0 <= penalty < float("inf"):
        raise InputError(f"--penalty must be 0 or more, got {penalty:g}")
    stripped = [text.strip() for text in texts]
    inputs = task.encode(stripped, allow_unknown)
    task.eval()
    device = next(task.parameters()).device
    # Texts of like length together: the fewer steps are spent on padding.
    order = inputs.lengths.argsort(kind="stable")
    found: dict[int, _Answer] = {}
    for start in range(0, len(order), batch):
        chosen = torch.from_numpy(order[start : start + batch])
        padded = inputs.padded(chosen).to(device)
        answers = _greedy(task, padded) if beams == 1 else _beams(task, padded, beams, penalty)
        found |= dict(zip(chosen.tolist(), answers, strict=True))
    translations = []
    for row, text in enumerate(stripped):
        translation, finished, candidates = found[row]
        translations.append(Translation(text, translation, finished, tuple(task.source.unknown_in(text)), candidates))
    return translations


_Answer = tuple[str, bool, tuple[Candidate, ...]]
"""A translation, whether it came to an end, and what beam search found."""


def _greedy(task: Translate, inputs: Tensor) -> list[_Answer]:
    tokens = task.network.greedy(inputs, task.longest)
    ended = (tokens == END).any(1).tolist()
    return [(task.target.decode(row), end, ()) for row, end in zip(tokens.tolist(), ended, strict=True)]


def _beams(task: Translate, inputs: Tensor, beams: int, penalty: float) -> list[_Answer]:
    most = task.longest
    logits, state = task.network.begin(inputs, most)
    rows = beam_search(task.network.step, logits, state, beams=beams, most=most, end=END, penalty=penalty)
    answers: list[_Answer] = []
    for row in rows:
        candidates = [Candidate(task.target.decode(one.tokens), one.log_probability) for one in row]
        answers.append((candidates[0].text, len(row[0].tokens) < most, tuple(candidates)))
    return answers
