"""The judge: a classifier that was trained apart says what it sees in what was made."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from pendio.errors import InputError, quoted
from pendio.generation.making import Maker
from pendio.generation.quality.samples import draw
from pendio.nn.network import Network

__all__ = ["LEAST", "Judge", "Verdict", "class_score", "judged"]

LEAST = 0.3
"""Share of its due below which a class counts as missing: 3 % of the examples where ten classes are equally frequent."""

_BATCH = 64


@dataclass(frozen=True)
class Verdict:
    """What a judge sees in some examples.

    Attributes:
        examples: how many.
        shares: of the examples in each of the judge's classes.
        accuracy: share of examples in which it sees the class asked for; None where none was.
        accuracies: the same for each class that was asked for.
        class_score: exp of the mean KL(p(class | x) ‖ p(class)), between 1 and the number of classes: high where each
            example is clearly of a class and all classes occur. Of Inception's classes it is the inception score (Salimans
            et al., 2016).
        confidence: mean probability of the likeliest class.
    """

    examples: int
    shares: dict[str, float]
    accuracy: float | None
    accuracies: dict[str, float]
    class_score: float
    confidence: float

    def missing(self, due: Mapping[str, float] | None = None) -> list[str]:
        """Classes with less than ``LEAST`` of the share that is ``due`` to them; by default all are due the same."""
        equal = 1 / len(self.shares)
        return [
            name
            for name, share in self.shares.items()
            if share < LEAST * (equal if due is None else due.get(name, 0.0))
        ]

    def to_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)


class Judge:
    """Takes in examples in batches and gives its verdict on all of them.

    Args:
        network: a classifier that has not learned from what it judges.
        asked: the names of the class numbers that come with the examples; empty if none do.

    Raises:
        InputError: the network does not know one of these classes.
    """

    def __init__(self, network: Network, asked: Sequence[str] = ()) -> None:
        unknown = [name for name in asked if name not in network.classes]
        if unknown:
            raise InputError(f"the judge does not know {quoted(unknown)}; it knows {quoted(network.classes)}: "
                             "train it on the same data")  # fmt: skip
        self._network = network
        self._number = torch.tensor([network.classes.index(name) for name in asked], dtype=torch.long)
        self._probabilities: list[Tensor] = []
        self._labels: list[Tensor] = []

    @torch.no_grad()
    def update(self, examples: Tensor, labels: Tensor | None = None) -> None:
        """Take in examples ``(N, …)`` and the class numbers ``(N,)`` that were asked for."""
        for part in examples.split(_BATCH):
            logits = self._network(part.to(self._network.mean.device))
            self._probabilities.append(logits.double().softmax(1).cpu())
        if labels is not None and len(self._number):
            self._labels.append(self._number[labels.cpu()])

    def verdict(self) -> Verdict:
        """On all that came.

        Raises:
            InputError: nothing did.
        """
        if not self._probabilities:
            raise InputError("there are no examples to judge")
        probabilities = torch.cat(self._probabilities)
        classes = self._network.classes
        seen = probabilities.argmax(1)
        counts = torch.bincount(seen, minlength=len(classes)).double() / len(seen)
        accuracy, accuracies = None, {}
        if self._labels:
            labels = torch.cat(self._labels)
            right = (seen == labels).double()
            accuracy = float(right.mean())
            accuracies = {classes[number]: float(right[labels == number].mean()) for number in labels.unique().tolist()}
        return Verdict(
            len(seen), dict(zip(classes, counts.tolist(), strict=True)), accuracy, accuracies,
            class_score(probabilities), float(probabilities.max(1).values.mean()),
        )  # fmt: skip


def judged(
    maker: Maker, network: Network, count: int = 1000, *, temperature: float = 1.0, seed: int = 0,
    how: Mapping[str, Any] = MappingProxyType({}),
) -> Verdict:  # fmt: skip
    """What a separately trained classifier sees in what a maker makes: of each class it can be asked for equally many.

    Args:
        maker: the trained task.
        network: the classifier; its classes include the maker's.
        count: how many examples to make.
        temperature, seed, how: as for :func:`pendio.generation.quality.samples.draw`.

    Raises:
        InputError: the classes differ, or an option is out of range.
    """
    judge = Judge(network, maker.classes)
    labels = torch.arange(count) % len(maker.classes) if maker.classes else None
    for made in draw(maker, count, labels=labels, temperature=temperature, seed=seed, how=how):
        judge.update(*made)
    return judge.verdict()


def class_score(probabilities: Tensor) -> float:
    """exp(H(mean p) − mean H(p)) of class probabilities p ``(N, K)``: see :attr:`Verdict.class_score`."""
    marginal = torch.special.entr(probabilities.mean(0)).sum()
    return float((marginal - torch.special.entr(probabilities).sum(1).mean()).exp())
