"""What the loop needs to know of a task, its players and its data."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from pendio.errors import InputError
from pendio.runs.diagnosis import Diagnosis, Evidence, diagnose

__all__ = ["Living", "Loss", "Player", "Source", "SourceFailed", "Task", "TrainingData"]


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

    def diagnose(self, evidence: Evidence) -> list[Diagnosis]:
        """What went wrong, as far as a run's curves and gradients tell; empty where nothing did."""
        return diagnose(evidence)

    def pictures(self) -> dict[str, bytes]:
        """PNG images by name that show how far training is; kept after each evaluation, with the epoch in their names.

        They are drawn in evaluation mode and must not draw from the global random generator.
        """
        return {}

    def after_step(self) -> None:
        """What else changes when all players have had their turns: nothing, unless a task says so."""

    def carried(self) -> dict[str, Tensor]:
        """What is handed on from one training batch to the next beside the weights, such as a hidden state."""
        return {}

    def carry(self, carried: Mapping[str, Tensor]) -> None:
        """Take up what :meth:`carried` gave, to go on from there."""


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


class SourceFailed(InputError):  # noqa: N818  (a signal to the loop, which saves what has been learned)
    """A source can give no more examples, for a reason that the person who made it can mend."""


@runtime_checkable
class Living(Protocol):
    """A source that changes as it is read, such as one that plays; between two batches it can be saved."""

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on, in tensors and plain values."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> str:
        """Go on where :meth:`state_dict` was taken; a sentence on what could not be taken up, empty where all could."""
        ...

    def tell(self) -> dict[str, float]:
        """What is worth writing down of the time since the last call."""
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
