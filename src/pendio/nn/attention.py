"""Attention: each query takes a mean of values, weighted by how well their keys fit it."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pendio.nn.cache import LayerCache
from pendio.nn.kinds import Score
from pendio.nn.masks import causal_mask
from pendio.nn.positions import Rotary

__all__ = ["CrossAttention", "Gate", "Heads", "SelfAttention", "attend", "attention_weights"]

_TEMPERATURE = 10.0
"""What cosines are multiplied by at first: between −1 and 1 they could not tell one key from a hundred others."""


class Gate(nn.Module):
    """Attention as a gate: scales each feature by a number in (0, 1) computed from all features of the same place.

    x ↦ x ⊙ σ(Wx + b); the shape ``(…, width)`` stays.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate = nn.Linear(width, width)

    def forward(self, values: Tensor) -> Tensor:
        """Scale the features."""
        return values * torch.sigmoid(self.gate(values))


def attention_weights(
    query: Tensor, key: Tensor, allowed: Tensor | None = None, *, scale: float | None = None
) -> Tensor:  # fmt: skip
    """softmax(scale · q kᵀ) over the keys that are allowed: ``(…, queries, keys)``, each row of sum 1.

    Args:
        query: ``(…, queries, d)``.
        key: ``(…, keys, d)``.
        allowed: broadcasts to the weights; true where a query may look. Each must be allowed one key at least.
        scale: by default 1/√d (Vaswani et al., 2017, §3.2.1): products of d independent terms have variance d.
    """
    factor: float = query.shape[-1] ** -0.5 if scale is None else scale
    scores: Tensor = query @ key.transpose(-2, -1) * factor
    return _softmax(scores, allowed)


def _softmax(scores: Tensor, allowed: Tensor | None) -> Tensor:
    masked: Tensor = scores if allowed is None else scores.masked_fill(~allowed, float("-inf"))
    return masked.softmax(-1)


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    allowed: Tensor | None = None,
    *,
    causal: bool = False,
    scale: float | None = None,
    dropout: float = 0.0,
) -> Tensor:
    """:func:`attention_weights` times ``value (…, keys, d_v)``, in one pass that never holds the weights.

    Args:
        query, key, value, allowed, scale: as there.
        causal: no query looks at keys behind its own place; the last query stands at the last key.
        dropout: probability of leaving a key out.

    Returns:
        ``(…, queries, d_v)``.
    """
    queries, keys = query.shape[-2], key.shape[-2]
    direct = causal and allowed is None and queries == keys
    if causal and not direct and queries > 1:
        order = causal_mask(queries, keys, query.device)
        allowed = order if allowed is None else allowed & order
    return F.scaled_dot_product_attention(query, key, value, allowed, dropout, is_causal=direct, scale=scale)


class Heads(nn.Module):
    """What attention with several heads does between its projections: score, weigh, and join the heads.

    Args:
        heads: how many.
        key_width: d_k, of one head's queries and keys.
        score: how well a key fits a query.
        dropout: probability of leaving a key out while training.
    """

    def __init__(self, heads: int, key_width: int, score: Score = "scaled", dropout: float = 0.0) -> None:
        super().__init__()
        self.heads, self.score, self.dropout = heads, score, dropout
        self.scale = key_width**-0.5 if score == "scaled" else 1.0
        if score == "cosine":
            self.temperature = nn.Parameter(torch.full((heads, 1, 1), _TEMPERATURE))
        if score == "additive":
            self.opinion = nn.Parameter(torch.randn(heads, 1, 1, key_width) * key_width**-0.5)

    def split(self, values: Tensor) -> Tensor:
        """``(N, T, heads·d)`` as ``(N, heads, T, d)``."""
        return values.view(*values.shape[:2], self.heads, -1).transpose(1, 2)

    def _fitted(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        if self.score != "cosine":
            return query, key
        return F.normalize(query, dim=-1) * self.temperature, F.normalize(key, dim=-1)

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, allowed: Tensor | None = None, causal: bool = False
    ) -> Tensor:
        """``(N, queries, heads·d_v)`` of ``(N, heads, T, d)`` each."""
        if self.score == "additive":
            if causal:
                order = causal_mask(query.shape[2], key.shape[2], query.device)
                allowed = order if allowed is None else allowed & order
            weights = F.dropout(self.weights(query, key, allowed), self.dropout, self.training)
            mixed = weights @ value
        else:
            query, key = self._fitted(query, key)
            dropout = self.dropout if self.training else 0.0
            mixed = attend(query, key, value, allowed, causal=causal, scale=self.scale, dropout=dropout)
        return mixed.transpose(1, 2).flatten(-2)

    def weights(self, query: Tensor, key: Tensor, allowed: Tensor | None = None) -> Tensor:
        """How much each query takes of each key: ``(N, heads, queries, keys)``.

        The additive score is vᵀ tanh(q + k) (Bahdanau, Cho and Bengio, 2015).
        """
        if self.score != "additive":
            return attention_weights(*self._fitted(query, key), allowed, scale=self.scale)
        scores = (torch.tanh(query[:, :, :, None] + key[:, :, None]) * self.opinion).sum(-1)
        return _softmax(scores, allowed)


class SelfAttention(nn.Module):
    """Multi-head attention of a sequence to itself (Vaswani et al., 2017, §3.2).

    Args:
        width: of the sequence.
        heads: how many look at once.
        key_width: d_k of one head; by default ``width // heads``.
        value_width: d_v of one head; by default ``width // heads``.
        score: how well a key fits a query.
        bias: whether the projections have biases.
        dropout: probability of leaving a key out while training.
        rotary: turns queries and keys by their places.
    """

    def __init__(
        self,
        width: int,
        heads: int = 1,
        *,
        key_width: int | None = None,
        value_width: int | None = None,
        score: Score = "scaled",
        bias: bool = True,
        dropout: float = 0.0,
        rotary: Rotary | None = None,
    ) -> None:
        super().__init__()
        key_width, value_width = _head_widths(width, heads, key_width, value_width)
        self._parts = (heads * key_width, heads * key_width, heads * value_width)
        self.key_width, self.value_width = key_width, value_width
        self.project = nn.Linear(width, sum(self._parts), bias=bias)
        self.attend = Heads(heads, key_width, score, dropout)
        self.join = nn.Linear(heads * value_width, width, bias=bias)
        self.rotary = rotary

    def _projected(self, values: Tensor, places: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value = (self.attend.split(part) for part in self.project(values).split(self._parts, -1))
        if self.rotary is not None:
            places = torch.arange(values.shape[1], device=values.device) if places is None else places
            query, key = self.rotary(query, places), self.rotary(key, places)
        return query, key, value

    def forward(
        self,
        values: Tensor,
        allowed: Tensor | None = None,
        *,
        causal: bool = False,
        places: Tensor | None = None,
        cache: LayerCache | None = None,
    ) -> Tensor:
        """``(N, T, width)`` of ``values (N, T, width)``.

        Args:
            values: the sequence, or what follows the part of it that ``cache`` has seen.
            allowed: broadcasts to ``(N, heads, T, keys)``; true where looking is allowed.
            causal: no position looks ahead.
            places: where the values stand, ``(T,)`` or ``(N, T)``; by default from 0 on. Only rotary positions ask.
            cache: keys and values seen before; it takes in those of ``values``.
        """
        query, key, value = self._projected(values, places)
        if cache is not None:
            key, value = cache.append(key, value)
        return cast(Tensor, self.join(self.attend(query, key, value, allowed, causal)))

    def weights(
        self, values: Tensor, allowed: Tensor | None = None, *, causal: bool = False, places: Tensor | None = None
    ) -> Tensor:
        """How much each position takes of each other: ``(N, heads, T, T)``, rows of sum 1."""
        query, key, _ = self._projected(values, places)
        if causal:
            order = causal_mask(values.shape[1], values.shape[1], values.device)
            allowed = order if allowed is None else allowed & order
        return self.attend.weights(query, key, allowed)


class CrossAttention(nn.Module):
    """Multi-head attention of a sequence to another.

    Args:
        width: of the sequence that asks.
        heads: how many look at once.
        source_width: of the sequence that is asked; by default ``width``.
        key_width, value_width, score, bias, dropout: as for :class:`SelfAttention`.
    """

    def __init__(
        self,
        width: int,
        heads: int = 1,
        *,
        source_width: int | None = None,
        key_width: int | None = None,
        value_width: int | None = None,
        score: Score = "scaled",
        bias: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        key_width, value_width = _head_widths(width, heads, key_width, value_width)
        self._parts = (heads * key_width, heads * value_width)
        self.ask = nn.Linear(width, heads * key_width, bias=bias)
        self.answer = nn.Linear(source_width or width, sum(self._parts), bias=bias)
        self.attend = Heads(heads, key_width, score, dropout)
        self.join = nn.Linear(heads * value_width, width, bias=bias)

    def read(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values ``(N, heads, S, d)`` of ``source (N, S, source_width)``, to be asked again and again."""
        key, value = self.answer(source).split(self._parts, -1)
        return self.attend.split(key), self.attend.split(value)

    def forward(self, values: Tensor, source: tuple[Tensor, Tensor], allowed: Tensor | None = None) -> Tensor:
        """``(N, T, width)`` of ``values (N, T, width)`` and a source that was :meth:`read`."""
        query = self.attend.split(self.ask(values))
        return cast(Tensor, self.join(self.attend(query, *source, allowed)))

    def weights(self, values: Tensor, source: tuple[Tensor, Tensor], allowed: Tensor | None = None) -> Tensor:
        """How much each position takes of each of the source's: ``(N, heads, T, S)``, rows of sum 1."""
        return self.attend.weights(self.attend.split(self.ask(values)), source[0], allowed)


def _head_widths(width: int, heads: int, key_width: int | None, value_width: int | None) -> tuple[int, int]:
    if (key_width is None or value_width is None) and width % heads:
        raise ValueError(f"width {width} is no multiple of {heads} heads; give key_width and value_width")
    return key_width or width // heads, value_width or width // heads
