import pytest
import torch
from torch import nn

from pendio.nn.recurrent import Recurrent
from pendio.sequences.looking.states import hidden_states, ordered_units


def make_body(kind, layers=2, initial="zero"):
    torch.manual_seed(0)
    body = Recurrent(kind, 3, 5, layers, initial=initial).double().eval()
    if initial == "learned":
        nn.init.normal_(body.start)
    return body


@pytest.mark.parametrize("kind", ["rnn", "lstm"])
@pytest.mark.parametrize("initial", ["zero", "learned"])
def test_the_last_layer_is_what_the_body_gives(kind, initial):
    body, values = make_body(kind, initial=initial), torch.randn(2, 7, 3, dtype=torch.float64)
    assert torch.allclose(hidden_states(body, values, 1), body(values)[0], atol=1e-12)


@pytest.mark.parametrize("kind", ["rnn", "lstm"])
def test_a_lower_layer_is_a_network_of_one(kind):
    body, values = make_body(kind), torch.randn(2, 7, 3, dtype=torch.float64)
    alone = make_body(kind, layers=1)
    alone.network.load_state_dict({name: body.network.state_dict()[name] for name in alone.network.state_dict()})
    assert torch.allclose(hidden_states(body, values, 0), alone(values)[0], atol=1e-12)


def test_units_that_move_alike_stand_together():
    chance = torch.Generator().manual_seed(0)
    signals = torch.randn(200, 3, generator=chance)
    group = torch.randperm(12, generator=chance) % 3
    values = signals[:, group] * torch.linspace(1, 2, 12) + 0.1 * torch.randn(200, 12, generator=chance)
    order = ordered_units(values, 12)
    assert sorted(order.tolist()) == list(range(12))
    placed = group[order]
    assert int((placed[1:] != placed[:-1]).sum()) == 2


def test_the_circle_of_units_is_cut_where_it_is_widest():
    # Units that lag behind each other by a tenth of a turn, over six tenths of the circle: their order is that of the lags.
    time = torch.arange(200) * 0.1 * torch.pi
    order = torch.tensor([3, 0, 5, 1, 6, 4, 2])
    values = torch.stack([torch.sin(time + 0.2 * torch.pi * lag) for lag in order.tolist()], 1)
    lags = order[ordered_units(values, 7)].tolist()
    assert lags in (list(range(7)), list(range(7))[::-1])


def test_those_that_move_most_are_shown():
    values = torch.randn(50, 6, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 9, 1, 9, 9, 1])
    values[:, 0] += 100  # far from 0, and still
    assert sorted(ordered_units(values, 3).tolist()) == [1, 3, 4]


@pytest.mark.parametrize("steps", [1, 5])
def test_units_that_never_move_have_an_order_too(steps):
    assert sorted(ordered_units(torch.ones(steps, 4), 32).tolist()) == [0, 1, 2, 3]
    assert ordered_units(torch.ones(steps, 2), 32).tolist() == [0, 1]
