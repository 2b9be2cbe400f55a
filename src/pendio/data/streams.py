"""Splits that do not fit into memory: image files decoded by worker processes, and any ``torch`` data set."""

import math
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
import torchvision.transforms.v2.functional as V
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pendio.data.augment import Augment, crop_boxes
from pendio.data.examples import Examples, Failure, positions, step_count
from pendio.data.images import ImageError, read_image
from pendio.data.randomness import uniforms
from pendio.errors import InputError

__all__ = ["ImageFiles", "Items", "Stream", "frame"]

MAX_BAD_SHARE = 0.01
"""Share of unreadable examples above which reading stops."""


def frame(image: Tensor, size: int, crop: float = 1.0) -> Tensor:
    """The middle of an image: the shorter side resized to ``size / crop``, then ``size`` × ``size`` cut out.

    Args:
        image: uint8 ``(C, H, W)``.
        size: side of the result in pixels.
        crop: share of the shorter side that is kept, in (0, 1].
    """
    side = round(size / crop)
    height, width = image.shape[-2:]
    if min(height, width) != side:
        scale = side / min(height, width)
        target = [max(side, round(height * scale)), max(side, round(width * scale))]
        image = V.resize(image, target, interpolation=V.InterpolationMode.BICUBIC, antialias=True)
    return V.center_crop(image, [size, size])  # type: ignore[no-any-return]


def _prepare_worker(number: int) -> None:
    """Ctrl-C reaches a terminal's whole process group: the training process alone decides what follows."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class _Request(NamedTuple):
    """What a worker is asked for: one batch."""

    indices: Tensor
    seed: int
    epoch: int | None


class Reader(Protocol):
    """Reads the examples of a batch; a pure function of its arguments, so that any worker gives the same batch."""

    def __len__(self) -> int: ...

    def read(self, indices: Tensor, seed: int, epoch: int | None) -> tuple[Any, list[Failure]]:
        """The readable ones of the asked examples, and why the others are not."""
        ...


class _Batches(Dataset[Any]):
    """What a worker holds: a data set whose items are whole batches, asked for by request."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def __getitem__(self, request: _Request) -> tuple[Any, list[Failure]]:
        return self._reader.read(*request)


class ImageFiles:
    """Reads image files into batches of one size.

    Args:
        paths: of the files.
        targets: ``(N,)`` class numbers.
        size: side of the images in a batch, in pixels.
        crop: share of an image's shorter side that evaluation sees.
        grey: whether the images are read with one channel.
        augment: what happens to training batches; None for nothing.
    """

    def __init__(
        self, paths: Sequence[Path], targets: Tensor, size: int, crop: float, grey: bool, augment: Augment | None
    ) -> None:
        self.paths, self.targets, self.size, self.crop, self.grey, self.augment = (
            tuple(paths), targets, size, crop, grey, augment,
        )  # fmt: skip
        names = () if augment is None else augment.names
        self._cuts = "crop" in names
        # The smallest crop is half as wide as the image.
        self._enough = 2 * size if self._cuts else math.ceil(size / crop)
        self._then = (
            None if augment is None else Augment(tuple(name for name in names if name != "crop"), augment.classes)
        )

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, indices: Tensor, seed: int, epoch: int | None) -> tuple[Examples, list[Failure]]:
        """See :class:`Reader`."""
        training = epoch is not None
        draws = uniforms(seed, epoch or 0, indices, 8)
        images, kept, failures = [], [], []
        for row, index in enumerate(indices.tolist()):
            try:
                image = read_image(self.paths[index], grey=self.grey, at_least=self._enough)
            except ImageError as error:
                failures.append(Failure(str(self.paths[index]), str(error)))
                continue
            images.append(self._cut(image, draws[row : row + 1]) if training and self._cuts else self._frame(image))
            kept.append(row)
        chosen = indices[kept]
        shape = (0, 1 if self.grey else 3, self.size, self.size)
        stacked = torch.stack(images) if images else torch.zeros(shape, dtype=torch.uint8)
        batch = Examples(stacked, self.targets[chosen], chosen)
        if epoch is not None and self._then is not None and images:
            batch = self._then(batch, seed, epoch)
        return batch, failures

    def _frame(self, image: Tensor) -> Tensor:
        return frame(image, self.size, self.crop)

    def _cut(self, image: Tensor, draws: Tensor) -> Tensor:
        height, width = (torch.tensor([float(side)], dtype=torch.float64) for side in image.shape[-2:])
        top, left, rows, columns = (round(value) for value in crop_boxes(draws, height, width)[0].tolist())
        rows, columns = max(1, rows), max(1, columns)
        cut = image[:, top : top + rows, left : left + columns]
        return V.resize(cut, [self.size, self.size], antialias=True)  # type: ignore[no-any-return]


class Items:
    """Reads the items ``(input, target)`` of any map-style ``torch.utils.data.Dataset``.

    An item that raises counts as unreadable. Its own randomness is its own affair.
    """

    def __init__(self, dataset: Any, augment: Augment | None = None) -> None:
        self.dataset = dataset
        self.augment = augment

    def __len__(self) -> int:
        return len(self.dataset)

    def read(self, indices: Tensor, seed: int, epoch: int | None) -> tuple[Examples, list[Failure]]:
        """See :class:`Reader`."""
        inputs, targets, kept, failures = [], [], [], []
        for index in indices.tolist():
            try:
                given, target = self.dataset[index]
                inputs.append(torch.as_tensor(given))
            except (OSError, ValueError, RuntimeError, InputError) as error:
                failures.append(Failure(f"item {index}", str(error)))
                continue
            targets.append(int(target))
            kept.append(index)
        if not inputs:
            return Examples(
                torch.empty(0), torch.empty(0, dtype=torch.long), torch.empty(0, dtype=torch.long)
            ), failures
        batch = Examples(torch.stack(inputs), torch.tensor(targets), torch.tensor(kept))
        return (batch if epoch is None or self.augment is None else self.augment(batch, seed, epoch)), failures


class Stream:
    """A split that is read while it is used, by worker processes that run ahead.

    Unreadable examples are skipped, counted and named in ``failures``.

    Args:
        reader: of the examples.
        in_process: read without worker processes, whatever is asked for: each would fill a memory of its own with what
            the reader keeps.
    """

    def __init__(self, reader: Reader, in_process: bool = False) -> None:
        self.reader = reader
        self._in_process = in_process
        self._failures: dict[str, Failure] = {}
        self._requests: list[_Request] = []
        self._loader: DataLoader[Any] | None = None

    def __len__(self) -> int:
        return len(self.reader)

    def steps(self, size: int, world: int = 1) -> int:
        """See :class:`pendio.data.examples.Split`."""
        return step_count(len(self), size, world)

    def take(self, indices: Tensor) -> Any:
        """See :class:`pendio.data.examples.Split`."""
        return self.reader.read(indices, 0, None)[0]

    def to(self, device: torch.device) -> "Stream":
        """The stream itself: batches travel one by one."""
        return self

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Examples that could not be read so far."""
        return tuple(self._failures.values())

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
        """See :class:`pendio.data.examples.Split`.

        Raises:
            InputError: more than 1 % of the examples cannot be read.
        """
        shares = positions(len(self), size, seed=seed, epoch=epoch, start=start, rank=rank, world=world)
        # The list is filled anew for each pass: the loader, whose workers live on, iterates over it.
        self._requests[:] = [_Request(share, seed, epoch) for share in shares]
        for batch, failures in self._open_loader(0 if self._in_process else workers):
            if failures:
                self._note(failures)
            if len(batch.indices):
                yield batch

    def _open_loader(self, workers: int) -> "DataLoader[Any]":
        if self._loader is None or self._loader.num_workers != workers:
            self._loader = DataLoader(
                _Batches(self.reader),
                batch_size=None,
                sampler=self._requests,
                num_workers=workers,
                persistent_workers=workers > 0,
                worker_init_fn=_prepare_worker,
                pin_memory=torch.cuda.is_available(),
            )
        return self._loader

    def _note(self, failures: list[Failure]) -> None:
        self._failures.update((failure.path, failure) for failure in failures)
        if len(self._failures) > MAX_BAD_SHARE * len(self):
            first = next(iter(self._failures.values()))
            raise InputError(
                f"{len(self._failures)} of {len(self)} examples cannot be read, more than 1 %; "
                f"repair or remove them. The first: {first.reason}"
            )
