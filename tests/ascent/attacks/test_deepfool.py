from dataclasses import replace

import pytest
import torch

from pendio.ascent.attacks.deepfool import DeepFool
from pendio.ascent.attacks.goal import Goal
from pendio.errors import InputError

from .laws import check_overflow, check_reached, check_singles, check_untouched, half

norms = pytest.mark.parametrize("norm", ["linf", "l2"])


def lengths(images, originals, norm):
    apart = (images - originals).flatten(1)
    return apart.abs().amax(1) if norm == "linf" else apart.norm(dim=1)


@norms
def test_one_step_leads_exactly_to_the_nearest_border_of_a_linear_network(linear, norm):
    case = linear(5)
    attacked = DeepFool(norm, steps=1, overshoot=0.0)(case.network, case.images, case.goal)
    borders = -case.margins(case.images) / case.slopes().norm(1 if norm == "linf" else 2, dim=2)
    nearest, rival = borders.min(1)
    # The nearest border is not everywhere that of the highest logit.
    assert not torch.equal(rival, case.margins(case.images).argmax(1))
    torch.testing.assert_close(lengths(attacked.images, case.images, norm), nearest, atol=1e-12, rtol=1e-9)
    rest = case.margins(attacked.images)[torch.arange(6), rival]
    torch.testing.assert_close(rest, torch.zeros_like(rest), atol=1e-9, rtol=0)


@norms
def test_the_overshoot_is_a_share_of_the_change(linear, norm):
    case = linear(5)
    attacked = DeepFool(norm, overshoot=0.02)(case.network, case.images, case.goal)
    nearest = (-case.margins(case.images) / case.slopes().norm(1 if norm == "linf" else 2, dim=2)).amin(1)
    assert bool(attacked.reached.all())
    torch.testing.assert_close(lengths(attacked.images, case.images, norm), 1.02 * nearest, atol=0, rtol=1e-9)
    assert attacked.queries.tolist() == [3] * 6


@norms
def test_a_target_is_met_at_its_own_border(linear, norm):
    case = linear(2)
    target = Goal(1 - case.classes, targeted=True)
    attacked = DeepFool(norm, steps=1, overshoot=0.0)(case.network, case.images, target)
    slope = case.slopes()[torch.arange(6), 1 - case.classes]
    expected = -case.margin(case.images) / slope.norm(1 if norm == "linf" else 2, dim=1)
    torch.testing.assert_close(lengths(attacked.images, case.images, norm), expected, atol=1e-12, rtol=1e-9)


@norms
def test_pixels_that_cannot_move_are_left_out_of_the_way(linear, corners, norm):
    case = linear(2, corners)
    slope = case.slopes()[torch.arange(6), 1 - case.classes]
    flat = corners.flatten(1)
    slope = slope.masked_fill(((flat == 0) & (slope < 0)) | ((flat == 1) & (slope > 0)), 0)
    near = -case.margin(case.images) / slope.norm(1 if norm == "linf" else 2, dim=1)
    attacked = DeepFool(norm, steps=1, overshoot=0.0)(case.network, case.images, case.goal)
    # Others meet the far end of [0, 1] on their way.
    inside = (near * (1 if norm == "linf" else slope.abs().amax(1) / slope.norm(dim=1))) < 1
    assert int(inside.sum()) >= 3
    moved = lengths(attacked.images, case.images, norm)
    torch.testing.assert_close(moved[inside], near[inside], atol=1e-12, rtol=1e-9)


def test_only_so_many_candidates_are_looked_at(linear):
    case = linear(5)
    attacked = DeepFool(candidates=1, steps=1, overshoot=0.0)(case.network, case.images, case.goal)
    margins, highest = case.margins(case.images).max(1)
    expected = -margins / case.slopes()[torch.arange(6), highest].norm(dim=1)
    torch.testing.assert_close(lengths(attacked.images, case.images, "l2"), expected, atol=1e-12, rtol=1e-9)


@norms
@pytest.mark.parametrize("kind", ["goal", "target"])
def test_it_reaches_its_goal(digits, norm, kind):
    attacked = check_reached(DeepFool(norm), digits.network, digits.images, getattr(digits, kind))
    assert bool(attacked.reached.all())
    assert 0 <= float(attacked.images.min()) <= float(attacked.images.max()) <= 1


def test_nothing_changes_outside_the_mask(digits):
    attacked = DeepFool(mask=half())(digits.network, digits.images, digits.goal)
    assert torch.equal(attacked.images[:, :, 4:], digits.images[:, :, 4:])
    assert int(attacked.reached.sum()) >= 12


@norms
def test_a_batch_gives_what_its_images_give_alone(digits, norm):
    check_singles(DeepFool(norm), digits.network, digits.images[:6], digits.goal_of(6))


def test_images_that_are_there_already_are_left_alone(linear):
    case = linear(3)
    attacked = DeepFool()(case.network, case.images, replace(case.goal, targeted=True))
    assert torch.equal(attacked.images, case.images)
    assert attacked.queries.tolist() == [1] * 6


def test_the_network_stays_as_it_was(dropping):
    check_untouched(DeepFool(), dropping)


def test_a_non_finite_gradient_is_told(overflowing):
    check_overflow(DeepFool(), overflowing)


def test_mistakes_are_told():
    with pytest.raises(InputError, match="--overshoot must not be negative, got -1"):
        DeepFool(overshoot=-1)
    with pytest.raises(InputError, match="--steps and --candidates must be at least 1, got 50 and 0"):
        DeepFool(candidates=0)
