import pytest
import torch

from pendio.ascent.attacks.carlini import CarliniWagner, Tanh
from pendio.ascent.attacks.deepfool import DeepFool
from pendio.ascent.attacks.goal import Goal
from pendio.errors import InputError

from .laws import check_overflow, check_reached, check_singles, check_untouched, half


def lengths(images, originals):
    return (images - originals).flatten(1).norm(dim=1)


@pytest.mark.parametrize("confidence", [0.0, 0.5])
def test_it_finds_the_smallest_change_that_wins_by_the_confidence(linear, confidence):
    case = linear(5)
    attacked = CarliniWagner(confidence)(case.network, case.images, case.goal)
    smallest, rival = ((confidence - case.margins(case.images)) / case.slopes().norm(dim=2)).min(1)
    assert bool(attacked.reached.all())
    assert float(case.margin(attacked.images).min()) >= confidence
    found = lengths(attacked.images, case.images)
    assert bool((found >= smallest * (1 - 1e-6)).all())
    # Where another class than the nearest has the highest logit, the descent may end at another border.
    straight = rival == case.margins(case.images).argmax(1)
    assert int(straight.sum()) >= 3
    assert bool((found[straight] <= smallest[straight] * 1.01).all()), found / smallest


def test_black_and_white_pixels_move(linear, corners):
    case = linear(2, corners)
    slope = case.slopes()[torch.arange(6), 1 - case.classes]
    flat = corners.flatten(1)
    slope = slope.masked_fill(((flat == 0) & (slope < 0)) | ((flat == 1) & (slope > 0)), 0)
    smallest = -case.margin(case.images) / slope.norm(dim=1)
    inside = smallest * slope.abs().amax(1) / slope.norm(dim=1) < 1
    attacked = CarliniWagner()(case.network, case.images, case.goal)
    found = lengths(attacked.images, case.images)
    assert int(inside.sum()) >= 3
    assert bool((found[inside] <= smallest[inside] * 1.01).all()), found / smallest


def test_images_and_points_stand_for_each_other():
    images = torch.linspace(0, 1, 16, dtype=torch.float64).view(1, 1, 4, 4)
    points = Tanh.points(images)
    assert torch.equal(Tanh.project(2 * points).abs() <= points.abs().max(), torch.ones_like(points, dtype=torch.bool))
    torch.testing.assert_close(Tanh().images(points, torch.arange(1)), images, atol=1e-12, rtol=0)
    steep = points.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(Tanh().images(steep, torch.arange(1)).sum(), [steep])
    assert float(gradient.min()) > 0.1


@pytest.mark.parametrize("kind", ["goal", "target"])
def test_it_reaches_its_goal_by_less_than_deepfool(digits, kind):
    goal = getattr(digits, kind)
    attack = CarliniWagner(steps=60, searches=4)
    attacked = check_reached(attack, digits.network, digits.images, goal)
    assert bool(attacked.reached.all())
    quick = DeepFool()(digits.network, digits.images, goal)
    found, other = lengths(attacked.images, digits.images), lengths(quick.images, digits.images)
    assert float(found.mean()) < float(other.mean())
    assert 0 <= float(attacked.images.min()) <= float(attacked.images.max()) <= 1


def test_nothing_changes_outside_the_mask(digits):
    attacked = CarliniWagner(steps=30, searches=3, mask=half())(digits.network, digits.images, digits.goal)
    assert torch.equal(attacked.images[:, :, 4:], digits.images[:, :, 4:])
    assert int(attacked.reached.sum()) >= 8


def test_a_batch_gives_what_its_images_give_alone(digits):
    attack = CarliniWagner(steps=40, searches=3)
    check_singles(attack, digits.network, digits.images[:3], digits.goal_of(3))


def test_what_cannot_be_reached_stays_as_it_was(linear):
    case = linear(3)
    attacked = CarliniWagner(steps=5, searches=1, constant=1e-6)(case.network, case.images, case.goal)
    assert not bool(attacked.reached.any())
    assert torch.equal(attacked.images, case.images)


def test_images_that_are_there_already_are_left_alone(linear):
    case = linear(3)
    attacked = CarliniWagner(steps=20, searches=2)(case.network, case.images, Goal((case.classes + 1) % 3))
    assert bool(attacked.reached.all())
    torch.testing.assert_close(attacked.images, case.images, atol=1e-12, rtol=0)


def test_the_network_stays_as_it_was(dropping):
    check_untouched(CarliniWagner(steps=20, searches=2), dropping)


def test_a_non_finite_gradient_is_told(overflowing):
    check_overflow(CarliniWagner(), overflowing)


def test_mistakes_are_told():
    with pytest.raises(InputError, match="--confidence must not be negative, got -1"):
        CarliniWagner(confidence=-1)
    with pytest.raises(InputError, match="--steps and --searches must be at least 1, got 0 and 7"):
        CarliniWagner(steps=0)
    with pytest.raises(InputError, match="--constant and --lr must be positive, got 0 and 0.1"):
        CarliniWagner(constant=0)
