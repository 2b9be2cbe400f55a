"""Images with boxes, read into batches for training and evaluating detectors."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from pendio.data.annotations.joint import DRAWS, Place, Window, move, paint, place, recolor, visible
from pendio.data.annotations.keeping import Keeper
from pendio.data.annotations.letterbox import GREY, Letterbox, read_fitted
from pendio.data.annotations.mosaic import is_mosaic, partners, quarters
from pendio.data.annotations.records import Annotated
from pendio.data.examples import Failure
from pendio.data.randomness import uniforms
from pendio.data.streams import Stream
from pendio.errors import InputError

__all__ = ["BoxExamples", "BoxFiles", "BoxReader", "BoxSource", "Boxed", "box_stream", "boxes_split"]


class BoxExamples(NamedTuple):
    """A batch of images with boxes; N images, at most M boxes in one.

    Attributes:
        inputs: uint8 ``(N, 3, S, S)``, each image fitted into the square; in memory, channels come last.
        boxes: ``(N, M, 4)`` x1, y1, x2, y2 in pixels of ``inputs``; zeros where there is no box.
        labels: ``(N, M)`` class numbers, −1 where there is no box. One object may stand twice with different labels.
        crowd: ``(N, M)`` boxes that count neither for nor against a detector.
        areas: ``(N, M)`` of the objects in square pixels of the original image.
        sizes: ``(N, 2)`` height and width of the original image.
        indices: ``(N,)`` positions in the split.
    """

    inputs: Tensor
    boxes: Tensor
    labels: Tensor
    crowd: Tensor
    areas: Tensor
    sizes: Tensor
    indices: Tensor


class Boxed(NamedTuple):
    """One image fitted into a square uint8 ``(3, S, S)``, its boxes ``(M, 4)`` there, and what :class:`Annotated` says."""

    image: Tensor
    boxes: Tensor
    labels: Tensor
    crowd: Tensor
    areas: Tensor
    height: int
    width: int


class _Piece(NamedTuple):
    """A picture's part in an image of a batch: which row it is of, where the picture goes, and what of it is seen."""

    row: int
    picture: Boxed
    where: Place
    window: Window


class _Marks(NamedTuple):
    """What a batch says of boxes: each ``(K, …)``, or ``(N, M, …)``."""

    boxes: Tensor
    labels: Tensor
    crowd: Tensor
    areas: Tensor


class BoxSource(Protocol):
    """Pictures with boxes by number: files, or scenes that are made."""

    size: int

    def __len__(self) -> int: ...

    def load(self, number: int) -> Boxed:
        """One picture of ``size`` × ``size``; an ``InputError`` says why it cannot be had."""
        ...

    def name(self, number: int) -> str:
        """What to call it when it cannot be had."""
        ...

    def shapes(self) -> Tensor:
        """``(K, 2)`` width and height of all boxes but crowds, in pixels of a picture."""
        ...


class BoxFiles:
    """Annotated image files, fitted into squares.

    Args:
        images: the annotations.
        size: side of the squares in pixels.
    """

    def __init__(self, images: Sequence[Annotated], size: int) -> None:
        self.images = images
        self.size = size

    def __len__(self) -> int:
        return len(self.images)

    def load(self, number: int) -> Boxed:
        """See :class:`BoxSource`."""
        told = self.images[number]
        image, letterbox = read_fitted(told, self.size)
        boxes = letterbox.boxes(told.boxes)
        return Boxed(image, boxes, told.labels, told.crowd, told.areas, told.height, told.width)

    def name(self, number: int) -> str:
        """See :class:`BoxSource`."""
        return str(self.images[number].image)

    def shapes(self) -> Tensor:
        """See :class:`BoxSource`; no picture is read."""
        boxes = [Letterbox(told.height, told.width, self.size).boxes(told.boxes[~told.crowd]) for told in self.images]
        together = torch.cat([torch.zeros(0, 4), *boxes])
        return together[:, 2:] - together[:, :2]


class BoxReader:
    """Reads pictures with boxes into batches; see :class:`pendio.data.streams.Reader`.

    Args:
        source: of the pictures; at the largest size that is asked for.
        size: side of the images in a batch, in pixels.
        names: of the augmentations of training batches.
        sizes: sides of which each training batch draws one, for training at several scales; ``size`` if there are none.
    """

    def __init__(self, source: BoxSource, size: int, names: tuple[str, ...] = (), sizes: tuple[int, ...] = ()) -> None:
        self.source, self.size, self.names, self.sizes = source, size, names, sizes
        self._keeper = Keeper(source.load, len(source), 3 * source.size**2)
        self.keeps = self._keeper.keeps
        """Whether the pictures stay in memory."""

    def __len__(self) -> int:
        return len(self.source)

    def read(self, indices: Tensor, seed: int, epoch: int | None) -> tuple[BoxExamples, list[Failure]]:
        """The readable ones of the asked examples, and why the others are not."""
        names = () if epoch is None else self.names
        size = self.size if epoch is None or not self.sizes else self._drawn_size(indices, seed, epoch)
        draws = uniforms(seed, epoch or 0, indices, DRAWS).tolist()
        groups = [
            [index, *(partners(row, len(self)) if "mosaic" in names and is_mosaic(row) else ())]
            for index, row in zip(indices.tolist(), draws, strict=True)
        ]
        read = self._keeper.get(number for group in groups for number in group)
        found = [read[index] for index in indices.tolist()]
        originals = {row: told for row, told in enumerate(found) if isinstance(told, Boxed)}
        # Painted where they stay: a batch is not collated again.
        inputs = torch.full((len(originals), size, size, 3), GREY, dtype=torch.uint8).permute(0, 3, 1, 2)
        pieces = []
        for at, row in enumerate(originals):
            # A quarter of a mosaic that cannot be read stays grey, and is reported below.
            for number, (where, window) in zip(groups[row], _places(draws[row], size, names, groups[row]), strict=True):
                picture = read[number]
                if isinstance(picture, Boxed):
                    paint(inputs[at], picture.image, where, window)
                    pieces.append(_Piece(at, picture, where, window))
            if "color" in names:
                recolor(inputs[at], draws[row])
        sizes = torch.tensor([[told.height, told.width] for told in originals.values()]).view(-1, 2).long()
        failures = [Failure(self.source.name(n), str(bad)) for n, bad in read.items() if isinstance(bad, InputError)]
        marks = _marked(pieces, len(originals), self.source.size, whole=not names)
        return BoxExamples(inputs, *marks, sizes, indices[list(originals)]), failures

    def _drawn_size(self, indices: Tensor, seed: int, epoch: int) -> int:
        drawn = uniforms(seed, epoch, indices[:1], DRAWS + 1)[0, DRAWS]
        return self.sizes[int(drawn * len(self.sizes))]


def _places(draws: Sequence[float], size: int, names: tuple[str, ...], group: list[int]) -> list[tuple[Place, Window]]:
    return quarters(draws, size, names) if len(group) > 1 else [(place(draws, size, names), Window(0, 0, size, size))]


def _marked(pieces: Sequence[_Piece], count: int, side: int, whole: bool) -> _Marks:
    """The boxes of a batch of ``count`` images, padded: ``(N, M, …)``, M at least 1.

    Args:
        pieces: in the order of their rows.
        count: of images.
        side: of the pictures that the pieces are of.
        whole: all pictures are seen whole, so that no box is dropped.
    """
    pictures = [piece.picture for piece in pieces]
    lengths = torch.tensor([len(picture.labels) for picture in pictures], dtype=torch.long)
    rows = torch.tensor([piece.row for piece in pieces], dtype=torch.long).repeat_interleave(lengths)
    if len(rows):
        boxes, labels, crowd, areas = (torch.cat(column) for column in list(zip(*pictures, strict=True))[1:5])
        places = torch.tensor([piece.where for piece in pieces]).repeat_interleave(lengths, dim=0)
        windows = torch.tensor([piece.window for piece in pieces]).repeat_interleave(lengths, dim=0)
        boxes = move(boxes, places, side)
        if not whole:
            boxes, kept = visible(boxes, windows)
            boxes, labels, crowd, areas, rows = (column[kept] for column in (boxes, labels, crowd, areas, rows))
    counts = torch.bincount(rows, minlength=count)
    shape = (count, max(1, int(counts.max())) if count else 1)
    padded = _Marks(
        torch.zeros(*shape, 4), torch.full(shape, -1), torch.zeros(shape, dtype=torch.bool), torch.zeros(shape)
    )
    if len(rows):
        columns = torch.arange(len(rows)) - (counts.cumsum(0) - counts)[rows]
        for target, values in zip(padded, (boxes, labels, crowd, areas), strict=True):
            target[rows, columns] = values
    return padded


def box_stream(reader: BoxReader) -> Stream:
    """The split that a reader makes."""
    return Stream(reader, in_process=reader.keeps)


def boxes_split(
    images: Sequence[Annotated], size: int, names: tuple[str, ...], training: bool, sizes: tuple[int, ...] = ()
) -> Stream:
    """A split of annotated image files.

    Args:
        images: the annotations.
        size: side in pixels of the squares that images are fitted into.
        names: of augmentations, as :func:`pendio.data.annotations.joint.parse_joint` gives them.
        training: whether the split is augmented, and read at several sizes, at all.
        sizes: sides of which each training batch draws one.
    """
    if not training:
        return box_stream(BoxReader(BoxFiles(images, size), size))
    return box_stream(BoxReader(BoxFiles(images, max(size, *sizes, 0)), size, names, sizes))
