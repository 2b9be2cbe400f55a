import pytest
import torch
import torch.nn.functional as F

from pendio.nn.masks import causal_mask
from pendio.nn.transformer import Form, Transformer

POSITIONS = ("sinusoidal", "learned", "rotary")
SCORES = ("dot", "scaled", "cosine", "additive")


def form(**settings):
    return Form(**{"width": 8, "heads": 2, "layers": 2, "length": 12, **settings})


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def build(causal=True, crossing=False, **settings):
    """In float64 and inference, with everything that starts as a constant made different."""
    torch.manual_seed(0)
    model = Transformer(form(**settings), causal=causal, crossing=crossing)
    for parameter in model.parameters():
        parameter.data.add_(torch.randn_like(parameter) * 0.3)
    return model.double().eval()


# What it computes


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("activation", ["relu", "gelu", "gelu-tanh"])
@torch.no_grad()
def test_an_encoder_is_torch_s_own(norm, activation):
    ours = build(causal=False, norm=norm, hidden=20, eps=1e-3, activation=activation, layers=1, norm_inputs=True)
    layer, values = ours.layers[0], random(2, 5, 8)
    function = {"relu": F.relu, "gelu": F.gelu, "gelu-tanh": lambda x: F.gelu(x, approximate="tanh")}[activation]
    theirs = torch.nn.TransformerEncoderLayer(
        8, 2, 20, 0.0, function, 1e-3, batch_first=True, norm_first=norm == "pre", dtype=torch.float64
    )
    pairs = {
        "self_attn.in_proj_": layer.attention.project, "self_attn.out_proj.": layer.attention.join,
        "linear1.": layer.feedforward.up, "linear2.": layer.feedforward.down,
        "norm1.": layer.attention_norm, "norm2.": layer.feedforward_norm,
    }  # fmt: skip
    theirs.load_state_dict(
        {f"{name}{kind}": getattr(m, kind) for name, m in pairs.items() for kind in ("weight", "bias")}
    )
    inputs = ours.norm_inputs(values + ours.positions.table[:5])
    expected = ours.norm(theirs(inputs))
    torch.testing.assert_close(ours(values)[0], expected)
    assert isinstance(ours.norm, torch.nn.LayerNorm) == (norm == "pre")
    assert {module.eps for module in ours.modules() if isinstance(module, torch.nn.LayerNorm)} == {1e-3}
    assert isinstance(build(causal=False).norm_inputs, torch.nn.Identity)


@pytest.mark.parametrize("norm", ["pre", "post"])
@torch.no_grad()
def test_a_decoder_asks_its_source_as_torch_s_own(norm):
    ours = build(crossing=True, norm=norm, layers=1, activation="relu", positions="sinusoidal")
    layer, values, source = ours.layers[0], random(2, 5, 8), random(2, 7, 8, seed=1)
    present = torch.tensor([[True] * 7, [True] * 4 + [False] * 3])
    theirs = torch.nn.TransformerDecoderLayer(
        8, 2, 32, 0.0, batch_first=True, norm_first=norm == "pre", dtype=torch.float64
    )
    pairs = {
        "self_attn.in_proj_": layer.attention.project, "self_attn.out_proj.": layer.attention.join,
        "multihead_attn.out_proj.": layer.crossing.join, "norm2.": layer.crossing_norm,
        "linear1.": layer.feedforward.up, "linear2.": layer.feedforward.down,
        "norm1.": layer.attention_norm, "norm3.": layer.feedforward_norm,
    }  # fmt: skip
    weights = {f"{name}{kind}": getattr(m, kind) for name, m in pairs.items() for kind in ("weight", "bias")}
    for kind in ("weight", "bias"):
        both = [getattr(layer.crossing.ask, kind), getattr(layer.crossing.answer, kind)]
        weights[f"multihead_attn.in_proj_{kind}"] = torch.cat(both)
    theirs.load_state_dict(weights)
    expected = theirs(
        values + ours.positions.table[:5], source, tgt_mask=~causal_mask(5, 5), memory_key_padding_mask=~present
    )
    found = ours(values, source=ours.read(source, present))[0]
    torch.testing.assert_close(found, ours.norm(expected))


def test_without_biases_there_are_none():
    assert not [name for name, _ in build(bias=False, crossing=True).named_parameters() if name.endswith("bias")]


def test_deep_pre_norm_stacks_start_with_features_that_do_not_grow_with_depth():
    torch.manual_seed(0)
    values, sizes = torch.randn(4, 12, 32), []
    for layers in (2, 16):
        model = Transformer(form(width=32, layers=layers), causal=True)
        model.norm = torch.nn.Identity()
        sizes.append(float(model(values)[0].detach().std()))
    assert sizes[1] == pytest.approx(sizes[0], rel=0.25)


# Who sees whom


@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("score", SCORES)
def test_no_gradient_of_an_output_reaches_a_later_input(positions, score):
    model, values = build(positions=positions, score=score), random(1, 6, 8).requires_grad_()
    out = model(values)[0]
    for place in range(6):
        (slope,) = torch.autograd.grad(out[0, place].pow(2).sum(), values, retain_graph=True)
        assert not slope[0, place + 1 :].any()
        assert slope[0, : place + 1].abs().sum(1).min() > 0


@torch.no_grad()
def test_an_encoder_sees_both_sides():
    model, values = build(causal=False), random(1, 6, 8)
    changed = values.clone()
    changed[0, 5] += 1
    assert ((model(changed)[0] - model(values)[0])[0].abs().sum(1) > 0).all()


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("score", SCORES)
@torch.no_grad()
def test_padding_on_the_right_changes_nothing(causal, score):
    model, values = build(causal=causal, score=score), random(2, 6, 8)
    present = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    together = model(values, None, present)[0]
    torch.testing.assert_close(together[1:, :4], model(values[1:, :4])[0])
    torch.testing.assert_close(together[:1], model(values[:1])[0])
    assert together.isfinite().all()


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("positions", POSITIONS)
@torch.no_grad()
def test_packed_sequences_are_as_separate_ones(causal, positions):
    model, values = build(causal=causal, positions=positions), random(2, 9, 8)
    documents = torch.tensor([[0, 0, 0, 0, 1, 1, 2, 2, 2], [4, 5, 5, 5, 5, 5, 5, 5, 5]])
    packed = model(values, documents=documents)[0]
    for row, start, end in ((0, 0, 4), (0, 4, 6), (0, 6, 9), (1, 0, 1), (1, 1, 9)):
        alone = model(values[row : row + 1, start:end])[0]
        torch.testing.assert_close(packed[row : row + 1, start:end], alone)


# With a cache


@pytest.mark.parametrize("cuts", [(6,), (1,) * 6, (4, 2), (1, 5), (2, 1, 3)])
@pytest.mark.parametrize("positions", POSITIONS)
@torch.no_grad()
def test_any_cut_of_a_sequence_gives_the_whole(cuts, positions):
    model, values = build(positions=positions, key_width=4, value_width=3), random(2, 6, 8)
    state = model.begin(2, 6)
    found, start = [], 0
    for count in cuts:
        features, state = model(values[:, start : start + count], state)
        found.append(features)
        start += count
    torch.testing.assert_close(torch.cat(found, 1), model(values)[0])


@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("score", SCORES)
@torch.no_grad()
def test_rows_padded_on_the_left_go_on_as_alone(positions, score):
    model, values = build(positions=positions, score=score), random(3, 8, 8)
    padding = [0, 2, 4]
    present = torch.tensor([[False] * missing + [True] * (5 - missing) for missing in padding])
    state = model.begin(3, 8, present)
    found = torch.cat([model(part, state)[0] for part in (values[:, :5], values[:, 5:7], values[:, 7:])], 1)
    assert found.isfinite().all()
    for row, missing in enumerate(padding):
        torch.testing.assert_close(found[row : row + 1, missing:], model(values[row : row + 1, missing:])[0])


@torch.no_grad()
def test_a_state_without_padding_keeps_none_and_chosen_rows_go_on():
    model, values = build(), random(2, 5, 8)
    state = model.begin(2, 12, torch.ones(2, 4, dtype=torch.bool))
    assert state.present is None
    assert model.begin(2).capacity == 12
    model(values[:, :4], state)
    chosen = state.select(torch.tensor([1, 0, 1]))
    last = values[[1, 0, 1], 4:]
    expected = model(torch.cat([values[[1, 0, 1], :4], last], 1))[0][:, 4:]
    torch.testing.assert_close(model(last, chosen)[0], expected)


@torch.no_grad()
def test_a_source_is_read_once_and_asked_again_and_again():
    model, values, source = build(crossing=True), random(2, 4, 8), random(2, 6, 8, seed=1)
    present = torch.tensor([[True] * 6, [True] * 3 + [False] * 3])
    read = model.read(source, present)
    state = model.begin(2, 4)
    found = torch.cat([model(values[:, t : t + 1], state, source=read)[0] for t in range(4)], 1)
    torch.testing.assert_close(found, model(values, source=read)[0])
    alone = model(values[1:], source=model.read(source[1:, :3]))[0]
    torch.testing.assert_close(found[1:], alone)
    swapped = read.select(torch.tensor([1, 0]))
    torch.testing.assert_close(model(values.flip(0), source=swapped)[0], found.flip(0))
    assert model.read(source).select(torch.tensor([0])).allowed is None


# What can be looked at


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("layer", [0, 1])
@torch.no_grad()
def test_weights_are_those_that_forward_uses(norm, layer):
    model, values = build(norm=norm, positions="rotary"), random(2, 5, 8)
    present = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    seen = {}
    attention = model.layers[layer].attention
    attention.register_forward_hook(lambda module, inputs, output: seen.update(inputs=inputs[0], output=output))
    model(values, None, present)
    inputs, output = seen["inputs"], seen["output"]
    weights = model.weights(values, layer, present)
    _, _, value = attention._projected(inputs, None)
    torch.testing.assert_close(attention.join((weights @ value).transpose(1, 2).flatten(2)), output)
    assert not weights[..., ~causal_mask(5, 5)].any()
    assert not weights[1, :, :3, 3:].any()


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("layer", [0, 1])
@torch.no_grad()
def test_weights_at_a_source_are_those_that_forward_uses(norm, layer):
    model, values, source = build(norm=norm, crossing=True), random(2, 5, 8), random(2, 6, 8, seed=1)
    read = model.read(source, torch.tensor([[True] * 6, [True] * 3 + [False] * 3]))
    seen = {}
    crossing = model.layers[layer].crossing
    crossing.register_forward_hook(lambda module, inputs, output: seen.update(output=output))
    model(values, source=read)
    weights = model.weights(values, layer, source=read)
    assert weights.shape == (2, 2, 5, 6)
    assert not weights[1, :, :, 3:].any()
    mixed = (weights @ read.read[layer][1]).transpose(1, 2).flatten(2)
    torch.testing.assert_close(crossing.join(mixed), seen["output"])


# Training


def test_activations_are_dropped_in_training_only():
    model, values = build(dropout=0.5), random(2, 5, 8)
    still = build()
    assert torch.equal(model(values)[0], still(values)[0])
    model.train()
    assert not torch.equal(model(values)[0], model(values)[0])
    for part in (model.dropout, *(layer.dropout for layer in model.layers)):
        assert part.p == 0.5


def test_every_parameter_learns():
    for model in (build(crossing=True), build(causal=False, norm="post", norm_inputs=True, score="additive")):
        source = model.read(random(1, 4, 8, seed=1)) if model.causal else None
        model(random(1, 5, 8), source=source)[0].pow(3).sum().backward()
        assert all(parameter.grad is not None and parameter.grad.any() for parameter in model.parameters())


# What does not fit


def test_more_tokens_than_places_or_room_do_not_fit():
    with pytest.raises((IndexError, RuntimeError)):
        build()(random(1, 13, 8))
    model = build()
    with pytest.raises(ValueError, match="a cache for 3 positions cannot take in 4"):
        model(random(1, 4, 8), model.begin(1, 3))


def test_widths_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="no multiple of 3 heads"):
        Transformer(form(heads=3), causal=True)
    with pytest.raises(ValueError, match="odd"):
        Transformer(form(positions="sinusoidal", width=9, heads=3), causal=True)
    with pytest.raises(ValueError, match="odd"):
        Transformer(form(positions="rotary", width=6), causal=True)
