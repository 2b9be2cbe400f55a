from typing import Any, NamedTuple

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from pendio.descent.loop import fit
from pendio.descent.turns import split_batch
from pendio.errors import InputError
from pendio.reinforcement.agent import Games
from pendio.reinforcement.policy.policies import ActorCritic
from pendio.reinforcement.policy.policy_gradient import Clipping, Decisions, PolicyGradient, clipped_gains
from pendio.reinforcement.policy.rollout import Rollouts
from pendio.reinforcement.policy_options import EpisodePlan, PPOOptions, ReinforceOptions, RolloutPlan
from pendio.reinforcement.worlds.environments import World, open_world


def world(kind="vector", shape=(3,), states=0, actions=4, low=(), high=()):
    return World("made", {}, 10, kind, shape, states, actions, low, high, np.dtype(np.float32), None)


def made(actions=4, critic=True, **given):
    torch.manual_seed(0)
    low, high = ((), ()) if actions else ((-2.0, 0.0), (2.0, 1.0))
    place = world(actions=actions, low=low, high=high)
    agent = PolicyGradient(place, ActorCritic(place, (6,), critic=critic), **given)
    with torch.no_grad():
        agent.policy.policy[-1].weight.mul_(100)  # away from chance
    return agent


def batch(agent, rows=12, moved=0.3):
    """Random decisions, of a policy that has moved a little since."""
    random = torch.Generator().manual_seed(1)
    seen = torch.randn(rows, 3, generator=random)
    with torch.no_grad():
        distribution = agent.policy.distribution(seen)
        actions = distribution.sample(agent.policy.noise(1, rows, random)[0])
        log_probs = distribution.log_prob(actions) + moved * torch.randn(rows, generator=random)
    advantages, returns, values = torch.randn(3, rows, generator=random)
    return Decisions(seen, actions, advantages, returns, log_probs, values)


def log_probs(agent, given):
    return agent.policy.distribution(given.observations).log_prob(given.actions)


# Losses


def test_reinforce_is_the_sum_of_advantages_times_log_probabilities():
    agent = made(critic=False)
    given = batch(agent)
    loss = agent.loss(given)
    torch.testing.assert_close(loss.total, -(given.advantages * log_probs(agent, given)).sum())
    assert loss.weight == 12


@pytest.mark.parametrize("actions", [4, 0])
def test_what_else_is_paid_for(actions):
    plain = made(actions, value_weight=0.0)
    given = batch(plain)
    base = plain.loss(given).total
    values = plain.policy.values(given.observations)
    squared = made(actions, value_weight=0.7).loss(given).total
    torch.testing.assert_close(squared - base, 0.7 * (values - given.returns).square().sum())
    curious = made(actions, value_weight=0.0, entropy=0.3).loss(given).total
    torch.testing.assert_close(curious - base, -0.3 * plain.policy.distribution(given.observations).entropy().sum())


@pytest.mark.parametrize("clipping", [None, Clipping(0.2), Clipping(0.2, value=0.1)])
def test_parts_of_a_batch_add_up_to_the_whole(clipping):
    agent = made(clipping=clipping, entropy=0.1)
    given = batch(agent)
    whole, parts = agent.loss(given), [agent.loss(part) for part in split_batch(given, 5)]
    torch.testing.assert_close(sum(part.total for part in parts), whole.total)
    assert sum(part.weight for part in parts) == whole.weight


@pytest.mark.parametrize(
    ("ratio", "advantage", "gain", "slope"),
    [
        (1.0, 2.0, 2.0, True),
        (1.1, 2.0, 2.2, True),
        (1.5, 2.0, 2.4, False),  # enough was gained
        (0.5, 2.0, 1.0, True),  # what was lost can be won back
        (0.5, -2.0, -1.6, False),
        (1.5, -2.0, -3.0, True),
        (0.9, -2.0, -1.8, True),
    ],
)
def test_gains_end_where_the_policy_has_moved_far_enough_and_losses_do_not(ratio, advantage, gain, slope):
    old = torch.tensor([-1.3])
    new = (old + np.log(ratio)).requires_grad_()
    found = clipped_gains(new, old, torch.tensor([advantage]), 0.2)
    assert found.item() == pytest.approx(gain, rel=1e-5)
    found.sum().backward()
    assert new.grad.item() == pytest.approx(advantage * ratio if slope else 0.0, rel=1e-5)


def test_ppo_is_the_sum_of_clipped_gains():
    agent = made(clipping=Clipping(0.1), value_weight=0.0)
    given = batch(agent)
    ratio = (log_probs(agent, given) - given.log_probs).exp()
    gains = torch.minimum(ratio * given.advantages, ratio.clamp(0.9, 1.1) * given.advantages)
    torch.testing.assert_close(agent.loss(given).total, -gains.sum())
    assert not torch.allclose(gains, ratio * given.advantages)


def test_a_value_that_moved_too_far_gains_nothing_but_can_still_lose():
    agent = made(clipping=Clipping(0.2, value=0.5), value_weight=1.0)
    given = batch(agent, rows=1)
    value = agent.policy.values(given.observations).item()

    def error(old, wanted):
        told = given._replace(
            values=torch.tensor([old]), returns=torch.tensor([wanted]), advantages=torch.zeros(1)
        )  # fmt: skip
        return agent.loss(told).total.item()

    assert error(value - 0.2, value + 1) == pytest.approx(1, rel=1e-4)
    # It came 2 nearer to what is wanted, of which 0.5 count.
    assert error(value - 2, value + 1) == pytest.approx(2.5**2, rel=1e-4)
    # It moved 2 away from what is wanted: all of it counts.
    assert error(value - 2, value - 3) == pytest.approx(9, rel=1e-4)


def test_errors_are_in_units_of_the_deviation_of_returns_where_these_are_standardised():
    place = world()
    agent = PolicyGradient(place, ActorCritic(place, (6,), standardize_returns=True), value_weight=1.0)
    agent.policy.returned.update(torch.tensor([[10.0], [20.0]]))
    given = batch(agent)._replace(advantages=torch.zeros(12))
    values = agent.policy.values(given.observations)
    torch.testing.assert_close(agent.loss(given).total, ((values - given.returns) / 5).square().sum())


def test_the_range_falls_only_where_it_shall():
    falling, staying = made(clipping=Clipping(0.4, falling=True)), made(clipping=Clipping(0.4))
    for agent in (falling, staying):
        agent.advance(0.75)
    assert float(falling.clip) == pytest.approx(0.1)
    assert float(staying.clip) == pytest.approx(0.4)
    again = made(clipping=Clipping(0.4, falling=True))
    again.load_state_dict(falling.state_dict())
    assert float(again.clip) == pytest.approx(0.1)


# Acting


def test_it_does_what_is_likeliest_and_draws_by_chance():
    agent = made()
    seen = np.random.default_rng(0).normal(size=(500, 3)).astype(np.float32)
    probabilities = agent.policy.distribution(torch.from_numpy(seen)).logits.softmax(1)
    assert (agent.act(seen) == probabilities.argmax(1).numpy()).all()
    assert (agent.predict(torch.from_numpy(seen)) == agent.act(seen)).all()
    random = torch.Generator().manual_seed(0)
    drawn = np.stack([agent.sample(seen, agent.policy.noise(1, 500, random)[0]) for _ in range(200)])
    share = float((drawn == agent.act(seen)).mean())
    assert share == pytest.approx(probabilities.amax(1).mean().item(), abs=0.01)


def test_vectors_are_drawn_in_units_of_their_bounds_and_played_in_the_worlds():
    agent = made(actions=0)
    seen = np.zeros((2, 3), dtype=np.float32)
    with torch.no_grad():
        agent.policy.policy[-1].bias.copy_(torch.tensor([0.5, 1.0]))
        agent.policy.policy[-1].weight.zero_()
    assert agent.act(seen).tolist() == [[1.0, 1.0], [1.0, 1.0]]  # of [-2, 2] and [0, 1]
    noise = torch.tensor([[0.0, 0.0], [1.0, -1.0]])
    assert agent.sample(seen, noise).tolist() == [[0.5, 1.0], [1.5, 0.0]]


def test_it_expects_what_its_critic_says_or_nothing():
    seen = np.ones((2, 3), dtype=np.float32)
    agent = made()
    assert agent.first_values(seen).tolist() == agent.policy.values(torch.from_numpy(seen)).tolist()
    assert made(critic=False).first_values(seen) is None


# Options


def test_options_make_the_agent_they_describe():
    plain = PolicyGradient.of(ReinforceOptions(env="x", baseline="mean", entropy=0.1, hidden="5"), world())
    assert plain.clipping is None
    assert plain.policy.value is None
    assert plain.entropy_weight == 0.1
    assert plain.discount == 0.99
    assert plain.policy.policy[0].out_features == 5
    assert PolicyGradient.of(ReinforceOptions(env="x"), world()).policy.returned is not None
    proximal = PolicyGradient.of(
        PPOOptions(env="x", clip_range=0.3, value_clip=0.4, clip_schedule="linear", value_weight=0.6, discount=0.9),
        world(),
    )  # fmt: skip
    assert proximal.clipping == Clipping(0.3, 0.4, True)
    assert (proximal.value_weight, proximal.discount, proximal.stack) == (0.6, 0.9, 1)
    assert proximal.policy.value is not None
    assert proximal.policy.returned is proximal.policy.observed is None
    both = PolicyGradient.of(PPOOptions(env="x", standardize=True), world()).policy
    assert both.returned is not None
    assert both.observed is not None


def test_plans_of_their_own():
    reinforce, ppo = ReinforceOptions.of({"env": "x", "lr": 0.5}), PPOOptions.of({"env": "x", "batch": 64})
    assert isinstance(reinforce.plan, EpisodePlan)
    assert (reinforce.plan.lr, reinforce.plan.batch, reinforce.plan.clip) == (0.5, "all", None)
    assert isinstance(ppo.plan, RolloutPlan)
    assert (ppo.plan.batch, ppo.plan.clip) == (64, 0.5)
    assert PPOOptions.of({"env": "x"}).plan.batch_size(10_000) == 256


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        (ReinforceOptions, {"batch": 64}, "--batch must be all, got 64: .*give --environments"),
        (ReinforceOptions, {"entropy": -0.1}, "--entropy must be 0 or more and finite, got -0.1"),
        (ReinforceOptions, {"baseline": "median"}, "--baseline must be one of none, mean, value, got 'median'"),
        (ReinforceOptions, {"rollout": 3}, "unknown option 'rollout'"),
        (PPOOptions, {"rollout": 1}, "--rollout must be at least 2, got 1"),
        (PPOOptions, {"passes": 0}, "--passes must be at least 1, got 0"),
        (PPOOptions, {"stack": 0}, "--stack must be at least 1, got 0"),
        (PPOOptions, {"gae_lambda": 1.1}, r"--gae-lambda must be in \[0, 1\], got 1.1"),
        (PPOOptions, {"gae_lambda": float("nan")}, r"--gae-lambda must be in \[0, 1\], got nan"),
        (PPOOptions, {"clip_range": 0.0}, "--clip-range must be greater than 0, got 0"),
        (PPOOptions, {"value_clip": -1.0}, "--value-clip must be greater than 0, got -1"),
        (PPOOptions, {"value_weight": float("inf")}, "--value-weight must be 0 or more and finite, got inf"),
        (PPOOptions, {"entropy": float("nan")}, "--entropy must be 0 or more and finite, got nan"),
        (PPOOptions, {"clip_schedule": "cosine"}, "--clip-schedule must be one of constant, linear"),
        (PPOOptions, {"discount": 0.0}, r"--discount must be in \(0, 1\]"),
    ],
)
def test_mistakes_are_named(kind, given, message):
    with pytest.raises(InputError, match=message) as caught:
        kind.of({"env": "x", **given})
    assert "\n" not in str(caught.value)


def test_what_does_not_fit_the_world_is_named():
    state = world("state", (), 5)
    for kind in (PPOOptions, ReinforceOptions):
        with pytest.raises(InputError, match="--standardize is for vectors, and environment 'x' shows a state"):
            PolicyGradient.of(kind(env="x", standardize=True), state)
    with pytest.raises(InputError, match="--stack 4 is for frames, and environment 'x' shows a vector"):
        PolicyGradient.of(PPOOptions(env="x", stack=4), world())
    assert PolicyGradient.of(PPOOptions(env="x", stack=4), world("frame", (1, 40, 40))).stack == 4


# Learning


class Target(gymnasium.Env):
    """One step: a number is to be chosen, 3.5 is best. Bounds are far from ±1."""

    observation_space = spaces.Box(-1, 1, (1,), np.float32)
    action_space = spaces.Box(-2, 6, (1,), np.float32)

    def __init__(self, render_mode=None):
        pass

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(1, dtype=np.float32), {}

    def step(self, action):
        return np.zeros(1, dtype=np.float32), -float((action[0] - 3.5) ** 2), True, False, {}


gymnasium.register("Target-v0", entry_point=Target)


class Data(NamedTuple):
    train: Any
    val: Any


@pytest.fixture
def one_thread():
    """Small networks wait for a second thread longer than they work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def train(folder, kind, **given):
    options = kind.of({"env": "CartPole-v1", "epochs": 1, **given})
    place = open_world(options.env, limit=options.limit, discount=options.discount)
    torch.manual_seed(0)
    agent = PolicyGradient.of(options, place)
    data = Data(Rollouts(agent, options, 0), Games(20, 1_000_000))
    return agent, fit(agent, data, options.plan, folder / "run", progress=False)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("kind", [PPOOptions, ReinforceOptions])
def test_a_number_is_found_among_many(tmp_path, kind):
    shared = {"env": "Target-v0", "environments": 32, "limit": 1, "hidden": "8", "discount": 0.9}
    own = (
        {"rollout": 8, "passes": 4, "env_steps": 16_000} if kind is PPOOptions else {"env_steps": 32 * 300, "lr": 1e-2}
    )
    agent, _ = train(tmp_path, kind, **shared, **own)
    found = agent.act(np.zeros((1, 1), dtype=np.float32))
    assert found[0, 0] == pytest.approx(3.5, abs=0.3)
    assert agent.policy.log_sd.item() < -0.1  # and it has become surer of it


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("baseline", ["mean", "value"])
def test_reinforce_learns_cartpole(tmp_path, baseline):
    _, run = train(tmp_path, ReinforceOptions, baseline=baseline, env_steps=120_000, lr=1e-2)
    assert run.history()[-1]["val_return"] > 100  # chance gives 22


@pytest.mark.usefixtures("one_thread")
def test_ppo_learns_cartpole(tmp_path):
    _, run = train(
        tmp_path, PPOOptions, rollout=32, passes=20, env_steps=16_000, lr=1e-3, gae_lambda=0.8, discount=0.98,
    )  # fmt: skip
    record = run.history()[-1]
    assert record["val_return"] > 100  # chance gives 22
    assert record["train_return"] > 30
    assert record["explained_variance"] > 0
