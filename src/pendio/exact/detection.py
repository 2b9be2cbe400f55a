"""Truths about boxes, and about how YOLO learns them."""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from pendio.detection import anchors, boxes, suppression
from pendio.detection.yolo import decoding, losses
from pendio.detection.yolo.scales import Scale
from pendio.exact.check import Check

__all__ = ["CHECKS", "brute_force_suppression", "darknet_gradients", "overlap"]

Box = Sequence[float]


def overlap(first: Box, second: Box) -> float:
    """Intersection over union of two boxes, in plain numbers."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    common = max(width, 0) * max(height, 0)
    whole = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)) - common
    return common / whole if whole > 0 else 0.0


def _random_boxes(count: int, generator: torch.Generator) -> Tensor:
    low = 60 * torch.rand(count, 2, generator=generator)
    return torch.cat([low, low + 1 + 50 * torch.rand(count, 2, generator=generator)], 1)


def _iou() -> tuple[float, float]:
    """Points thrown at random into each of 20 pairs: how many standard errors the worst share is off; chance gives 4."""
    generator = torch.Generator().manual_seed(0)
    first, second = _random_boxes(20, generator), _random_boxes(20, generator)
    points = 111 * torch.rand(200_000, 2, generator=generator)
    within = [((points > box[:, None, :2]) & (points < box[:, None, 2:])).all(-1) for box in (first, second)]
    either = (within[0] | within[1]).sum(1)
    share = (within[0] & within[1]).sum(1) / either
    error = (share * (1 - share) / either).sqrt().clamp(min=1e-4)
    return float(((boxes.iou(first, second) - share).abs() / error).max()), 4.0


def brute_force_suppression(
    found: Sequence[Box], scores: Sequence[float], groups: Sequence[int], most: float
) -> list[int]:
    """Positions that stay, one after the other: the surest box whose group holds no surer one that overlaps it."""
    left = sorted(range(len(found)), key=lambda number: -scores[number])
    stay: list[int] = []
    for number in left:
        rivals = (other for other in stay if groups[other] == groups[number])
        if all(overlap(found[number], found[other]) <= most for other in rivals):
            stay.append(number)
    return stay


def _suppression() -> tuple[float, float]:
    """200 crowded images of up to 120 boxes in up to 5 groups, with scores of which many are equal."""
    generator = torch.Generator().manual_seed(0)
    wrong = 0
    for case in range(200):
        count = 1 + case * 3 // 5
        found = (_random_boxes(count, generator) * 4).round() / 4 + 7680
        scores = torch.randint(1, 40, (count,), generator=generator) / 40
        groups = 79 * torch.randint(1 + case % 5, (count,), generator=generator)
        most = 0.1 + 0.15 * (case % 6)
        kept = suppression.suppress(found, scores, groups, overlap=most).indices.tolist()
        expected = brute_force_suppression(found.tolist(), scores.tolist(), groups.tolist(), most)
        wrong += kept != expected
    return wrong, 0


def _coding() -> tuple[float, float]:
    """Boxes → raw answers → boxes, in all cells of a grid: the largest difference in pixels."""
    generator = torch.Generator().manual_seed(0)
    cells = torch.cartesian_prod(torch.arange(13), torch.arange(13)).double()
    centers = (cells + 0.01 + 0.98 * torch.rand(169, 2, generator=generator, dtype=torch.float64)) * 32
    sizes = 5 + 300 * torch.rand(169, 2, generator=generator, dtype=torch.float64)
    shapes = 10 + 300 * torch.rand(169, 2, generator=generator, dtype=torch.float64)
    truth = boxes.to_corners(torch.cat([centers, sizes], 1))
    raw = decoding.encode(truth, cells, shapes, 32)
    # σ and exp by themselves, so that two errors which undo each other do not pass.
    literal = torch.cat([(cells + 1 / (1 + (-raw[:, :2]).exp())) * 32, shapes * raw[:, 2:].exp()], 1)
    back = decoding.decode(raw, cells, shapes, 32)
    return max(float((back - truth).abs().max()), float((boxes.to_centers(back) - literal).abs().max())), 0.0


def _anchors() -> tuple[float, float]:
    """Six shapes, each of them many times, are the anchors to be found, and fit wholly: the distance from that."""
    known = torch.tensor([[10.0, 13], [30, 11], [33, 63], [90, 62], [59, 119], [156, 198]])
    shapes = known.repeat_interleave(torch.tensor([3, 50, 7, 20, 11, 9]), 0)
    found = anchors.fit_anchors(shapes, 6)
    return float((found.sizes - known).abs().max()) + 1 - found.mean_iou, 0.0


def _sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def _decoded(answer: Sequence[float], anchor: Sequence[float], row: int, column: int, stride: int) -> list[float]:
    x, y = (column + _sigmoid(answer[0])) * stride, (row + _sigmoid(answer[1])) * stride
    width, height = anchor[0] * math.exp(answer[2]), anchor[1] * math.exp(answer[3])
    return [x - width / 2, y - height / 2, x + width / 2, y + height / 2]


def _best_anchor(box: Box, scales: Sequence[Scale]) -> tuple[int, int]:
    """Scale and number of the anchor that is most like a box."""
    best, where = -1.0, (0, 0)
    for number, scale in enumerate(scales):
        for anchor, (width, height) in enumerate(scale.anchors):
            like = overlap([0, 0, width, height], [0, 0, box[2] - box[0], box[3] - box[1]])
            if like > best:
                best, where = like, (number, anchor)
    return where


def _places(shape: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    anchors_, height, width = shape
    return ((a, row, column) for a in range(anchors_) for row in range(height) for column in range(width))


def darknet_gradients(
    maps: Sequence[Tensor],
    scales: Sequence[Scale],
    truth: Tensor,
    labels: Tensor,
    crowd: Tensor,
    size: int,
    ignore: float,
) -> list[Tensor]:
    """The gradients of YOLOv3's own program with respect to raw maps: image by image, object by object, cell by cell.

    It takes the difference of what is answered and what is true for the gradient with respect to the raw answer, also
    where a sigmoid lies between. It is the literal form of :class:`pendio.detection.yolo.losses.YoloLoss` of "darknet".
    """
    answers = [decoding.by_anchor(raw, scale).tolist() for raw, scale in zip(maps, scales, strict=True)]
    gradients = [torch.zeros_like(raw) for raw in maps]
    views = [decoding.by_anchor(raw, scale) for raw, scale in zip(gradients, scales, strict=True)]
    for image in range(len(truth)):
        rows = zip(truth[image].tolist(), labels[image].tolist(), crowd[image].tolist(), strict=True)
        objects = [row for row in rows if row[1] >= 0]
        for number, scale in enumerate(scales):
            for a, row, column in _places(views[number].shape[1:4]):
                answer = answers[number][image][a][row][column]
                box = _decoded(answer, scale.anchors[a], row, column, scale.stride)
                if not any(_is_near(box, other, ignore, many) for other, _, many in objects):
                    views[number][image, a, row, column, 4] = _sigmoid(answer[4])
        for box, label, many in objects:
            if not many:
                number, a = _best_anchor(box, scales)
                _pull(views[number][image, a], answers[number][image][a], box, label, scales[number], a, size, objects)
    return gradients


def _is_near(box: Box, other: Box, ignore: float, many: bool) -> bool:
    if not many:
        return overlap(box, other) > ignore
    width, height = min(box[2], other[2]) - max(box[0], other[0]), min(box[3], other[3]) - max(box[1], other[1])
    return max(width, 0) * max(height, 0) > ignore * (box[2] - box[0]) * (box[3] - box[1])


def _pull(
    gradient: Tensor, answers: list[list[list[float]]], box: Box, label: int, scale: Scale, anchor: int, size: int,
    objects: Sequence[tuple[Box, int, bool]],
) -> None:  # fmt: skip
    """Write what one object does to the answer that is responsible for it, over what an earlier one did."""
    x, y = (box[0] + box[2]) / 2 / scale.stride, (box[1] + box[3]) / 2 / scale.stride
    width, height = box[2] - box[0], box[3] - box[1]
    column, row = min(int(x), gradient.shape[1] - 1), min(int(y), gradient.shape[0] - 1)
    answer, weight = answers[row][column], 2 - width / size * height / size
    gradient[row, column, 0] = weight * (_sigmoid(answer[0]) - (x - column))
    gradient[row, column, 1] = weight * (_sigmoid(answer[1]) - (y - row))
    gradient[row, column, 2] = weight * (answer[2] - math.log(width / scale.anchors[anchor][0]))
    gradient[row, column, 3] = weight * (answer[3] - math.log(height / scale.anchors[anchor][1]))
    gradient[row, column, 4] = _sigmoid(answer[4]) - 1
    mine = {other_label for other, other_label, many in objects if other == box and not many}
    for number in range(gradient.shape[2] - 5):
        gradient[row, column, 5 + number] = _sigmoid(answer[5 + number]) - (number in mine)


def _gradients() -> tuple[float, float]:
    """Two scales, three images with objects in one cell, with two classes, crowds and empty rows: the largest error."""
    generator = torch.Generator().manual_seed(0)
    scales = (Scale(16, ((50.0, 40.0), (30.0, 60.0))), Scale(8, ((12.0, 20.0), (22.0, 14.0))))
    maps = [torch.randn(3, 16, 64 // scale.stride, 64 // scale.stride, generator=generator) for scale in scales]
    maps = [raw.double().requires_grad_() for raw in maps]
    low = 30 * torch.rand(3, 7, 2, generator=generator, dtype=torch.float64)
    truth = torch.cat([low, low + 8 + 26 * torch.rand(3, 7, 2, generator=generator, dtype=torch.float64)], 2)
    labels = torch.randint(3, (3, 7), generator=generator)
    crowd = torch.zeros(3, 7, dtype=torch.bool)
    # The same box with another class; another of its shape a little aside; a crowd; an empty row.
    truth[:, 1], labels[:, 1] = truth[:, 0], (labels[:, 0] + 1) % 3
    truth[:, 3], crowd[:, 4], labels[:, 5] = truth[:, 2] + 0.01, True, -1
    total = sum(losses.YoloLoss("darknet", scales, 3, ignore=0.3)(maps, truth, labels, crowd, 64))
    found = torch.autograd.grad(total, maps)  # type: ignore[arg-type]
    expected = darknet_gradients([raw.detach() for raw in maps], scales, truth, labels, crowd, 64, 0.3)
    return max(float((one - other).abs().max()) for one, other in zip(found, expected, strict=True)), 0.0


CHECKS = (
    Check("iou", "intersection over union is the share of random points that fall into both boxes", _iou, 0.0, "≤"),
    Check("nms", "suppression decides as one box after the other would, in 200 crowded images", _suppression),
    Check("box-coding", "decoding what boxes are encoded to gives the boxes", _coding, 1e-6),
    Check("anchors", "clustering finds the shapes that boxes are made of", _anchors, 1e-9),
    Check("yolo-gradients", "the darknet loss has the gradients of its own program's loops", _gradients, 1e-9),
)
