from dataclasses import replace

import pytest
import torch
from torch import nn

from pendio.ascent.attacks.autopgd import AutoPGD, checkpoints
from pendio.ascent.attacks.goal import Goal, eight_bit
from pendio.ascent.attacks.gradient import PGD, Levels
from pendio.ascent.canvas import noise
from pendio.ascent.constraints import Ball
from pendio.errors import InputError
from pendio.nn.network import Network

from .laws import check_bounds, check_overflow, check_reached, check_singles, check_untouched, half

norms = pytest.mark.parametrize("norm", ["linf", "l2"])


@norms
@pytest.mark.parametrize("loss", ["margin", "cross-entropy"])
def test_it_finds_the_highest_margin_in_the_ball(linear, norm, loss):
    case, epsilon = linear(2), 0.02
    attacked = AutoPGD(epsilon, norm, steps=40, loss=loss, eight_bit=False)(case.network, case.images, case.goal)
    slope = case.slopes()[torch.arange(6), 1 - case.classes]
    highest = case.margin(case.images) + epsilon * slope.norm(1 if norm == "linf" else 2, dim=1)
    unreached = highest < 0
    assert int(unreached.sum()) >= 3
    assert torch.equal(attacked.reached, ~unreached)
    torch.testing.assert_close(case.margin(attacked.images)[unreached], highest[unreached], atol=1e-5, rtol=0)


def test_checkpoints_are_those_of_the_paper():
    assert checkpoints(100) == [22, 41, 57, 70, 80, 87, 93, 99]
    assert checkpoints(1) == [1]


class Hill(nn.Module):
    """A second class whose logit is highest, but still too low, at one image: (1, 2, −1 − 10‖x − top‖², 0)."""

    def __init__(self, top):
        super().__init__()
        self.top = top

    def forward(self, inputs):
        height = -1 - 10 * (inputs - self.top).flatten(1).square().sum(1)
        return torch.stack([height * 0 + 1, height, height * 0 - 30, height * 0 - 30], 1)


@norms
def test_steps_shrink_until_a_top_within_the_ball_is_met(norm):
    generator = torch.Generator().manual_seed(0)
    images = torch.full((3, 1, 4, 4), 0.5, dtype=torch.float64)
    draws = torch.rand(1, 1, 4, 4, generator=generator).double()
    epsilon = 0.2 if norm == "linf" else 0.8
    top = 0.5 + 0.2 * (2 * draws - 1)
    network = Network(Hill(top), (1, 4, 4), [0.0], [1.0], list("abcd")).double()
    attack = AutoPGD(epsilon, norm, steps=100, loss="margin", eight_bit=False)
    attacked = attack(network, images, Goal(torch.zeros(3, dtype=torch.long)))
    assert not bool(attacked.reached.any())
    assert float((attacked.images - top).abs().max()) < 0.02


def algorithm_1(value, start, ball, steps):
    """The paper's algorithm for one image, line by line: its best point."""

    def slope(x):
        x = x.detach().requires_grad_()
        return torch.autograd.grad(value(x), [x])[0]

    def direction(x):
        return slope(x).sign() if ball.norm == "linf" else slope(x) / slope(x).norm()

    size, points = 2 * ball.radius, [start, ball(start + 2 * ball.radius * direction(start))]
    heights = [value(point) for point in points]
    best = max(points, key=value)
    rises, halved, judged, checked = [heights[1] > heights[0]], False, -torch.inf, 0
    for k in range(1, steps):
        if k in checkpoints(steps):
            few = sum(rises[checked:]) < 0.75 * (k - checked)
            halve = few or (not halved and value(best) == judged)
            halved, judged, checked = halve, value(best), k
            if halve:
                size, points[k], heights[k] = size / 2, best, value(best)
        ahead = ball(points[k] + size * direction(points[k]))
        points.append(ball(points[k] + 0.75 * (ahead - points[k]) + 0.25 * (points[k] - points[k - 1])))
        heights.append(value(points[-1]))
        rises.append(heights[-1] > heights[-2])
        best = points[-1] if heights[-1] > value(best) else best
    return best


class Needle(Hill):
    """A slope with a needle on it, higher than all the rest: whoever leaves it rises for long, and to no avail."""

    def forward(self, inputs):
        slope = inputs.flatten(1) @ torch.linspace(-1, 1, 16, dtype=torch.float64)
        height = slope - 30 + 9 * torch.exp(-100 * (inputs - self.top).flatten(1).square().sum(1))
        return torch.stack([height * 0 + 1, height, height * 0 - 90, height * 0 - 90], 1)


@norms
@pytest.mark.parametrize("kind", [Hill, Needle])
@pytest.mark.parametrize("steps", [7, 30, 60])
def test_steps_are_those_of_the_paper(norm, kind, steps):
    center = torch.full((1, 1, 4, 4), 0.5, dtype=torch.float64)
    attack = AutoPGD(0.2 if norm == "linf" else 0.8, norm, steps, loss="margin", eight_bit=False)
    ball = Ball(center, attack.epsilon, norm)
    start = ball.start(noise((1, 4, 4), 0, torch.zeros(1, dtype=torch.long)).double())
    aside = torch.rand(1, 1, 4, 4, generator=torch.Generator().manual_seed(1)).double()
    module = kind(0.5 + 0.2 * (2 * aside - 1) if kind is Hill else start + 0.005 * aside)
    network = Network(module, (1, 4, 4), [0.0], [1.0], list("abcd")).double()
    found = attack(network, center, Goal(torch.zeros(1, dtype=torch.long))).images

    def value(x):
        return module(x)[0, 1] - module(x)[0, 0]

    torch.testing.assert_close(found, algorithm_1(value, start, ball, steps), atol=1e-9, rtol=0)


@norms
@pytest.mark.parametrize("kind", ["goal", "target"])
def test_it_climbs_as_high_as_pgd_in_as_many_steps(digits, norm, kind):
    goal = getattr(digits, kind)
    epsilon = 0.1 if norm == "linf" else 0.6

    def shortfall(attack):
        """The mean margin, that of reached images cut off at 0 where both stop."""
        attacked = attack(digits.network, digits.images, goal)
        with torch.no_grad():
            return float(goal.margin(digits.network(attacked.images), torch.arange(16)).clamp(max=0).mean())

    auto = AutoPGD(epsilon, norm, steps=20, eight_bit=False)
    plain = PGD(epsilon, norm, steps=20, loss="ratio", eight_bit=False)
    assert shortfall(auto) >= shortfall(plain)


def test_another_start_never_makes_it_worse(digits):
    once = AutoPGD(0.08, steps=5)(digits.network, digits.images, digits.goal)
    thrice = AutoPGD(0.08, steps=5, restarts=3)(digits.network, digits.images, digits.goal)
    assert bool((thrice.reached | ~once.reached).all())
    assert torch.equal(thrice.images[once.reached], once.images[once.reached])
    assert torch.equal(thrice.queries[once.reached], once.queries[once.reached])
    assert bool((thrice.queries[~thrice.reached] == 3 * once.queries[~thrice.reached]).all())


@norms
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("saved", [False, True])
def test_results_stay_in_their_budget(digits, norm, masked, saved):
    mask = half() if masked else None
    attack = AutoPGD(0.07 if norm == "linf" else 0.4, norm, steps=10, mask=mask, eight_bit=saved)
    check_bounds(attack(digits.network, digits.images, digits.goal), attack.epsilon, norm, mask)


@norms
def test_a_budget_of_nothing_changes_nothing(digits, norm):
    images = digits.images
    plain = AutoPGD(0.0, norm, steps=3, eight_bit=False)(digits.network, images, digits.goal)
    assert torch.equal(plain.images, images)
    saved = AutoPGD(0.0, norm, steps=3)(digits.network, images, digits.goal)
    assert torch.equal(saved.images, eight_bit(images))


@norms
def test_a_batch_gives_what_its_images_give_alone(digits, norm):
    attack = AutoPGD(0.1 if norm == "linf" else 0.6, norm, steps=12, restarts=2)
    check_singles(attack, digits.network, digits.images[:5], digits.goal_of(5))


@norms
@pytest.mark.parametrize("kind", ["goal", "target"])
def test_it_reaches_its_goal_in_eight_bits(digits, norm, kind):
    attack = AutoPGD(0.4 if norm == "linf" else 2.5, norm, steps=40)
    attacked = check_reached(attack, digits.network, digits.images, getattr(digits, kind))
    assert bool(attacked.reached.all())
    assert torch.equal(eight_bit(attacked.images), attacked.images)


@norms
def test_levels_are_the_nearest_that_the_ball_allows(norm):
    center = torch.full((4, 1, 16, 16), 100 / 255)
    ball = Ball(center, 0.0251 if norm == "linf" else 0.1, norm)
    draws = torch.randn(4, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    points = ball.start(draws).requires_grad_()
    images = Levels(ball).images(points, torch.arange(4))
    (gradient,) = torch.autograd.grad(images.sum(), [points])
    assert torch.equal(gradient, torch.ones_like(points))
    images, points = images.detach(), points.detach()
    assert torch.equal(eight_bit(images), images)
    apart = (images - center).flatten(1)
    if norm == "linf":
        # 0.0251 is 6.4 levels, and the nearest to what is there may be no more than 6.
        assert float((images - points).abs().max()) < 0.501 / 255
        assert round(float(apart.abs().max() * 255)) == 6
    else:
        assert float(apart.norm(dim=1).max()) <= ball.radius * (1 + 1e-6)
        full = (points - center).flatten(1).norm(dim=1)
        assert bool((apart.norm(dim=1) > full - 0.01 * ball.radius).all())


def test_the_network_stays_as_it_was(dropping):
    check_untouched(AutoPGD(steps=5), dropping)


def test_a_non_finite_gradient_is_told(overflowing):
    check_overflow(AutoPGD(epsilon=0.0, eight_bit=False), overflowing)


def test_mistakes_are_told(linear):
    with pytest.raises(InputError, match="--epsilon must not be negative, got -0.1"):
        AutoPGD(epsilon=-0.1)
    with pytest.raises(InputError, match="--steps and --restarts must be at least 1, got 100 and 0"):
        AutoPGD(restarts=0)
    two, three = linear(2), linear(3)
    with pytest.raises(InputError, match="--loss ratio needs 3 classes, and this network has 2; use --loss margin"):
        AutoPGD()(two.network, two.images, two.goal)
    with pytest.raises(InputError, match="needs 4 classes to aim at one"):
        AutoPGD()(three.network, three.images, replace(three.goal, targeted=True))
