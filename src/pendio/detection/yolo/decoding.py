"""From raw maps to boxes and back (Redmon and Farhadi, 2017 and 2018).

A network gives one map ``(N, B·(5 + C), H, W)`` for each :class:`Scale`. For each of B anchors a cell answers
t_x, t_y, t_w, t_h, an objectness t_o and C class logits. With the cell's column and row c_x, c_y and the anchor p_w, p_h::

    b_x = (c_x + σ(t_x)) · stride      b_w = p_w · exp(t_w)      score of class i = σ(t_o) · σ(t_i)
    b_y = (c_y + σ(t_y)) · stride      b_h = p_h · exp(t_h)

b is centre and size in pixels of the network's input. Each class has its own sigmoid, so that a box may have several.
t_w and t_h are cut off at 10, a box 22,026 times as wide as its anchor: beyond it the exponential would overflow.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pendio.detection.boxes import precise, to_centers
from pendio.detection.detections import Detections
from pendio.detection.kinds import SuppressionKind
from pendio.detection.suppression import suppress_batch
from pendio.detection.yolo.scales import Scale

__all__ = ["Decoded", "by_anchor", "decode", "decode_all", "decode_boxes", "detect", "encode", "place"]

_MOST = 10.0


class Decoded(NamedTuple):
    """What maps say in all their places, P of them: by scale, anchor, row and column.

    Attributes:
        boxes: ``(N, P, 4)`` x1, y1, x2, y2 in pixels of the network's input.
        objectness: ``(N, P)`` logits.
        classes: ``(N, P, C)`` logits.
    """

    boxes: Tensor
    objectness: Tensor
    classes: Tensor


def decode(raw: Tensor, cells: Tensor, anchors: Tensor, stride: Tensor | int) -> Tensor:
    """Boxes of raw answers.

    Args:
        raw: ``(…, 4)`` t_x, t_y, t_w, t_h.
        cells: ``(…, 2)`` column and row.
        anchors: ``(…, 2)`` width and height in pixels.
        stride: in pixels, one or ``(…, 1)``.

    Returns:
        ``(…, 4)`` x1, y1, x2, y2 in pixels; they may reach beyond the image.
    """
    center = (cells + raw[..., :2].sigmoid()) * stride
    half = anchors * raw[..., 2:].clamp(max=_MOST).exp() / 2
    low, high = center - half, center + half
    # Each coordinate lies in memory by itself: whoever compares many boxes walks along them.
    return torch.stack([low[..., 0], low[..., 1], high[..., 0], high[..., 1]]).movedim(0, -1)


def place(boxes: Tensor, cells: Tensor, anchors: Tensor, stride: Tensor | int) -> Tensor:
    """Where ``(…, 4)`` boxes lie as seen by a cell and an anchor: σ(t_x), σ(t_y) in [0, 1] and t_w, t_h."""
    boxes = to_centers(boxes)
    inside = (boxes[..., :2] / stride - cells).clamp(0, 1)
    return torch.cat([inside, (boxes[..., 2:] / anchors).log()], -1)


def encode(boxes: Tensor, cells: Tensor, anchors: Tensor, stride: Tensor | int) -> Tensor:
    """The raw answers ``(…, 4)`` that :func:`decode` makes these boxes of, whose centres lie within their cells."""
    placed = place(boxes, cells, anchors, stride)
    return torch.cat([placed[..., :2].logit(torch.finfo(boxes.dtype).eps), placed[..., 2:]], -1)


def by_anchor(raw: Tensor, scale: Scale) -> Tensor:
    """A map ``(N, B·(5 + C), H, W)`` as a view ``(N, B, H, W, 5 + C)``, whatever its memory format."""
    apart: Tensor = raw.unflatten(1, (len(scale.anchors), -1))
    return apart.permute(0, 1, 3, 4, 2)


def decode_boxes(maps: Sequence[Tensor], scales: Sequence[Scale]) -> Tensor:
    """The boxes of all places: ``(N, P, 4)``, see :class:`Decoded`."""
    parts = []
    for raw, scale in zip(maps, scales, strict=True):
        answers = precise(by_anchor(raw, scale)[..., :4])
        rows, columns = (torch.arange(count, device=raw.device, dtype=answers.dtype) for count in answers.shape[2:4])
        cells = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1)
        anchors = answers.new_tensor(scale.anchors)[:, None, None]
        parts.append(decode(answers, cells, anchors, scale.stride).movedim(-1, 0).flatten(2))
    return torch.cat(parts, 2).movedim(0, -1)


def decode_all(maps: Sequence[Tensor], scales: Sequence[Scale]) -> Decoded:
    """Everything that maps say. It is plain and complete; :func:`detect` is what is fast."""
    answers = torch.cat([by_anchor(raw, scale).flatten(1, 3) for raw, scale in zip(maps, scales, strict=True)], 1)
    return Decoded(decode_boxes(maps, scales), answers[..., 4], answers[..., 5:])


class _Candidates(NamedTuple):
    """Boxes, scores, class numbers and numbers of the images, K of each."""

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    images: Tensor


@torch.no_grad()
def detect(
    maps: Sequence[Tensor],
    scales: Sequence[Scale],
    *,
    threshold: float,
    iou: float = 0.45,
    suppression: SuppressionKind = "hard",
    multi_label: bool = True,
    limit: int = 300,
) -> list[Detections]:
    """What is where, in each image: thresholded, and without what says the same twice.

    Most places hold nothing, and what says so is one logit: it is compared before any sigmoid or exponential, and of the
    places that stay alone the box and the classes are looked at.

    Args:
        maps: raw, one for each scale.
        scales: their strides and anchors.
        threshold: scores must be higher.
        iou: two boxes of a class that overlap by more are one object.
        suppression: what happens to the weaker of two such boxes.
        multi_label: whether a box has every class whose score is high enough, or the best alone.
        limit: the most detections an image.

    Returns:
        One for each of N images; boxes in pixels of the network's input, not clipped to it.
    """
    found = [
        candidates
        for raw, scale in zip(maps, scales, strict=True)
        for candidates in _candidates(raw, scale, threshold, multi_label)
    ]
    together = _Candidates(*(torch.cat(parts) for parts in zip(*found, strict=True)))
    return suppress_batch(*together, count=len(maps[0]), overlap=iou, kind=suppression, limit=limit)


_ROWS = 1 << 16
"""Places whose classes are looked at together, so that an untrained network, which finds all things in all places, fits."""


def _candidates(raw: Tensor, scale: Scale, threshold: float, multi_label: bool) -> Iterator[_Candidates]:
    answers = by_anchor(raw, scale)
    # A class's sigmoid is at most 1. The slack is for rounding: what it lets through is compared again, exactly.
    places = (answers[..., 4] >= _logit(threshold) - 0.01).nonzero()
    for part in places.split(_ROWS) if len(places) else (places,):
        images, anchor, rows, columns = part.unbind(1)
        kept = precise(answers[images, anchor, rows, columns])
        scores = kept[:, 4:5].sigmoid() * kept[:, 5:].sigmoid()
        if multi_label:
            of, labels = (scores > threshold).nonzero(as_tuple=True)
        else:
            best = scores.argmax(1)
            of = (scores.gather(1, best[:, None])[:, 0] > threshold).nonzero()[:, 0]
            labels = best[of]
        cells = torch.stack([columns, rows], 1)
        boxes = decode(kept[:, :4], cells, kept.new_tensor(scale.anchors)[anchor], scale.stride)
        yield _Candidates(boxes[of], scores[of, labels], labels, images[of])


def _logit(probability: float) -> float:
    if probability <= 0:
        return -math.inf
    return math.inf if probability >= 1 else math.log(probability / (1 - probability))
