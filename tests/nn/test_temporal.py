import pytest
import torch
from torch import nn

from pendio.nn.temporal import CausalConvolution, Temporal, TemporalBlock, Window


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def alive(model):
    """In float64 with weights and inputs above 0, so that no unit is silent and every change comes through."""
    for parameter in model.parameters():
        parameter.data = parameter.data.abs() + 0.01
    return model.double().eval()


SHAPES = [(1, 2), (1, 3), (2, 2), (3, 2), (2, 4), (4, 3)]


@pytest.mark.parametrize(("layers", "kernel"), SHAPES)
@torch.no_grad()
def test_a_temporal_network_reaches_exactly_as_far_as_its_formula_says(layers, kernel):
    model = alive(Temporal(2, 3, layers, kernel))
    assert model.reach == 1 + 2 * (kernel - 1) * (2**layers - 1)
    check_reach(model, model.reach)


@pytest.mark.parametrize("steps", [1, 2, 8])
@torch.no_grad()
def test_a_window_sees_its_steps_and_no_other(steps):
    model = alive(Window(2, 3, steps, layers=2))
    assert model.reach == steps
    check_reach(model, steps)


def check_reach(model, reach):
    values = random(1, reach + 3, 2).abs()
    before = model(values)[0][0, -1]
    for back, changes in ((0, True), (reach - 1, True), (reach, False), (reach + 1, False)):
        changed = values.clone()
        changed[0, -1 - back] += 1
        assert bool((model(changed)[0][0, -1] != before).any()) is changes


@pytest.mark.parametrize("model", [Temporal(2, 3, 2, 3), Window(2, 3, 4, 2)], ids=["tcn", "window"])
def test_no_gradient_reaches_a_later_step(model):
    model, values = alive(model), random(1, 7, 2).abs().requires_grad_()
    (slope,) = torch.autograd.grad(model(values)[0][0, 3].sum(), values)
    assert not slope[0, 4:].any()
    assert (slope[0, :4] != 0).all()


@pytest.mark.parametrize("cuts", [(1,) * 9, (5, 4), (2, 1, 6)])
@pytest.mark.parametrize("model", [Temporal(2, 3, 3, 3), Window(2, 3, 4, 2)], ids=["tcn", "window"])
@torch.no_grad()
def test_parts_with_the_carried_past_are_the_whole(model, cuts):
    model, values = model.double().eval(), random(2, 9, 2)
    found, state = [], None
    for part in values.split(list(cuts), 1):
        features, state = model(part, state)
        found.append(features)
    torch.testing.assert_close(torch.cat(found, 1), model(values)[0])
    assert torch.equal(model(values, model.begin(2))[0], model(values)[0])
    chosen = model(values[:, :5])[1].select(torch.tensor([1, 0, 1]))
    torch.testing.assert_close(model(values[[1, 0, 1], 5:], chosen)[0], model(values)[0][[1, 0, 1], 5:])


@torch.no_grad()
def test_a_causal_convolution_is_torch_s_own_with_zeros_before():
    layer, values = CausalConvolution(2, 3, 3, 2).double(), random(2, 2, 7)
    theirs = nn.functional.conv1d(
        nn.functional.pad(values, (4, 0)), layer.convolution.weight, layer.convolution.bias, dilation=2
    )
    out, past = layer(values, layer.begin(2))
    torch.testing.assert_close(out, theirs)
    assert torch.equal(past, values[:, :, -4:])


@torch.no_grad()
def test_normalised_weights_start_as_they_were_drawn():
    torch.manual_seed(0)
    plain = CausalConvolution(50, 60, 3)
    torch.manual_seed(0)
    apart = CausalConvolution(50, 60, 3, normalized=True)
    torch.testing.assert_close(apart.convolution.weight, plain.convolution.weight)
    assert float(plain.convolution.weight.std()) == pytest.approx((2 / 150) ** 0.5, rel=0.03)
    lengths, _ = (parameter for name, parameter in apart.named_parameters() if "original" in name)
    lengths.mul_(2)
    torch.testing.assert_close(apart.convolution.weight, 2 * plain.convolution.weight)


@torch.no_grad()
def test_a_block_adds_its_branch_to_a_shortcut():
    for inputs in (3, 2):
        block = TemporalBlock(inputs, 3, 2, 4, 0.0).double()
        values = random(2, inputs, 9)
        before = [block.first.begin(2), block.second.begin(2)]
        first, _ = block.first(values, before[0])
        second, _ = block.second(first.relu(), before[1])
        short = values if inputs == 3 else block.shortcut(values)
        torch.testing.assert_close(block(values, before)[0], (short + second.relu()).relu())
    dilations = [block.first.convolution.dilation for block in Temporal(2, 3, 3, 2).blocks]
    assert dilations == [(1,), (2,), (4,)]


@torch.no_grad()
def test_a_window_is_a_dense_network_on_the_steps_laid_side_by_side():
    model, values = Window(2, 5, 3, 2).double(), random(1, 6, 2)
    weight, bias = model.first.convolution.weight.transpose(1, 2).flatten(1), model.first.convolution.bias
    for place in range(2, 6):
        hidden = (weight @ values[0, place - 2 : place + 1].flatten() + bias).relu()
        torch.testing.assert_close(model(values)[0][0, place], model.rest[0](hidden).relu())


@pytest.mark.parametrize("model", [Temporal(2, 9, 2, 3, 0.5), Window(2, 9, 4, 2, 0.5)], ids=["tcn", "window"])
def test_activations_are_dropped_in_training_only(model):
    model, values = model.double(), random(2, 6, 2)
    assert not torch.equal(model.train()(values)[0], model(values)[0])
    assert torch.equal(model.eval()(values)[0], model(values)[0])


def test_features_of_another_width_do_not_fit():
    for model in (Temporal(2, 3), Window(2, 3)):
        with pytest.raises(RuntimeError):
            model(torch.zeros(1, 4, 3))
