import itertools
import math

import pytest
import torch

from pendio.exact.worlds import Gaussian, Mixture
from pendio.generation.diffusion import samplers
from pendio.generation.diffusion.schedules import Level, Schedule

from .conftest import seeded

WORLD = Gaussian(torch.tensor([1.0, -2.0]).double(), torch.tensor([[0.5, 0.3], [0.3, 0.4]]).double())


def sample(sampler, steps, count=20_000, eta=0.0, world=WORLD):
    schedule = Schedule.named("cosine")
    path = schedule.curved_path(steps) if sampler == "heun" else schedule.path(steps)
    noise = torch.randn(count, 2, generator=seeded(), dtype=torch.float64)
    draw = samplers.gaussian(seeded(1), noise.device)
    return samplers.run(sampler, world, noise, path, draw=draw, eta=eta)


@pytest.mark.parametrize(
    ("sampler", "eta", "steps"),
    [("deterministic", 0, 200), ("ddim", 0.5, 200), ("ddpm", 0, 400), ("heun", 0, 40)],
)
def test_with_the_best_denoiser_every_sampler_makes_the_gaussian(sampler, eta, steps):
    made = sample(sampler, steps, eta=eta)
    torch.testing.assert_close(made.mean(0), WORLD.mean, rtol=0, atol=0.03)
    torch.testing.assert_close(made.T.cov(), WORLD.covariance, rtol=0.03, atol=0.02)


def test_ddim_at_its_ends_is_the_deterministic_sampler_and_ddpm():
    torch.testing.assert_close(sample("ddim", 9, 50, 0.0), sample("deterministic", 9, 50))
    torch.testing.assert_close(sample("ddim", 9, 50, 1.0), sample("ddpm", 9, 50))


def test_the_deterministic_sampler_is_the_loop_that_renoises_x0():
    path = Schedule.named("cosine").path(6)
    values = torch.randn(10, 2, generator=seeded()).double()
    expected = values
    for here, there in itertools.pairwise(path):
        found = WORLD(expected, here)
        noise = (expected - here.signal * found) / here.noise
        expected = there.signal * found + there.noise * noise
    torch.testing.assert_close(samplers.run("deterministic", WORLD, values, path), expected)


def test_heun_is_the_trapezoid_of_karras():
    path = Schedule.named("linear").path([700, 300, 50])
    values = torch.randn(10, 2, generator=seeded()).double()
    ratio = values / path[0].signal
    for here, there in itertools.pairwise(path):
        sigma, after = here.noise / here.signal, there.noise / there.signal
        slope = (ratio - WORLD(ratio * here.signal, here)) / sigma
        euler = ratio + (after - sigma) * slope
        if after:
            slope = (slope + (euler - WORLD(euler * there.signal, there)) / after) / 2
        ratio = ratio + (after - sigma) * slope
    torch.testing.assert_close(samplers.run("heun", WORLD, values, path), ratio)


def test_uneven_levels_do_as_well_as_even_ones():
    even, uneven = sample("deterministic", 60), sample("deterministic", [1000, *range(990, 0, -18), 2])
    torch.testing.assert_close(uneven.T.cov(), even.T.cov(), rtol=0.1, atol=0.03)


def test_what_is_watched_is_where_each_step_led_and_can_be_changed():
    path, seen = Schedule.named("cosine").path(4), []

    def watch(values, level):
        seen.append(level)
        return torch.zeros_like(values)

    made = samplers.run("heun", WORLD, torch.ones(1, 2).double(), path, watch=watch)
    assert seen == path[1:]
    assert made.abs().sum() == 0


def test_the_number_format_of_values_stays():
    made = samplers.run("ddpm", lambda values, level: values * 0, torch.ones(2, 2), Schedule.named("cosine").path(3),
                        draw=samplers.gaussian(seeded(), torch.device("cpu")))  # fmt: skip
    assert made.dtype == torch.float32


def test_values_that_were_made_are_encoded_to_their_noise():
    world = Mixture(torch.tensor([0.4, 0.6]).double(), torch.tensor([[-1.0, 0], [1.0, 0.5]]).double(),
                    torch.tensor([0.5, 0.4]).double())  # fmt: skip
    path = Schedule.named("cosine").path([*range(1000, 0, -20), 1])
    noise = torch.randn(50, 2, generator=seeded(), dtype=torch.float64)
    made = samplers.run("deterministic", world, noise, path)
    found = samplers.invert(world, made, path, 12)
    torch.testing.assert_close(samplers.run("deterministic", world, found, path), made, rtol=0, atol=1e-3)
    torch.testing.assert_close(found, noise, rtol=0, atol=0.02)


def test_a_step_to_the_same_level_changes_nothing_without_fresh_noise():
    level = Level.at(math.pi / 5)
    step = samplers.coefficients(level, level)
    assert (step.denoised, step.kept, step.fresh) == (pytest.approx(0), pytest.approx(1), 0)
