"""The tagger: what answers a question about a sequence, on top of anything that reads one."""

import math
from typing import Literal, Protocol, cast

import torch
from torch import Tensor, nn

from pendio.data.text.tokens import MARKS
from pendio.nn.dropout import Dropout
from pendio.nn.transformer import Transformer
from pendio.sequences.models.bodies import Architecture, Body, build_body

__all__ = ["Encoder", "Pooling", "Reader", "Tagger", "last_step", "mean_step", "present_steps"]

Pooling = Literal["mean", "last"]
"""What stands for a sequence: the mean of its steps' features, or those of its last step, which has seen the others."""


class Encoder(Protocol):
    """A module that makes features of sequences; :class:`Reader` is one, and a pretrained encoder can be another.

    Attributes:
        width: of the features.
    """

    width: int

    def embed(self, inputs: Tensor) -> Tensor:
        """``(N, T, F)``: a vector for each step of tokens ``(N, T)``, or the numbers ``(N, T, F)`` as they are."""
        ...

    def read(self, values: Tensor, present: Tensor | None) -> Tensor:
        """Features ``(N, T, width)`` of what :meth:`embed` gave; ``present (N, T)`` is false where steps are padding."""
        ...


class Reader(nn.Module):
    """An :class:`Encoder` that is to be trained: an embedding, or for numbers a linear layer, and a body of any family.

    Args:
        architecture: which family, and how large.
        length: the most steps of a sequence.
        tokens: how many tokens there are, of which 0 is padding; None for numbers.
        features: numbers at each step; None for tokens.
        dropout: probability of dropping an activation.
    """

    def __init__(
        self,
        architecture: Architecture,
        length: int,
        *,
        tokens: int | None = None,
        features: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        width = architecture.width
        self.body = build_body(architecture, width, length, dropout, causal=False)
        self.width = cast(Body, self.body).width
        self.first: nn.Module
        if tokens is not None:
            self.first = nn.Embedding(tokens, width, padding_idx=0)
            nn.init.normal_(self.first.weight.detach(), std=1 / math.sqrt(width))
            # Marks stand for no text: until they are learnt they say nothing, and padding never does.
            nn.init.zeros_(self.first.weight.detach()[: len(MARKS)])
        else:
            self.first = nn.Linear(features or 1, width)
        # A Transformer drops its inputs itself.
        self.dropout = nn.Identity() if isinstance(self.body, Transformer) else Dropout(dropout)

    @property
    def pooling(self) -> Pooling:
        """What suits the body: only a Transformer's steps look ahead."""
        return "mean" if isinstance(self.body, Transformer) else "last"

    @property
    def reach(self) -> int | None:
        """How many steps back the last one sees, itself included; None where all."""
        return cast(Body, self.body).reach

    def embed(self, inputs: Tensor) -> Tensor:
        """See :class:`Encoder`."""
        return inputs if inputs.is_floating_point() else cast(Tensor, self.first(inputs))

    def read(self, values: Tensor, present: Tensor | None) -> Tensor:
        """See :class:`Encoder`."""
        if isinstance(self.first, nn.Linear):
            values = self.first(values)
        features, _ = cast(Body, self.body)(self.dropout(values), None, present)
        return features


class Tagger(nn.Module):
    """Answers to sequences: head(drop(pool(encoder(inputs)))).

    Args:
        encoder: an :class:`Encoder`.
        outputs: how many logits, or 1 for a number.
        pooling: what stands for a sequence.
        asked: at how many of the last steps an answer is given, instead of one for the whole; None for the whole.
        dropout: probability of dropping a feature before the head.
    """

    def __init__(
        self, encoder: nn.Module, outputs: int, pooling: Pooling, asked: int | None = None, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.pooling, self.asked = pooling, asked
        self.dropout = Dropout(dropout)
        self.head = nn.Linear(self.reader.width, outputs)

    @property
    def reader(self) -> Encoder:
        """The encoder, as what it does."""
        return cast(Encoder, self.encoder)

    def embed(self, inputs: Tensor) -> Tensor:
        """A vector for each step: ``(N, T, F)``."""
        return self.reader.embed(inputs)

    def answer(self, values: Tensor, present: Tensor | None) -> Tensor:
        """As :meth:`forward`, of what :meth:`embed` gave."""
        features = self.dropout(self.pool(self.reader.read(values, present), present))
        return cast(Tensor, self.head(features))

    def pool(self, features: Tensor, present: Tensor | None) -> Tensor:
        """What stands for sequences: ``(N, width)``, or ``(N, asked, width)`` of the last steps."""
        if self.asked is not None:
            return features[:, -self.asked :]
        return mean_step(features, present) if self.pooling == "mean" else last_step(features, present)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits or numbers ``(N, outputs)`` of tokens ``(N, T)``, 0 where they are padding on the right, or of numbers
        ``(N, T, F)``; with ``asked`` steps ``(N, asked, outputs)``."""
        return self.answer(self.embed(inputs), present_steps(inputs))


def present_steps(inputs: Tensor) -> Tensor | None:
    """``(N, T)`` false where tokens are padding; None where nothing is, as of numbers.

    One step of each sequence is present always: there must be something to look at.
    """
    if inputs.is_floating_point():
        return None
    present = inputs != 0
    present[:, 0] = True
    return present


def mean_step(features: Tensor, present: Tensor | None) -> Tensor:
    """The mean of ``features (N, T, width)`` over the steps that are present: ``(N, width)``."""
    if present is None:
        return features.mean(1)
    weights = present[:, :, None].to(features.dtype)
    return (features * weights).sum(1) / weights.sum(1)


def last_step(features: Tensor, present: Tensor | None) -> Tensor:
    """The ``features (N, T, width)`` of the last step that is present: ``(N, width)``."""
    if present is None:
        return features[:, -1]
    steps = torch.arange(present.shape[1], device=present.device)
    return features[torch.arange(len(features), device=features.device), (steps * present).amax(1)]
