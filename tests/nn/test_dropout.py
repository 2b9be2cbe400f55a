import pytest
import torch

from pendio.nn.dropout import Dropout


def dropped(p, count=200_000, seed=0):
    torch.manual_seed(seed)
    return Dropout(p).train()(torch.ones(count))


@pytest.mark.parametrize("p", [0.1, 0.5, 0.97])
def test_so_many_are_dropped_and_the_mean_stays(p):
    values = dropped(p)
    share = float((values == 0).float().mean())
    assert share == pytest.approx(p, abs=4 * (p * (1 - p) / len(values)) ** 0.5 + 1e-5)
    assert values.unique().tolist() == pytest.approx([0, 1 / (1 - p)], rel=1e-3)


def test_a_probability_between_two_levels_is_rounded_and_the_rest_scaled_to_fit():
    p = 0.3
    level = round(p * 65536) / 65536
    assert float(dropped(p).max()) == pytest.approx(1 / (1 - level), rel=1e-7)


def test_the_seed_of_torch_decides():
    assert torch.equal(dropped(0.3), dropped(0.3))
    assert not torch.equal(dropped(0.3), dropped(0.3, seed=1))
    torch.manual_seed(0)
    layer = Dropout(0.3)
    assert not torch.equal(layer(torch.ones(1000)), layer(torch.ones(1000)))


def test_neighbours_are_dropped_independently():
    zeros = (dropped(0.5) == 0).float()
    for distance in (1, 2, 4, 128):
        both = float((zeros[:-distance] * zeros[distance:]).mean())
        assert both == pytest.approx(0.25, abs=0.005)


def test_the_gradient_passes_where_the_value_did():
    values = torch.randn(3, 50, requires_grad=True)
    out = Dropout(0.4)(values)
    out.sum().backward()
    assert torch.allclose(out.detach(), values.detach() * values.grad)


def test_nothing_is_dropped_in_use():
    values = torch.randn(7)
    assert Dropout(0.9).eval()(values) is values
    assert Dropout(0).train()(values) is values


@pytest.mark.parametrize("p", [-0.1, 1.0])
def test_probabilities_that_are_none(p):
    with pytest.raises(ValueError, match="in \\[0, 1\\)"):
        Dropout(p)
