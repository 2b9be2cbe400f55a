"""Closed forms stand in the verify rows; here is what else must hold."""

import pytest
import torch
from torch import nn

from pendio.exact.gan import CHECKS
from pendio.generation.gan import games
from pendio.generation.gan.networks import conv_discriminator


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_the_truths_about_games_hold(check):
    row = check.run()
    assert row.passed, row


def test_a_sure_discriminator_leaves_minimax_without_a_gradient_and_non_saturating_with_all_of_it():
    logits = torch.full((1,), -20.0, dtype=torch.float64, requires_grad=True)
    slopes = {
        game: float(torch.autograd.grad(games.generator_losses(game, logits).sum(), logits)[0])
        for game in ("minimax", "non-saturating")
    }
    assert -1e-8 < slopes["minimax"] < 0
    assert slopes["non-saturating"] == pytest.approx(-1, abs=1e-8)


def test_losses_of_huge_logits_are_finite():
    huge = torch.tensor([1e4, -1e4])
    for game in ("minimax", "non-saturating", "hinge", "wasserstein"):
        assert games.discriminator_losses(game, huge, huge).isfinite().all()
        assert games.generator_losses(game, huge).isfinite().all()
    assert games.value(huge, huge).isfinite()


def test_the_penalty_of_a_network_is_that_of_finite_differences():
    torch.manual_seed(0)
    critic = conv_discriminator((1, 8, 8), 2).double()
    real, made = torch.rand(2, 3, 1, 8, 8, dtype=torch.float64)
    shares = torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64)
    found = games.gradient_penalties(critic, real, made, shares)
    places = torch.lerp(made, real, shares.view(-1, 1, 1, 1))
    steps = 1e-5 * torch.eye(64, dtype=torch.float64).view(64, 1, 8, 8)
    with torch.no_grad():
        slopes = torch.stack([(critic(place + steps) - critic(place - steps)) / 2e-5 for place in places])
    torch.testing.assert_close(found, (slopes.norm(dim=1) - 1).square(), rtol=1e-6, atol=1e-9)


def test_a_critic_can_learn_from_its_penalty():
    torch.manual_seed(0)
    critic = conv_discriminator((1, 8, 8), 2)
    images = torch.rand(4, 1, 8, 8)
    games.gradient_penalties(critic, images, images.flip(0), torch.rand(4)).sum().backward()
    kernels = [module.weight for module in critic.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert all(kernel.grad is not None and kernel.grad.abs().sum() > 0 for kernel in kernels)
