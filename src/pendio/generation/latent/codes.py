"""Codes of data: what everything in this room starts from."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pendio.data.examples import Data, Examples
from pendio.errors import InputError
from pendio.generation.examples import numbered, spaced
from pendio.generation.making import Latent
from pendio.nn.network import unit_range

__all__ = ["Codes", "decoded", "encoded", "encoded_at"]

_BATCH = 256


@dataclass(frozen=True)
class Codes:
    """Examples and their codes.

    Attributes:
        inputs: ``(N, *shape)``: images in [0, 1], rows in the data's own units.
        targets: ``(N,)`` class numbers, or what the data has in their place.
        values: ``(N, D)`` float64 codes, those of image shape flattened.
        classes: names of the classes; empty where there are none.
    """

    inputs: Tensor
    targets: Tensor
    values: Tensor
    classes: tuple[str, ...]

    def attributes(self) -> Tensor:
        """Whether each example is of each class, ``(N, K)`` booleans.

        Raises:
            InputError: the data has fewer than two classes.
        """
        if len(self.classes) < 2:
            raise InputError(
                "attributes are learned from labels, and this data has no classes; give --data with labels"
            )
        return self.targets[:, None] == torch.arange(len(self.classes))


def encoded(task: Latent, data: Data, *splits: str, most: int = 2000) -> Codes:
    """The codes of at most ``most`` examples of each of the splits.

    Raises:
        InputError: a code is not finite.
    """
    parts = [spaced(split, most) for name in splits for split in data.splits(name)]
    return _encoded(task, data, parts)


def encoded_at(task: Latent, data: Data, indices: Sequence[int]) -> Codes:
    """The codes of validation examples by number.

    Raises:
        InputError: there is no such example, or its code is not finite.
    """
    return _encoded(task, data, [numbered(data, indices)])


@torch.no_grad()
def _encoded(task: Latent, data: Data, parts: Sequence[Examples]) -> Codes:
    inputs = torch.cat([unit_range(part.inputs) for part in parts])
    targets = torch.cat([part.targets for part in parts])
    values = torch.cat([task.encode(part).flatten(1).cpu().double() for part in inputs.split(_BATCH)])
    if not values.isfinite().all():
        raise InputError(
            f"the model's codes of '{data.name}' are not finite; has its training failed? see pendio diagnose"
        )
    return Codes(inputs, targets, values, tuple(data.classes))


@torch.no_grad()
def decoded(task: Latent, values: Tensor) -> Tensor:
    """Examples ``(N, *shape)`` of flat codes ``(N, D)``."""
    codes = values.float().reshape(-1, *task.latent)
    return torch.cat([task.decode(part).cpu() for part in codes.split(_BATCH)])
