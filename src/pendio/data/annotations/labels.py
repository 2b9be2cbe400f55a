"""Images with a class for each pixel, read into batches for training and evaluating segmenters."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pendio.data.annotations.joint import DRAWS, augment_labelled
from pendio.data.annotations.keeping import Keeper
from pendio.data.annotations.letterbox import read_fitted
from pendio.data.annotations.rasters import class_map
from pendio.data.annotations.records import IGNORED, Annotated
from pendio.data.examples import Examples, Failure
from pendio.data.images import ImageError, read_header
from pendio.data.randomness import uniforms
from pendio.data.streams import Stream
from pendio.errors import InputError

__all__ = ["LabelFiles", "LabelReader", "LabelSource", "Labelled", "label_stream", "labels_split", "read_mask"]

_MASK_MODES = ("1", "L", "P", "I", "I;16", "I;16L", "I;16B")
"""Pillow's names of one number a pixel: a class number, or a palette's index."""


def read_mask(path: Path) -> Tensor:
    """The numbers in a mask file uint8 ``(H, W)``: grey values or indices into its palette, whatever its colours are.

    Raises:
        ImageError: the file cannot be read, has several channels, a number above 255, or more than ``MAX_PIXELS``.
    """
    header = read_header(path)
    if header.mode not in _MASK_MODES:
        raise ImageError(
            f"mask '{path}' has colours ({header.mode}) and no class numbers; save it with a palette or in grey, "
            f"each pixel's value its class number"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own size warning: the header has been checked
            with Image.open(path) as image:
                numbers = np.array(image)
    except Exception as error:
        # The decoders raise whatever damaged content provokes.
        raise ImageError(f"mask '{path}' is damaged: {(str(error).splitlines() or [repr(error)])[0]}") from error
    if numbers.dtype.itemsize > 1 and (numbers.min() < 0 or numbers.max() > 255):
        raise ImageError(f"mask '{path}' has the value {numbers.max()}; class numbers are 0 to 254, and 255 is ignored")
    return torch.from_numpy(numbers.astype(np.uint8))


class Labelled(NamedTuple):
    """One image fitted into a square uint8 ``(3, S, S)``, and the class of each pixel uint8 ``(S, S)``."""

    image: Tensor
    mask: Tensor


class LabelSource(Protocol):
    """Pictures with masks by number: files, or scenes that are made."""

    size: int

    def __len__(self) -> int: ...

    def load(self, number: int) -> Labelled:
        """One picture of ``size`` × ``size``; an ``InputError`` says why it cannot be had."""
        ...

    def name(self, number: int) -> str:
        """What to call it when it cannot be had."""
        ...


class LabelFiles:
    """Annotated image files with masks or outlines, fitted into squares; outside of an image all is ``IGNORED``.

    Args:
        images: the annotations.
        classes: the name of each class number.
        size: side of the squares in pixels.
        table: uint8 ``(256,)``, the class that each number in a mask file means, where that is not the number itself.
    """

    def __init__(
        self, images: Sequence[Annotated], classes: tuple[str, ...], size: int, table: Tensor | None = None
    ) -> None:
        self.images, self.classes, self.size, self.table = images, classes, size, table

    def __len__(self) -> int:
        return len(self.images)

    def load(self, number: int) -> Labelled:
        """See :class:`LabelSource`."""
        told = self.images[number]
        image, letterbox = read_fitted(told, self.size)
        return Labelled(image, letterbox.mask(self._mask(told)))

    def name(self, number: int) -> str:
        """See :class:`LabelSource`."""
        return str(self.images[number].image)

    def _mask(self, told: Annotated) -> Tensor:
        if told.mask is None:
            return class_map(told, self.classes)
        mask = read_mask(told.mask)
        if mask.shape != (told.height, told.width):
            raise InputError(
                f"mask '{told.mask}' is {mask.shape[1]}×{mask.shape[0]} pixels and its image "
                f"'{told.image.name}' {told.width}×{told.height}; they must be alike"
            )
        if self.table is not None:
            mask = self.table[mask.long()]
        highest = int(torch.where(mask == IGNORED, 0, mask).max())
        if highest >= len(self.classes):
            raise InputError(
                f"mask '{told.mask}' has class {highest}, and there are {len(self.classes)} classes "
                f"(0 … {len(self.classes) - 1}; {IGNORED} is ignored)"
            )
        return mask


class LabelReader:
    """Reads pictures with masks into batches; see :class:`pendio.data.streams.Reader`.

    Batches are :class:`pendio.data.examples.Examples` with inputs uint8 ``(N, 3, S, S)``, in memory channels last, and
    targets uint8 ``(N, S, S)``: class numbers, ``IGNORED`` where there is none.

    Args:
        source: of the pictures.
        names: of the augmentations of training batches.
    """

    def __init__(self, source: LabelSource, names: tuple[str, ...] = ()) -> None:
        self.source, self.names = source, names
        self._keeper = Keeper(source.load, len(source), 4 * source.size**2)
        self.keeps = self._keeper.keeps
        """Whether the pictures stay in memory."""

    def __len__(self) -> int:
        return len(self.source)

    def read(self, indices: Tensor, seed: int, epoch: int | None) -> tuple[Examples, list[Failure]]:
        """The readable ones of the asked examples, and why the others are not."""
        names = () if epoch is None else self.names
        draws = uniforms(seed, epoch or 0, indices, DRAWS).tolist()
        read = self._keeper.get(indices.tolist())
        found = [read[index] for index in indices.tolist()]
        pictures = {row: picture for row, picture in enumerate(found) if isinstance(picture, Labelled)}
        size = self.source.size
        inputs = torch.empty(len(pictures), size, size, 3, dtype=torch.uint8).permute(0, 3, 1, 2)
        targets = torch.empty(len(pictures), size, size, dtype=torch.uint8)
        for at, (row, (image, mask)) in enumerate(pictures.items()):
            inputs[at], targets[at] = augment_labelled(image, mask, draws[row], names) if names else (image, mask)
        failures = [Failure(self.source.name(n), str(bad)) for n, bad in read.items() if isinstance(bad, InputError)]
        return Examples(inputs, targets, indices[list(pictures)]), failures


def label_stream(reader: LabelReader) -> Stream:
    """The split that a reader makes."""
    return Stream(reader, in_process=reader.keeps)


def labels_split(
    images: Sequence[Annotated],
    classes: tuple[str, ...],
    size: int,
    names: tuple[str, ...],
    training: bool,
    table: Tensor | None = None,
) -> Stream:
    """A split of annotated image files with masks or outlines.

    Args:
        images: the annotations.
        classes: the name of each class number.
        size: side in pixels of the squares that images are fitted into.
        names: of augmentations, as :func:`pendio.data.annotations.joint.parse_joint` gives them.
        training: whether the split is augmented at all.
        table: uint8 ``(256,)``, the class that each number in a mask file means, where that is not the number itself.
    """
    return label_stream(LabelReader(LabelFiles(images, classes, size, table), names if training else ()))
