"""Slips of the pen in boxes and in YOLO's mathematics, and the row that must notice each."""

import torch


def the_union_counts_what_is_common_twice(patch):
    from pendio.detection import boxes

    def iou_and_union(first, second):
        union = boxes.area(first) + boxes.area(second)
        return boxes._ratio(boxes.intersection(first, second), union), union

    patch.setattr(boxes, "_iou_and_union", iou_and_union)


def edges_are_pixels(patch):
    from pendio.detection import boxes

    original = boxes._sides
    patch.setattr(boxes, "_sides", lambda corners: tuple(side + 1 for side in original(corners)))


def boxes_that_went_still_suppress(patch):
    from pendio.detection import suppression

    def hard(boxes, scores, overlap):
        return ~suppression.pairwise(suppression.iou, boxes, boxes).gt(overlap).triu(1).any(1)

    patch.setattr(suppression, "_hard", hard)


def other_classes_suppress(patch):
    from pendio.detection import suppression

    original = suppression.suppress
    patch.setattr(suppression, "suppress", lambda boxes, scores, groups=None, **rest: original(boxes, scores, **rest))


def equal_scores_come_in_any_order(patch):
    from pendio.detection import suppression

    original = suppression.suppress

    def suppress(boxes, scores, groups=None, **rest):
        kept = original(boxes.flip(0), scores.flip(0), groups.flip(0), **rest)
        return kept._replace(indices=len(boxes) - 1 - kept.indices)

    patch.setattr(suppression, "suppress", suppress)


def large_groups_lose_their_weakest(patch):
    from pendio.detection import suppression

    original = suppression._gathered
    patch.setattr(
        suppression, "_gathered",
        lambda *given: (table[:, : suppression._SMALL] for table in original(*given)),
    )  # fmt: skip


def centres_are_of_cells_not_of_corners(patch):
    from pendio.detection.yolo import decoding

    original = decoding.decode
    patch.setattr(decoding, "decode", lambda raw, cells, *rest: original(raw, cells + 0.5, *rest))


def both_ways_forget_the_stride(patch):
    from pendio.detection.yolo import decoding

    decode, encode = decoding.decode, decoding.encode
    patch.setattr(decoding, "decode", lambda raw, cells, anchors, stride: decode(raw, cells, anchors, 16))
    patch.setattr(decoding, "encode", lambda boxes, cells, anchors, stride: encode(boxes, cells, anchors, 16))


def shapes_are_compared_without_their_union(patch):
    from pendio.detection import anchors

    def centered(shapes, others):
        common = torch.minimum(shapes, others).prod(-1)
        return common / (shapes.prod(-1) + others.prod(-1))

    patch.setattr(anchors, "centered_iou", centered)


def a_cluster_is_where_it_began(patch):
    from pendio.detection import anchors

    patch.setattr(anchors, "_seeds", lambda shapes, count, generator: shapes[:count])
    patch.setattr(anchors, "_centers", lambda shapes, owners, fits, before: before)


def small_boxes_weigh_like_large_ones(patch):
    from pendio.detection.yolo.losses import YoloLoss

    original = YoloLoss.__init__

    def make(self, kind, *rest, **options):
        original(self, "bce" if kind == "darknet" else kind, *rest, **options)

    patch.setattr(YoloLoss, "__init__", make)


def the_first_object_has_the_cell(patch):
    from pendio.detection.yolo import losses

    original = losses.assign
    patch.setattr(
        losses, "assign",
        lambda maps, scales, *truth_and_classes: original(
            maps, scales, *(part.flip(1) for part in truth_and_classes[:3]), truth_and_classes[3]
        ),
    )  # fmt: skip


def near_answers_are_told_to_be_silent(patch):
    from pendio.detection.yolo import losses

    patch.setattr(
        losses, "unjudged",
        lambda maps, scales, boxes, labels, crowd, overlap: torch.zeros_like(
            losses.assign(maps, scales, boxes, labels, crowd, 3).positive
        ),
    )  # fmt: skip


def crowds_are_like_other_objects(patch):
    from pendio.detection.yolo import losses

    original = losses.unjudged
    patch.setattr(losses, "unjudged", lambda *given: original(*given[:4], torch.zeros_like(given[4]), given[5]))


def a_box_has_one_class(patch):
    from pendio.detection.yolo import losses

    original = losses.assign

    def assign(*given):
        targets = original(*given)
        first = targets.classes.argmax(1, keepdim=True)
        return targets._replace(classes=torch.zeros_like(targets.classes).scatter(1, first, 1))

    patch.setattr(losses, "assign", assign)


def sigmoids_are_squared_twice(patch):
    from pendio.detection.yolo import losses

    original = losses.YoloLoss._boxes

    def boxes(self, raw, targets, size):
        return original(self, torch.cat([raw[:, :2].sigmoid(), raw[:, 2:]], 1), targets, size)

    patch.setattr(losses.YoloLoss, "_boxes", boxes)


SABOTAGE = {
    the_union_counts_what_is_common_twice: "iou",
    edges_are_pixels: "iou",
    boxes_that_went_still_suppress: "nms",
    other_classes_suppress: "nms",
    equal_scores_come_in_any_order: "nms",
    large_groups_lose_their_weakest: "nms",
    centres_are_of_cells_not_of_corners: "box-coding",
    both_ways_forget_the_stride: "box-coding",
    shapes_are_compared_without_their_union: "anchors",
    a_cluster_is_where_it_began: "anchors",
    small_boxes_weigh_like_large_ones: "yolo-gradients",
    the_first_object_has_the_cell: "yolo-gradients",
    near_answers_are_told_to_be_silent: "yolo-gradients",
    crowds_are_like_other_objects: "yolo-gradients",
    a_box_has_one_class: "yolo-gradients",
    sigmoids_are_squared_twice: "yolo-gradients",
}
