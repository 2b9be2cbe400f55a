"""Codes of data: what everything in this room starts from."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pendio.data.examples import Data, Split
from pendio.errors import InputError
from pendio.generation.making import Latent
from pendio.nn.network import unit_range

__all__ = ["Codes", "decoded", "encoded", "take"]

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


def take(split: Split, most: int) -> tuple[Tensor, Tensor]:
    """The first ``most`` examples of a split: inputs as floats, images in [0, 1], and targets."""
    inputs, targets, count = [], [], 0
    for batch in split.batches(_BATCH):
        inputs.append(unit_range(batch.inputs))
        targets.append(batch.targets)
        count += len(batch.inputs)
        if count >= most:
            break
    return torch.cat(inputs)[:most], torch.cat(targets)[:most]


@torch.no_grad()
def encoded(task: Latent, data: Data, *splits: str, most: int = 2000) -> Codes:
    """The codes of at most ``most`` examples of each of the splits.

    Raises:
        InputError: a code is not finite.
    """
    parts = [take(split, most) for name in splits for split in data.splits(name)]
    inputs, targets = (torch.cat(side) for side in zip(*parts, strict=True))
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
