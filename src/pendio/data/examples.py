"""The nouns of the data room: one batch of examples, one split of them, and the data that a training needs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from pendio.data.randomness import order

__all__ = ["SPLITS", "Data", "Examples", "Failure", "Finding", "Resident", "Split", "positions", "step_count"]

SPLITS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
"""What a split may be called in a file or folder, in small letters → its name here."""


class Examples(NamedTuple):
    """A batch.

    Attributes:
        inputs: ``(N, …)``; images are ``(N, C, H, W)``, uint8 or float in [0, 1].
        targets: ``(N,)`` class numbers, or ``(N, K)`` class probabilities where examples were mixed.
        indices: ``(N,)`` positions in the split.
    """

    inputs: Tensor
    targets: Tensor
    indices: Tensor


class Failure(NamedTuple):
    """An example that could not be read: which file, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Finding:
    """Something the data doctor noticed. ``files`` names all that are concerned; nothing was changed."""

    kind: str
    message: str
    files: tuple[str, ...] = ()


class Split(Protocol):
    """A set of examples that can be walked through in batches."""

    def __len__(self) -> int: ...

    def steps(self, size: int, world: int = 1) -> int:
        """Training batches of ``size`` in an epoch, for ``world`` processes."""
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
        """Batches of one epoch, from step ``start`` on.

        With an ``epoch`` the order is shuffled and augmentation applies; with None all examples come in order, plain.
        Of each batch of ``size`` this process (``rank`` of ``world``) gets its share.
        """
        ...

    def take(self, indices: Tensor) -> Any:
        """The examples at these positions, plain; those that cannot be read are left out."""
        ...

    def to(self, device: torch.device) -> "Split":
        """The same split, resident on ``device`` where it is resident at all."""
        ...

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Examples that could not be read so far."""
        ...


def step_count(count: int, size: int, world: int = 1) -> int:
    """Training batches that ``count`` examples make for ``world`` processes.

    A last batch of a single example joins the one before it, because batch normalisation cannot learn from one; a last
    batch too small to give every process an example is left out.
    """
    full, rest = divmod(count, size)
    return full + (1 if rest >= max(world, 2 if size > 1 and full else 1) else 0)


def positions(
    count: int, size: int, *, seed: int, epoch: int | None, start: int = 0, rank: int = 0, world: int = 1
) -> Iterator[Tensor]:
    """Which examples each batch holds: for each step from ``start`` on, ``(n,)`` positions of this process' share.

    With an epoch, in its order and as :func:`step_count` says; without, all in order.
    """
    if epoch is None:
        batches = torch.arange(count).split(size)
    else:
        visit = order(seed, epoch, count)
        batches = visit[: step_count(count, size, world) * size].split(size)
        if count % size == 1 and len(batches) == count // size:
            batches = (*batches[:-1], torch.cat([batches[-1], visit[-1:]]))
    for batch in batches[start:]:
        yield batch[rank::world]


@dataclass(frozen=True)
class Resident:
    """A split held as one tensor on one device: nothing is read, copied or collated again while training.

    ``augment`` maps a batch, the seed and the epoch to the batch to train on.
    """

    inputs: Tensor
    targets: Tensor
    augment: Callable[[Examples, int, int], Examples] | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    def steps(self, size: int, world: int = 1) -> int:
        """See :class:`Split`."""
        return step_count(len(self), size, world)

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
    ) -> Iterator[Examples]:
        """See :class:`Split`. ``workers`` changes nothing here: there is nothing to read."""
        for share in positions(len(self), size, seed=seed, epoch=epoch, start=start, rank=rank, world=world):
            chosen = share.to(self.inputs.device, non_blocking=True)
            batch = Examples(self.inputs[chosen], self.targets[chosen], share)
            yield batch if self.augment is None or epoch is None else self.augment(batch, seed, epoch)

    def take(self, indices: Tensor) -> Examples:
        """See :class:`Split`."""
        chosen = indices.to(self.inputs.device)
        return Examples(self.inputs[chosen], self.targets[chosen], indices)

    def to(self, device: torch.device) -> "Resident":
        """The same split on ``device``."""
        return Resident(self.inputs.to(device), self.targets.to(device), self.augment)

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Always empty: what is resident has been read."""
        return ()


@dataclass(frozen=True)
class Data:
    """Examples to learn from, and what a model must know about them.

    Attributes:
        name: what the user called it.
        train, val, test: the splits; ``test`` is None where there is none.
        classes: a name for each class number.
        shape: of one input: ``(C, H, W)`` for images, ``(F,)`` for tables and points.
        mean, std: a number for each channel or feature, of the training inputs in the units of float inputs.
        findings: what the data doctor noticed on opening.
        kind: "images", "points", "table", or images with "boxes" or "masks".
        class_counts: training examples of each class; empty where they were not counted.
        augmented: whether training batches change from epoch to epoch.
    """

    name: str
    train: Split
    val: Split
    test: Split | None
    classes: tuple[str, ...]
    shape: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    findings: tuple[Finding, ...] = ()
    kind: str = "images"
    class_counts: tuple[int, ...] = ()
    augmented: bool = False

    def split(self, name: str) -> Split:
        """The split called "train", "val" or "test"; where there is no test split, "test" is the validation one."""
        chosen: Split | None = {"train": self.train, "val": self.val, "test": self.test}[name]
        return self.val if chosen is None else chosen

    def splits(self, name: str) -> list[Split]:
        """The split of this name, or with "all" every one there is."""
        if name != "all":
            return [self.split(name)]
        return [split for split in (self.train, self.val, self.test) if split is not None]

    def describe(self) -> dict[str, Any]:
        """What a run folder must remember about the data to use the model again."""
        return {
            "name": self.name,
            "kind": self.kind,
            "classes": list(self.classes),
            "shape": list(self.shape),
            "mean": list(self.mean),
            "std": list(self.std),
            "examples": {
                name: len(split)
                for name, split in (("train", self.train), ("val", self.val), ("test", self.test))
                if split is not None
            },
            "findings": [finding.message for finding in self.findings],
        }
