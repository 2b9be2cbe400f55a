"""Truths about the layers that read sequences, and about the models built on them."""

import copy
import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pendio.exact.check import Check
from pendio.nn import attention, positions, recurrent, transformer
from pendio.nn.masks import causal_mask
from pendio.sequences.models.bodies import FAMILIES, Architecture, build_body
from pendio.sequences.models.language_model import LanguageModel

__all__ = ["CHECKS"]


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _gap(one: Tensor, two: Tensor) -> float:
    """The largest difference; infinite where the shapes differ."""
    return float((one - two).detach().abs().max()) if one.shape == two.shape else math.inf


def _model(family: str, vocabulary: int = 11, window: int = 4, layers: int = 2) -> LanguageModel:
    torch.manual_seed(0)
    architecture = Architecture(model=family, width=16, layers=layers, heads=2, window=window)
    return LanguageModel(vocabulary, build_body(architecture, 16, 24), 16).eval()


# Recurrent networks


@torch.no_grad()
def _lstm() -> tuple[float, float]:
    """All steps written out, layer by layer, against torch's fused network: hidden states, and the last cell."""
    torch.manual_seed(0)
    model, values = recurrent.Recurrent("lstm", 3, 5, 2), _random(2, 9, 3).float()
    hidden, (last, cell) = model.network(values)
    worst = _gap(model.gates(values, 1).hidden, hidden)
    for layer in range(2):
        gates = model.gates(values, layer)
        worst = max(worst, _gap(gates.hidden[:, -1], last[layer]), _gap(gates.cell[:, -1], cell[layer]))
    return worst, 0


def _through_time() -> tuple[float, float]:
    """δ_t = ∂L/∂h_t + Wᵀ((1 − h²_{t+1}) δ_{t+1}) and ∂L/∂W = Σ_t ((1 − h_t²) δ_t) h_{t−1}ᵀ, against autograd."""
    torch.manual_seed(0)
    model, values, slopes = recurrent.Recurrent("rnn", 3, 5).double(), _random(1, 7, 3), _random(1, 7, 5, seed=1)
    features, _ = model(values)
    (features * slopes).sum().backward()
    back = model.network.get_parameter("weight_hh_l0")
    assert back.grad is not None
    states = [torch.zeros(5, dtype=torch.float64), *features[0].detach()]
    delta, gradient = torch.zeros(5, dtype=torch.float64), torch.zeros(5, 5, dtype=torch.float64)
    for step in reversed(range(7)):
        inner = (1 - states[step + 1] ** 2) * (slopes[0, step] + delta)
        gradient += inner[:, None] * states[step]
        delta = inner @ back.detach()
    return _gap(gradient, back.grad), 0


def _tied() -> tuple[float, float]:
    """Each step with weights of its own: their gradients sum up to that of the weights that all steps share."""
    torch.manual_seed(0)
    model, values, slopes = recurrent.Recurrent("rnn", 3, 5).double(), _random(2, 7, 3), _random(2, 7, 5, seed=1)
    (model(values)[0] * slopes).sum().backward()
    copies = [cast(nn.RNN, copy.deepcopy(model.network)) for _ in range(7)]
    hidden, loss = torch.zeros(2, 5, dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for step, own in enumerate(copies):
        own.zero_grad()
        hidden = recurrent.rnn_step(values[:, step], hidden, own)
        loss = loss + (hidden * slopes[:, step]).sum()
    loss.backward()
    worst = 0.0
    for name, shared in model.network.named_parameters():
        apart = [own.get_parameter(name).grad for own in copies]
        if shared.grad is None or any(part is None for part in apart):
            return math.inf, 0
        worst = max(worst, _gap(torch.stack(cast(list[Tensor], apart)).sum(0), shared.grad))
    return worst, 0


# Attention


def _score(heads: attention.Heads, query: Tensor, key: Tensor) -> Tensor:
    product = torch.dot(query, key)
    match heads.score:
        case "dot":
            return product
        case "scaled":
            return torch.div(product, math.sqrt(len(query)))
        case "cosine":
            return torch.div(product, query.norm() * key.norm()) * heads.get_parameter("temperature")[0, 0, 0]
    return torch.dot(heads.get_parameter("opinion")[0, 0, 0], torch.tanh(query + key))


@torch.no_grad()
def _attention() -> tuple[float, float]:
    """One query after another, for all four scores, each query seeing the keys up to its own place."""
    query, key, value, worst = _random(1, 1, 4, 3), _random(1, 1, 6, 3, seed=1), _random(1, 1, 6, 2, seed=2), 0.0
    for kind in ("dot", "scaled", "cosine", "additive"):
        torch.manual_seed(0)
        heads = attention.Heads(1, 3, kind).double()
        weights = heads.weights(query, key, causal_mask(4, 6))
        for place, one in enumerate(query[0, 0]):
            rates = torch.stack([_score(heads, one, other) for other in key[0, 0, : place + 3]]).exp()
            mean = (rates[:, None] * value[0, 0, : place + 3]).sum(0) / rates.sum()
            worst = max(worst, _gap(heads(query, key, value, causal=True)[0, place], mean))
            worst = max(worst, _gap(weights[0, 0, place] @ value[0, 0], mean))
    return worst, 0


@torch.no_grad()
def _packed() -> tuple[float, float]:
    """Three sequences in one row against each alone, in a decoder with each kind of positions."""
    values, worst = _random(1, 9, 8), 0.0
    documents = torch.tensor([[0, 0, 0, 0, 1, 1, 2, 2, 2]])
    for kind in ("sinusoidal", "learned", "rotary"):
        torch.manual_seed(0)
        form = transformer.Form(width=8, heads=2, layers=2, length=9, positions=kind)
        model = transformer.Transformer(form, causal=True).double().eval()
        packed = model(values, documents=documents)[0]
        alone = [model(part)[0] for part in values.split([4, 2, 3], 1)]
        worst = max(worst, _gap(packed, torch.cat(alone, 1)))
    return worst, 0


# Positions


def _shift() -> tuple[float, float]:
    """The same turn by k·rate of each pair, at every place: a linear map."""
    waves = positions.sinusoidal(torch.arange(40), 8)
    worst = 0.0
    for k in (1, 7):
        turns = []
        for pair in range(4):
            angle = k / 10_000 ** (2 * pair / 8)
            turns.append(torch.tensor([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]))
        worst = max(worst, _gap(waves[:-k] @ torch.block_diag(*turns).T, waves[k:]))
    return worst, 0


def _rotary() -> tuple[float, float]:
    """All products of the same query and key that stand equally far apart."""
    query, key = _random(1, 1, 1, 8).expand(1, 1, 30, 8), _random(1, 1, 1, 8, seed=1).expand(1, 1, 30, 8)
    turn = positions.Rotary(30, 8).double()
    products = (turn(query, torch.arange(30)) @ turn(key, torch.arange(30)).transpose(2, 3))[0, 0]
    bands = [products.diagonal(apart) for apart in range(-29, 30)]
    worst = max(_gap(band, band[:1].expand_as(band)) for band in bands)
    here = (query @ key.transpose(2, 3))[0, 0].diagonal()
    return max(worst, _gap(products.diagonal(), here)), 0


# Language models


@torch.no_grad()
def _causality() -> tuple[float, float]:
    """What earlier logits change by when a later token does, in any of the five families; infinite where none follows."""
    worst = 0.0
    for family in FAMILIES:
        model, tokens = _model(family), torch.arange(9)[None]
        changed = tokens.clone()
        changed[0, 6] = 10
        before, after = model(tokens)[0], model(changed)[0]
        if torch.equal(before[:, 6], after[:, 6]):
            return math.inf, 0
        worst = max(worst, _gap(before[:, :6], after[:, :6]))
    return worst, 0


@torch.no_grad()
def _cache() -> tuple[float, float]:
    """Three prompts of different lengths that go on together, padded, from what was kept, against each alone anew.

    Differences of logits, and 1 for each greedy token that differs.
    """
    worst = 0.0
    prompts = [torch.tensor(prompt) for prompt in ([3, 1, 4, 1, 5], [9, 2], [6, 5, 8])]
    for family in FAMILIES:
        model = _model(family)
        written = [prompt.tolist() for prompt in prompts]
        logits, state = model.read(prompts, 16)
        for _ in range(8):
            anew = torch.cat([model(torch.tensor([row]))[0][:, -1] for row in written])
            worst = max(worst, _gap(logits, anew)) + int((logits.argmax(1) != anew.argmax(1)).sum())
            for row, token in zip(written, anew.argmax(1).tolist(), strict=True):
                row.append(token)
            logits, state = model(logits.argmax(1, keepdim=True), state)
            logits = logits[:, -1]
    return worst, 0


def _source() -> tuple[Tensor, Tensor]:
    """A source of order 2 over 4 symbols: p(next | two before) ``(4, 4, 4)``, and how often three in a row come."""
    following = (1.5 * _random(4, 4, 4)).softmax(-1)
    pairs = torch.full((4, 4), 1 / 16, dtype=torch.float64)
    for _ in range(500):
        pairs = torch.einsum("ab,abc->bc", pairs, following)
    return following, pairs[..., None] * following


def _entropy(steps: int) -> float:
    """Of the next symbol, given as many before it, in nats: what a model that counts contexts comes to in the end."""
    following, triples = _source()
    if steps == 1:
        pairs = triples.sum(0)
        following = (pairs / pairs.sum(1, keepdim=True)).expand(4, 4, 4)
    return -float((triples * following.log()).sum())


def _window(steps: int) -> tuple[float, float]:
    """Cross-entropy of a window after 150 steps of Adam on the exact loss, over all contexts of three symbols."""
    following, triples = _source()
    model = _model("window", 4, window=steps, layers=1).train()
    contexts = torch.cartesian_prod(*[torch.arange(4)] * 3)
    often = torch.einsum("abc,bcd->abcd", triples, following).view(64, 4)
    optimizer = torch.optim.Adam(model.parameters(), 0.03)
    loss = torch.zeros(())
    for _ in range(150):
        loss = -(often * F.log_softmax(model(contexts)[0][:, -1], -1)).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return float(loss.detach()), _entropy(steps)


CHECKS = (
    Check("lstm", "gates written out give torch's LSTM", _lstm, 1e-6),
    Check("backpropagation-through-time", "by hand over 7 steps it equals autograd's gradient", _through_time, 1e-12),
    Check("tied-over-time", "the gradient of weights that all steps share is the sum over the steps", _tied, 1e-12),
    Check("attention", "four scores, masked, against a loop over queries", _attention, 1e-12),
    Check("packed", "sequences packed into one row are read as separate ones", _packed, 1e-12),
    Check("sinusoidal-shift", "sinusoidal positions: a shift is one linear map at every place", _shift, 1e-5),
    Check("rotary", "products of turned queries and keys depend on their distance alone", _rotary, 1e-5),
    Check("causality", "changing a token changes no logit before it, in all five families", _causality),
    Check("cache", "cached, padded and alone: the same logits and greedy tokens in all five families", _cache, 1e-5),
    Check(
        "entropy-rate",
        "a window of 2 on a source of order 2 reaches its entropy rate in nats",
        lambda: _window(2),
        0.01,
    ),
    Check(
        "entropy-rate-short", "a window of 1 comes to the entropy given one symbol, no lower", lambda: _window(1), 0.01
    ),
)
