"""What generative models learn from: images of one size, in [0, 1], or rows of numbers."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

import pendio.data
from pendio.data.arrays import channel_statistics
from pendio.data.augment import Augment, parse_augment
from pendio.data.examples import Data, Resident, Split
from pendio.errors import InputError

__all__ = ["GREYS", "check_classes", "numbered", "open_examples", "spaced"]

GREYS = 256
"""Values of a pixel's channel."""

_LABELS_MIX = {"mixup", "cutmix"}


def open_examples(
    name: str, *, size: int | None = None, augment: str = "none", labels: bool = False, images: bool = False,
    target: str | None = None, seed: int = 0,
) -> Data:  # fmt: skip
    """Examples whose distribution is to be learned. All that are held in memory are brought to ``size``.

    Args:
        name: as for :func:`pendio.data.open`.
        size: side in pixels of images; None leaves them as they are.
        augment: comma-separated changes to training images that keep them likely, such as flip.
        labels: whether files of images need labels.
        images: whether anything but images is refused.
        target: the column of a CSV table that is a label and not a feature.
        seed: of the split where the data brings none.

    Raises:
        InputError: there is no such data, it is not what is asked for, holds too little, or all examples are alike.
    """
    names = parse_augment(augment)
    if mixing := _LABELS_MIX & set(names):
        raise InputError(f"--augment {','.join(sorted(mixing))} makes images that are not of the data; leave it out")
    data = pendio.data.open(name, size=size, augment=augment, target=target, seed=seed, labels=labels)
    if data.kind != "images" and (images or size is not None):
        raise InputError(f"--data '{data.name}' has no images but {data.kind}")
    if len(data.train) < 2:
        raise InputError(
            f"'{data.name}' has {len(data.train)} example to learn from: a distribution needs two at least"
        )
    if isinstance(data.train, Resident):
        _check_values(data)
    if size is None or tuple(data.shape[1:]) == (size, size):
        return data
    classes = len(data.classes)
    train = _resized(data.train, size, names, classes)
    val = _resized(data.val, size, names, classes)
    test = None if data.test is None else _resized(data.test, size, names, classes)
    assert isinstance(train, Resident), "files are read in the size that is asked for"
    mean, std = channel_statistics(train.inputs)
    return dataclasses.replace(
        data, train=train, val=val, test=test, shape=(data.shape[0], size, size), mean=mean, std=std
    )


def _resized(split: Split, size: int, augment: tuple[str, ...], classes: int) -> Split:
    if not isinstance(split, Resident):
        return split
    change = Augment(augment, classes) if split.augment is not None else None
    return Resident(_resize(split.inputs, size), split.targets, change)


def _resize(images: Tensor, size: int) -> Tensor:
    """Bicubic, a part at a time: as floats in [0, 1], or as bytes where they were."""
    parts = []
    for part in images.split(1024):
        values = F.interpolate(part.float(), (size, size), mode="bicubic", antialias=True)
        high = 255 if images.dtype == torch.uint8 else 1
        values = values.clamp(0, high)
        parts.append(values.round().to(torch.uint8) if images.dtype == torch.uint8 else values)
    return torch.cat(parts)


def _check_values(data: Data) -> None:
    train = data.train
    assert isinstance(train, Resident)
    first = train.inputs[:1]
    if all(bool((part == first).all()) for part in train.inputs.split(1024)):
        raise InputError(f"all examples of '{data.name}' are the same: there is no distribution to learn")


def spaced(split: Split, most: int) -> Any:
    """At most so many examples, spread evenly over a split: the first ones of a folder are all of its first class."""
    return split.take(torch.linspace(0, len(split) - 1, min(len(split), most)).long().unique())


def numbered(data: Data, indices: Sequence[int]) -> Any:
    """Validation examples by number, as ``--at`` names them.

    Raises:
        InputError: there is no such example.
    """
    for index in indices:
        if not 0 <= index < len(data.val):
            raise InputError(f"--at must be 0 to {len(data.val) - 1}, a validation example, got {index}")
    return data.val.take(torch.tensor([*indices]))


def check_classes(data: Data) -> None:
    """Whether classes can be told apart, and asked for.

    Raises:
        InputError: there are less than two.
    """
    if len(data.classes) < 2:
        raise InputError(f"--conditional needs data of two classes at least, and '{data.name}' has "
                         f"{len(data.classes)}; leave it out")  # fmt: skip
