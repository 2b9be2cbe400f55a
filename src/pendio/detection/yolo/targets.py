"""Which cell and anchor answers for which object, and which answers are not judged.

Of all anchors on all scales the one that is most like an object's shape answers for it, in the cell that holds its
centre, and no other does (Redmon and Farhadi, 2018). Where several objects fall to one answer, the last one has it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pendio.detection.boxes import centered_iou, coverage, iou, pairwise, to_centers
from pendio.detection.yolo.decoding import decode_boxes, place
from pendio.detection.yolo.scales import Scale

__all__ = ["Targets", "assign", "unjudged"]

_PAIRS = (1 << 16, 1 << 24)
"""Pairs of boxes that are compared at once: on a processor their tables stay within its cache, on a GPU they fill it."""


class Targets(NamedTuple):
    """What K answers should be, by scale.

    Attributes:
        counts: how many answers of each scale there are.
        images, anchors, rows, columns: ``(K,)``: where they are, each place once.
        boxes: ``(K, 4)`` x1, y1, x2, y2 in pixels of the network's input.
        cells: ``(K, 2)`` column and row.
        shapes: ``(K, 2)`` width and height of the anchor, in pixels.
        strides: ``(K, 1)`` in pixels.
        placed: ``(K, 4)`` σ(t_x), σ(t_y), t_w and t_h.
        classes: ``(K, C)`` 1 for each class of the object and 0 for others.
        positive: ``(N, P)`` whether a place answers for an object, in the order of
            :class:`~pendio.detection.yolo.decoding.Decoded`.
    """

    counts: list[int]
    images: Tensor
    anchors: Tensor
    rows: Tensor
    columns: Tensor
    boxes: Tensor
    cells: Tensor
    shapes: Tensor
    strides: Tensor
    placed: Tensor
    classes: Tensor
    positive: Tensor


class _Grid(NamedTuple):
    """All anchors of all scales in one row: ``(A,)`` each."""

    shapes: Tensor
    scales: Tensor
    numbers: Tensor
    strides: Tensor
    heights: Tensor
    widths: Tensor
    starts: Tensor


def assign(
    maps: Sequence[Tensor], scales: Sequence[Scale], boxes: Tensor, labels: Tensor, crowd: Tensor, classes: int
) -> Targets:
    """Find who answers for each object.

    Args:
        maps: raw; their sizes alone matter.
        scales: their strides and anchors.
        boxes: ``(N, M, 4)`` in pixels of the network's input. What has no area is nobody's.
        labels: ``(N, M)``, −1 where there is no box. An object with several classes stands once with each.
        crowd: ``(N, M)``; nobody answers for these.
        classes: C.
    """
    grid = _grid(maps, scales, boxes)
    sizes = boxes[..., 2:] - boxes[..., :2]
    images, objects = ((labels >= 0) & ~crowd & (sizes > 0).all(-1)).nonzero(as_tuple=True)
    boxes, labels, sizes = boxes[images, objects], labels[images, objects], sizes[images, objects]
    best = pairwise(centered_iou, sizes, grid.shapes).argmax(-1)
    cells = (to_centers(boxes)[:, :2] / grid.strides[best, None]).floor().long()
    columns = cells[:, 0].clamp(min=0).minimum(grid.widths[best] - 1)
    rows = cells[:, 1].clamp(min=0).minimum(grid.heights[best] - 1)
    places = int(grid.starts[-1] + grid.heights[-1] * grid.widths[-1])
    slots = images * places + grid.starts[best] + rows * grid.widths[best] + columns
    # The place of each object's last rival among all objects: its own where it has the answer for itself.
    last = torch.full((len(maps[0]) * places,), -1, device=boxes.device)
    last.scatter_reduce_(0, slots, torch.arange(len(slots), device=boxes.device), "amax")
    owners = last[slots]
    table = boxes.new_zeros(len(slots), classes)
    same = (boxes == boxes[owners]).all(-1)
    table[owners[same], labels[same]] = 1
    kept = (owners == torch.arange(len(slots), device=boxes.device)).nonzero()[:, 0]
    kept = kept[grid.scales[best[kept]].argsort(stable=True)]
    best, cells = best[kept], torch.stack([columns, rows], 1)[kept]
    shapes, strides = grid.shapes[best], grid.strides[best, None]
    return Targets(
        grid.scales[best].bincount(minlength=len(scales)).tolist(), images[kept], grid.numbers[best],
        cells[:, 1], cells[:, 0], boxes[kept], cells, shapes, strides,
        place(boxes[kept], cells, shapes, strides), table[kept], (last >= 0).view(-1, places),
    )  # fmt: skip


def _grid(maps: Sequence[Tensor], scales: Sequence[Scale], like: Tensor) -> _Grid:
    rows: list[tuple[int, int, int, int, int, int]] = []
    start = 0
    for number, (raw, scale) in enumerate(zip(maps, scales, strict=True)):
        height, width = raw.shape[2:]
        for anchor in range(len(scale.anchors)):
            rows.append((number, anchor, scale.stride, height, width, start))
            start += height * width
    shapes = like.new_tensor([anchor for scale in scales for anchor in scale.anchors])
    return _Grid(shapes, *torch.tensor(rows, device=like.device).unbind(1))


@torch.no_grad()
def unjudged(
    maps: Sequence[Tensor], scales: Sequence[Scale], boxes: Tensor, labels: Tensor, crowd: Tensor, overlap: float
) -> Tensor:
    """Which places may claim an object or not, as they please: ``(N, P)``.

    Their box overlaps an object, of any class, by more than ``overlap``: it is nearly right, though another answers for
    the object. Or more than that share of their box lies in a crowd, of which it may well hold a member.
    """
    predicted = decode_boxes(maps, scales)
    real, crowds = (labels >= 0) & ~crowd, (labels >= 0) & crowd
    out = torch.zeros(predicted.shape[:2], dtype=torch.bool, device=predicted.device)
    for measure, chosen in ((iou, real), (coverage, crowds)):
        truth = _front(boxes, chosen)[:, :, None]
        step = max(1, _PAIRS[predicted.is_cuda] // max(1, truth[..., 0].numel()))
        for start in range(0, out.shape[1] if truth.numel() else 0, step):
            part = predicted[:, None, start : start + step]
            out[:, start : start + step] |= measure(part, truth).amax(1) > overlap
    return out


def _front(boxes: Tensor, chosen: Tensor) -> Tensor:
    """The chosen of ``(N, M, 4)`` boxes first, without columns that hold none; others have no area."""
    most = int(chosen.sum(1).max()) if chosen.numel() else 0
    order = chosen.byte().argsort(dim=1, descending=True, stable=True)[:, :most]
    return (boxes * chosen[..., None]).gather(1, order[..., None].expand(-1, -1, 4))
