"""One token more: what a model does again and again while it writes, without what modules do around it."""

from collections.abc import Callable
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pendio.nn.cache import KeyValues, LayerCache
from pendio.nn.transformer import Transformer, TransformerLayer
from pendio.sequences.decoding.fast import Int8Linear, int8_linear
from pendio.sequences.models.language_model import LanguageModel

__all__ = ["Step", "stepper"]

Step = Callable[[Tensor, Any], tuple[Tensor, Any]]
"""Maps the next token of each row ``(N,)`` and the state to logits ``(N, V)`` and the state after."""

_Map = Callable[[Tensor], Tensor]


def stepper(model: LanguageModel) -> Step:
    """A model as a function of one token a row, for inference.

    For one token, calling a module takes about as long as what it computes. The usual Transformer, which normalises its
    branches' inputs, scales its products and adds its positions, is therefore spelt out as functions of its weights; it
    computes the same. Everything else, and rows that were padded, goes through the model itself.

    Args:
        model: in evaluation mode; its weights must stay where they are.
    """
    body = model.body
    if not isinstance(body, Transformer) or body.positions is None:
        return _through(model)
    form = body.form
    if form.norm != "pre" or form.score != "scaled" or form.norm_inputs or body.training:
        return _through(model)
    usual, positions = _through(model), body.positions
    layers = [_layer(cast(TransformerLayer, layer)) for layer in body.layers]
    norm, embedding, scale = _normalization(cast(nn.LayerNorm, body.norm)), model.embedding.weight, model.scale
    head = _dense(embedding, None) if model.head is None else _linear(model.head)

    def step(tokens: Tensor, state: KeyValues) -> tuple[Tensor, KeyValues]:
        if state.present is not None:
            return usual(tokens, state)
        values = F.embedding(tokens, embedding) * scale + positions.table[state.length]
        for layer, cache in zip(layers, state.layers, strict=True):
            values = layer(values, cache)
        return head(norm(values)), state

    return step


def _through(model: LanguageModel) -> Step:
    def step(tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        logits, state = model(tokens[:, None], state)
        return logits[:, -1], state

    return step


def _layer(layer: TransformerLayer) -> Callable[[Tensor, LayerCache], Tensor]:
    """A layer as a function of values ``(N, width)`` and its cache."""
    attention, dense = layer.attention, layer.feedforward
    project, join, up, down = (_linear(one) for one in (attention.project, attention.join, dense.up, dense.down))
    attention_norm, dense_norm = _normalization(layer.attention_norm), _normalization(layer.feedforward_norm)
    heads, key_width, value_width = attention.attend.heads, attention.key_width, attention.value_width
    parts = (heads * key_width, heads * key_width, heads * value_width)
    activate = dense.activate

    def step(values: Tensor, cache: LayerCache) -> Tensor:
        rows = len(values)
        query, key, value = project(attention_norm(values)).split_with_sizes(parts, 1)
        keys, seen = cache.append(key.view(rows, heads, 1, key_width), value.view(rows, heads, 1, value_width))
        mixed = F.scaled_dot_product_attention(query.view(rows, heads, 1, key_width), keys, seen)
        values = values + join(mixed.reshape(rows, -1))
        return values + down(activate(up(dense_norm(values))))

    return step


def _linear(layer: nn.Module) -> _Map:
    if isinstance(layer, Int8Linear):
        weight, scale, bias, least = layer.weight, layer.scale, layer.bias, layer.least
        return lambda rows: int8_linear(rows, weight, scale, bias, least)
    one = cast(nn.Linear, layer)
    return _dense(one.weight, one.bias)


def _dense(weight: Tensor, bias: Tensor | None) -> _Map:
    return lambda rows: F.linear(rows, weight, bias)


def _normalization(norm: nn.LayerNorm) -> _Map:
    shape, weight, bias, eps = list(norm.normalized_shape), norm.weight, norm.bias, norm.eps
    return lambda rows: torch.layer_norm(rows, shape, weight, bias, eps)
