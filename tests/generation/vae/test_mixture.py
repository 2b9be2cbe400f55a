import pytest
import torch

from pendio.errors import InputError
from pendio.generation.vae.mixture import Mixture


def two_clusters(count=2000):
    generator = torch.Generator().manual_seed(0)
    which = torch.arange(count) % 4 == 0
    spread = torch.tensor([[1.0, 0.0], [0.8, 0.6]])
    noise = 0.3 * torch.randn(count, 2, generator=generator) @ spread.T
    return noise + torch.where(which[:, None], torch.tensor([3.0, 0.0]), torch.tensor([-3.0, 1.0]))


def test_a_mixture_finds_the_gaussians_that_codes_come_of():
    mixture = Mixture(2, 2)
    assert not mixture.fitted
    mixture.fit(two_clusters())
    assert mixture.fitted
    order = mixture.means[:, 0].argsort()
    assert torch.allclose(mixture.weights[order], torch.tensor([0.75, 0.25]), atol=0.01)
    assert torch.allclose(mixture.means[order], torch.tensor([[-3.0, 1.0], [3.0, 0.0]]), atol=0.05)
    covariance = mixture.factors[order[0]] @ mixture.factors[order[0]].T
    assert torch.allclose(covariance, 0.09 * torch.tensor([[1.0, 0.8], [0.8, 1.0]]), atol=0.015)


def test_samples_have_the_moments_of_what_was_fitted_and_the_seed_decides():
    codes, mixture = two_clusters(), Mixture(2, 2)
    mixture.fit(codes)
    made = mixture.sample(20_000, torch.Generator().manual_seed(1))
    assert torch.allclose(made.mean(0), codes.mean(0), atol=0.1)
    assert torch.allclose(made.T.cov(), codes.T.cov(), atol=0.2)
    assert torch.equal(made, mixture.sample(20_000, torch.Generator().manual_seed(1)))
    still = mixture.sample(50, torch.Generator().manual_seed(1), temperature=0.0)
    assert (torch.cdist(still, mixture.means).min(1).values < 1e-5).all()


def test_the_density_integrates_to_one():
    mixture = Mixture(2, 2)
    mixture.fit(two_clusters())
    axis = torch.linspace(-8, 8, 321)
    grid = torch.cartesian_prod(axis, axis)
    assert float(mixture.log_prob(grid).exp().sum()) * (16 / 320) ** 2 == pytest.approx(1, abs=1e-3)


def test_it_is_saved_with_the_weights_and_the_seed_decides_the_fit():
    mixture, other = Mixture(3, 2), Mixture(3, 2)
    mixture.fit(two_clusters())
    other.load_state_dict(mixture.state_dict())
    assert torch.equal(
        other.sample(9, torch.Generator().manual_seed(0)), mixture.sample(9, torch.Generator().manual_seed(0))
    )
    again = Mixture(3, 2)
    again.fit(two_clusters())
    assert torch.equal(again.means, mixture.means)


def test_fewer_codes_than_gaussians_are_an_error():
    with pytest.raises(InputError, match="--components 9 is more than the 5 codes"):
        Mixture(9, 2).fit(torch.randn(5, 2))
