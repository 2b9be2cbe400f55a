import copy
import io

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from pendio.descent.task import SourceFailed
from pendio.errors import InputError
from pendio.reinforcement.policy.policy_gradient import PolicyGradient
from pendio.reinforcement.policy.rollout import Rollouts
from pendio.reinforcement.policy_options import PPOOptions, ReinforceOptions
from pendio.reinforcement.worlds.environments import open_world


class Counting(gymnasium.Env):
    """Shows the number of its step, and pays one more than that; ends after ``end`` steps, or never."""

    observation_space = spaces.Box(0, 100, (1,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, end=0, render_mode=None):
        self.end, self.time = end, 0

    def seen(self):
        return np.array([self.time], dtype=np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time = 0
        return self.seen(), {}

    def step(self, action):
        self.time += 1
        return self.seen(), float(self.time), self.time == self.end, False, {}


class Breaking(Counting):
    """Raises once, at its tenth step."""

    broken = False

    def step(self, action):
        if self.time == 9 and not Breaking.broken:
            Breaking.broken = True
            raise RuntimeError("out of paper")
        return super().step(action)


gymnasium.register("Breaking-v0", entry_point=Breaking)
gymnasium.register("Counting-v0", entry_point=Counting)


def made(kind=PPOOptions, **given):
    """An agent and its source."""
    if kind is PPOOptions:
        given = {"rollout": 8, "passes": 2, "epochs": 2, **given}
    options = kind.of({"env": "CartPole-v1", "env_steps": 10_000, "epochs": 2, **given})
    world = open_world(options.env, options.settings, limit=options.limit, discount=options.discount)
    torch.manual_seed(0)
    agent = PolicyGradient.of(options, world)
    return agent, Rollouts(agent, options, options.plan.seed)


def take(source, count, size=16, **where):
    batches = source.batches(size, **where)
    return [next(batches) for _ in range(count)]


def held(source):
    """Rows of the rollout that a source holds."""
    return len(source.state_dict()["rollout"]["actions"])


def saved(source):
    """A state as it comes back from its file."""
    file = io.BytesIO()
    torch.save(source.state_dict(), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


# How much is played and given


def test_an_epoch_has_whole_rollouts_and_they_hold_what_may_be_played():
    _, source = made(environments=4, rollout=8, passes=3, env_steps=1_000, epochs=5)
    assert len(source) == 32
    assert source.rollouts_per_epoch() == 6  # 31 rollouts in 5 epochs
    assert source.steps(32) == 6 * 3
    assert source.steps(10) == 6 * 3 * 4
    # Two processes play as much together, and take half of a batch each.
    assert source.rollouts_per_epoch(2) == 3
    assert source.steps(20, 2) == 3 * 3 * 4
    assert len(list(source.batches(10))) == source.steps(10)
    assert len(list(source.batches(10, start=source.steps(10) - 3))) == 3
    assert source.tell()["env_steps"] <= 7 * 32


def test_each_pass_takes_every_row_once_in_an_order_of_its_own():
    _, source = made(environments=4, passes=3)
    batches = take(source, 6)
    rows = [torch.cat([batch.observations for batch in batches[first : first + 2]]) for first in (0, 2, 4)]
    ordered = [part[part[:, 0].argsort()] for part in rows]
    assert ordered[0].equal(ordered[1])
    assert ordered[0].equal(ordered[2])
    assert not rows[0].equal(rows[1])
    assert len(rows[0].unique(dim=0)) == len(rows[0])
    assert max(len(batch.actions) for batch in batches) - min(len(batch.actions) for batch in batches) <= 1


def test_columns_are_of_the_same_rows():
    agent, source = made(environments=4)
    for batch in take(source, 4):
        distribution, values = agent.policy(batch.observations)
        torch.testing.assert_close(distribution.log_prob(batch.actions), batch.log_probs)
        torch.testing.assert_close(values, batch.values)


def test_the_next_rollout_is_another_and_goes_on_where_the_last_stopped():
    _, source = made(env="Counting-v0", limit=1_000, environments=2, rollout=4, passes=1)
    first, second = take(source, 2, size=8)
    assert first.observations[:, 0].sort().values.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert second.observations[:, 0].sort().values.tolist() == [4, 4, 5, 5, 6, 6, 7, 7]


def test_resets_are_no_rows_and_no_batch_is_empty():
    # Every second step of an environment is a reset.
    _, source = made(env="Counting-v0", settings="end=1", environments=2, rollout=6, passes=1)
    batches = take(source, 12, size=1)
    assert all(len(batch.actions) == 1 for batch in batches)
    assert all(float(batch.observations) == 0 for batch in batches)


def test_too_little_to_play_is_a_mistake():
    with pytest.raises(
        InputError, match="--env-steps 100 are enough for 1 rollouts of 64 steps, fewer than 2 --epochs"
    ):
        made(env_steps=100)
    with pytest.raises(InputError, match="3 rollouts of at most 4000 steps, fewer than 4 --epochs"):
        made(ReinforceOptions, env_steps=12_000, epochs=4)
    _, source = made(env_steps=200)
    with pytest.raises(InputError, match="of 256 steps"):
        source.rollouts_per_epoch(4)


# What it was worth


def value_at(agent, *times):
    return torch.from_numpy(agent.first_values(np.array(times, dtype=np.float32)[:, None]))


def test_an_episode_that_was_cut_counts_the_value_of_its_true_last_state():
    agent, source = made(env="Counting-v0", limit=3, environments=1, rollout=9, passes=1, gae_lambda=0.0, discount=0.5)
    (batch,) = take(source, 1, size=9)
    # Three steps, a reset, three steps, a reset, and one more step.
    assert batch.observations[:, 0].tolist() == [0, 1, 2, 0, 1, 2, 0]
    expected = torch.tensor([1.0, 2, 3, 1, 2, 3, 1]) + 0.5 * value_at(agent, 1, 2, 3, 1, 2, 3, 1)
    torch.testing.assert_close(batch.returns, expected)


def test_a_terminal_state_is_worth_nothing():
    agent, source = made(
        env="Counting-v0", settings="end=3", environments=1, rollout=5, passes=1, gae_lambda=0.0, discount=0.5
    )
    (batch,) = take(source, 1, size=5)
    expected = torch.tensor([1.0, 2, 3, 1]) + 0.5 * value_at(agent, 1, 2, 3, 1) * torch.tensor([1, 1, 0, 1])
    torch.testing.assert_close(batch.returns, expected)


def test_advantages_look_ahead_to_the_end_of_the_rollout_and_are_standardised():
    agent, source = made(env="Counting-v0", environments=1, rollout=4, passes=1, gae_lambda=0.5, discount=0.8)
    (batch,) = take(source, 1, size=4)
    values = value_at(agent, 0, 1, 2, 3, 4)
    errors = torch.arange(1.0, 5) + 0.8 * values[1:] - values[:-1]
    advantages = torch.stack([sum(0.4**k * errors[t + k] for k in range(4 - t)) for t in range(4)])
    torch.testing.assert_close(batch.returns, advantages + values[:-1])
    standard = (advantages - advantages.mean()) / advantages.std(correction=0)
    torch.testing.assert_close(batch.advantages, standard)


# Whole episodes


@pytest.mark.parametrize("baseline", ["none", "mean", "value"])
def test_reinforce_plays_one_whole_episode_of_each_environment(baseline):
    _, source = made(
        ReinforceOptions, env="Counting-v0", settings="end=3", limit=10, environments=2, discount=0.5, baseline=baseline
    )
    first, second = take(source, 2, size=len(source))
    returns = torch.tensor([1 + 2 / 2 + 3 / 4, 2 + 3 / 2, 3.0]).repeat_interleave(2)
    for batch in (first, second):
        assert batch.observations[:, 0].tolist() == [0, 0, 1, 1, 2, 2]
        torch.testing.assert_close(batch.returns, returns)
    baselines = {"none": torch.zeros(6), "mean": returns.mean().expand(6), "value": first.values}
    torch.testing.assert_close(first.advantages, returns - baselines[baseline])
    assert bool(first.values.any()) == (baseline == "value")
    assert source.tell()["train_return"] == 6


def test_episodes_that_end_early_wait_for_the_longest_and_are_not_begun_again():
    _, source = made(ReinforceOptions, environments=6, env_steps=100_000)
    batch = take(source, 1)[0]
    told = source.tell()
    assert told["episodes"] == 6
    # CartPole pays 1 a step: the rows are the lengths of the six episodes.
    assert told["train_return"] * 6 == pytest.approx(len(batch.actions))
    # Rows of an episode count down to its last.
    assert (batch.returns == 1).sum() == 6
    assert told["env_steps"] > len(batch.actions)


def test_each_update_begins_episodes_that_were_not_played_before():
    _, source = made(ReinforceOptions, environments=4, env_steps=100_000)
    first, second = take(source, 2)
    assert not first.observations[:4].equal(second.observations[:4])
    told = source.tell()
    assert len(first.actions) + len(second.actions) <= told["env_steps"] <= 2 * len(source)


# Seeds, processes, and going on


def test_the_same_seed_plays_the_same_and_another_another():
    for kind in (PPOOptions, ReinforceOptions):
        one, same, other = (take(made(kind, seed=seed, env_steps=40_000)[1], 3)[2] for seed in (0, 0, 1))
        assert one.observations.equal(same.observations)
        assert one.actions.equal(same.actions)
        assert not one.observations[:5].equal(other.observations[:5])


def learn(agent, optimizer, batch):
    loss = agent.loss(batch)
    optimizer.zero_grad()
    (loss.total / loss.weight).backward()
    optimizer.step()


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (PPOOptions, {"environments": 3, "standardize": True, "clip_schedule": "linear"}),
        (PPOOptions, {"env": "Pendulum-v1", "environments": 2}),
        (PPOOptions, {"env": "FrozenLake-v1", "environments": 3}),
        (ReinforceOptions, {"environments": 3, "env_steps": 60_000}),
        (ReinforceOptions, {"env": "Acrobot-v1", "limit": 30, "environments": 3}),
    ],
)
@pytest.mark.parametrize("stop", [1, 4, 7])
def test_it_goes_on_from_any_batch_as_if_it_had_not_stopped(kind, given, stop):
    agent, source = made(kind, **given)
    optimizer = torch.optim.SGD(agent.parameters(), lr=0.01)
    batches = source.batches(8)
    for _ in range(stop):
        learn(agent, optimizer, next(batches))
    agent_again, source_again = made(kind, seed=9, **given)
    agent_again.load_state_dict(copy.deepcopy(agent.state_dict()))
    assert source_again.load_state_dict(saved(source)) == ""
    optimizer_again = torch.optim.SGD(agent_again.parameters(), lr=0.01)
    others = source_again.batches(8, start=stop)
    for _ in range(9):
        batch, other = next(batches), next(others)
        for name in batch._fields:
            assert getattr(batch, name).equal(getattr(other, name)), name
        learn(agent, optimizer, batch)
        learn(agent_again, optimizer_again, other)
    assert source.tell() == source_again.tell()
    assert agent.clip.equal(agent_again.clip)


def test_a_state_can_be_taken_before_anything_was_played():
    _, source = made()
    _, again = made(seed=5)
    again.load_state_dict(saved(source))
    assert take(again, 1)[0].observations.equal(take(source, 1)[0].observations)


def test_environments_without_a_state_begin_anew_and_say_so():
    _, source = made(env="Counting-v0", limit=1_000, environments=1, rollout=4, passes=1)
    take(source, 1, size=4)
    _, again = made(env="Counting-v0", limit=1_000, environments=1, rollout=4, passes=1)
    assert "new episodes begin" in again.load_state_dict(saved(source))
    assert take(again, 1, size=4)[0].observations[:, 0].tolist() == [0, 1, 2, 3]


def test_processes_play_on_their_own_also_after_taking_up_one_state():
    sources = made()[1], made()[1]
    first, second = (take(source, 1, rank=rank, world=2)[0] for rank, source in enumerate(sources))
    assert not first.observations.equal(second.observations)
    assert sources[0].tell()["env_steps"] == 2 * held(sources[0])
    _, source = made(environments=4, passes=2)
    take(source, 3, rank=0, world=2)
    state = saved(source)
    after = []
    for rank in (0, 1):
        _, again = made(environments=4, passes=2)
        again.load_state_dict(state)
        # The rest of the rollout is shared, so that all come to the next at the same step.
        after.append(take(again, 6, rank=rank, world=2))
    assert len(after[0][4].actions) == len(after[1][4].actions)
    rows = [torch.cat([batch.observations for batch in batches[:1]]) for batches in after]
    assert rows[0].shape == rows[1].shape
    assert not after[0][5].observations.equal(after[1][5].observations)


def test_after_a_failure_nothing_is_counted_twice():
    Breaking.broken = True
    agent, source = made(env="Breaking-v0", limit=100, environments=2, rollout=6, passes=1, standardize=True)
    Breaking.broken = False
    batches = source.batches(12)
    next(batches)
    with pytest.raises(SourceFailed, match="'Breaking-v0' raised in an episode.*RuntimeError: out of paper"):
        next(batches)
    assert int(agent.policy.observed.count) == 12
    agent_again, again = made(env="Breaking-v0", limit=100, environments=2, rollout=6, passes=1, standardize=True)
    agent_again.load_state_dict(agent.state_dict())
    again.load_state_dict(saved(source))
    take(again, 1, size=12)
    assert int(agent_again.policy.observed.count) == 12


# What is told


def test_what_is_told_is_of_the_time_since_and_never_nan():
    _, source = made(env="Counting-v0", settings="end=3", limit=10, environments=2, rollout=2, passes=1, lr=1e-9)
    batches = source.batches(4)
    next(batches)
    told = source.tell()
    assert told["env_steps"] == 4
    assert told["episodes"] == 0
    assert "train_return" not in told
    assert "kl" not in told
    next(batches)
    told = source.tell()
    assert told["train_return"] == 6
    assert told["env_steps"] == 6  # two were resets
    assert told["kl"] == told["clipped"] == 0
    assert 0 < told["entropy"] <= np.log(2) + 1e-6
    assert all(value == value for value in told.values())
    assert source.tell() == {"env_steps": 6, "episodes": 2}


def test_how_far_the_policy_moved_is_measured_against_the_one_that_played():
    agent, source = made(environments=4, passes=1, rollout=16, clip_range=0.1)
    batches = source.batches(64)
    batch = next(batches)
    source.tell()
    with torch.no_grad():
        agent.policy.policy[-1].weight.add_(0.2 * torch.randn(2, 64, generator=torch.Generator().manual_seed(0)))
        change = agent.policy.distribution(batch.observations).log_prob(batch.actions) - batch.log_probs
    next(batches)
    told = source.tell()
    assert told["kl"] == pytest.approx(float((change.exp() - 1 - change).mean()), rel=1e-4)
    assert 0.001 < told["kl"] < 0.1
    assert 0.2 < told["clipped"] < 0.8
    assert told["clipped"] == pytest.approx(float(((change.exp() - 1).abs() > 0.1).float().mean()))


def test_the_clipping_range_falls_to_0_where_it_shall():
    for schedule, expected in (("linear", [0.2, 0.15, 0.1, 0.05]), ("constant", [0.2] * 4)):
        agent, source = made(env_steps=4 * 64, epochs=1, passes=2, clip_schedule=schedule)
        clips = [float(agent.clip) for _ in source.batches(64)]
        assert clips == pytest.approx([clip for clip in expected for _ in range(2)])


def test_observations_are_standardised_by_those_of_earlier_rollouts():
    agent, source = made(environments=4, passes=1, standardize=True)
    batches = source.batches(32)
    rows = [next(batches).observations]
    assert int(agent.policy.observed.count) == 0
    rows.append(next(batches).observations)
    torch.testing.assert_close(agent.policy.observed.mean, rows[0].mean(0))
    next(batches)
    torch.testing.assert_close(agent.policy.observed.mean, torch.cat(rows).mean(0))


@pytest.mark.parametrize(
    ("kind", "given"), [(PPOOptions, {"standardize": True, "passes": 1}), (ReinforceOptions, {"env_steps": 40_000})]
)
def test_values_that_are_relied_on_stay_when_statistics_follow_and_baselines_follow_too(kind, given):
    agent, source = made(kind, environments=4, **given)
    batches = source.batches(len(source))
    first = next(batches)
    seen = torch.zeros(1, 4).numpy()  # the mean of these observations is near it, and stays
    before = float(agent.first_values(seen)[0])
    second = next(batches)
    after = float(agent.first_values(seen)[0])
    assert int(agent.policy.returned.count) == len(first.actions)
    if kind is PPOOptions:
        torch.testing.assert_close(agent.policy.values(second.observations), second.values)
        assert after == pytest.approx(before, abs=0.6)
    else:
        deviation, mean = first.returns.std(correction=0), first.returns.mean()
        assert after == pytest.approx(float(mean + before * deviation), rel=1e-4)
