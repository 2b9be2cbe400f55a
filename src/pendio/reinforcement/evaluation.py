"""How good an agent is: over many episodes, beside chance, and beside the best there can be."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pendio.errors import InputError
from pendio.reinforcement.agent import Act, Agent, Games, Played, play
from pendio.reinforcement.processes.planning import finite_horizon, start_value
from pendio.reinforcement.worlds.environments import World

__all__ = ["Evaluation", "evaluate_agent", "optimal_return", "random_actions"]


@dataclass(frozen=True)
class Evaluation:
    """Episodes of an agent, and as many of random actions.

    Attributes:
        played: the agent's episodes.
        random: those of random actions, from the same seeds.
        optimal: the largest expected return within the limit of steps, where the world's table is known.
        first_seed: of the first episode; the others follow.
    """

    played: Played
    random: Played
    optimal: float | None
    first_seed: int

    def to_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        returns = self.played.returns
        return {
            "episodes": len(returns), "first_seed": self.first_seed,
            "return": float(returns.mean()), "return_sd": float(returns.std()),
            "return_least": float(returns.min()), "return_most": float(returns.max()),
            "length": float(self.played.lengths.mean()), "terminated": float(self.played.terminated.mean()),
            "random": float(self.random.returns.mean()), "random_sd": float(self.random.returns.std()),
            "optimal": self.optimal,
        }  # fmt: skip


def evaluate_agent(agent: Agent, episodes: int = 100, seed: int = 0) -> Evaluation:
    """Play episodes from seeds ``seed``, ``seed + 1``, …: with the agent, which always does what seems best, and at random.

    Args:
        agent: who plays.
        episodes: how many.
        seed: of the first.

    Raises:
        InputError: there are no episodes to play, or the seed is negative.
    """
    if episodes < 1:
        raise InputError(f"--episodes must be at least 1, got {episodes}")
    played = _play_all(agent.act, agent.world, episodes, seed, agent.stack, agent.discount)
    at_random = random_actions(agent.world, seed)
    random = _play_all(at_random, agent.world, episodes, seed, 1, agent.discount)
    return Evaluation(played, random, optimal_return(agent.world), seed)


def optimal_return(world: World) -> float | None:
    """The largest expected return within the limit of steps, not discounted; None where the table is not known."""
    if world.mdp is None:
        return None
    undiscounted = dataclasses.replace(world.mdp, discount=1.0)
    return start_value(undiscounted, finite_horizon(undiscounted, world.limit).values[0])


def _play_all(act: Act, world: World, episodes: int, seed: int, stack: int, discount: float) -> Played:
    parts = [
        play(act, world, seeds.tolist(), stack=stack, discount=discount)
        for (seeds,) in Games(episodes, seed).batches(episodes)
    ]
    return Played(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def random_actions(world: World, seed: int) -> Act:
    """Actions drawn evenly, whatever is seen."""
    generator = np.random.default_rng([seed, 1])
    if world.actions:
        return lambda observations: generator.integers(world.actions, size=len(observations))
    low, high = np.array(world.low), np.array(world.high)

    def act(observations: NDArray[Any]) -> NDArray[Any]:
        return generator.uniform(low, high, (len(observations), len(low))).astype(np.float32)

    return act
