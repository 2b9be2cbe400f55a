"""What all learners have in common: they act, and are measured by playing whole episodes."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import CatMetric

from pendio.descent.task import Task
from pendio.reinforcement.diagnosis import diagnose_play
from pendio.reinforcement.worlds.arena import Arena
from pendio.reinforcement.worlds.environments import World
from pendio.runs.diagnosis import Diagnosis, Evidence

__all__ = ["Act", "Agent", "Games", "Played", "play"]

_SIDE_BY_SIDE = 128

Act = Callable[[NDArray[Any]], NDArray[Any]]
"""Actions ``(N,)`` or ``(N, D)`` for observations ``(N, …)``."""


class Played(NamedTuple):
    """Whole episodes, one from each seed ``(E,)``.

    Attributes:
        returns: Σ r, not discounted.
        discounted: Σ γᵗ r.
        lengths: steps.
        terminated: whether the environment ended it, rather than a limit of steps.
        first: the first observations ``(E, …)``.
    """

    returns: NDArray[np.float64]
    discounted: NDArray[np.float64]
    lengths: NDArray[np.int64]
    terminated: NDArray[np.bool_]
    first: NDArray[Any]


_MEASURED = ("return", "length", "terminated", "discounted", "expected")


class Agent(Task):
    """A task that acts in a world. Its held-out examples are seeds of episodes, which it plays.

    Args:
        world: where it acts.
        stack: how many of the latest frames it sees.
        discount: γ.
    """

    def __init__(self, world: World, stack: int = 1, discount: float = 1.0) -> None:
        super().__init__()
        self.world = world
        self.stack = stack
        self.discount = discount
        self.measured = {name: CatMetric(nan_strategy="disable").set_dtype(torch.float64) for name in _MEASURED}

    @abstractmethod
    def act(self, observations: NDArray[Any]) -> NDArray[Any]:
        """What the agent thinks best ``(N,)`` or ``(N, D)``, on observations ``(N, …)`` as an arena gives them."""

    def first_values(self, observations: NDArray[Any]) -> NDArray[Any] | None:
        """What the agent expects, discounted, from observations ``(N, …)``: ``(N,)``; None where it expects nothing."""
        return None

    def measure(self, batch: Any) -> None:
        """Play an episode from each seed ``(N,)``, doing always what seems best."""
        (seeds,) = batch
        played = play(self.act, self.world, seeds.tolist(), stack=self.stack, discount=self.discount)
        columns = {
            "return": played.returns, "discounted": played.discounted, "length": played.lengths,
            "terminated": played.terminated, "expected": self.first_values(played.first),
        }  # fmt: skip
        for name, column in columns.items():
            if column is not None:
                self.measured[name].update(torch.from_numpy(np.asarray(column, dtype=np.float64)))

    def metrics(self) -> dict[str, float]:
        """Mean and standard deviation of the returns, mean length, and share of the episodes that the environment ended.

        Also the mean discounted return, beside what the agent expected of it where it expects anything.
        """
        found = {}
        for name, metric in self.measured.items():
            if metric.update_called:
                values = torch.atleast_1d(metric.compute())
                found[name] = float(values.mean())
                if name == "return":
                    found["return_sd"] = float(values.std(correction=0))
            metric.reset()
        return found

    def score(self, metrics: dict[str, float]) -> tuple[float, ...]:
        """The mean return; of equal ones, the steadier."""
        return (metrics["return"], -metrics["return_sd"])

    def diagnose(self, evidence: Evidence) -> list[Diagnosis]:
        """What went wrong while playing and learning; empty where nothing did."""
        return diagnose_play(evidence, self.world.actions, self.discount)

    def predict(self, inputs: Tensor | NDArray[Any]) -> NDArray[Any]:
        """Actions, on observations ``(N, …)``."""
        return self.act(np.asarray(inputs))


class Games:
    """Seeds of episodes, as a source of held-out examples.

    Args:
        count: how many.
        first: the first seed; the others follow.
    """

    failures: Sequence[Any] = ()

    def __init__(self, count: int, first: int) -> None:
        self._seeds = torch.arange(first, first + count)

    def __len__(self) -> int:
        return len(self._seeds)

    def steps(self, size: int, world: int = 1) -> int:
        """Batches of ``size``, or of 128 where that is less."""
        return -(-len(self) // (min(size, _SIDE_BY_SIDE) * world))

    def batches(
        self, size: int, *, seed: int = 0, epoch: int | None = None, start: int = 0, rank: int = 0, world: int = 1,
        workers: int = 0,
    ) -> Iterator[tuple[Tensor]]:  # fmt: skip
        """The seeds ``(N,)``, shared out among processes."""
        mine = self._seeds[rank::world]
        return ((part,) for part in mine.split(min(size, _SIDE_BY_SIDE)))

    def to(self, device: torch.device) -> "Games":
        """The same: seeds are read by the host."""
        return self


def play(act: Act, world: World, seeds: Sequence[int], *, stack: int = 1, discount: float = 1.0) -> Played:
    """Play one whole episode from each seed, side by side, and return them in the order of the seeds.

    Where an environment has a vector form of its own, or a known table, the seeds together decide on all episodes.
    """
    arena = Arena(world, len(seeds), stack=stack, seeds=seeds)
    count = len(seeds)
    first, going = arena.observations.copy(), np.ones(count, dtype=np.bool_)
    returns, discounted, weight = np.zeros(count), np.zeros(count), 1.0
    lengths, terminated = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.bool_)
    while going.any():
        step, _ = arena.step(act(arena.observations))
        # Environments that are done already play on: only their first episode counts.
        returns += going * step.rewards
        discounted += weight * going * step.rewards
        lengths += going
        terminated |= going & step.terminated
        going &= ~(step.terminated | step.truncated)
        weight *= discount
    return Played(returns, discounted, lengths, terminated, first)
