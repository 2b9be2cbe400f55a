import pytest
import torch
from torch import nn

from pendio.nn.recurrent import Recurrent, lstm_step, rnn_step


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def build(kind="lstm", **settings):
    torch.manual_seed(0)
    return Recurrent(kind, 3, 5, **settings).double()


@torch.no_grad()
def test_an_lstm_step_is_torch_s_own_to_the_gate():
    lstm, (inputs, hidden, cell) = nn.LSTM(4, 4, 2, dtype=torch.float64), random(3, 2, 4)
    for layer in range(2):
        alone = nn.LSTMCell(4, 4, dtype=torch.float64)
        alone.load_state_dict({name[:-3]: w for name, w in lstm.named_parameters() if name.endswith(f"l{layer}")})
        step, expected = lstm_step(inputs, hidden, cell, lstm, layer), alone(inputs, (hidden, cell))
        torch.testing.assert_close(step.hidden, expected[0])
        torch.testing.assert_close(step.cell, expected[1])
        torch.testing.assert_close(step.cell, step.forget * cell + step.input * step.candidate)
        torch.testing.assert_close(step.hidden, step.output * step.cell.tanh())
        for gate in (step.forget, step.input, step.output):
            assert ((gate > 0) & (gate < 1)).all()


@torch.no_grad()
def test_an_rnn_step_is_torch_s_own():
    rnn, (inputs, hidden) = nn.RNN(4, 4, 2, dtype=torch.float64), random(2, 2, 4)
    for layer in range(2):
        alone = nn.RNNCell(4, 4, dtype=torch.float64)
        alone.load_state_dict({name[:-3]: w for name, w in rnn.named_parameters() if name.endswith(f"l{layer}")})
        torch.testing.assert_close(rnn_step(inputs, hidden, rnn, layer), alone(inputs, hidden))


@torch.no_grad()
def test_a_bias_on_one_gate_opens_that_gate():
    lstm = nn.LSTM(1, 2)
    for parameter in lstm.parameters():
        parameter.zero_()
    lstm.bias_hh_l0[2:4] = 10
    step = lstm_step(torch.zeros(1, 1), torch.zeros(1, 2), torch.ones(1, 2), lstm)
    assert step.forget.min() > 0.99
    torch.testing.assert_close(step.input, torch.full((1, 2), 0.5))
    torch.testing.assert_close(step.output, torch.full((1, 2), 0.5))
    assert not step.candidate.any()


@pytest.mark.parametrize("kind", ["rnn", "lstm"])
@torch.no_grad()
def test_a_sequence_is_read_step_by_step(kind):
    model, values = build(kind, layers=2), random(2, 6, 3)
    features, state = model(values)
    theirs, last = model.network(values)
    torch.testing.assert_close(features, theirs)
    expected = last if kind == "lstm" else (last,)
    assert len(state.tensors) == len(expected)
    for found, wanted in zip(state.tensors, expected, strict=True):
        assert found.shape == (2, 2, 5)
        torch.testing.assert_close(found, wanted.transpose(0, 1))
    if kind == "rnn":
        hidden = [torch.zeros(2, 5).double()] * 2
        for step in range(6):
            hidden[0] = rnn_step(values[:, step], hidden[0], model.network)
            hidden[1] = rnn_step(hidden[0], hidden[1], model.network, 1)
            torch.testing.assert_close(features[:, step], hidden[1])


@pytest.mark.parametrize("kind", ["rnn", "lstm"])
@pytest.mark.parametrize("cuts", [(1,) * 6, (4, 2), (1, 5)])
@torch.no_grad()
def test_parts_with_the_carried_state_are_the_whole(kind, cuts):
    model, values = build(kind, layers=2), random(2, 6, 3)
    found, state = [], None
    for part in values.split(list(cuts), 1):
        features, state = model(part, state)
        found.append(features)
    torch.testing.assert_close(torch.cat(found, 1), model(values)[0])
    chosen = model(values[:, :4])[1].select(torch.tensor([1, 1, 0]))
    torch.testing.assert_close(model(values[[1, 1, 0], 4:], chosen)[0], model(values)[0][[1, 1, 0], 4:])


@pytest.mark.parametrize("layer", [0, 1, 2])
@torch.no_grad()
def test_gates_are_those_of_the_fast_network_in_every_layer(layer):
    model, values = build(layers=3), random(2, 6, 3)
    _, begun = model(random(2, 4, 3, seed=1))
    gates = model.gates(values, layer, begun)
    state = begun
    for step in range(6):
        features, state = model(values[:, step : step + 1], state)
        torch.testing.assert_close(gates.hidden[:, step], state.tensors[0][:, layer])
        torch.testing.assert_close(gates.cell[:, step], state.tensors[1][:, layer])
        if layer == 2:
            torch.testing.assert_close(gates.hidden[:, step], features[:, 0])
    assert gates.forget.shape == (2, 6, 5)


@torch.no_grad()
def test_gates_start_from_the_learned_state():
    model, values = build(initial="learned"), random(2, 4, 3)
    model.start.copy_(random(2, 1, 5, seed=1))
    torch.testing.assert_close(model.gates(values).hidden, model(values)[0])


def test_only_an_lstm_s_own_layers_have_gates():
    for model, layer in ((build("rnn"), 0), (build(), 1), (build(), -1)):
        with pytest.raises(ValueError, match="has no gates to read"):
            model.gates(random(1, 2, 3), layer)


@pytest.mark.parametrize("kind", ["rnn", "lstm"])
def test_the_state_starts_as_it_is_told(kind):
    parts = 2 if kind == "lstm" else 1
    zero = build(kind, layers=2).begin(3).tensors
    assert len(zero) == parts
    assert not any(part.any() for part in zero)

    sampled = build(kind, layers=2, initial="sampled")
    drawn = torch.stack(sampled.begin(2000).tensors)
    assert drawn.shape == (parts, 2000, 2, 5)
    assert float(drawn.mean()) == pytest.approx(0, abs=0.005)
    assert float(drawn.std()) == pytest.approx(0.1, rel=0.05)
    assert not any(part.any() for part in sampled.eval().begin(3).tensors)

    learned = build(kind, layers=2, initial="learned")
    with torch.no_grad():
        learned.start.copy_(random(parts, 2, 5))
    for part, own in zip(learned.begin(3).tensors, learned.start, strict=True):
        assert torch.equal(part[2], own)
    learned(random(3, 4, 3))[0].sum().backward()
    assert (learned.start.grad != 0).all()


def test_a_forget_gate_is_open_at_first_in_every_layer():
    model = build(layers=2)
    for layer in range(2):
        assert torch.equal(getattr(model.network, f"bias_ih_l{layer}")[5:10], torch.ones(5).double())
        assert getattr(model.network, f"bias_ih_l{layer}")[:5].abs().max() < 0.5
        assert getattr(model.network, f"bias_ih_l{layer}")[10:].abs().max() < 0.5
    assert build("rnn").network.bias_ih_l0.abs().max() < 0.5


@pytest.mark.parametrize("kind", ["rnn", "lstm"])
def test_no_gradient_reaches_a_later_step_or_what_lies_before_a_cut(kind):
    model, values = build(kind, layers=2), random(1, 6, 3).requires_grad_()
    out, _ = model(values)
    (slope,) = torch.autograd.grad(out[0, 2].sum(), values)
    assert not slope[0, 3:].any()
    assert (slope[0, :3] != 0).all()
    _, state = model(values[:, :3])
    (slope,) = torch.autograd.grad(model(values[:, 3:], state.detach())[0].sum(), values)
    assert not slope[0, :3].any()
    assert slope[0, 3:].all()


def test_activations_are_dropped_between_layers_in_training_only():
    model, values = build(layers=2, dropout=0.5), random(2, 6, 3)
    assert not torch.equal(model(values)[0], model(values)[0])
    model.eval()
    assert torch.equal(model(values)[0], model(values)[0])
    assert build(layers=1, dropout=0.5).network.dropout == 0


def test_features_of_another_width_do_not_fit():
    with pytest.raises((RuntimeError, ValueError)):
        build()(random(1, 4, 2))
