import pytest
import torch

from pendio.exact.apart import told_apart
from pendio.exact.worlds import Gaussian, Mixture
from pendio.generation.diffusion import samplers
from pendio.generation.diffusion.schedules import Schedule

WORLD = Mixture(torch.tensor([0.3, 0.7]), torch.tensor([[-1.0, 0.0], [1.0, 0.5]]), torch.tensor([0.3, 0.3]))
SCHEDULE = Schedule.named("cosine")


def test_the_best_denoiser_has_no_error_of_its_own():
    found = told_apart(WORLD, WORLD, SCHEDULE.path(20))
    assert found.network == 0
    assert found.made == 0
    assert found.total == found.loss
    assert 0 < found.loss < 1


def test_what_a_denoiser_does_worse_adds_up():
    found = told_apart(lambda values, level: WORLD(values, level) + 0.3, WORLD, SCHEDULE.path(20))
    assert found.network == pytest.approx(0.09, rel=1e-4)
    assert found.total == pytest.approx(found.loss + 0.09, rel=0.02)
    assert found.made > 0.1


def test_more_steps_mend_the_solver_and_not_the_network():
    few, many = (
        told_apart(lambda values, level: 0.9 * WORLD(values, level), WORLD, SCHEDULE.path(steps)) for steps in (20, 100)
    )
    assert many.solver < few.solver / 3
    assert many.made > few.made / 1.5


def test_the_solver_is_judged_by_where_the_flow_leads():
    world = Gaussian(torch.zeros(2).double(), torch.tensor([[1.0, 0.8], [0.8, 1.0]]).double())
    path = SCHEDULE.path(10)
    start = torch.randn(2000, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    gap = samplers.run("deterministic", world, start, path) - world.flowed(start, path[0], path[-1])
    assert told_apart(world, world, path).solver == pytest.approx(float(gap.square().mean().sqrt()), rel=0.05)


def test_the_same_seed_measures_the_same():
    path = SCHEDULE.path(5)
    assert told_apart(WORLD, WORLD, path, 100, 1) == told_apart(WORLD, WORLD, path, 100, 1)
    assert told_apart(WORLD, WORLD, path, 100, 1) != told_apart(WORLD, WORLD, path, 100, 2)
