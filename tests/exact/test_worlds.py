import math

import pytest
import torch

from pendio.exact.worlds import Gaussian, LinearGaussian, Mixture
from pendio.generation.diffusion.schedules import CLEAN, Level


def doubles(values):
    return torch.tensor(values, dtype=torch.float64)


GAUSSIAN = Gaussian(doubles([0.5]), doubles([[0.7]]))
MIXTURE = Mixture(doubles([0.3, 0.7]), doubles([[-1.0], [2.0]]), doubles([0.4, 0.8]))
WORLDS = {"gaussian": GAUSSIAN, "mixture": MIXTURE}
GRID = torch.linspace(-12, 12, 6001, dtype=torch.float64)
STEP = float(GRID[1] - GRID[0])


@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize("angle", [0.0, 0.6, 1.5])
def test_the_density_integrates_to_one(name, angle):
    assert float(WORLDS[name].log_density(GRID[:, None], Level.at(angle)).exp().sum() * STEP) == pytest.approx(1)


@pytest.mark.parametrize("name", WORLDS)
def test_noising_and_denoising_agree_with_integration_over_all_examples(name):
    world, level = WORLDS[name], Level.at(0.8)
    prior = world.log_density(GRID[:, None]).exp()
    for place in (-2.0, 0.1, 1.7):
        kernel = (-0.5 * ((place - level.signal * GRID) / level.noise) ** 2).exp() / (
            level.noise * math.sqrt(2 * math.pi)
        )
        density = float((prior * kernel).sum() * STEP)
        mean = float((GRID * prior * kernel).sum() * STEP) / density
        here = doubles([[place]])
        assert float(world.log_density(here, level).exp()) == pytest.approx(density)
        assert float(world(here, level)) == pytest.approx(mean)


@pytest.mark.parametrize("name", WORLDS)
def test_the_score_is_the_slope_of_the_log_density(name):
    values = torch.linspace(-3, 3, 11, dtype=torch.float64)[:, None].requires_grad_()
    (slope,) = torch.autograd.grad(WORLDS[name].log_density(values, Level.at(0.4)).sum(), values)
    torch.testing.assert_close(WORLDS[name].score(values.detach(), Level.at(0.4)), slope)


@pytest.mark.parametrize("name", WORLDS)
def test_at_the_clean_end_a_value_is_its_own_best_guess_and_in_noise_alone_the_mean_is(name):
    world, values = WORLDS[name], doubles([[-1.0], [0.3]])
    torch.testing.assert_close(world(values, CLEAN), values)
    mean = float((GRID * world.log_density(GRID[:, None]).exp()).sum() * STEP)
    torch.testing.assert_close(world(values, Level(0.0, 1.0)), doubles([[mean], [mean]]))


@pytest.mark.parametrize("name", WORLDS)
def test_samples_have_the_moments_of_the_density(name):
    density = WORLDS[name].log_density(GRID[:, None]).exp() * STEP
    mean = float((GRID * density).sum())
    deviation = math.sqrt(float(((GRID - mean) ** 2 * density).sum()))
    made = WORLDS[name].sample(50_000, torch.Generator().manual_seed(0))
    assert float(made.mean()) == pytest.approx(mean, abs=0.02)
    assert float(made.std()) == pytest.approx(deviation, rel=0.02)


def test_the_divergence_of_gaussians_is_the_integral():
    one = Gaussian(doubles([0.2]), doubles([[0.5]]))
    density = one.log_density(GRID[:, None])
    gap = (density.exp() * (density - GAUSSIAN.log_density(GRID[:, None]))).sum() * STEP
    assert float(one.kl(GAUSSIAN)) == pytest.approx(float(gap))
    assert float(one.kl(one)) == pytest.approx(0, abs=1e-12)
    wide = Gaussian(doubles([0.0, 1.0]), doubles([[1.0, 0.3], [0.3, 2.0]]))
    other = Gaussian(doubles([1.0, 0.0]), doubles([[2.0, -0.5], [-0.5, 1.0]]))
    expected = torch.distributions.kl_divergence(
        *(torch.distributions.MultivariateNormal(world.mean, world.covariance) for world in (wide, other))
    )
    torch.testing.assert_close(wide.kl(other), expected)


def test_a_linear_gaussian_is_a_gaussian_whose_causes_can_be_inferred():
    weights = doubles([[1.0, 0.2], [0.0, 2.0], [0.5, -1.0]])
    world = LinearGaussian(weights, doubles([1.0, 0.0, -1.0]), 0.5)
    values = world.sample(7, torch.Generator().manual_seed(0))
    means, covariance = world.posterior(values)
    # By Bayes' rule for the joint Gaussian of causes and values.
    gain = weights.T @ torch.linalg.inv(world.covariance)
    torch.testing.assert_close(means, (values - world.mean) @ gain.T)
    torch.testing.assert_close(covariance, torch.eye(2).double() - gain @ weights)
    variances = torch.linalg.eigvalsh(world.covariance)
    assert float(variances[0]) == pytest.approx(0.25)


def test_the_flow_keeps_each_value_at_its_place_in_the_distribution():
    world, here, there = GAUSSIAN, Level.at(1.4), Level.at(0.3)
    values = doubles([[-1.0], [0.4]])
    carried = world.flowed(values, here, there)
    places = [
        (x - level.signal * world.mean) / world.noised(level).covariance.sqrt()
        for x, level in ((values, here), (carried, there))
    ]
    torch.testing.assert_close(*places)


def test_quantiles_invert_the_share_below():
    shares = doubles([0.001, 0.25, 0.3, 0.9])
    torch.testing.assert_close(MIXTURE.cumulative(MIXTURE.quantiles(shares)), shares)
