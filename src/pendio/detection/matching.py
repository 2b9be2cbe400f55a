"""Which detection found which object: what a detector answered laid beside what is true, and matched one to one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from pendio.detection.boxes import coverage, iou
from pendio.detection.detections import Detections

__all__ = ["NONE", "Found", "Matches", "Outcome", "Pairs", "Truths", "match", "overlapping"]

NONE = -1
"""Stands where a detection has no object, or an object no detection."""

_PAIRS = 1 << 21
"""Pairs of boxes that are compared at once: 2 million take about 400 MB."""


class Found(NamedTuple):
    """The detections of several images in one row, by falling score; among equals, in the order of the images.

    Attributes:
        images: ``(K,)`` which image, from 0.
        boxes: ``(K, 4)`` float64, x1, y1, x2, y2 in pixels.
        scores: ``(K,)`` float64.
        labels: ``(K,)`` class numbers.
    """

    images: Tensor
    boxes: Tensor
    scores: Tensor
    labels: Tensor


class Truths(NamedTuple):
    """The objects of several images in one row, in the order of the images.

    Attributes:
        images: ``(T,)`` which image, from 0.
        boxes: ``(T, 4)`` float64, x1, y1, x2, y2 in pixels.
        labels: ``(T,)`` class numbers.
        crowd: ``(T,)`` whether it counts neither for nor against a detector.
        areas: ``(T,)`` float64, square pixels.
    """

    images: Tensor
    boxes: Tensor
    labels: Tensor
    crowd: Tensor
    areas: Tensor


@dataclass(frozen=True)
class Outcome:
    """What a detector found in ``count`` images, and what is there."""

    count: int
    found: Found
    truths: Truths

    @staticmethod
    def of(
        detections: Sequence[Detections], boxes: Tensor, labels: Tensor, crowd: Tensor, areas: Tensor
    ) -> "Outcome":  # fmt: skip
        """Of a batch, all in pixels of the original images.

        Args:
            detections: one for each of N images.
            boxes: ``(N, M, 4)``.
            labels: ``(N, M)``, −1 where there is no box.
            crowd: ``(N, M)``.
            areas: ``(N, M)``.
        """
        images, rows = (labels >= 0).nonzero(as_tuple=True)
        truths = Truths(
            images.cpu(), _upright(boxes[images, rows]), labels[images, rows].cpu(),
            crowd[images, rows].bool().cpu(), areas[images, rows].double().cpu(),
        )  # fmt: skip
        counts = torch.tensor([len(one.scores) for one in detections], dtype=torch.long)
        found = Found(
            torch.arange(len(detections)).repeat_interleave(counts),
            _upright(torch.cat([one.boxes.reshape(-1, 4) for one in detections] or [torch.zeros(0, 4)])),
            torch.cat([one.scores for one in detections] or [torch.zeros(0)]).double().cpu(),
            torch.cat([one.labels for one in detections] or [torch.zeros(0)]).long().cpu(),
        )
        return Outcome(len(detections), _ranked(found), truths)

    @staticmethod
    def joined(outcomes: Sequence["Outcome"]) -> "Outcome":
        """One of all images, in their order."""
        if not outcomes:
            nothing = torch.zeros(0, 0)
            return Outcome.of([], torch.zeros(0, 0, 4), nothing.long(), nothing, nothing)
        starts, count = [], 0
        for outcome in outcomes:
            starts.append(count)
            count += outcome.count
        found = [
            one.found._replace(images=one.found.images + start) for one, start in zip(outcomes, starts, strict=True)
        ]
        truths = [
            one.truths._replace(images=one.truths.images + start) for one, start in zip(outcomes, starts, strict=True)
        ]
        return Outcome(
            count,
            _ranked(Found(*(torch.cat(column) for column in zip(*found, strict=True)))),
            Truths(*(torch.cat(column) for column in zip(*truths, strict=True))),
        )

    def above(self, score: float) -> "Outcome":
        """With the detections alone that are at least so sure."""
        kept = self.found.scores >= score
        return Outcome(self.count, Found(*(column[kept] for column in self.found)), self.truths)


def _upright(boxes: Tensor) -> Tensor:
    """In float64; a box whose right lies left of its left is empty."""
    boxes = boxes.double().cpu()
    return torch.cat([boxes[:, :2], boxes[:, 2:].maximum(boxes[:, :2])], 1)


def _ranked(found: Found) -> Found:
    # By image first, so that equal scores come in the order of the images, as in COCO's protocol.
    order = found.images.argsort(stable=True)
    order = order[found.scores[order].argsort(descending=True, stable=True)]
    return Found(*(column[order] for column in found))


class Pairs(NamedTuple):
    """Detections and objects of one image that overlap.

    Attributes:
        found: ``(P,)`` detections.
        truth: ``(P,)`` objects.
        overlap: ``(P,)`` their intersection over union; with a crowd, over the detection's area.
    """

    found: Tensor
    truth: Tensor
    overlap: Tensor

    def where(self, kept: Tensor) -> "Pairs":
        """Some of them, by a mask ``(P,)``."""
        return Pairs(*(column[kept] for column in self))


def overlapping(outcome: Outcome, least: float) -> Pairs:
    """All pairs of a detection and an object of the same image, of whatever classes, that overlap by ``least`` or more."""
    found, truths = outcome.found, outcome.truths
    counts = torch.bincount(truths.images, minlength=outcome.count)
    starts = counts.cumsum(0) - counts
    partners = counts[found.images]
    chunks = []
    for rows in _chunks(partners):
        repeats = partners[rows]
        first = rows.repeat_interleave(repeats)
        within = torch.arange(len(first)) - (repeats.cumsum(0) - repeats).repeat_interleave(repeats)
        second = starts[found.images[first]] + within
        boxes, objects = found.boxes[first], truths.boxes[second]
        overlap = torch.where(truths.crowd[second], coverage(boxes, objects), iou(boxes, objects))
        chunks.append(Pairs(first, second, overlap).where(overlap >= least))
    if not chunks:
        return Pairs(torch.zeros(0).long(), torch.zeros(0).long(), torch.zeros(0).double())
    return Pairs(*(torch.cat(column) for column in zip(*chunks, strict=True)))


def _chunks(partners: Tensor) -> Sequence[Tensor]:
    """Rows in order, in parts whose partners together are few enough."""
    rows = torch.arange(len(partners))
    part = partners.cumsum(0) // _PAIRS
    return rows.split(torch.unique_consecutive(part, return_counts=True)[1].tolist()) if len(rows) else []


class Matches(NamedTuple):
    """Who found whom.

    Attributes:
        truth: ``(K,)`` the object of each detection; ``NONE`` where it has none.
        ignored: ``(K,)`` whether a detection lies in a crowd, and is neither right nor wrong.
        found: ``(T,)`` the detection of each object; ``NONE`` where it was missed, and of crowds.
    """

    truth: Tensor
    ignored: Tensor
    found: Tensor

    @property
    def hits(self) -> Tensor:
        """``(K,)`` whether a detection found an object."""
        return (self.truth != NONE) & ~self.ignored

    @property
    def false(self) -> Tensor:
        """``(K,)`` whether a detection found nothing."""
        return self.truth == NONE


def match(outcome: Outcome, least: float = 0.5, *, by_class: bool = True, pairs: Pairs | None = None) -> Matches:
    """Match as COCO's evaluation does: the surer detection chooses first.

    By falling score, each detection takes the object that it overlaps most, by ``least`` at the least, among those that are
    left; where there is none, it may lie in a crowd, which any number of detections may share. All pairs are compared
    at once; only those that overlap enough are gone through one by one.

    Args:
        outcome: of all images.
        least: intersection over union from which a detection has found an object.
        by_class: whether detections take objects of their own class alone.
        pairs: of :func:`overlapping`, down to ``least`` or less, where they are known already.
    """
    pairs = overlapping(outcome, least) if pairs is None else pairs.where(pairs.overlap >= least)
    if by_class:
        pairs = pairs.where(outcome.found.labels[pairs.found] == outcome.truths.labels[pairs.truth])
    crowd = outcome.truths.crowd
    # In the order in which they are tried; the last key sorts first. Of equal overlaps, COCO's loop keeps the later.
    order = pairs.truth.argsort(descending=True, stable=True)
    for key, descending in ((pairs.overlap, True), (crowd[pairs.truth].int(), False), (pairs.found, False)):
        order = order[key[order].argsort(descending=descending, stable=True)]
    truth_of = [NONE] * len(outcome.found.scores)
    found_by = [NONE] * len(crowd)
    shared = crowd.tolist()
    for detection, truth in zip(pairs.found[order].tolist(), pairs.truth[order].tolist(), strict=True):
        if truth_of[detection] != NONE or found_by[truth] != NONE:
            continue
        truth_of[detection] = truth
        if not shared[truth]:
            found_by[truth] = detection
    truth = torch.tensor(truth_of, dtype=torch.long)
    ignored = torch.zeros(len(truth), dtype=torch.bool)
    ignored[truth != NONE] = crowd[truth[truth != NONE]]
    return Matches(truth, ignored, torch.tensor(found_by, dtype=torch.long))
