"""What a detector gets wrong: each mistake by its kind, what mending it would bring, and in which images it is found."""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pendio.detection.matching import NONE, Outcome, Pairs, match, overlapping
from pendio.detection.metrics import precision_at

__all__ = [
    "KINDS", "ErrorBudget", "ErrorShare", "ImageErrors", "Mistakes", "confusion", "error_budget", "find_mistakes",
    "image_errors", "mended_precision",
]  # fmt: skip

KINDS = {
    "localisation": "the right class in the right place, but the box fits badly",
    "class": "a box that fits an object of another class",
    "duplicate": "one more box for an object that was found already",
    "both": "near an object of another class, with a box that fits badly",
    "background": "a box where there is nothing",
    "missed": "an object that nothing was found of",
}
"""Kind of mistake → what it is; all but the last are of detections."""

_NAMES = tuple(KINDS)
_CLAIMING = ("localisation", "class")


class Mistakes(NamedTuple):
    """What is wrong with each detection and each object.

    Attributes:
        kind: ``(K,)`` number in ``KINDS`` of a detection's mistake; ``NONE`` where it is right or lies in a crowd.
        target: ``(K,)`` the object that a detection is or would be right about, were it mended; ``NONE`` where none.
        ignored: ``(K,)`` whether a detection lies in a crowd.
        missed: ``(T,)`` whether nothing was found of an object, not even with a wrong class or a bad box.
    """

    kind: Tensor
    target: Tensor
    ignored: Tensor
    missed: Tensor


def find_mistakes(outcome: Outcome, iou: float = 0.5, least: float = 0.1) -> Mistakes:
    """The kind of each mistake, after Bolya et al. (2020).

    A false detection is, by the first of these that holds: a duplicate if it overlaps an object of its class by ``iou``
    or more (which a surer one has taken then); of a wrong class if it does so with an object of another; badly localised
    if it overlaps an object of its class by ``least`` or more; both if one of another; else background.

    Args:
        outcome: of all images.
        iou: intersection over union from which a detection has found an object.
        least: below it, a detection has nothing to do with an object.
    """
    pairs = overlapping(outcome, least)
    matches = match(outcome, iou, pairs=pairs)
    pairs = pairs.where(~outcome.truths.crowd[pairs.truth])
    own = outcome.found.labels[pairs.found] == outcome.truths.labels[pairs.truth]
    count = len(matches.truth)
    (near, mine), (near_other, other) = _closest(pairs.where(own), count), _closest(pairs.where(~own), count)
    kind = torch.full((count,), _NAMES.index("background"))
    target = torch.full((count,), NONE)
    # From the last that may hold to the first, which has the last word.
    for name, holds, its in (
        ("both", near_other >= least, None),
        ("localisation", near >= least, mine),
        ("class", near_other >= iou, other),
        ("duplicate", near >= iou, None),
    ):
        kind[holds] = _NAMES.index(name)
        target[holds] = NONE if its is None else its[holds]
    right = ~matches.false
    kind[right], target[right] = NONE, matches.truth[right]
    covered = torch.zeros(len(outcome.truths.crowd), dtype=torch.bool)
    covered[target[target != NONE]] = True
    return Mistakes(kind, target, matches.ignored, ~covered & ~outcome.truths.crowd)


def _closest(pairs: Pairs, count: int) -> tuple[Tensor, Tensor]:
    """For each of ``count`` detections its highest overlap and with which object; 0 and ``NONE`` without any."""
    order = pairs.overlap.argsort(stable=True)
    overlap, truth = torch.zeros(count, dtype=torch.float64), torch.full((count,), NONE)
    highest = torch.full((count,), NONE).scatter_reduce(0, pairs.found[order], torch.arange(len(order)), "amax")
    some = highest != NONE
    best = order[highest[some]]
    overlap[some], truth[some] = pairs.overlap[best], pairs.truth[best]
    return overlap, truth


def mended_precision(outcome: Outcome, mistakes: Mistakes, kinds: Collection[str] = ()) -> float:
    """AP at an overlap of 0.5, mean over the classes that occur, if all mistakes of some ``kinds`` were mended.

    Mended, a bad box or a wrong class is right, unless its object is found already or by a surer one that was mended
    too: then it goes, as do duplicates, background and what is wrong in both ways; missed objects are not asked for.
    """
    truths, labels = outcome.truths, outcome.found.labels.clone()
    claims = mistakes.kind == NONE
    kept = ~mistakes.ignored
    for name in kinds:
        chosen = mistakes.kind == _NAMES.index(name)
        if name in _CLAIMING:
            labels[chosen] = truths.labels[mistakes.target[chosen]]
            claims = claims | chosen
        else:
            kept = kept & ~chosen
    claims = claims & kept
    first = _first_claims(mistakes, claims)
    kept = kept & (first | ~claims)
    asked = ~truths.crowd & ~(mistakes.missed if "missed" in kinds else torch.zeros_like(truths.crowd))
    values = []
    for number in truths.labels[~truths.crowd].unique().tolist():
        mine = kept & (labels == number)
        values.append(precision_at(first[mine], int((asked & (truths.labels == number)).sum())))
    return sum(values) / max(1, len(values))


def _first_claims(mistakes: Mistakes, claims: Tensor) -> Tensor:
    """``(K,)`` which detections get the object that they claim: those that had it, then the surest of the mended."""
    rows = claims.nonzero().flatten()
    rows = rows[(mistakes.kind[rows] != NONE).int().argsort(stable=True)]
    objects = mistakes.target[rows]
    order = objects.argsort(stable=True)
    ranked = objects[order]
    leads = torch.ones(len(ranked), dtype=torch.bool)
    leads[1:] = ranked[1:] != ranked[:-1]
    first = torch.zeros_like(claims)
    first[rows[order[leads]]] = True
    return first


@dataclass(frozen=True)
class ErrorShare:
    """What one kind of mistake costs.

    Attributes:
        kind: see ``KINDS``.
        count: how often it is made at the threshold.
        gain: by how much AP at an overlap of 0.5 would rise, were it mended wherever it is made.
        images: which hold it, those with the most of it first.
    """

    kind: str
    count: int
    gain: float
    images: tuple[int, ...]


@dataclass(frozen=True)
class ErrorBudget:
    """What all mistakes cost; the gains do not add up, since one mistake may hide another.

    Attributes:
        ap50: AP at an overlap of 0.5 as it is.
        threshold: score from which a detection is counted.
        shares: one for each kind.
    """

    ap50: float
    threshold: float
    shares: tuple[ErrorShare, ...]

    def to_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)


def error_budget(outcome: Outcome, threshold: float = 0.25) -> ErrorBudget:
    """What each kind of mistake costs, and which images hold it.

    Gains are those over all detections, of which average precision is made; counts and images are those of detections
    that a person would see, because detectors answer with thousands of boxes that they do not believe in themselves.

    Args:
        outcome: of all images.
        threshold: score from which a detection is counted.
    """
    everything, seen = find_mistakes(outcome), outcome.above(threshold)
    before, visible = mended_precision(outcome, everything), find_mistakes(seen)
    shares = []
    for number, name in enumerate(KINDS):
        concerned = (
            seen.truths.images[visible.missed] if name == "missed" else seen.found.images[visible.kind == number]
        )
        counts = torch.bincount(concerned, minlength=outcome.count)
        order = counts.argsort(descending=True, stable=True)
        images = order[counts[order] > 0].tolist()
        gain = mended_precision(outcome, everything, (name,)) - before
        shares.append(ErrorShare(name, len(concerned), gain, tuple(images)))
    return ErrorBudget(before, threshold, tuple(shares))


def confusion(outcome: Outcome, classes: int, iou: float = 0.5, threshold: float = 0.25) -> Tensor:
    """Counts ``(C + 1, C + 1)`` of (true, predicted); the last row and column stand for the background.

    Objects are first laid beside detections of their own class, then those that are left beside others that overlap
    them by ``iou``; what is left then was missed, or found where there is nothing. Crowds count nowhere.
    """
    seen = outcome.above(threshold)
    found, truths = seen.found, seen.truths
    pairs = overlapping(seen, iou)
    own = match(seen, iou, pairs=pairs)
    left = own.false[pairs.found] & (own.found[pairs.truth] == NONE) & ~truths.crowd[pairs.truth]
    other = match(seen, iou, by_class=False, pairs=pairs.where(left))
    partner = torch.where(own.truth != NONE, own.truth, other.truth)
    told = ~own.ignored
    true = torch.where(
        partner != NONE, torch.cat([truths.labels, truths.labels.new_tensor([classes])])[partner], classes
    )
    missed = (own.found == NONE) & (other.found == NONE) & ~truths.crowd
    rows = torch.cat([true[told], truths.labels[missed]])
    columns = torch.cat([found.labels[told], torch.full((int(missed.sum()),), classes)])
    side = classes + 1
    return torch.bincount(rows * side + columns, minlength=side * side).view(side, side)


class ImageErrors(NamedTuple):
    """Mistakes in each image: ``(N,)`` objects missed, and ``(N,)`` detections that are false."""

    missed: Tensor
    false: Tensor

    @property
    def worst(self) -> Tensor:
        """Images with any mistake, those with the most first."""
        total = self.missed + self.false
        order = total.argsort(descending=True, stable=True)
        return order[total[order] > 0]


def image_errors(outcome: Outcome, iou: float = 0.5, threshold: float = 0.25) -> ImageErrors:
    """How many objects are missed and how many detections are false in each image, at a score."""
    seen = outcome.above(threshold)
    matches = match(seen, iou)
    missed = (matches.found == NONE) & ~seen.truths.crowd
    return ImageErrors(
        torch.bincount(seen.truths.images[missed], minlength=outcome.count),
        torch.bincount(seen.found.images[matches.false], minlength=outcome.count),
    )
