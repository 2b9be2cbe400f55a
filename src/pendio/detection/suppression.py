"""Of boxes that overlap and say the same, the surest stays.

Boxes are judged in groups: those of one class in one image. A usual trick shifts each group to a place of its own and
judges all together; its sums lose digits of float32 and overflow float16, so here each group is judged where it lies.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.ops import nms

from pendio.detection.boxes import iou, pairwise, precise
from pendio.detection.detections import Detections
from pendio.detection.kinds import SuppressionKind

__all__ = ["Kept", "suppress", "suppress_batch"]

_SMALL = 64
"""Groups up to this size are judged together, larger ones one by one."""

_PAIRS = 1 << 22
"""Pairs of boxes that are compared at once."""

_SPREAD = 0.5
"""σ of the Gaussian of soft suppression, as in its paper."""


class Kept(NamedTuple):
    """What is left, by falling score; among equals, what stood first.

    Attributes:
        indices: ``(K,)`` positions among what was given.
        scores: ``(K,)``; soft suppression has lowered some.
    """

    indices: Tensor
    scores: Tensor


def suppress(
    boxes: Tensor,
    scores: Tensor,
    groups: Tensor | None = None,
    *,
    overlap: float = 0.45,
    kind: SuppressionKind = "hard",
    floor: float = 0.001,
) -> Kept:
    """Judge the boxes of each group, the surest first.

    - ``"hard"``: boxes that overlap one that stays by more than ``overlap`` go.
    - ``"linear"``: their scores are multiplied by 1 − IoU instead (Bodla et al., 2017).
    - ``"gaussian"``: the scores of all that are still to be judged are multiplied by exp(−IoU²/σ), σ = ½ (same paper).

    Args:
        boxes: ``(K, 4)`` x1, y1, x2, y2.
        scores: ``(K,)``.
        groups: ``(K,)`` int64; boxes of other groups do not matter to one. By default all are one group.
        overlap: intersection over union, for "hard" and "linear".
        kind: what happens to the weaker of two boxes.
        floor: boxes whose score is lowered below it go.
    """
    boxes, scores = precise(boxes), precise(scores)
    if groups is None:
        groups = torch.zeros(len(boxes), dtype=torch.long, device=boxes.device)
    ranking = scores.argsort(descending=True, stable=True)
    kept, left = [], []
    for members in _gathered(ranking, groups[ranking]):
        present = members >= 0
        # Padding stands beside real boxes, and has no area.
        parts = boxes[members.clamp(min=0)] * present[..., None]
        if kind == "hard":
            stays, final = _hard(parts, scores[members.clamp(min=0)], overlap) & present, scores[members.clamp(min=0)]
        else:
            final = _soft(parts, scores[members.clamp(min=0)].where(present, -1), overlap, kind, floor)
            stays = (final >= floor) & present
        kept.append(members[stays])
        left.append(final[stays])
    if not kept:
        return Kept(ranking, scores)
    indices, order = torch.cat(kept).sort()
    final, order = torch.cat(left)[order].sort(descending=True, stable=True)
    return Kept(indices[order], final)


def _gathered(ranking: Tensor, groups: Tensor) -> Iterator[Tensor]:
    """Members of each group, the surest first: ``(G, M)`` positions, −1 where a group has fewer."""
    numbers, order = groups.sort(stable=True)
    counts = numbers.unique_consecutive(return_counts=True)[1]
    starts = counts.cumsum(0) - counts
    members = ranking[order]
    by_size = counts.argsort(stable=True)
    sizes = counts[by_size].tolist()
    first = 0
    while first < len(sizes):
        last = first + 1
        # Groups of like size share a table, so that little of it is padding.
        while last < len(sizes) and sizes[last] <= min(_SMALL, 2 * sizes[first]) \
                and (last - first) * sizes[last] ** 2 < _PAIRS:  # fmt: skip
            last += 1
        chosen, most = by_size[first:last], sizes[last - 1]
        places = torch.arange(most, device=ranking.device)
        present = places < counts[chosen, None]
        table = members[(starts[chosen, None] + places).clamp(max=len(members) - 1)]
        yield table.where(present, -1)
        first = last


def _hard(boxes: Tensor, scores: Tensor, overlap: float) -> Tensor:
    """Which of ``(G, M, 4)`` boxes stay, that are sorted by falling score."""
    if boxes.shape[1] > _SMALL:
        stays = torch.zeros(boxes.shape[:2], dtype=torch.bool, device=boxes.device)
        # It compares with a double, this module with a number of the boxes' own format.
        limit = torch.tensor(overlap, dtype=boxes.dtype).item()
        ranks = -torch.arange(boxes.shape[1], dtype=boxes.dtype, device=boxes.device)
        for group, one in enumerate(boxes):
            stays[group, nms(one, ranks, limit)] = True
        return stays
    beats = pairwise(iou, boxes, boxes).gt(overlap).triu(1)
    stays = torch.ones(boxes.shape[:2], dtype=torch.bool, device=boxes.device)
    # Each round settles at least one box more for good, the first ones first; mostly all are after three or four.
    while True:
        after = ~(beats & stays[..., None]).any(1)
        if torch.equal(after, stays):
            return stays
        stays = after


def _soft(boxes: Tensor, scores: Tensor, overlap: float, kind: SuppressionKind, floor: float) -> Tensor:
    """The scores ``(G, M)`` at which boxes are chosen, one of each group at a time; −1 where one never is."""
    waiting, chosen = scores.clone(), torch.full_like(scores, -1)
    while bool((waiting >= floor).any()):
        best, index = waiting.max(1, keepdim=True)
        chosen.scatter_(1, index, best.where(best >= floor, chosen.gather(1, index)))
        overlaps = iou(boxes.gather(1, index[..., None].expand(-1, -1, 4)), boxes)
        if kind == "linear":
            waiting *= torch.where(overlaps > overlap, 1 - overlaps, 1)
        else:
            waiting *= (-(overlaps**2) / _SPREAD).exp()
        waiting.scatter_(1, index, -1)
    return chosen


def suppress_batch(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor,
    images: Tensor,
    *,
    count: int,
    overlap: float = 0.45,
    kind: SuppressionKind = "hard",
    agnostic: bool = False,
    limit: int = 300,
) -> list[Detections]:
    """Judge the boxes of many images together, those of each class and image by themselves.

    Only the surest candidates of an image are judged at first, and more only where the ``limit`` is not reached with
    them: that changes nothing, as weaker boxes do not matter to surer ones, and saves the most for untrained networks.

    Args:
        boxes: ``(K, 4)`` x1, y1, x2, y2.
        scores: ``(K,)``.
        labels: ``(K,)`` class numbers.
        images: ``(K,)`` number of the image that a box is in, in [0, count).
        count: number of images.
        overlap, kind: see :func:`suppress`.
        agnostic: judge boxes of all classes of an image together.
        limit: the most detections an image.

    Returns:
        One for each image, by falling score; among equals, what stood first.
    """
    boxes, scores = precise(boxes), precise(scores)
    results = [Detections(boxes[:0], scores[:0], labels[:0])] * count
    mine = [(images == image).nonzero()[:, 0] for image in range(count)]
    open_images, most = list(range(count)), max(4 * limit, 1024)
    while open_images:
        parts, least = zip(*(_surest(mine[image], scores, most) for image in open_images), strict=True)
        part = torch.cat(parts)
        classes = torch.zeros_like(labels[part]) if agnostic else labels[part]
        groups = images[part] * (int(classes.max()) + 1 if len(classes) else 1) + classes
        kept = suppress(boxes[part], scores[part], groups, overlap=overlap, kind=kind)
        indices, left = part[kept.indices], kept.scores
        unsettled = []
        for image, floor in zip(open_images, least, strict=True):
            here = (images[indices] == image).nonzero()[:limit, 0]
            results[image] = Detections(boxes[indices[here]], left[here], labels[indices[here]])
            if floor is not None and (len(here) < limit or left[here[-1]] < floor):
                unsettled.append(image)
        open_images, most = unsettled, 8 * most
    return results


def _surest(mine: Tensor, scores: Tensor, most: int) -> tuple[Tensor, Tensor | None]:
    """Positions of the highest scores with all equals of the last, in order; and that last, None where these are all."""
    if len(mine) <= most:
        return mine, None
    floor = scores[mine].topk(most).values[-1]
    return mine[scores[mine] >= floor], floor
