"""A source that plays: it explores, remembers, and gives batches of what it remembers."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pendio.errors import InputError
from pendio.reinforcement.options import Exploring
from pendio.reinforcement.values.dqn import DQN, QLearning
from pendio.reinforcement.values.priorities import Priorities
from pendio.reinforcement.values.replay import Replay, Sample
from pendio.reinforcement.worlds.arena import Arena
from pendio.reinforcement.worlds.snapshots import generator_state, restore_generator

__all__ = ["Experience", "epsilon_at", "explored"]


def epsilon_at(step: int, options: Exploring) -> float:
    """Share of random actions after so many steps: it falls in a straight line, then stays."""
    share = min(1.0, step / (options.explore * options.env_steps))
    return options.epsilon + share * (options.epsilon_end - options.epsilon)


def explored(
    best: NDArray[Any], epsilon: float, actions: int, generator: np.random.Generator
) -> NDArray[Any]:  # fmt: skip
    """ε-greedy actions: each environment tosses its own coin, and takes with probability ε any action, the best included.

    Args:
        best: what seems best ``(N,)``.
        epsilon: in [0, 1].
        actions: how many there are.
        generator: of the coins and the actions.
    """
    coins = generator.random(len(best)) < epsilon
    return np.where(coins, generator.integers(actions, size=len(best)), best)


class Experience:
    """Plays with ε-greedy actions and yields batches from a replay buffer.

    Before update k it has played ``start + ⌊k/updates⌋·train_every`` steps. It can be saved between any two batches.

    Args:
        agent: whose actions are played, and who learns.
        options: how to explore, remember and learn.
        seed: of episodes, exploration and batches.
    """

    failures: Sequence[Any] = ()

    def __init__(self, agent: DQN | QLearning, options: Exploring, seed: int) -> None:
        self.agent, self.options, self.seed = agent, options, seed
        epochs = options.plan.epochs
        bouts = (options.env_steps - options.start) // options.train_every
        self.updates_per_epoch = bouts * options.updates // epochs
        if self.updates_per_epoch < 1:
            raise InputError(f"--env-steps {options.env_steps} leave {bouts * options.updates} updates, fewer than "
                             f"{epochs} --epochs; play more steps, or more often give --updates")  # fmt: skip
        world = agent.world
        priorities = None
        if options.priority:
            priorities = Priorities(alpha=options.priority, anneal=self.updates_per_epoch * epochs)
        self.replay = Replay(
            options.replay, options.environments, (world.shape, world.dtype), ((), np.int64),
            discount=options.discount, steps=options.n_step, stack=agent.stack, priorities=priorities,
        )  # fmt: skip
        self._arena: Arena | None = None
        self._rank = 0
        self._random = np.random.default_rng(seed)
        self._updates = 0
        self._settled = True
        self._drawn: Sample | None = None
        self._returns: list[float] = []

    def __len__(self) -> int:
        return self.options.replay

    def steps(self, size: int, world: int = 1) -> int:
        """Updates in an epoch."""
        return self.updates_per_epoch

    def to(self, device: torch.device) -> "Experience":
        """The same: what is remembered stays with the host, and batches are moved."""
        return self

    def batches(
        self, size: int, *, seed: int = 0, epoch: int | None = None, start: int = 0, rank: int = 0, world: int = 1,
        workers: int = 0,
    ) -> Iterator[Sample]:  # fmt: skip
        """Play and draw, for the updates that an epoch still needs."""
        self._part_ways(rank)
        arena = self.arena()
        for _ in range(start, self.updates_per_epoch):
            self._settle()
            due = self.options.start + self._updates // self.options.updates * self.options.train_every
            while arena.steps < due or not len(self.replay):
                self._play(arena)
            sample = self.replay.sample(max(1, size // world), self._random)
            self._updates += 1
            self._drawn, self._settled = sample, False
            yield sample

    def arena(self) -> Arena:
        """The environments, made when they are first needed."""
        if self._arena is None:
            seed = self.seed * 1_009 + self._rank
            self._arena = Arena(self.agent.world, self.options.environments, seed, self.agent.stack)
        return self._arena

    def _part_ways(self, rank: int) -> None:
        """Let each process play by itself, also where all have taken up the state of the first."""
        if rank == self._rank:
            return
        self._rank = rank
        self._random = np.random.default_rng([self.seed, rank, self._updates])
        steps = self._arena.steps if self._arena is not None else 0
        self._arena = None
        self.replay.cut()
        self.arena().steps = steps

    def _play(self, arena: Arena) -> None:
        epsilon = epsilon_at(arena.steps, self.options)
        world = self.agent.world
        best = np.zeros(arena.count, dtype=np.int64) if epsilon >= 1 else self.agent.act(arena.observations)
        transitions, episodes = arena.step(explored(best, epsilon, world.actions, self._random))
        if self.agent.stack > 1:
            channels = world.shape[0]
            transitions = transitions._replace(
                observations=transitions.observations[:, -channels:],
                next_observations=transitions.next_observations[:, -channels:],
            )
        self.replay.add(transitions)
        if len(episodes.returns):
            self._returns += episodes.returns.tolist()

    def _settle(self) -> None:
        """Give the transitions that were drawn last the priorities that their errors call for."""
        if not self._settled and self._drawn is not None and self.options.priority:
            self.replay.update(self._drawn.indices, self.agent.errors.cpu())
        self._settled, self._drawn = True, None

    def tell(self) -> dict[str, float]:
        """Steps and episodes played, the mean return of the latest, the share of random actions, and what is remembered."""
        arena, remembered = self.arena(), self.replay.outcomes()
        told = {
            "env_steps": float(arena.steps), "episodes": float(arena.episodes),
            "epsilon": epsilon_at(arena.steps, self.options),
        }  # fmt: skip
        if len(remembered.rewards):
            shares = np.bincount(remembered.actions, minlength=self.agent.world.actions) / len(remembered.actions)
            told |= {
                "remembered": float(len(remembered.rewards)), "remembered_ends": float(remembered.terminated.mean()),
                "reward_largest": float(np.abs(remembered.rewards).max()),
                "rewarded": float((remembered.rewards != 0).mean()), "rarest_action": float(shares.min()),
            }  # fmt: skip
        if self._returns:
            told["train_return"] = float(np.mean(self._returns))
            self._returns = []
        return told

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on."""
        self._settle()
        return {
            "arena": self.arena().state_dict(), "replay": self.replay.state_dict(),
            "random": generator_state(self._random), "updates": self._updates, "returns": list(self._returns),
        }  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> str:
        """Go on where :meth:`state_dict` was taken; new episodes begin where the environments' state could not be had."""
        exact = self.arena().load_state_dict(state["arena"])
        self.replay.load_state_dict(state["replay"])
        restore_generator(self._random, state["random"])
        self._updates, self._returns = int(state["updates"]), list(state["returns"])
        if exact:
            return ""
        self.replay.cut()
        return f"environment '{self.agent.world.name}' cannot be taken up in the middle: new episodes begin"
