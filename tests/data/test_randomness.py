import numpy as np
import torch

from pendio.data.randomness import order, uniforms

MANY = torch.arange(200_000)


def test_draws_are_uniform_and_independent():
    draws = uniforms(3, 5, MANY, 4).numpy()
    assert draws.min() >= 0
    assert draws.max() < 1
    counts = np.stack([np.histogram(column, 50, (0, 1))[0] for column in draws.T])
    # χ² with 49 degrees of freedom: mean 49, standard deviation 9.9.
    assert (((counts - 4000) ** 2 / 4000).sum(1) < 100).all()
    neighbours = [draws[:-1, 0], draws[1:, 0], draws[:-1, 1], draws[:-1, 2]]
    correlations = np.corrcoef(neighbours) - np.eye(4)
    assert np.abs(correlations).max() < 0.01


def test_a_draw_depends_on_seed_epoch_and_sample_and_nothing_else():
    base = uniforms(1, 2, torch.arange(100), 3)
    assert torch.equal(uniforms(1, 2, torch.tensor([70, 3]), 3), base[[70, 3]])
    assert torch.equal(uniforms(1, 2, torch.arange(100), 5)[:, :3], base)
    for seed, epoch in ((2, 2), (1, 3), (2, 1)):
        other = uniforms(seed, epoch, torch.arange(100), 3)
        assert not (other == base).any()
        assert abs(np.corrcoef(other.flatten(), base.flatten())[0, 1]) < 0.2


def test_the_caller_keeps_the_global_generators():
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    uniforms(0, 0, MANY[:10], 2)
    order(0, 0, 10)
    assert torch.equal(torch.rand(2), expected)


def test_order_is_a_permutation_of_its_own_for_each_epoch_and_seed():
    orders = [order(seed, epoch, 500) for seed in range(3) for epoch in range(3)]
    for each in orders:
        assert torch.equal(each.sort().values, torch.arange(500))
    assert len({tuple(each.tolist()) for each in orders}) == 9
    assert torch.equal(order(1, 1, 500), orders[4])


def test_every_place_is_as_likely_in_an_order():
    first = torch.stack([order(0, epoch, 10) for epoch in range(5000)])[:, 0]
    counts = torch.bincount(first, minlength=10).double()
    assert float(((counts - 500) ** 2 / 500).sum()) < 30  # χ² with 9 degrees of freedom
