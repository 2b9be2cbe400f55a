"""What is exact about learning to act: that Q-learning arrives, and that a network can be a table."""

import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import nn

from pendio.descent.loop import fit
from pendio.exact.check import Check
from pendio.reinforcement.agent import Games
from pendio.reinforcement.networks import OneHot
from pendio.reinforcement.options import QLearnOptions
from pendio.reinforcement.processes.mdp import MDP, random_mdp
from pendio.reinforcement.recipe import Sources, one_thread
from pendio.reinforcement.values.dqn import DQN, QLearning
from pendio.reinforcement.values.experience import Experience, explored
from pendio.reinforcement.values.replay import Replay, Sample
from pendio.reinforcement.worlds.arena import Arena
from pendio.reinforcement.worlds.environments import World, open_world

__all__ = ["CHECKS"]


def _world(mdp: MDP, limit: int = 100) -> World:
    return World(
        name="a random process", settings={}, limit=limit, kind="state", shape=(), states=mdp.state_count,
        actions=mdp.action_count, low=(), high=(), dtype=np.dtype(np.int64), mdp=mdp,
    )  # fmt: skip


def _learned(world: World, **options: object) -> float:
    """‖Q − Q*‖∞ in the end."""
    assert world.mdp is not None
    chosen = QLearnOptions.of(
        {"env": world.name, "discount": world.mdp.discount, "episodes": 1, "epochs": 1, **options}
    )
    agent = QLearning(world, discount=chosen.discount)
    data = Sources(Experience(agent, chosen, 0), Games(1, 0))
    with tempfile.TemporaryDirectory() as folder, one_thread(agent):
        run = fit(agent, data, chosen.plan, Path(folder) / "run", progress=False)
        return float(run.history()[-1]["val_q_error"])


def _certain() -> tuple[float, float]:
    lake = open_world("FrozenLake-v1", "is_slippery=false", discount=0.99)
    cliff = open_world("CliffWalking-v1", limit=200, discount=1.0)
    return max(_learned(lake, env_steps=60_000), _learned(cliff, env_steps=250_000, epsilon_end=0.3)), 0.05


def _random() -> tuple[float, float]:
    errors = [
        _learned(
            _world(random_mdp(5, 2, 2, 0.8, seed)), env_steps=500_000, environments=256, train_every=256, batch=2048,
            replay=500_000, epsilon_end=1.0,
        )
        for seed in range(2)
    ]  # fmt: skip
    return max(errors), 0.05


def _samples(world: World, count: int, size: int) -> list[Sample]:
    """Batches of random play."""
    arena, random = Arena(world, 8), np.random.default_rng(0)
    replay = Replay(4_000, 8, ((), np.int64), ((), np.int64), discount=0.9)
    for _ in range(400):
        transitions, _ = arena.step(explored(np.zeros(8, dtype=np.int64), 1.0, world.actions, random))
        replay.add(transitions)
    return [replay.sample(size, random) for _ in range(count)]


def _update(agent: QLearning | DQN, sample: Sample, lr: float) -> None:
    total, weight = agent.loss(sample)
    (total / weight).backward()
    with torch.no_grad():
        for parameter in agent.network.parameters():
            assert parameter.grad is not None
            parameter.sub_(lr * parameter.grad)
            parameter.grad = None
    agent.after_step()


def _network_is_table() -> tuple[float, float]:
    """The weights of importance sampling share out a step as the table does; each update is compared."""
    world = _world(random_mdp(7, 3, 3, 0.9, 1))
    table = QLearning(world)
    linear = nn.Linear(world.states, world.actions, bias=False)
    nn.init.zeros_(linear.weight)
    network = DQN(world, nn.Sequential(OneHot(world.states), linear), double=False, loss="squared", target_every=1)
    furthest = 0.0
    for sample in _samples(world, 300, 32):
        pairs = sample.observations * world.actions + sample.actions
        counts = torch.bincount(pairs, minlength=world.states * world.actions)
        _update(table, sample, 0.3)
        _update(network, sample._replace(weights=1 / counts[pairs].float()), 0.3 * len(pairs))
        furthest = max(furthest, float((linear.weight.detach().T - table.network.table.weight.detach()).abs().max()))
    return furthest, 0.0


def _textbook() -> tuple[float, float]:
    """A table and a plain loop over the same transitions, one an update."""
    world = _world(random_mdp(7, 3, 3, 0.9, 2))
    agent = QLearning(world)
    q, furthest = np.zeros((world.states, world.actions)), 0.0
    for sample in _samples(world, 400, 1):
        _update(agent, sample, 0.5)
        s, a, following = int(sample.observations[0]), int(sample.actions[0]), int(sample.next_observations[0])
        reward, over = float(sample.rewards[0]), float(sample.discounts[0]) == 0
        q[s, a] += 0.5 * (reward + (0.0 if over else 0.9 * q[following].max()) - q[s, a])
        furthest = max(furthest, float(np.abs(agent.values() - q).max()))
    return furthest, 0.0


CHECKS = (
    Check("q-learning-rule", "Q-learning with a table is the textbook's loop, update by update", _textbook, 1e-5),
    Check("q-learning", "Q-learning comes to Q* on FrozenLake without slipping and on CliffWalking", _certain,
          relation="≤"),
    Check("q-learning-random", "Q-learning comes to Q* where chance decides what follows", _random, relation="≤"),
    Check("dqn-table", "a deep Q-network of one linear layer on one-hot states is a table, update by update",
          _network_is_table, 1e-5),
)  # fmt: skip
"""What this room's methods must do."""
