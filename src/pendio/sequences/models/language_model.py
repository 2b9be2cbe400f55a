"""The language model: what comes next, given what came before, for any of the five families."""

import math
from collections.abc import Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pendio.nn.cache import Carried
from pendio.nn.dropout import Dropout
from pendio.nn.transformer import Transformer
from pendio.sequences.models.bodies import Body

__all__ = ["LanguageModel"]


class LanguageModel(nn.Module):
    """p(next token | tokens so far) = softmax(head(body(embedding))).

    Args:
        vocabulary: how many tokens there are.
        body: what reads; see :class:`Body`.
        width: of the embedding; where it is the body's too, embedding and head share their weights (Press and Wolf, 2017).
        dropout: probability of dropping a feature before the head, and of an embedding where the body drops none.
        scale: what embeddings are multiplied by on their way into the body; √width makes their variance 1, as bodies like
            them, and leaves the head's small (Vaswani et al., 2017, §3.4).
    """

    def __init__(
        self, vocabulary: int, body: nn.Module, width: int, dropout: float = 0.0, scale: float = 1.0
    ) -> None:  # fmt: skip
        super().__init__()
        self.vocabulary, self.scale = vocabulary, scale
        self.embedding = nn.Embedding(vocabulary, width)
        self.body = body
        self.dropout = nn.Identity() if isinstance(body, Transformer) else Dropout(dropout)
        nn.init.normal_(self.embedding.weight, std=1 / math.sqrt(width))
        tied = self.reader.width == width
        self.head: nn.Module | None = None if tied else nn.Linear(self.reader.width, vocabulary, bias=False)

    @property
    def reader(self) -> Body:
        """The body, as what it does."""
        return cast(Body, self.body)

    @property
    def context(self) -> int | None:
        """The most tokens it can be given; None where there is no end."""
        return self.reader.reach if isinstance(self.body, Transformer) else None

    def logits(self, features: Tensor) -> Tensor:
        """Logits ``(…, vocabulary)`` of features ``(…, width)``."""
        out: Tensor = F.linear(features, self.embedding.weight) if self.head is None else self.head(features)
        return out

    def features(
        self, tokens: Tensor, state: Any = None, present: Tensor | None = None
    ) -> tuple[Tensor, Any]:  # fmt: skip
        """What the body makes of each step: ``(N, T, width)``, and the state after them; see :class:`Body`."""
        features, state = self.reader(self.dropout(self.embedding(tokens) * self.scale), state, present)
        return self.dropout(features), state

    def forward(
        self, tokens: Tensor, state: Any = None, present: Tensor | None = None
    ) -> tuple[Tensor, Any]:  # fmt: skip
        """Logits ``(N, T, vocabulary)`` of the token that follows each of ``tokens (N, T)``, and the state after them.

        Args:
            tokens: all from the beginning, or what follows those that ``state`` has read.
            state: what was kept; None where nothing was.
            present: ``(N, T)`` false where tokens are padding.
        """
        features, state = self.features(tokens, state, present)
        return self.logits(features), state

    def read(self, prompts: Sequence[Tensor], capacity: int | None = None) -> tuple[Tensor, Any]:
        """Read prompts of any lengths, to go on from.

        A Transformer reads them in one pass, shorter ones padded on the left; the others one after another.

        Args:
            prompts: ``(T,)`` token numbers each, one at least.
            capacity: how many tokens there shall be room for, as far as memory is set aside.

        Returns:
            Logits ``(N, vocabulary)`` of the token after each, and the state.
        """
        if not isinstance(self.body, Transformer):
            answers = [self(prompt[None], self.reader.begin(1)) for prompt in prompts]
            parts = zip(*(state.tensors for _, state in answers), strict=True)
            logits = torch.cat([logits[:, -1] for logits, _ in answers])
            return logits, Carried([torch.cat(part) for part in parts])
        longest = max(len(prompt) for prompt in prompts)
        tokens = prompts[0].new_zeros(len(prompts), longest)
        present = torch.zeros_like(tokens, dtype=torch.bool)
        for row, prompt in enumerate(prompts):
            tokens[row, longest - len(prompt) :] = prompt
            present[row, longest - len(prompt) :] = True
        state = self.body.begin(len(prompts), capacity, present)
        features, state = self.features(tokens, state)
        return self.logits(features[:, -1]), state
