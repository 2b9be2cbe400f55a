from dataclasses import replace

import pytest
import torch

from pendio.ascent.attacks.goal import Goal, eight_bit
from pendio.ascent.attacks.gradient import PGD, fgsm, iterative, momentum
from pendio.errors import InputError

from .laws import check_bounds, check_overflow, check_reached, check_singles, check_untouched, half

ATTACKS = {
    "fgsm": fgsm(0.07),
    "iterative": iterative(0.07),
    "momentum": momentum(0.07),
    "pgd": PGD(0.07, steps=10),
    "pgd l2": PGD(0.4, "l2", steps=10),
}
attacks = pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)


@pytest.mark.parametrize("epsilon", [0.01, 0.04])
def test_fgsm_changes_a_linear_margin_by_epsilon_times_the_l1_norm(linear, epsilon):
    case = linear(2)
    attacked = replace(fgsm(epsilon), eight_bit=False)(case.network, case.images, case.goal)
    slope = case.slopes()[torch.arange(6), 1 - case.classes]
    gained = case.margin(attacked.images) - case.margin(case.images)
    stayed = case.margin(case.images) + epsilon * slope.abs().sum(1)
    assert int((stayed < 0).sum()) >= 3
    torch.testing.assert_close(gained, epsilon * slope.abs().sum(1), atol=1e-6, rtol=0)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("random_start", [True, False])
def test_pgd_finds_the_highest_margin_in_the_ball(linear, norm, random_start):
    case, epsilon = linear(2), 0.02
    attack = PGD(epsilon, norm, step=2 * epsilon, random_start=random_start, eight_bit=False)
    attacked = attack(case.network, case.images, case.goal)
    slope = case.slopes()[torch.arange(6), 1 - case.classes]
    highest = case.margin(case.images) + epsilon * slope.norm(1 if norm == "linf" else 2, dim=1)
    assert int((highest < 0).sum()) >= 3
    # An image whose goal is reached stops on the way.
    unreached = highest < 0
    assert torch.equal(attacked.reached, ~unreached)
    torch.testing.assert_close(case.margin(attacked.images)[unreached], highest[unreached], atol=1e-6, rtol=0)


@attacks
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("saved", [False, True])
def test_results_stay_in_their_budget(digits, attack, masked, saved):
    mask = half() if masked else None
    attack = replace(attack, mask=mask, eight_bit=saved)
    check_bounds(attack(digits.network, digits.images, digits.goal), attack.epsilon, attack.norm, mask)


@attacks
def test_a_budget_of_nothing_changes_nothing(digits, attack):
    attack, images = replace(attack, epsilon=0.0), digits.images
    assert torch.equal(attack(digits.network, images, digits.goal).images, eight_bit(images))
    attack = replace(attack, eight_bit=False)
    assert torch.equal(attack(digits.network, images, digits.goal).images, images)


@attacks
def test_a_batch_gives_what_its_images_give_alone(digits, attack):
    check_singles(attack, digits.network, digits.images[:5], digits.goal_of(5))


@attacks
def test_the_network_stays_as_it_was(dropping, attack):
    check_untouched(attack, dropping)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_pgd_reaches_targets(digits, norm):
    attack = PGD(0.4 if norm == "linf" else 2.5, norm)
    assert bool(check_reached(attack, digits.network, digits.images, digits.target).reached.all())


@attacks
def test_what_is_reached_survives_eight_bits(digits, attack):
    epsilon = 4 * attack.epsilon
    attack = replace(attack, epsilon=epsilon, step=epsilon if attack.steps == 1 else attack.step)
    attacked = check_reached(attack, digits.network, digits.images, digits.goal)
    assert int(attacked.reached.sum()) >= 8
    with torch.no_grad():
        saved = digits.network(eight_bit(attacked.images)).argmax(1)
    assert torch.equal(saved != digits.goal.classes, attacked.reached)


def test_images_that_are_there_already_are_left_alone(linear):
    case = linear(3)
    attacked = replace(fgsm(0.1), eight_bit=False)(case.network, case.images, Goal((case.classes + 1) % 3))
    assert bool(attacked.reached.all())
    assert torch.equal(attacked.images, case.images)
    assert attacked.queries.tolist() == [1] * 6


def test_a_non_finite_gradient_is_told(overflowing):
    check_overflow(iterative(), overflowing)


def test_mistakes_are_told(linear):
    with pytest.raises(InputError, match="--epsilon must not be negative, got -0.1"):
        PGD(epsilon=-0.1)
    with pytest.raises(InputError, match="--epsilon"):
        PGD(epsilon=float("nan"))
    with pytest.raises(InputError, match="--steps"):
        iterative(steps=0)
    case = linear(3)
    with pytest.raises(InputError, match="divide bytes by 255"):
        fgsm()(case.network, case.images * 255, case.goal)
    with pytest.raises(InputError, match="there is no class 3"):
        fgsm()(case.network, case.images, Goal(case.classes * 0 + 3))
    with pytest.raises(InputError, match="2 classes for 6 images"):
        fgsm()(case.network, case.images, Goal(case.classes[:2]))
