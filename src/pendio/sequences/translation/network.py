"""The translator: an encoder that reads a text whole, and a decoder that asks it at each token it writes."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pendio.data.text.tokens import END, PAD, START
from pendio.nn.cache import KeyValues
from pendio.nn.transformer import Form, Source, Transformer

__all__ = ["Translator", "Written"]


@dataclass(frozen=True)
class Written:
    """What a decoder keeps while it writes; a :class:`pendio.nn.cache.State`.

    Attributes:
        own: of the tokens written so far.
        source: what they were written from.
    """

    own: KeyValues
    source: Source

    def select(self, rows: Tensor) -> "Written":
        """The same of other rows."""
        return Written(self.own.select(rows), self.source.select(rows))


class Translator(nn.Module):
    """p(target | source) = ∏ p(yₜ | y before t, source) (Vaswani et al., 2017).

    Embeddings are multiplied by √width, and the head shares the weights of the target's (§3.4 there).

    Args:
        source_size, target_size: tokens of the two vocabularies; 0 is padding in both.
        form: of the encoder and of the decoder.
    """

    def __init__(self, source_size: int, target_size: int, form: Form) -> None:
        super().__init__()
        self.form = form
        self.source, self.target = nn.Embedding(source_size, form.width), nn.Embedding(target_size, form.width)
        for embedding in (self.source, self.target):
            nn.init.normal_(embedding.weight, std=1 / math.sqrt(form.width))
        self.encoder = Transformer(form, causal=False)
        self.decoder = Transformer(form, causal=True, crossing=True)

    def forward(self, inputs: Tensor, written: Tensor) -> Tensor:
        """Logits ``(N, T, target_size)`` of the token that follows each of those written.

        Args:
            inputs: ``(N, S)`` source tokens, 0 behind the end.
            written: ``(N, T)`` target tokens from START on, 0 behind the end.
        """
        features, _ = self.decoder(self._embedded(self.target, written), source=self.encode(inputs))
        return self.logits(features)

    def logits(self, features: Tensor) -> Tensor:
        """Logits ``(…, target_size)`` of features ``(…, width)``."""
        return F.linear(features, self.target.weight)

    def encode(self, inputs: Tensor) -> Source:
        """What the decoder asks: the encoder's reading of ``inputs (N, S)``."""
        present = inputs != PAD
        features, _ = self.encoder(self._embedded(self.source, inputs), present=present)
        return self.decoder.read(features, present)

    def _embedded(self, embedding: nn.Embedding, tokens: Tensor) -> Tensor:
        values: Tensor = embedding(tokens) * math.sqrt(self.form.width)
        return values

    def begin(self, inputs: Tensor, most: int) -> tuple[Tensor, Written]:
        """Logits ``(N, target_size)`` of the first token of each translation, and the state to go on from.

        Args:
            inputs: ``(N, S)`` source tokens, 0 behind the end.
            most: tokens to have room for, START among them.
        """
        state = Written(self.decoder.begin(len(inputs), most), self.encode(inputs))
        logits, state = self.step(torch.full_like(inputs[:, :1], START), state)
        return logits[:, -1], state

    def step(self, tokens: Tensor, state: Written) -> tuple[Tensor, Written]:
        """Logits ``(N, T, target_size)`` after each of ``tokens (N, T)``, which follow those of ``state``."""
        features, _ = self.decoder(self._embedded(self.target, tokens), state.own, source=state.source)
        return self.logits(features), state

    @torch.no_grad()
    def greedy(self, inputs: Tensor, most: int) -> Tensor:
        """The likeliest token at each step, until all rows have ended or have ``most`` tokens.

        Args:
            inputs: ``(N, S)`` source tokens, 0 behind the end.
            most: tokens to write, END among them.

        Returns:
            ``(N, T)`` target tokens up to and with END, 0 behind it.
        """
        logits, state = self.begin(inputs, most)
        ended = torch.zeros(len(inputs), dtype=torch.bool, device=inputs.device)
        columns: list[Tensor] = []
        while True:
            token = logits.argmax(-1).masked_fill(ended, PAD)
            columns.append(token)
            ended |= token == END
            if len(columns) == most or bool(ended.all()):
                return torch.stack(columns, 1)
            steps, state = self.step(token[:, None], state)
            logits = steps[:, -1]

    @torch.no_grad()
    def attention(self, inputs: Tensor, written: Tensor, layer: int = -1) -> Tensor:
        """How the decoder looked at the source at each token: ``(N, heads, T, S)``, computed anew.

        Args:
            inputs, written: as for :meth:`forward`. Row t tells where it looked to write the token after ``written[:, t]``.
            layer: of the decoder; negative ones count from the last.

        Raises:
            IndexError: there is no such layer.
        """
        number = range(self.form.layers)[layer]
        return self.decoder.weights(self._embedded(self.target, written), number, source=self.encode(inputs))
