"""How a text surprises a language model, and what it expects next."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pendio.sequences.decoding.writing import encoded_prompt, silent
from pendio.sequences.language.task import Language

__all__ = ["Expectation", "expected", "surprise_of"]


@dataclass(frozen=True)
class Expectation:
    """What a language model makes of a text.

    Attributes:
        text: the text.
        bits: −log₂ p of each token but the first, given those before it.
        tokens: what each of these stands for.
        following: what is likeliest to follow the text, and how likely each is.
    """

    text: str
    bits: tuple[float, ...]
    tokens: tuple[str, ...]
    following: tuple[tuple[str, float], ...]

    def to_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)

    def __str__(self) -> str:
        after = ", ".join(f"{name} {chance:.3f}" for name, chance in self.following)
        mean = f"{sum(self.bits) / len(self.bits):.3f} bits a token; " if self.bits else ""
        return f"{self.text}: {mean}then {after}"


def surprise_of(task: Language, tokens: Tensor) -> tuple[list[float], Tensor]:
    """Nats of each token ``(T,)`` but the first, and the logits ``(V,)`` of what follows the last.

    A Transformer sees what fits into its context before the end of each stretch of it.
    """
    context = task.model.context or len(tokens)
    nats: list[float] = []
    last = torch.zeros(task.model.vocabulary)
    for start in _stretches(len(tokens), context):
        window = tokens[start : start + context][None]
        logits = task.predict(window)[0]
        known = F.cross_entropy(logits[:-1], window[0, 1:], reduction="none").tolist()
        nats += known[len(nats) - start :]
        last = logits[-1]
    return nats, last


def _stretches(length: int, context: int) -> Iterator[int]:
    """Where stretches of ``context`` tokens begin that overlap by half and end with the text."""
    yield from range(0, max(1, length - context), max(1, context // 2))
    if length > context:
        yield length - context


def expected(task: Language, text: str, top: int = 5) -> Expectation:
    """What a language model makes of a text, and the ``top`` likeliest tokens to follow it.

    Raises:
        InputError: the text holds what the model has never seen.
    """
    tokens = encoded_prompt(task.tokenizer, text)
    nats, logits = surprise_of(task, tokens)
    never = silent(task.model, task.tokenizer)
    logits = logits.index_fill(0, torch.tensor(never, dtype=torch.long, device=logits.device), float("-inf"))
    chances, numbers = logits.softmax(0).topk(min(top, len(logits) - len(never)))
    names = task.tokenizer.names
    following = tuple(
        (names[number], chance) for number, chance in zip(numbers.tolist(), chances.tolist(), strict=True)
    )
    bits = tuple(one / math.log(2) for one in nats)
    return Expectation(text, bits, tuple(names[token] for token in tokens[1:].tolist()), following)
