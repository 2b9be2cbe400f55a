"""Count models: what a language model of a fixed window can be compared with exactly."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pendio.errors import InputError

__all__ = ["CountModel", "count_models"]

_ADDED = (1.0, 0.1, 0.01)
_MOST_KEYS = 2**62


class CountModel(NamedTuple):
    """How well counting predicts a text.

    Attributes:
        order: tokens of context.
        added: α, what each count begins at; the best of 1, 0.1 and 0.01.
        loss: nats a token of the validation part.
    """

    order: int
    added: float
    loss: float

    @property
    def bits(self) -> float:
        """Bits a token."""
        return self.loss / math.log(2)


def count_models(train: NDArray[Any], val: NDArray[Any], vocabulary: int, most: int) -> list[CountModel]:
    """Count models with contexts of 0 to ``most`` tokens: p(t | c) = (n(c, t) + α)/(n(c) + α·V).

    A window model that can be anything learns at best the true conditional probabilities; these are estimated here by
    counting, with Laplace's correction. The first ``order`` tokens of the validation part lack a context and are left out.

    Args:
        train, val: ``(N,)`` token numbers.
        vocabulary: V.
        most: the longest context.

    Raises:
        InputError: contexts of this length have more forms than can be numbered.
    """
    if most < 0:
        raise InputError(f"--order must be 0 or more, got {most}")
    if vocabulary ** (most + 1) >= _MOST_KEYS:
        longest = int(np.log(_MOST_KEYS) / np.log(vocabulary)) - 1
        raise InputError(f"--order {most} is too long for a vocabulary of {vocabulary}: at most {longest}")
    if len(val) <= most:
        raise InputError(f"--order {most} leaves nothing of the {len(val)} tokens to validate with")
    return [_best(train, val, vocabulary, order) for order in range(most + 1)]


def _best(train: NDArray[Any], val: NDArray[Any], vocabulary: int, order: int) -> CountModel:
    known, seen = _keys(train, vocabulary, order), _keys(val, vocabulary, order)
    pairs = _counted(known, seen)
    contexts = _counted(known // vocabulary, seen // vocabulary)
    losses = [-float(np.log((pairs + a) / (contexts + a * vocabulary)).mean()) for a in _ADDED]
    best = int(np.argmin(losses))
    return CountModel(order, _ADDED[best], losses[best])


def _keys(tokens: NDArray[Any], vocabulary: int, order: int) -> NDArray[np.int64]:
    """A number for each token with its context: digits of base V, the token last."""
    keys = np.zeros(len(tokens) - order, dtype=np.int64)
    for place in range(order + 1):
        keys = keys * vocabulary + tokens[place : len(tokens) - order + place]
    return keys


def _counted(known: NDArray[np.int64], asked: NDArray[np.int64]) -> NDArray[np.int64]:
    """How often each of ``asked`` is among ``known``."""
    values, counts = np.unique(known, return_counts=True)
    places = np.searchsorted(values, asked).clip(max=len(values) - 1)
    return np.where(values[places] == asked, counts[places], 0)
