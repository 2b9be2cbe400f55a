"""What YOLO's answers cost, by name, on the same targets.

Of an answer that is responsible for an object, t are raw answers, t̂ what they should be (see
:func:`pendio.detection.yolo.decoding.encode`), w·h the object's share of the image and ĉ_i whether it is of class i.
``BCE(t, p)`` is the binary cross-entropy of σ(t) against p.

=========  ============================================================  ======================  ====================
kind       box, of responsible answers                                    objectness              classes
=========  ============================================================  ======================  ====================
v1         5 [(σ(t_x) − σ(t̂_x))² + (√b_w − √b̂_w)² + the same of y, h]    (σ(t_o) − 1)², ½ σ(t_o)²  Σ (σ(t_i) − ĉ_i)²
darknet    (2 − w·h) [BCE(t_x, σ(t̂_x)) + ½ (t_w − t̂_w)² + of y, h]       BCE(t_o, 1), BCE(t_o, 0)  Σ BCE(t_i, ĉ_i)
bce        BCE(t_x, σ(t̂_x)) + ½ (t_w − t̂_w)² + of y, h                   as darknet               as darknet
giou       (2 − w·h) (1 − GIoU(b, b̂))                                    as darknet               as darknet
ciou       (2 − w·h) (1 − CIoU(b, b̂))                                    as darknet               as darknet
=========  ============================================================  ======================  ====================

The second objectness is that of answers nobody is responsible through; those that overlap an object by more than
``ignore`` have none.

- "v1" are the squared errors of the first YOLO (Redmon et al., 2016), with λ_coord = 5 and λ_noobj = ½; b_w is the
  width's share of the image. Its errors are of sigmoids, so that its gradients fade where an answer is surely wrong.
- "darknet" has the gradients of YOLOv3's own program: it takes σ(t) − p for the gradient with respect to t, which is that
  of the cross-entropy, and the printed sum of squares is not what it descends. Small boxes weigh up to twice as much.
- "bce" is YOLOv3 as its paper words it (Redmon and Farhadi, 2018), all boxes alike.
- "giou" and "ciou" compare boxes as a whole (Rezatofighi et al., 2019; Zheng et al., 2020).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from pendio.detection.boxes import ciou, giou, precise
from pendio.detection.kinds import BoxLoss
from pendio.detection.yolo.decoding import by_anchor, decode
from pendio.detection.yolo.scales import Scale
from pendio.detection.yolo.targets import Targets, assign, unjudged

__all__ = ["Parts", "YoloLoss"]

_COORDINATES = 5.0
_NOTHING = 0.5
"""λ_coord and λ_noobj of the first YOLO."""


class Parts(NamedTuple):
    """What a batch costs, each summed over all its cells and objects; their sum, over the batch's size, is the loss.

    Attributes:
        box: of the places and sizes.
        objectness: of whether there is anything.
        classes: of what it is.
    """

    box: Tensor
    objectness: Tensor
    classes: Tensor


class YoloLoss:
    """What raw maps cost.

    Args:
        kind: which loss, see above.
        scales: strides and anchors of the maps, in their order.
        classes: C.
        ignore: an answer whose box overlaps an object by more, without being responsible for it, may claim it or not;
            0.7 in YOLOv3's own program, 0.5 in its paper.
        class_gain: what the classes' part is multiplied by; 1 in the papers. Where things are easier found than told
            apart, more of it shapes the features sooner.
    """

    def __init__(
        self, kind: BoxLoss, scales: Sequence[Scale], classes: int, *, ignore: float = 0.7, class_gain: float = 1.0
    ) -> None:
        self.kind = kind
        self.scales = tuple(scales)
        self.classes = classes
        self.ignore = ignore
        self.class_gain = class_gain

    def __call__(self, maps: Sequence[Tensor], boxes: Tensor, labels: Tensor, crowd: Tensor, size: int) -> Parts:
        """Compare maps with what is in the images.

        Args:
            maps: ``(N, B·(5 + C), size/stride, size/stride)`` raw, one for each scale.
            boxes: ``(N, M, 4)`` in pixels of the network's input.
            labels: ``(N, M)``, −1 where there is no box.
            crowd: ``(N, M)`` whether a box holds many objects; what lies in it is not judged.
            size: side of the network's input, in pixels.
        """
        boxes = precise(boxes)
        targets = assign(maps, self.scales, boxes, labels, crowd, self.classes)
        silent = ~(targets.positive | unjudged(maps, self.scales, boxes, labels, crowd, self.ignore))
        objectness, answers = _read(maps, self.scales, targets)
        return Parts(
            self._boxes(answers[:, :4], targets, size),
            self._objectness(objectness, targets.positive, silent),
            self.class_gain * self._classes(answers[:, 5:], targets.classes),
        )

    def _boxes(self, raw: Tensor, targets: Targets, size: int) -> Tensor:
        placed = targets.placed
        if self.kind == "v1":
            center = (raw[:, :2].sigmoid() - placed[:, :2]) ** 2
            roots = (targets.shapes / size).sqrt()
            # Half an exponent is a root.
            sides = roots**2 * ((raw[:, 2:].clamp(max=10) / 2).exp() - (placed[:, 2:] / 2).exp()) ** 2
            return _COORDINATES * (center.sum() + sides.sum())
        weights = 2 - (targets.boxes[:, 2:] - targets.boxes[:, :2]).prod(1) / size**2
        if self.kind in ("giou", "ciou"):
            measure = giou if self.kind == "giou" else ciou
            predicted = decode(raw, targets.cells, targets.shapes, targets.strides)
            return (weights * (1 - measure(predicted, targets.boxes))).sum()
        center = F.binary_cross_entropy_with_logits(raw[:, :2], placed[:, :2], reduction="none")
        each = (center + (raw[:, 2:] - placed[:, 2:]) ** 2 / 2).sum(1)
        return (each if self.kind == "bce" else weights * each).sum()

    def _objectness(self, logits: Tensor, positive: Tensor, silent: Tensor) -> Tensor:
        if self.kind == "v1":
            sure = logits.sigmoid()
            return ((sure - 1) ** 2 * positive).sum() + _NOTHING * (sure**2 * silent).sum()
        # −log σ(t) and −log(1 − σ(t)).
        return F.softplus(torch.where(positive, -logits, logits))[positive | silent].sum()

    def _classes(self, logits: Tensor, classes: Tensor) -> Tensor:
        if self.kind == "v1":
            return ((logits.sigmoid() - classes) ** 2).sum()
        return F.binary_cross_entropy_with_logits(logits, classes, reduction="sum")


def _read(maps: Sequence[Tensor], scales: Sequence[Scale], targets: Targets) -> tuple[Tensor, Tensor]:
    """The objectness of all places ``(N, P)`` and all answers ``(K, 5 + C)`` of those that are responsible."""
    places = torch.stack([targets.images, targets.anchors, targets.rows, targets.columns])
    objectness, answers = [], []
    for raw, scale, here in zip(maps, scales, places.split(targets.counts, 1), strict=True):
        dense, rows = _Reading.apply(raw, scale, here)
        objectness.append(dense.flatten(1))
        answers.append(rows)
    return torch.cat(objectness, 1), torch.cat(answers)


class _Reading(torch.autograd.Function):
    """Objectness everywhere and all answers somewhere, in float32.

    The gradient of a map is written once. By itself each way of reading would fill a map with zeros, and add it to that of
    the other: most of the time of the loss.
    """

    @staticmethod
    def forward(ctx: Any, raw: Tensor, scale: Scale, places: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(raw, places)
        ctx.scale = scale
        answers = by_anchor(raw, scale)
        return precise(answers[..., 4]).clone(), precise(answers[tuple(places)])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        raw, places = ctx.saved_tensors
        dense, rows = gradients
        gradient = torch.zeros_like(raw)
        answers = by_anchor(gradient, ctx.scale)
        # No place stands twice.
        answers[tuple(places)] = rows.to(raw.dtype)
        answers[..., 4] += dense.to(raw.dtype)
        return gradient, None, None
