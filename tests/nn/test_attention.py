import math

import pytest
import torch

from pendio.nn.attention import CrossAttention, Gate, Heads, SelfAttention, attend, attention_weights
from pendio.nn.cache import LayerCache
from pendio.nn.masks import causal_mask, padding_mask
from pendio.nn.positions import Rotary

SCORES = ("dot", "scaled", "cosine", "additive")


def score_of(kind, heads, head, query, key):
    """A number for one query and one key of a head."""
    if kind == "dot":
        return query @ key
    if kind == "scaled":
        return query @ key / math.sqrt(len(query))
    if kind == "cosine":
        return heads.temperature[head, 0, 0] * (query @ key) / (query.norm() * key.norm())
    return (heads.opinion[head, 0, 0] * torch.tanh(query + key)).sum()


def loop(kind, heads, query, key, value, allowed=None):
    """Attention as its definition says, one query after another."""
    out = torch.zeros(*query.shape[:3], value.shape[-1], dtype=query.dtype)
    for n, h, t in (
        (n, h, t) for n in range(query.shape[0]) for h in range(query.shape[1]) for t in range(query.shape[2])
    ):
        seen = [s for s in range(key.shape[2]) if allowed is None or allowed[n, h, t, s]]
        rates = torch.stack([score_of(kind, heads, h, query[n, h, t], key[n, h, s]) for s in seen]).exp()
        out[n, h, t] = sum(rate / rates.sum() * value[n, h, s] for rate, s in zip(rates, seen, strict=True))
    return out.transpose(1, 2).flatten(2)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def three(queries=4, keys=5, heads=3, key_width=4, value_width=2):
    return (
        random(2, heads, queries, key_width),
        random(2, heads, keys, key_width, seed=1),
        random(2, heads, keys, value_width, seed=2),
    )


def varied(module):
    """The same in float64, with biases and all else that starts as a constant made different."""
    torch.manual_seed(0)
    for parameter in module.parameters():
        parameter.data.add_(torch.randn_like(parameter) * 0.3)
    return module.double()


@pytest.mark.parametrize("score", SCORES)
@torch.no_grad()
def test_attention_is_the_loop_of_its_definition(score):
    heads = varied(Heads(3, 4, score))
    query, key, value = three()
    torch.testing.assert_close(heads(query, key, value), loop(score, heads, query, key, value))
    allowed = random(2, 3, 4, 5, seed=3) > -0.5
    allowed[..., 2] = True
    expected = loop(score, heads, query, key, value, allowed)
    torch.testing.assert_close(heads(query, key, value, allowed), expected)


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("queries", [1, 3, 5])
@torch.no_grad()
def test_the_last_query_stands_at_the_last_key(score, queries):
    heads = varied(Heads(3, 4, score))
    query, key, value = three(queries)
    order = causal_mask(queries, 5).expand(2, 3, queries, 5)
    torch.testing.assert_close(
        heads(query, key, value, causal=True), loop(score, heads, query, key, value, order)
    )  # fmt: skip
    present = torch.tensor([[True, True, True, False, True], [True, True, False, True, True]])
    both = order & padding_mask(present)
    found = heads(query, key, value, padding_mask(present), causal=True)
    torch.testing.assert_close(found, loop(score, heads, query, key, value, both))


@pytest.mark.parametrize("score", SCORES)
@torch.no_grad()
def test_weights_are_those_that_forward_uses_and_sum_to_1(score):
    heads = varied(Heads(3, 4, score))
    query, key, value = three(5)
    allowed = causal_mask(5, 5)
    weights = heads.weights(query, key, allowed)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3, 5).double())
    assert not weights[..., ~allowed].any()
    torch.testing.assert_close((weights @ value).transpose(1, 2).flatten(2), heads(query, key, value, causal=True))


def test_products_of_independent_terms_are_scaled_to_variance_1():
    query, key = random(200, 64), random(200, 64, seed=1)
    logits = attention_weights(query, key).log()
    spread = (logits - logits.mean(1, keepdim=True)).var()
    assert spread == pytest.approx(1, abs=0.1)
    assert attention_weights(query, key, scale=0.0).sub(1 / 200).abs().max() < 1e-15
    expected = torch.softmax(2 * query @ key.T, -1) @ key
    torch.testing.assert_close(attend(query[None], key[None], key[None], scale=2.0)[0], expected)


@pytest.mark.parametrize("score", SCORES)
def test_gradients_are_right(score):
    heads = varied(Heads(2, 3, score))
    inputs = [part[:1, :2, :3, :3].clone().requires_grad_() for part in three(key_width=3, value_width=3)]
    assert torch.autograd.gradcheck(lambda *parts: heads(*parts, causal=True), inputs)


@pytest.mark.parametrize("score", SCORES)
@torch.no_grad()
def test_keys_are_dropped_in_training_only(score):
    heads = Heads(3, 4, score, dropout=0.5).double()
    query, key, value = three()
    still = Heads(3, 4, score).double()
    still.load_state_dict(heads.state_dict())
    torch.testing.assert_close(heads.eval()(query, key, value), still(query, key, value))
    heads.train()
    torch.manual_seed(0)
    # Dropped weights are 0 and the others doubled, so that values of 1 are mixed to 1 in the mean.
    mixed = torch.stack([heads(query, key, torch.ones_like(value)) for _ in range(400)])
    assert mixed.std() > 0.2
    assert mixed.mean() == pytest.approx(1, abs=0.03)


@torch.no_grad()
def test_self_attention_projects_asks_and_joins():
    layer = varied(SelfAttention(6, 2, key_width=5, value_width=4))
    assert layer.project.weight.shape == (2 * 5 + 2 * 5 + 2 * 4, 6)
    values = random(2, 3, 6)
    query, key, value = layer.project(values).split((10, 10, 8), -1)
    parts = [part.view(2, 3, 2, -1).transpose(1, 2) for part in (query, key, value)]
    mixed = loop("scaled", layer.attend, *parts)
    torch.testing.assert_close(layer(values), mixed @ layer.join.weight.T + layer.join.bias)


@torch.no_grad()
def test_self_attention_knows_no_order_but_by_rotary_positions():
    values, shuffle = random(1, 5, 8), torch.tensor([3, 0, 4, 1, 2])
    plain = varied(SelfAttention(8, 2))
    torch.testing.assert_close(plain(values)[:, shuffle], plain(values[:, shuffle]))
    turning = varied(SelfAttention(8, 2, rotary=Rotary(20, 4)))
    assert not torch.allclose(turning(values)[:, shuffle], turning(values[:, shuffle]))
    torch.testing.assert_close(turning(values)[:, shuffle], turning(values[:, shuffle], places=shuffle))
    torch.testing.assert_close(turning(values), turning(values, places=torch.arange(5) + 9), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        turning.weights(values)[:, :, shuffle][..., shuffle], turning.weights(values[:, shuffle], places=shuffle)
    )


@pytest.mark.parametrize("cuts", [(5,), (1, 1, 1, 1, 1), (3, 2), (1, 4), (2, 1, 2)])
@pytest.mark.parametrize("score", SCORES)
@torch.no_grad()
def test_a_sequence_read_in_parts_with_a_cache_is_the_whole(cuts, score):
    layer = varied(SelfAttention(8, 2, key_width=4, value_width=3, score=score, rotary=Rotary(5, 4)))
    values = random(2, 5, 8)
    cache = LayerCache(torch.zeros(2, 2, 5, 4).double(), torch.zeros(2, 2, 5, 3).double())
    parts, start = [], 0
    for count in cuts:
        part = values[:, start : start + count]
        parts.append(layer(part, causal=True, places=torch.arange(start, start + count), cache=cache))
        start += count
    torch.testing.assert_close(torch.cat(parts, 1), layer(values, causal=True))


@pytest.mark.parametrize("score", SCORES)
@torch.no_grad()
def test_cross_attention_asks_a_sequence_of_another_length_and_width(score):
    layer = varied(CrossAttention(6, 2, source_width=7, key_width=3, value_width=4, score=score))
    values, source = random(2, 3, 6), random(2, 5, 7, seed=1)
    key, value = layer.answer(source).split((6, 8), -1)
    query, key, value = (part.unflatten(-1, (2, -1)).transpose(1, 2) for part in (layer.ask(values), key, value))
    allowed = padding_mask(torch.tensor([[True] * 5, [True, True, True, False, False]]))
    expected = loop(score, layer.attend, query, key, value, allowed.expand(2, 2, 3, 5))
    found = layer(values, layer.read(source), allowed)
    torch.testing.assert_close(found, expected @ layer.join.weight.T + layer.join.bias)
    weights = layer.weights(values, layer.read(source), allowed)
    assert weights.shape == (2, 2, 3, 5)
    mixed = (weights @ value).transpose(1, 2).flatten(2)
    torch.testing.assert_close(layer.join(mixed), found)


def test_biases_are_left_out_where_they_are_not_wanted():
    for layer in (SelfAttention(8, 2, bias=False), CrossAttention(8, 2, bias=False)):
        assert all(parameter.ndim == 2 for parameter in layer.parameters())


def test_a_width_that_heads_do_not_divide_does_not_fit():
    for make in (SelfAttention, CrossAttention):
        with pytest.raises(ValueError, match="width 10 is no multiple of 3 heads"):
            make(10, 3)
        with pytest.raises(ValueError, match="no multiple"):
            make(10, 3, key_width=4)
        make(10, 3, key_width=4, value_width=2)
    with pytest.raises(RuntimeError):
        SelfAttention(8, 2)(torch.zeros(1, 3, 6))


@torch.no_grad()
def test_a_gate_scales_each_feature_by_a_number_between_0_and_1():
    gate, values = varied(Gate(5)), random(2, 3, 5)
    scales = 1 / (1 + torch.exp(-(values @ gate.gate.weight.T + gate.gate.bias)))
    torch.testing.assert_close(gate(values), values * scales)
