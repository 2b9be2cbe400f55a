import pytest
import torch
from torch import nn

from pendio.nn.recurrent import Recurrent
from pendio.sequences.looking.memory import gradient_over_time, saturation, steps_back


@pytest.mark.parametrize("factor", [0.5, 1.5])
def test_of_a_linear_recurrence_it_is_a_power(factor):
    def losses(values):
        total = 0
        for inputs in values.unbind(1):
            total = factor * total + inputs @ torch.tensor([3.0, 4.0])
        return total

    norms = gradient_over_time(losses, torch.randn(3, 12, 2))
    assert norms.tolist() == pytest.approx([5 * factor**k for k in range(12)], rel=1e-5)


def test_steps_are_counted_from_the_end_of_each_row():
    weights = torch.tensor([[1.0, 2, 3, 0, 0], [4, 5, 6, 7, 0]])
    norms = gradient_over_time(
        lambda values: (values[..., 0] * weights).sum(1), torch.randn(2, 5, 1), torch.tensor([3, 4])
    )
    squares = [(9 + 49) / 2, (4 + 36) / 2, (1 + 25) / 2, 16, 0]
    assert norms.tolist() == pytest.approx([square**0.5 for square in squares])


def test_rows_do_not_cancel_and_scale_alike():
    norms = gradient_over_time(lambda values: values[:, -1, 0] * torch.tensor([1.0, -1.0]), torch.randn(2, 3, 1))
    assert norms.tolist() == pytest.approx([1, 0, 0])


def test_it_reaches_as_far_as_a_hundredth():
    assert steps_back(torch.tensor([1.0, 0.5, 0.011, 0.009])) == 2
    assert steps_back(torch.tensor([0.001, 0.5, 50.0, 0.4, 0.6, 0.1])) == 4
    assert steps_back(torch.tensor([1.0, 0.0, 1.0])) == 2
    assert steps_back(torch.zeros(4)) == 0


@pytest.mark.parametrize("kind", ["rnn", "lstm"])
def test_saturation_is_told_layer_by_layer(kind):
    torch.manual_seed(0)
    body = Recurrent(kind, 3, 4, 2).eval()
    for name, weight in body.network.named_parameters():
        nn.init.constant_(weight, 20.0 if name == "bias_ih_l0" else 0.0)
    if kind == "lstm":
        # All is kept and let in, so that the cell grows by 1 a step; nothing is shown, and it is saturated all the same.
        nn.init.constant_(body.network.bias_ih_l0[12:], -20.0)
    shares = saturation(body, torch.zeros(2, 10, 3))
    # tanh 2 is below 0.99, and tanh 3 is not.
    assert shares == ([1.0, 0.0] if kind == "rnn" else [0.8, 0.0])
