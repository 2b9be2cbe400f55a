import itertools
import math

import pytest
import torch

from pendio.errors import InputError
from pendio.generation.diffusion.schedules import CLEAN, Level, Schedule

NAMES = ("linear", "cosine", "signal-rate")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("levels", [50, 1000])
def test_signal_falls_and_noise_rises_and_their_squares_add_to_one(name, levels):
    schedule = Schedule.named(name, levels)
    assert len(schedule) == levels
    assert (schedule.angles.diff() > 0).all()
    for number in (1, levels // 2, levels):
        level = schedule[number]
        assert level.signal**2 + level.noise**2 == pytest.approx(1)
        assert 0 < level.signal < 1
    assert schedule[0] == CLEAN


def test_the_schedules_are_those_of_their_papers():
    linear = Schedule.named("linear")
    betas = [1e-4 + (0.02 - 1e-4) * step / 999 for step in range(1000)]
    assert linear[1].signal ** 2 == pytest.approx(1 - 1e-4)
    assert linear[500].signal ** 2 == pytest.approx(math.prod(1 - beta for beta in betas[:500]))
    assert linear[1000].signal ** 2 == pytest.approx(4.036e-5, rel=1e-3)
    cosine = Schedule.named("cosine")
    middle = math.cos((0.5 + 0.008) / 1.008 * math.pi / 2) / math.cos(0.008 / 1.008 * math.pi / 2)
    assert cosine[500].signal == pytest.approx(middle, rel=0.01)
    assert cosine[1000].signal == pytest.approx(0.01)
    keras = Schedule.named("signal-rate")
    assert (keras[1].signal, keras[1000].signal) == (pytest.approx(0.95, abs=1e-3), pytest.approx(0.02))
    assert keras[500].angle == pytest.approx((math.acos(0.95) + math.acos(0.02)) / 2)


def test_fewer_levels_of_a_schedule_end_where_many_do():
    few, many = Schedule.named("linear", 200)[200], Schedule.named("linear", 2000)[2000]
    assert few.angle == pytest.approx(many.angle, rel=0.01)


def test_a_path_goes_from_the_noisiest_level_to_clean():
    schedule = Schedule.named("cosine")
    path = schedule.path(7)
    assert len(path) == 8
    assert (path[0], path[-1]) == (schedule[1000], CLEAN)
    assert all(first.noise > second.noise for first, second in itertools.pairwise(path))
    assert schedule.path([900, 30, 1]) == [schedule[900], schedule[30], schedule[1], CLEAN]
    assert len(set(schedule.path(1000))) == 1001
    curved = schedule.curved_path(18)
    assert (len(curved), curved[-1]) == (19, CLEAN)
    assert curved[0].angle == pytest.approx(schedule[1000].angle)
    assert curved[-2].angle == pytest.approx(schedule[1].angle)
    roots = torch.tensor([math.tan(level.angle) ** (1 / 7) for level in curved[:-1]])
    torch.testing.assert_close(roots.diff(), roots.diff().mean().expand(17), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("steps", [0, -3, 1001, [], [5, 5], [3, 4], [1001, 1], [4, 0]])
def test_more_steps_than_levels_or_levels_that_do_not_fall_are_refused(steps):
    with pytest.raises(InputError, match="--steps"):
        Schedule.named("cosine").path(steps)


def test_more_curved_steps_than_levels_are_refused():
    with pytest.raises(InputError, match="--steps 51: the schedule has 50 noise levels; give 1 to 50"):
        Schedule.named("cosine", 50).curved_path(51)


def test_a_level_knows_its_angle():
    assert Level.at(0.7).angle == pytest.approx(0.7)
    assert CLEAN.angle == 0
