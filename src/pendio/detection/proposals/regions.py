"""Proposals of annotated images, and batches of them to learn from."""

import os
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from pendio.data.annotations.boxes import BoxExamples, BoxReader
from pendio.data.examples import Failure, Split
from pendio.data.randomness import uniforms
from pendio.data.streams import Stream
from pendio.detection.boxes import coverage, iou, pairwise
from pendio.detection.proposals.crops import offsets
from pendio.detection.proposals.selective_search import SearchMode, propose

__all__ = [
    "POSITIVE", "SEARCH", "Matched", "RegionExamples", "RegionReader", "match_regions", "overlaps_with", "region_stream",
    "search", "smallest",
]  # fmt: skip

SEARCH: SearchMode = "single"
"""One grouping an image: cutting out and classifying what the others add costs more than it finds."""

POSITIVE = 0.5
"""Overlap with an object from which a region stands for it; others show background."""

_NEAR = 0.1
"""Overlap from which background is near an object."""

_POSITIVES, _NEGATIVES = 2, 6
"""Regions of an image in a batch: with 16 images the paper's 32 and 96."""

_VOID = -1.0
"""In place of the overlap where a region shows a crowd, and is neither."""

_WORTH_PROCESSES = 100
_CHUNK = 8


class Matched(NamedTuple):
    """Regions of one image, and the objects they may stand for.

    Attributes:
        boxes: ``(P, 4)`` x1, y1, x2, y2 in pixels of the input: the proposals, and at the end the objects' own boxes.
        overlaps: ``(P,)`` highest IoU with an object; −1 where it mostly shows a crowd.
        owners: ``(P,)`` which of the image's objects that is; of equals the first.
        proposed: how many are proposals.
    """

    boxes: Tensor
    overlaps: Tensor
    owners: Tensor
    proposed: int


class RegionExamples(NamedTuple):
    """A batch of N images, each with R regions.

    Attributes:
        inputs: uint8 ``(N, 3, S, S)``.
        regions: ``(N, R, 4)`` x1, y1, x2, y2 in pixels.
        labels: ``(N, R)`` class numbers, C for background, −1 where there is no region.
        offsets: ``(N, R, 4)`` what moves a region onto its object; zeros for background.
        indices: ``(N,)`` positions in the split.
    """

    inputs: Tensor
    regions: Tensor
    labels: Tensor
    offsets: Tensor
    indices: Tensor


def smallest(size: int) -> float:
    """The least side in pixels of a region that is looked at, in squares of ``size``."""
    return size / 24


def match_regions(proposals: Tensor, boxes: Tensor, crowd: Tensor) -> Matched:
    """Which object each region stands for.

    Args:
        proposals: ``(P, 4)``.
        boxes: ``(M, 4)`` of the image's objects.
        crowd: ``(M,)`` which count neither for nor against a detector.
    """
    real = (~crowd & ((boxes[:, 2:] - boxes[:, :2]) > 0).all(1)).nonzero()[:, 0]
    regions = torch.cat([proposals, boxes[real]])
    overlaps, owners = torch.zeros(len(regions)), torch.zeros(len(regions)).long()
    if len(real):
        overlaps, nearest = pairwise(iou, regions, boxes[real]).max(1)
        owners = real[nearest]
    if bool(crowd.any()):
        hidden = pairwise(coverage, regions, boxes[crowd]).amax(1) > 0.5
        overlaps = overlaps.where(~hidden | (overlaps >= POSITIVE), _VOID)
    return Matched(regions, overlaps, owners, len(proposals))


class _Search:
    """Reads batches of images and proposes regions in them; see :class:`pendio.data.streams.Reader`."""

    def __init__(self, images: Split, seed: int) -> None:
        self.images, self.seed = images, seed

    def __len__(self) -> int:
        return len(self.images)

    def read(self, indices: Tensor, seed: int, epoch: int | None) -> tuple["_Searched", list[Failure]]:
        """All regions of the images at these positions that can be read."""
        batch: BoxExamples = self.images.take(indices)
        found = []
        for image, boxes, labels, crowd in zip(batch.inputs, batch.boxes, batch.labels, batch.crowd, strict=True):
            proposals = propose(image, SEARCH, self.seed, smallest=smallest(image.shape[-1])).boxes
            # Objects are in the first rows, so that owners are rows of the batch.
            found.append(match_regions(proposals, boxes[labels >= 0], crowd[labels >= 0]))
        return _Searched(found, batch.indices), []


class _Searched(NamedTuple):
    found: list[Matched]
    indices: Tensor


def search(images: Split, seed: int, progress: bool, title: str) -> dict[int, Matched]:
    """Regions of all images of a split by their positions, by as many processes as there are cores; images that cannot
    be read have none.

    Args:
        images: annotated ones.
        seed: of the proposals' order.
        progress: show on standard error how far it is.
        title: what is shown with it.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = 0 if len(images) < _WORTH_PROCESSES or cores == 1 else min(cores, 8)
    source = Stream(_Search(images, seed))
    console = Console(stderr=True, highlight=False)
    if progress and not console.is_terminal:
        console.print(title)
    batches: Iterable[Any] = track(
        source.batches(_CHUNK, workers=workers), title, total=-(-len(images) // _CHUNK), transient=True,
        console=console, disable=not (progress and console.is_terminal),
    )  # fmt: skip
    return {
        index: regions for batch in batches for index, regions in zip(batch.indices.tolist(), batch[0], strict=True)
    }


class RegionReader:
    """Reads annotated images with a few of their regions; see :class:`pendio.data.streams.Reader`.

    Of each image two regions that stand for an object are drawn and six that show background, half of these near an
    object: three to one, as in the paper. Where there are too few of one kind, there are more of another.

    Args:
        images: reads annotated images.
        found: regions of each, by position.
        background: the number that background has among the classes.
    """

    def __init__(self, images: BoxReader, found: dict[int, Matched], background: int) -> None:
        self.images, self.found, self.background = images, found, background

    def __len__(self) -> int:
        return len(self.images)

    def read(self, indices: Tensor, seed: int, epoch: int | None) -> tuple[RegionExamples, list[Failure]]:
        """See :class:`pendio.data.streams.Reader`. The images stay as they are: their regions were found in them so."""
        batch, failures = self.images.read(indices, seed, None)
        count = _POSITIVES + _NEGATIVES
        shape = (len(batch.inputs), count)
        regions, moves = torch.zeros(*shape, 4), torch.zeros(*shape, 4)
        labels = torch.full(shape, -1)
        for row, index in enumerate(batch.indices.tolist()):
            its = self.found.get(index)
            if its is None:
                continue
            draws = uniforms(seed, epoch or 0, torch.tensor([index]), len(its.boxes))[0]
            chosen, positives = _drawn(its.overlaps, draws)
            owners = its.owners[chosen[:positives]]
            regions[row, : len(chosen)] = its.boxes[chosen]
            labels[row, : len(chosen)] = self.background
            labels[row, :positives] = batch.labels[row, owners]
            moves[row, :positives] = offsets(regions[row, :positives], batch.boxes[row, owners])
        return RegionExamples(batch.inputs, regions, labels, moves, batch.indices), failures


def _drawn(overlaps: Tensor, draws: Tensor) -> tuple[Tensor, int]:
    """Regions to learn from, those that stand for objects first; and how many these are."""
    total = _POSITIVES + _NEGATIVES
    positive = _first(overlaps >= POSITIVE, draws)
    near = _first((overlaps >= _NEAR) & (overlaps < POSITIVE), draws)
    far = _first((overlaps >= 0) & (overlaps < _NEAR), draws)
    chosen = positive[:_POSITIVES]
    rest = total - len(chosen)
    far = far[: max(rest - min(len(near), rest // 2), 0)]
    near = near[: rest - len(far)]
    return torch.cat([chosen, near, far]), len(chosen)


def _first(mask: Tensor, draws: Tensor) -> Tensor:
    places = mask.nonzero()[:, 0]
    return places[draws[places].argsort()]


def region_stream(images: BoxReader, found: dict[int, Matched], background: int) -> Stream:
    """The split of a :class:`RegionReader`."""
    return Stream(RegionReader(images, found, background), in_process=images.keeps)


def overlaps_with(found: Sequence[Matched]) -> Tensor:
    """Highest IoU of each object with a proposal, over images: what the proposals leave to be found."""
    parts = [torch.zeros(0)]
    for regions in found:
        proposals, objects = regions.boxes[: regions.proposed], regions.boxes[regions.proposed :]
        if len(objects):
            parts.append(pairwise(iou, objects, proposals).amax(1) if len(proposals) else torch.zeros(len(objects)))
    return torch.cat(parts)
