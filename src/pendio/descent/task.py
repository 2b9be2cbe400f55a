"""What the loop needs to know of a task, its players and its data."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

__all__ = ["Loss", "Player", "Source", "Task", "TrainingData"]


class Loss(NamedTuple):
    """A loss as a sum and what to divide it by.

    Kept apart so that parts of a batch, on one device after another or on several at once, add up to exactly the loss
    of the whole batch, however unequal they are.

    Attributes:
        total: scalar, the sum over examples (or tokens, or pixels).
        weight: their number, or the sum of their weights.
    """

    total: Tensor
    weight: Tensor | float


@dataclass(frozen=True)
class Player:
    """One set of weights with its own loss and optimiser.

    Attributes:
        name: unique within the task.
        modules: whose weights this player moves; those with ``requires_grad=False`` stay.
        loss: maps a batch to the player's loss. It must depend on the player's own weights.
        lr_factors: learning rate of a module in ``modules`` relative to the plan's; 1 where it is not named.
    """

    name: str
    modules: Sequence[nn.Module]
    loss: Callable[[Any], Loss]
    lr_factors: Sequence[float] = ()


class Task(nn.Module, ABC):
    """Holds the network and knows what training means for it.

    A task with one set of weights implements :meth:`loss`; one with several overrides :meth:`players`.
    """

    @abstractmethod
    def loss(self, batch: Any) -> Loss:
        """The loss of a batch in training mode."""

    @abstractmethod
    def measure(self, batch: Any) -> None:
        """Take a batch of held-out examples into the metrics."""

    @abstractmethod
    def metrics(self) -> dict[str, float]:
        """The metrics of all batches measured since the last call, over all processes; then start anew."""

    @abstractmethod
    def score(self, metrics: dict[str, float]) -> tuple[float, ...]:
        """What makes one evaluation better than another: tuples compare in order, higher is better."""

    @abstractmethod
    def predict(self, inputs: Any) -> Any:
        """What the trained task answers."""

    def players(self) -> Sequence[Player]:
        """Whose turn it is, in order, in each step."""
        return [Player("model", [self], self.loss)]


class Source(Protocol):
    """Examples in batches: see :class:`pendio.data.examples.Split` for what the arguments mean."""

    def __len__(self) -> int: ...

    def steps(self, size: int, world: int = 1) -> int:
        """Batches of ``size`` in an epoch."""
        ...

    def batches(
        self,
        size: int,
        *,
        seed: int = 0,
        epoch: int | None = None,
        start: int = 0,
        rank: int = 0,
        world: int = 1,
        workers: int = 0,
    ) -> Iterator[Any]:
        """Batches of one epoch, as tuples of tensors with one row an example."""
        ...

    def to(self, device: torch.device) -> "Source":
        """The same, on ``device`` where it is resident."""
        ...

    @property
    def failures(self) -> Sequence[Any]:
        """Examples that could not be read so far."""
        ...


class TrainingData(Protocol):
    """What the loop reads of data: its training and validation splits."""

    @property
    def train(self) -> Source:
        """What the weights learn from."""
        ...

    @property
    def val(self) -> Source:
        """What they are measured on."""
        ...
