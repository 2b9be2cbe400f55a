"""Inputs that a user names, in the form a model learned from."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
import torchvision.transforms.v2.functional as V
from torch import Tensor

from pendio.data.arrays import read_numbers
from pendio.data.images import ImageError
from pendio.data.inputs import named_images
from pendio.data.streams import frame
from pendio.errors import InputError

__all__ = ["Given", "fitted", "given", "rows_of"]


class Given(NamedTuple):
    """Inputs ``(N, *shape)``, images in [0, 1] or rows in their own units, and what each is called."""

    names: list[str]
    inputs: Tensor


def given(inputs: Sequence[str], shape: Sequence[int]) -> Given:
    """Images, of folders each image in them, or the rows of CSV files.

    Args:
        inputs: image files, folders of them or names of embedded photographs, of which the middle is taken; for rows
            CSV files.
        shape: of an example.

    Raises:
        InputError: an input does not exist or cannot be read, has another number of columns, or there is none.
    """
    names: list[str] = []
    values: list[Tensor] = []
    if len(shape) == 1:
        for text in inputs:
            rows = rows_of(text, shape[0])
            names += [f"{text}:{line}" for line in range(2, 2 + len(rows))]
            values += list(rows)
    else:
        channels, *sides = shape
        for name, image in named_images(inputs, grey=channels == 1):
            if isinstance(image, ImageError):
                raise InputError(str(image))
            names.append(name)
            values.append(fitted(image, sides).float() / 255)
    if not values:
        raise InputError("give an image to begin with" if len(shape) == 3 else "give a CSV file to begin with")
    return Given(names, torch.stack(values))


def fitted(image: Tensor, sides: Sequence[int]) -> Tensor:
    """The middle of an image ``(C, H, W)`` in the size ``(height, width)``."""
    height, width = sides
    if height == width:
        return frame(image, height)
    scale = max(height / image.shape[1], width / image.shape[2])
    large = [max(wanted, round(side * scale)) for wanted, side in zip(sides, image.shape[1:], strict=True)]
    middle: Tensor = V.center_crop(V.resize(image, large, antialias=True), [height, width])
    return middle


def rows_of(text: str, width: int) -> Tensor:
    """The rows ``(N, width)`` of a CSV file.

    Raises:
        InputError: there is no such file, it cannot be read, or has another number of columns.
    """
    if not Path(text).is_file():
        raise InputError(f"there is no CSV file '{text}'; this run takes {width} numbers an example")
    numbers = read_numbers(Path(text))
    if len(numbers[0]) != width:
        raise InputError(f"'{text}' has {len(numbers[0])} columns; this run takes {width}")
    return torch.tensor(numbers)
