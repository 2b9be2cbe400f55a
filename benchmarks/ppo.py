"""Proximal policy optimisation on CartPole-v1: pendio against Stable-Baselines3 and a plain script.

All have the settings that RL Baselines3 Zoo tuned for Stable-Baselines3: 8 environments, rollouts of 32 steps, one batch of
256, 20 passes, γ = .98, λ = .8, learning rate 1e-3 and clipping range .2 falling to 0 in a straight line, no entropy bonus,
two networks 64×64 with tanh. 100,000 steps of the environments are some 7,800 updates. The racers:

- `pendio`: `fit` as `pendio train ppo` calls it, with its checks for NaN and for signals, metrics and checkpoints; it
  evaluates once, in the end, which is part of its time.
- `stable-baselines3`: `PPO("MlpPolicy", make_vec_env("CartPole-v1", 8)).learn(…)`, quiet, on the CPU.
- `script`: the one-file style of CleanRL, over Gymnasium's SyncVectorEnv: a loop over steps, advantages backwards, a loop
  over passes and batches, `loss.backward()`, `clip_grad_norm_`, `Adam`. It keeps no account and writes nothing.

They run in one process on one thread in alternating rounds, each round from another seed, which is the same for all. The
return is the mean over 20 episodes, each from its own seed, of the likeliest actions of the last weights.

    pip install pendio stable-baselines3
    python benchmarks/ppo.py
"""

import argparse
import importlib.metadata
import importlib.util
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import gymnasium
import numpy as np
import torch
from torch import Tensor, nn

from pendio.descent.loop import fit
from pendio.reinforcement.agent import Games, play
from pendio.reinforcement.policy.policy_gradient import PolicyGradient
from pendio.reinforcement.policy.rollout import Rollouts
from pendio.reinforcement.policy_options import PPOOptions
from pendio.reinforcement.worlds.environments import World, open_world

ENVIRONMENTS, ROLLOUT, PASSES, DISCOUNT, GAE_LAMBDA, LR, CLIP = 8, 32, 20, 0.98, 0.8, 1e-3, 0.2

Act = Callable[[np.ndarray], np.ndarray]
"""What seems best, for observations (N, 4)."""


class Source:
    """What `fit` reads of data."""

    def __init__(self, train: Rollouts, val: Games) -> None:
        self.train, self.val = train, val


def by_pendio(steps: int, seed: int) -> Act:
    options = PPOOptions.of({
        "env": "CartPole-v1", "env_steps": steps, "environments": ENVIRONMENTS, "rollout": ROLLOUT, "passes": PASSES,
        "discount": DISCOUNT, "gae_lambda": GAE_LAMBDA, "clip_range": CLIP, "clip_schedule": "linear", "lr": LR,
        "schedule": "linear", "batch": ENVIRONMENTS * ROLLOUT, "hidden": "64,64", "epochs": 1, "seed": seed,
    })  # fmt: skip
    world = open_world(options.env, discount=DISCOUNT)
    torch.manual_seed(seed)
    agent = PolicyGradient.of(options, world)
    data = Source(Rollouts(agent, options, seed), Games(20, 1_000_000))
    with tempfile.TemporaryDirectory() as folder:
        fit(agent, data, options.plan, Path(folder) / "run", progress=False)
    return agent.act


def by_stable_baselines3(steps: int, seed: int) -> Act:
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_vec_env

    model = PPO(
        "MlpPolicy", make_vec_env("CartPole-v1", ENVIRONMENTS, seed=seed), n_steps=ROLLOUT, n_epochs=PASSES,
        batch_size=ENVIRONMENTS * ROLLOUT, gamma=DISCOUNT, gae_lambda=GAE_LAMBDA, ent_coef=0.0, seed=seed, device="cpu",
        learning_rate=lambda left: left * LR, clip_range=lambda left: left * CLIP,
    )  # fmt: skip
    model.learn(steps)
    return lambda observations: model.predict(observations, deterministic=True)[0]


def layer(inputs: int, outputs: int, gain: float = 2**0.5) -> nn.Linear:
    made = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(made.weight, gain)
    nn.init.zeros_(made.bias)
    return made


def tower(outputs: int, gain: float) -> nn.Sequential:
    return nn.Sequential(layer(4, 64), nn.Tanh(), layer(64, 64), nn.Tanh(), layer(64, outputs, gain))


def by_script(steps: int, seed: int) -> Act:
    torch.manual_seed(seed)
    actor, critic = tower(2, 0.01), tower(1, 1.0)
    weights = [*actor.parameters(), *critic.parameters()]
    optimizer = torch.optim.Adam(weights, lr=LR, eps=1e-5)
    environments = gymnasium.vector.SyncVectorEnv([lambda: gymnasium.make("CartPole-v1")] * ENVIRONMENTS)
    observation = torch.tensor(environments.reset(seed=seed)[0])
    done = torch.zeros(ENVIRONMENTS)
    observations = torch.zeros(ROLLOUT, ENVIRONMENTS, 4)
    actions, log_probs, rewards, dones, values = (torch.zeros(ROLLOUT, ENVIRONMENTS) for _ in range(5))
    rollouts = steps // (ROLLOUT * ENVIRONMENTS)
    for number in range(rollouts):
        left = 1 - number / rollouts
        optimizer.param_groups[0]["lr"] = left * LR
        for step in range(ROLLOUT):
            observations[step], dones[step] = observation, done
            with torch.no_grad():
                distribution = torch.distributions.Categorical(logits=actor(observation))
                action = distribution.sample()
                values[step] = critic(observation).flatten()
            actions[step], log_probs[step] = action, distribution.log_prob(action)
            seen, reward, terminated, truncated, _ = environments.step(action.numpy())
            observation, rewards[step] = torch.tensor(seen), torch.tensor(reward)
            done = torch.tensor(terminated | truncated, dtype=torch.float32)
        returns = script_returns(critic, observation, done, rewards, dones, values)
        batch = (observations.view(-1, 4), actions.view(-1), log_probs.view(-1), returns.view(-1), values.view(-1))
        for _ in range(PASSES):
            optimizer.zero_grad()
            script_loss(actor, critic, batch, left * CLIP).backward()
            nn.utils.clip_grad_norm_(weights, 0.5)
            optimizer.step()
    return lambda seen: actor(torch.from_numpy(seen)).argmax(1).numpy()


@torch.no_grad()
def script_returns(
    critic: nn.Module, observation: Tensor, done: Tensor, rewards: Tensor, dones: Tensor, values: Tensor
) -> Tensor:
    following, advantages = torch.zeros(ENVIRONMENTS), torch.zeros_like(rewards)
    for step in reversed(range(ROLLOUT)):
        last = step == ROLLOUT - 1
        going = 1 - (done if last else dones[step + 1])
        next_value = critic(observation).flatten() if last else values[step + 1]
        error = rewards[step] + DISCOUNT * next_value * going - values[step]
        advantages[step] = following = error + DISCOUNT * GAE_LAMBDA * going * following
    return advantages + values


def script_loss(actor: nn.Module, critic: nn.Module, batch: tuple[Tensor, ...], clip: float) -> Tensor:
    # One batch is the whole rollout here, yet such scripts shuffle and gather it all the same.
    rows = torch.randperm(len(batch[0]))
    observations, actions, log_probs, returns, values = (column[rows] for column in batch)
    distribution = torch.distributions.Categorical(logits=actor(observations))
    log_ratio = distribution.log_prob(actions) - log_probs
    ratio = log_ratio.exp()
    with torch.no_grad():
        (ratio - 1 - log_ratio).mean().item()
        ((ratio - 1).abs() > clip).float().mean().item()
    advantages = returns - values
    advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    policy_loss = torch.max(-advantages * ratio, -advantages * ratio.clamp(1 - clip, 1 + clip)).mean()
    value_loss = 0.5 * ((critic(observations).flatten() - returns) ** 2).mean()
    return policy_loss - 0.0 * distribution.entropy().mean() + 0.5 * value_loss


RACERS: dict[str, Callable[[int, int], Act]] = {
    "pendio": by_pendio,
    "stable-baselines3": by_stable_baselines3,
    "script": by_script,
}


@torch.no_grad()
def score(act: Act, world: World) -> float:
    return float(play(act, world, range(2_000_000, 2_000_020)).returns.mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="how often each racer runs")
    parser.add_argument("--steps", type=int, default=100_000, help="of the environments, in a run")
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch")
    options = parser.parse_args()
    racers = dict(RACERS)
    if importlib.util.find_spec("stable_baselines3") is None:
        del racers["stable-baselines3"]
        print("stable-baselines3 is missing: pip install stable-baselines3", file=sys.stderr)
    torch.set_num_threads(options.threads)
    world = open_world("CartPole-v1")
    seconds: dict[str, list[float]] = {name: [] for name in racers}
    returns: dict[str, list[float]] = {name: [] for name in racers}
    for race in racers.values():
        race(2_048, 0)  # imports and first calls are not timed
    for seed in range(options.rounds):
        for name, race in racers.items():
            began = time.perf_counter()
            act = race(options.steps, seed)
            seconds[name].append(time.perf_counter() - began)
            returns[name].append(score(act, world))
            print(
                f"round {seed + 1} {name}: {seconds[name][-1]:.2f} s, return {returns[name][-1]:.1f}", file=sys.stderr
            )
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("torch", "gymnasium"))
    print(f"{options.steps:,} steps of CartPole-v1, medians of {options.rounds} rounds; {versions}\n")
    print("| racer | seconds | pendio's share | returns |\n| --- | --- | --- | --- |")
    own = statistics.median(seconds["pendio"])
    for name in racers:
        median = statistics.median(seconds[name])
        scores = " ".join(f"{value:.0f}" for value in returns[name])
        print(f"| {name} | {median:.2f} | {own / median:.2f} × | {scores} |")


if __name__ == "__main__":
    main()
