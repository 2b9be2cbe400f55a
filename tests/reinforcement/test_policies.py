import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pendio.reinforcement.policy.policies import ActorCritic, Categorical, Gaussian, Standardize
from pendio.reinforcement.worlds.environments import World


def world(kind="vector", shape=(4,), states=0, actions=3, low=(), high=()):
    return World("made", {}, 10, kind, shape, states, actions, low, high, np.dtype(np.float32), None)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_categorical_agrees_with_torch():
    logits = torch.randn(50, 7, generator=generator()) * 3
    ours, theirs = Categorical(logits), torch.distributions.Categorical(logits=logits)
    actions = torch.randint(7, (50,), generator=generator(1))
    torch.testing.assert_close(ours.log_prob(actions), theirs.log_prob(actions))
    torch.testing.assert_close(ours.entropy(), theirs.entropy())
    assert ours.mode().equal(theirs.mode)


def test_gaussian_agrees_with_torch():
    mean, log_sd = torch.randn(50, 3, generator=generator()), torch.tensor([-1.0, 0.2, 0.7])
    ours = Gaussian(mean, log_sd)
    theirs = torch.distributions.Independent(torch.distributions.Normal(mean, log_sd.exp().expand(50, 3)), 1)
    actions = torch.randn(50, 3, generator=generator(1))
    torch.testing.assert_close(ours.log_prob(actions), theirs.log_prob(actions))
    torch.testing.assert_close(ours.entropy(), theirs.entropy())
    assert ours.mode().equal(mean)


def test_entropy_survives_actions_that_never_happen():
    assert Categorical(torch.tensor([[0.0, -1e4]])).entropy().tolist() == [0]


def test_choices_are_drawn_as_often_as_their_probabilities_say():
    logits = torch.tensor([0.0, 1.0, -1.0])
    policy = ActorCritic(world(), (4,))
    noise = policy.noise(1, 200_000, generator())[0]
    drawn = Categorical(logits.expand(200_000, 3)).sample(noise)
    expected = logits.softmax(0)
    found = torch.bincount(drawn, minlength=3) / 200_000
    assert ((found - expected).abs() < 4 * (expected * (1 - expected) / 200_000).sqrt()).all()


def test_vectors_are_drawn_with_their_mean_and_deviation():
    policy = ActorCritic(world(actions=0, low=(-1.0, -1.0), high=(1.0, 1.0)), (4,))
    noise = policy.noise(1, 100_000, generator())[0]
    drawn = Gaussian(torch.tensor([[3.0, -2.0]]).expand(100_000, 2), torch.tensor([0.5, -1.0])).sample(noise)
    torch.testing.assert_close(drawn.mean(0), torch.tensor([3.0, -2.0]), atol=0.02, rtol=0)
    torch.testing.assert_close(drawn.std(0), torch.tensor([0.5, -1.0]).exp(), atol=0.02, rtol=0)


def test_noise_is_the_generators_alone():
    policy = ActorCritic(world(), (4,))
    assert policy.noise(3, 2, generator(5)).equal(policy.noise(3, 2, generator(5)))
    assert policy.noise(3, 2, generator(5)).shape == (3, 2, 3)
    assert not policy.noise(3, 2, generator(5)).equal(policy.noise(3, 2, generator(6)))


def test_weights_begin_orthogonal_and_the_policy_near_chance():
    policy = ActorCritic(world(), (16, 8))
    body, head = policy.policy[0], policy.policy[-1]
    square = body.weight.T @ body.weight  # 16 × 4: its columns are orthogonal
    torch.testing.assert_close(square, 2 * torch.eye(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(head.weight @ head.weight.T, 1e-4 * torch.eye(3), atol=1e-8, rtol=0)
    torch.testing.assert_close(policy.value[-1].weight.norm(), torch.tensor(1.0))
    torch.testing.assert_close(policy.value[2].weight @ policy.value[2].weight.T, 2 * torch.eye(8), atol=1e-5, rtol=0)
    assert all(not layer.bias.any() for layer in policy.modules() if isinstance(layer, nn.Linear))
    distribution, _ = policy(torch.randn(20, 4))
    assert (distribution.logits.softmax(1) - 1 / 3).abs().max() < 0.02


def test_policy_and_value_share_no_weights():
    policy = ActorCritic(world(), (8,))
    distribution, values = policy(torch.randn(5, 4))
    (values.sum() + 0 * distribution.logits.sum()).backward()
    assert all(not parameter.grad.any() for parameter in policy.policy.parameters())
    assert any(parameter.grad.any() for parameter in policy.value.parameters())


def test_all_ways_to_ask_give_the_same():
    policy = ActorCritic(world(), (8,), standardize=True, standardize_returns=True)
    policy.observed.update(torch.randn(10, 4) * 3 + 1)
    policy.returned.update(torch.randn(10, 1) * 5 + 2)
    seen = torch.randn(6, 4)
    distribution, values = policy(seen)
    assert policy.distribution(seen).logits.equal(distribution.logits)
    assert policy.values(seen).equal(values)
    assert values.shape == (6,)
    assert ActorCritic(world(), (8,), critic=False)(seen)[1] is None


@pytest.mark.parametrize(
    ("made", "seen"),
    [
        (world("state", (), 5), torch.tensor([0, 4])),
        (world("frame", (1, 40, 48)), torch.zeros(2, 3, 40, 48, dtype=torch.uint8)),
    ],
)
def test_states_and_stacked_frames_are_seen_too(made, seen):
    distribution, values = ActorCritic(made, (8,), stack=3)(seen)
    assert distribution.logits.shape == (2, 3)
    assert values.shape == (2,)


def test_actions_in_units_of_their_bounds():
    policy = ActorCritic(world(actions=0, low=(-2.0, 1.0), high=(2.0, 5.0)), ())
    found = policy.to_world(np.array([[-1.0, -1.0], [1.0, 1.0], [0.0, 0.5]], dtype=np.float32))
    assert found.tolist() == [[-2, 1], [2, 5], [0, 4]]
    assert found.dtype == np.float32
    chosen = np.array([0, 2])
    assert ActorCritic(world(), ()).to_world(chosen) is chosen
    torch.testing.assert_close(policy(torch.zeros(1, 4))[0].entropy(), torch.tensor([math.log(2 * math.pi * math.e)]))


# Running standard deviations


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(0, 1_000))
def test_statistics_of_parts_are_those_of_all(sizes, seed):
    numbers = np.random.default_rng(seed).normal(3, 2, size=(sum(sizes), 2)).astype(np.float32)
    layer, begin = Standardize(2), 0
    for size in sizes:
        layer.update(torch.from_numpy(numbers[begin : begin + size]))
        begin += size
    np.testing.assert_allclose(layer.mean, numbers.mean(0), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(layer.variance, numbers.var(0), rtol=1e-4, atol=1e-4)
    assert int(layer.count) == sum(sizes)


def test_the_first_pass_as_they_are_and_later_ones_are_standardised_and_clipped():
    layer = Standardize(1)
    numbers = torch.tensor([[1.0], [3.0]])
    torch.testing.assert_close(layer(numbers), numbers)
    layer.update(numbers)
    torch.testing.assert_close(layer(numbers), torch.tensor([[-1.0], [1.0]]))
    torch.testing.assert_close(layer.undo(torch.tensor([[-1.0], [1.0]])), numbers)
    assert layer(torch.tensor([[1e6], [-1e6]])).tolist() == [[10], [-10]]


def test_what_never_changes_is_only_moved_to_0():
    layer = Standardize(2)
    layer.update(torch.tensor([[7.0, 1.0], [7.0, 3.0]]))
    assert layer(torch.tensor([[7.0, 1.0], [8.0, 3.0]])).tolist() == [[0, -1], [1, 1]]


def test_values_stay_what_they_are_when_statistics_follow():
    policy = ActorCritic(world(), (8,), standardize_returns=True)
    seen = torch.randn(6, 4)
    for returns in (torch.tensor([50.0, 90.0]), torch.tensor([-3.0]), torch.tensor([1e4, 2.0, 3.0])):
        before = policy.values(seen)
        policy.take_into_account(seen, returns, keep_values=True)
        torch.testing.assert_close(policy.values(seen), before, atol=1e-3, rtol=1e-4)
    assert policy.returned.mean.item() == pytest.approx(np.mean([50, 90, -3, 1e4, 2, 3]), rel=1e-5)


def test_or_they_follow_the_returns():
    policy = ActorCritic(world(), (8,), standardize_returns=True)
    seen = torch.randn(6, 4)
    before = policy.values(seen)
    policy.take_into_account(seen, torch.tensor([50.0, 90.0]), keep_values=False)
    torch.testing.assert_close(policy.values(seen), 70 + 20 * before)


def test_statistics_are_kept_with_the_weights():
    policy = ActorCritic(world(), (4,), standardize=True, standardize_returns=True)
    policy.observed.update(torch.randn(30, 4) * 7)
    policy.returned.update(torch.randn(30, 1) + 5)
    fresh = ActorCritic(world(), (4,), standardize=True, standardize_returns=True)
    fresh.load_state_dict(policy.state_dict())
    seen = torch.randn(3, 4)
    assert fresh.values(seen).equal(policy.values(seen))
    assert fresh.distribution(seen).logits.equal(policy.distribution(seen).logits)


def test_nothing_is_standardised_unless_asked_for():
    assert ActorCritic(world(), ()).observed is None
    assert ActorCritic(world(), ()).returned is None
    assert ActorCritic(world(), (), standardize=True).returned is None
    assert ActorCritic(world(), (), standardize_returns=True).observed is None
