import pytest
import torch

from pendio.errors import InputError
from pendio.neurons.depth import compare, deep_sawtooth, sawtooth, shallow_sawtooth


def test_the_sawtooth_has_its_teeth():
    points = torch.linspace(0, 1, 4097, dtype=torch.float64)
    for folds in (1, 2, 5):
        heights = sawtooth(points, folds)
        assert int((heights == 1).sum()) == 2 ** (folds - 1)
        assert (heights.min(), heights.max()) == (0, 1)


@pytest.mark.parametrize("folds", [1, 2, 3, 6])
def test_both_networks_compute_it_everywhere(folds):
    points = torch.rand(500, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for network in (deep_sawtooth(folds), shallow_sawtooth(folds)):
        torch.testing.assert_close(network(points), sawtooth(points, folds), rtol=0, atol=1e-11)


def test_depth_costs_a_line_and_width_a_power():
    deep = [compare(folds).deep for folds in (4, 5, 6)]
    shallow = [compare(folds).shallow for folds in (4, 5, 6)]
    assert deep[2] - deep[1] == deep[1] - deep[0] == 6
    assert [count - 1 for count in shallow] == [48, 96, 192]


def test_folds_are_bounded():
    with pytest.raises(InputError, match="1 to 16 times, got 40"):
        compare(40)
