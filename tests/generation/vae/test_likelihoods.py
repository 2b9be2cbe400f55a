import math

import pytest
import torch
from torch.distributions import Bernoulli as TorchBernoulli
from torch.distributions import Normal

from pendio.generation.vae.likelihoods import Balanced, Bernoulli, Gaussian, Learned

from .conftest import rows


def images(count=3, seed=0):
    return torch.rand(count, 1, 4, 4, generator=torch.Generator().manual_seed(seed))


def test_a_gaussian_is_the_density_summed_over_pixels():
    outputs, inputs = rows(3).view(3, 1, 2, 2), images(3)[:, :, :2, :2]
    expected = -Normal(outputs.sigmoid(), 0.3).log_prob(inputs).flatten(1).sum(1)
    assert torch.allclose(Gaussian(0.3, bounded=True).nll(outputs, inputs), expected)
    expected = -Normal(outputs, 0.3).log_prob(inputs).flatten(1).sum(1)
    assert torch.allclose(Gaussian(0.3, bounded=False).nll(outputs, inputs), expected)


def test_a_bernoulli_is_the_probability_of_black_and_white():
    outputs, inputs = rows(3, 16).view(3, 1, 4, 4), images().round()
    expected = -TorchBernoulli(logits=outputs).log_prob(inputs).flatten(1).sum(1)
    assert torch.allclose(Bernoulli().nll(outputs, inputs), expected)
    means = Bernoulli().mean(outputs)
    assert float(Bernoulli().variance(means)) == pytest.approx(float((means - means.square()).mean()))


def test_learned_sigma_settles_at_the_root_of_the_mean_squared_error():
    likelihood = Learned(1.0, bounded=False).double()
    inputs = 0.2 * rows(64).double()
    optimizer = torch.optim.LBFGS(likelihood.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = likelihood.nll(torch.zeros_like(inputs), inputs).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert float(likelihood.sigma().detach()) == pytest.approx(float(inputs.square().mean().sqrt()), rel=1e-4)


def test_learned_sigma_starts_where_it_is_told_and_stays_above_its_floor():
    likelihood = Learned(0.4, bounded=True)
    assert float(likelihood.sigma()) == pytest.approx(0.4)
    likelihood.log_sigma.data.fill_(-50)
    assert float(likelihood.sigma()) == pytest.approx(1e-3)
    assert math.isfinite(float(likelihood.nll(torch.zeros(1, 4), torch.ones(1, 4))))


def test_balanced_sigma_follows_the_error_down_by_a_hundredth_and_never_up():
    likelihood = Balanced(1.0, bounded=False)
    inputs = torch.full((5, 4), 0.5)
    likelihood.nll(torch.zeros(5, 4), inputs)
    assert float(likelihood.variance(inputs)) == pytest.approx(0.99 + 0.01 * 0.25)
    before = float(likelihood.variance(inputs))
    likelihood.nll(torch.zeros(5, 4), torch.full((5, 4), 9.0))
    assert float(likelihood.variance(inputs)) == pytest.approx(before)


def test_balanced_sigma_stands_still_where_nothing_is_learned():
    likelihood = Balanced(1.0, bounded=False).eval()
    nll = likelihood.nll(torch.zeros(5, 4), torch.full((5, 4), 0.5))
    assert float(likelihood.variance(nll)) == 1
    assert torch.allclose(nll, Gaussian(1.0, bounded=False).nll(torch.zeros(5, 4), torch.full((5, 4), 0.5)))
    assert [name for name, _ in likelihood.named_parameters()] == []
    assert "log_sigma" in likelihood.state_dict()


def test_the_gradient_of_a_balanced_loss_takes_sigma_as_given():
    likelihood, outputs = Balanced(1.0, bounded=False), torch.zeros(5, 4, requires_grad=True)
    inputs = torch.full((5, 4), 0.5)
    likelihood.nll(outputs, inputs).sum().backward()
    assert torch.allclose(outputs.grad, -inputs / likelihood.variance(inputs))
