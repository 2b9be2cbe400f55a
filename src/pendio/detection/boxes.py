"""How much boxes overlap.

A box is x1, y1, x2, y2 in pixels, edges: one that covers the whole image is 0, 0, W, H. All measures are of boxes one
beside the other, and broadcast; :func:`pairwise` makes the table of all pairs. What has no area overlaps nothing: the
measures are 0 there and never NaN, and their gradients are finite. Formats below float32 are computed in float32, where
areas of 10,000 × 10,000 pixels keep seven digits.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

__all__ = [
    "area", "centered_iou", "ciou", "coverage", "diou", "giou", "intersection", "iou", "pairwise", "precise",
    "to_centers", "to_corners",
]  # fmt: skip


_NOTHING = 1e-20
"""Square pixels that are taken for none: the gradients of ratios of less would overflow float32."""


def to_centers(boxes: Tensor) -> Tensor:
    """Corners → centre and size: ``(…, 4)`` x1, y1, x2, y2 → x, y, w, h."""
    first, second = boxes[..., :2], boxes[..., 2:]
    return torch.cat([(first + second) / 2, second - first], -1)


def to_corners(boxes: Tensor) -> Tensor:
    """Centre and size → corners: ``(…, 4)`` x, y, w, h → x1, y1, x2, y2."""
    center, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([center - half, center + half], -1)


def area(boxes: Tensor) -> Tensor:
    """``(…,)`` square pixels of ``(…, 4)`` boxes; 0 where a side is not positive."""
    width, height = _sides(precise(boxes))
    return width * height


def intersection(first: Tensor, second: Tensor) -> Tensor:
    """``(…,)`` square pixels that lie in both of ``(…, 4)`` boxes."""
    left, top, right, bottom = precise(first).unbind(-1)
    other_left, other_top, other_right, other_bottom = precise(second).unbind(-1)
    width = torch.minimum(right, other_right) - torch.maximum(left, other_left)
    height = torch.minimum(bottom, other_bottom) - torch.maximum(top, other_top)
    return width.clamp(min=0) * height.clamp(min=0)


def iou(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union, |A ∩ B| / |A ∪ B|: ``(…,)`` in [0, 1] of ``(…, 4)`` boxes."""
    return _iou_and_union(first, second)[0]


def coverage(boxes: Tensor, regions: Tensor) -> Tensor:
    """The share of each box that lies in a region, |A ∩ B| / |A|: ``(…,)`` in [0, 1] of ``(…, 4)`` boxes.

    It takes the place of intersection over union where a region is a crowd, of which a box holds one member.
    """
    return _ratio(intersection(boxes, regions), area(boxes))


def giou(first: Tensor, second: Tensor) -> Tensor:
    """Generalised IoU, IoU − |H ∖ (A ∪ B)| / |H| with the hull H of both: ``(…,)`` in [−1, 1] (Rezatofighi et al., 2019).

    It tells apart boxes that do not touch: the farther, the lower.
    """
    overlap, union = _iou_and_union(first, second)
    width, height = _hull(first, second)
    hull = width * height
    return overlap - _ratio(hull - union, hull)


def diou(first: Tensor, second: Tensor) -> Tensor:
    """Distance IoU, IoU − ρ²/c²: ``(…,)`` in [−1, 1] (Zheng et al., 2020).

    ρ is the distance of the centres and c the diagonal of the hull of both boxes.
    """
    return iou(first, second) - _distance(first, second)


def ciou(first: Tensor, second: Tensor) -> Tensor:
    """Complete IoU, IoU − ρ²/c² − αv, which minds the shape as well: ``(…,)`` in (−1.5, 1] (Zheng et al., 2020).

    v = 4/π² (arctan(w₁/h₁) − arctan(w₂/h₂))² and α = v / (1 − IoU + v), through which no gradient flows.
    """
    overlap = iou(first, second)
    shape = 4 / math.pi**2 * (_slant(first) - _slant(second)) ** 2
    with torch.no_grad():
        weight = _ratio(shape, 1 - overlap + shape)
    return overlap - _distance(first, second) - weight * shape


def centered_iou(shapes: Tensor, others: Tensor) -> Tensor:
    """Intersection over union of ``(…, 2)`` widths and heights as if their boxes had one centre: ``(…,)`` in [0, 1]."""
    width, height = shapes.unbind(-1)
    other_width, other_height = others.unbind(-1)
    common = torch.minimum(width, other_width).clamp(min=0) * torch.minimum(height, other_height).clamp(min=0)
    return _ratio(common, width * height + other_width * other_height - common)


def pairwise(measure: Callable[[Tensor, Tensor], Tensor], first: Tensor, second: Tensor) -> Tensor:
    """The measure of every one of ``(…, A, d)`` with every one of ``(…, B, d)``: ``(…, A, B)``."""
    return measure(first.unsqueeze(-2), second.unsqueeze(-3))


def precise(boxes: Tensor) -> Tensor:
    """Numbers in float32, or in float64 where they already are: boxes are not computed in formats below."""
    return boxes if boxes.dtype in (torch.float32, torch.float64) else boxes.float()


def _sides(boxes: Tensor) -> tuple[Tensor, Tensor]:
    left, top, right, bottom = boxes.unbind(-1)
    return (right - left).clamp(min=0), (bottom - top).clamp(min=0)


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    """Part / whole, and 0 where the whole is nothing; a division there would make NaN of its gradient."""
    return part / (whole + (whole <= _NOTHING))


def _iou_and_union(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    common = intersection(first, second)
    union = area(first) + area(second) - common
    return _ratio(common, union), union


def _hull(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    first, second = precise(first), precise(second)
    low = torch.minimum(first[..., :2], second[..., :2])
    high = torch.maximum(first[..., 2:], second[..., 2:])
    width, height = (high - low).clamp(min=0).unbind(-1)
    return width, height


def _distance(first: Tensor, second: Tensor) -> Tensor:
    """Squared distance of the centres over the squared diagonal of the hull."""
    width, height = _hull(first, second)
    first, second = precise(first), precise(second)
    doubled = first[..., :2] + first[..., 2:] - second[..., :2] - second[..., 2:]
    return _ratio((doubled**2).sum(-1) / 4, width**2 + height**2)


def _slant(boxes: Tensor) -> Tensor:
    """arctan(w/h), which is π/2 for no height; a point has none, and its gradient would be NaN."""
    width, height = _sides(precise(boxes))
    something = width**2 + height**2 > _NOTHING
    return torch.atan2(torch.where(something, width, 0), torch.where(something, height, 1))
