import pytest
import torch
from torch import nn

from pendio.ascent import objectives
from pendio.ascent.canvas import Pixels
from pendio.ascent.climb import climb
from pendio.ascent.constraints import Ball, box
from pendio.ascent.reading import LOGITS, fingerprint
from pendio.ascent.rules import LBFGS, Adam, Normalized, Sign
from pendio.ascent.transforms import Wobble
from pendio.errors import InputError

from .networks import SHAPE, deep, wrapped

START = Pixels.start(SHAPE, 0, torch.arange(4), 0.2).double()


def linear():
    return wrapped(nn.Sequential(nn.Flatten(), nn.Linear(40, 3)), 3)


RULES = {
    "sign": lambda: Sign(0.01),
    "momentum": lambda: Sign(0.01, 0.9),
    "normalized": lambda: Normalized(0.05),
    "mean": lambda: Normalized(0.01, mean=True),
    "adam": lambda: Adam(0.01),
}


@pytest.mark.parametrize("make", RULES.values(), ids=RULES)
def test_every_rule_climbs_each_image_by_its_own_gradient(make):
    objective = objectives.logit(torch.tensor([0, 1, 2, 3]))
    together = climb(deep(), objective, Pixels(), START, rule=make(), steps=8, project=box)
    before = objective(_read(deep(), START))
    assert (together.values > before + 0.05).all()
    assert together.history[-1] > together.history[0]
    for row in range(4):
        alone = objectives.logit(row)
        single = climb(deep(), alone, Pixels(), START[row : row + 1], rule=make(), steps=8, project=box)
        assert torch.allclose(single.images, together.images[row : row + 1], atol=1e-12)


def _read(network, images):
    from pendio.ascent.reading import Reader, frozen

    with frozen(network), torch.no_grad():
        return Reader(network, [LOGITS])(images)


def test_lbfgs_solves_a_quadratic_in_a_few_steps():
    wanted = Pixels.start(SHAPE, 9, torch.arange(1)).double()
    network = wrapped(nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.Flatten()))
    with torch.no_grad():
        target = network.module[0](wanted)
    objective = objectives.matching("0", target)
    climbed = climb(network, objective, Pixels(), START[:1], rule=LBFGS(), steps=80)
    adam = climb(network, objective, Pixels(), START[:1], rule=Adam(0.02), steps=80)
    assert climbed.values[0] > -1e-6
    assert climbed.values[0] > adam.values[0]
    with pytest.raises(ValueError, match="leave out wobble"):
        climb(network, objective, Pixels(), START, rule=Adam(0.1), steps=1, wobble=Wobble(1, 0, 0), keep=objective)
    with pytest.raises(ValueError, match="one image at a time"):
        climb(network, objective, Pixels(), START, rule=LBFGS(), steps=1)


def test_images_leave_when_they_have_arrived_and_are_asked_no_more():
    seen = []

    class Counts(nn.Module):
        def forward(self, images):
            seen.append(len(images))
            return images

    network = wrapped(nn.Sequential(Counts(), nn.Flatten(), nn.Linear(40, 3)), 3)
    goals = torch.tensor([-1e9, 0.3, 1.0, 1e9])  # at once, soon, later, never

    def until(readings):
        return readings[LOGITS][:, 1] - first[readings.rows] > goals[readings.rows]

    first = _read(network, START)[LOGITS][:, 1]
    seen.clear()
    climbed = climb(network, objectives.logit(1), Pixels(), START, rule=Normalized(0.05), steps=12, until=until)
    assert climbed.stopped.tolist() == [True, True, True, False]
    steps = climbed.steps.tolist()
    assert steps[0] == 0
    assert 0 < steps[1] < steps[2] < steps[3] == 12
    assert climbed.queries.tolist() == [step + 1 for step in steps]
    assert sum(seen) == int(climbed.queries.sum())
    assert torch.equal(climbed.images[0], START[0])
    gained = _read(network, climbed.images)[LOGITS][:, 1] - first
    assert (gained[1:3] > goals[1:3]).all()
    assert torch.allclose(climbed.values, _read(network, climbed.images)[LOGITS][:, 1])


def test_the_best_point_is_kept_rather_than_the_last():
    network = linear()
    climbed = climb(
        network, objectives.logit(0), Pixels(), START, rule=Normalized(0.05), steps=6,
        keep=lambda readings: -readings[LOGITS][:, 0],
    )  # fmt: skip
    assert torch.equal(climbed.images, START), "the score was best before the first step"
    rising = climb(
        network, objectives.logit(0), Pixels(), START, rule=Normalized(0.05), steps=6,
        keep=lambda readings: readings[LOGITS][:, 0],
    )  # fmt: skip
    assert torch.allclose(rising.values, _read(network, rising.images)[LOGITS][:, 0])
    last = climb(network, objectives.logit(0), Pixels(), START, rule=Normalized(0.05), steps=6)
    assert torch.equal(rising.images, last.images), "the last point counts too"


def test_views_are_drawn_for_each_image_alone_and_leave_the_generator():
    network, wobble = deep(), Wobble(0.5, 0.1, 5)
    state = torch.get_rng_state()
    together = climb(network, objectives.channel("second", 1), Pixels(), START, rule=Adam(0.01), steps=4, wobble=wobble)
    assert torch.equal(torch.get_rng_state(), state)
    alone = climb(
        network, objectives.channel("second", 1), Pixels(), START[2:3], rule=Adam(0.01), steps=4, wobble=wobble,
        rows=torch.tensor([2]),
    )  # fmt: skip
    assert torch.allclose(alone.images, together.images[2:3], atol=1e-12)


def test_the_network_is_left_as_it_was_and_climbed_in_evaluation_mode():
    network = deep().train()
    before = fingerprint(network)
    climbs = [climb(network, objectives.logit(1), Pixels(), START, rule=Adam(0.01), steps=3) for _ in range(2)]
    assert fingerprint(network) == before
    assert torch.equal(climbs[0].images, climbs[1].images), "dropout would differ"


def test_a_value_that_is_not_finite_is_named():
    class Log(nn.Module):
        def forward(self, images):
            return (images - 0.5).flatten(1).log()[:, :3]

    with pytest.raises(InputError, match=r"the objective is not finite at step 1 for image \d"):
        climb(wrapped(Log(), 3), objectives.logit(1), Pixels(), START, rule=Adam(0.01), steps=3)

    class Root(nn.Module):
        def forward(self, images):
            return (images * 0).flatten(1).sqrt()[:, :3]

    with pytest.raises(InputError, match="the gradient is not finite at step 1 for image 1"):
        climb(wrapped(Root(), 3), objectives.logit(1), Pixels(), START, rule=Adam(0.01), steps=3)


def test_bf16_climbs_too():
    network = deep().float()
    climbed = climb(network, objectives.logit(1), Pixels(), START.float(), rule=Adam(0.01), steps=5, precision="bf16")
    assert climbed.images.dtype == torch.float32
    full = climb(network, objectives.logit(1), Pixels(), START.float(), rule=Adam(0.01), steps=5)
    assert torch.allclose(climbed.values, full.values, rtol=0.1, atol=0.3)
    assert not torch.equal(climbed.images, full.images)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_ball_projects_to_its_nearest_point(norm):
    center = torch.full((3, 1, 4, 4), 0.5).double()
    center[2] = 0.01  # near the border of [0, 1]
    ball = Ball(center, 0.2, norm)
    away = center + torch.randn(3, 1, 4, 4, generator=torch.Generator().manual_seed(0)).double()
    back = ball(away)
    apart = (back - center).flatten(1)
    size = apart.abs().amax(1) if norm == "linf" else apart.norm(dim=1)
    assert torch.allclose(size[:2], torch.tensor(0.2).double())
    assert size[2] <= 0.2 + 1e-12
    assert back.min() >= 0
    assert torch.allclose(ball(back), back)
    if norm == "linf":
        assert torch.allclose(back[:2], (center + (away - center).clamp(-0.2, 0.2))[:2])
    else:
        assert torch.allclose(
            torch.nn.functional.normalize(apart[:2]), torch.nn.functional.normalize((away - center).flatten(1)[:2])
        )


def test_a_mask_holds_the_rest_of_an_image_in_place():
    center, mask = torch.full((2, 1, 4, 4), 0.5), torch.zeros(1, 1, 4, 4)
    mask[..., :2, :] = 1
    moved = Ball(center, 0.3, mask=mask)(center + 1)
    assert torch.allclose(moved[:, :, :2], torch.tensor(0.8))
    assert torch.equal(moved[:, :, 2:], center[:, :, 2:])


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_random_starts_fill_the_ball_evenly(norm):
    center = torch.full((4000, 1, 1, 2), 0.5).double()
    draws = torch.randn(4000, 1, 1, 2, generator=torch.Generator().manual_seed(0)).double()
    apart = (Ball(center, 0.1, norm).start(draws) - center).flatten(1)
    size = apart.abs().amax(1) if norm == "linf" else apart.norm(dim=1)
    assert size.max() <= 0.1 + 1e-9
    assert float((size < 0.05).double().mean()) == pytest.approx(0.25, abs=0.03), (
        "a quarter of the area within half the radius"
    )
    assert torch.allclose(apart.mean(0), torch.zeros(2).double(), atol=0.005)
