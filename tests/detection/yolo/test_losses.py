import math

import pytest
import torch

from pendio.detection.boxes import ciou, giou, iou, to_corners
from pendio.detection.yolo.decoding import by_anchor, decode_all, encode
from pendio.detection.yolo.losses import Parts, YoloLoss
from pendio.detection.yolo.scales import Scale
from pendio.exact.detection import darknet_gradients

SCALES = (Scale(16, ((50.0, 40.0), (30.0, 60.0))), Scale(8, ((12.0, 20.0), (22.0, 14.0))))
KINDS = ("v1", "darknet", "bce", "giou", "ciou")
SIZE, CLASSES, IGNORE = 64, 3, 0.3


def batch(seed, images=3, most=7):
    """Maps and objects: some twice with two classes, some at one place, some crowds, some rows empty."""
    generator = torch.Generator().manual_seed(seed)
    maps = [
        torch.randn(images, 16, SIZE // scale.stride, SIZE // scale.stride, generator=generator, dtype=torch.float64)
        for scale in SCALES
    ]
    low = 30 * torch.rand(images, most, 2, generator=generator, dtype=torch.float64)
    boxes = torch.cat([low, low + 6 + 28 * torch.rand(images, most, 2, generator=generator, dtype=torch.float64)], 2)
    labels = torch.randint(CLASSES, (images, most), generator=generator)
    crowd = torch.rand(images, most, generator=generator) < 0.15
    boxes[:, 1] = boxes[:, 0]
    boxes[:, 3] = boxes[:, 2] + 0.01
    labels[torch.rand(images, most, generator=generator) < 0.2] = -1
    return maps, boxes, labels, crowd


def gradients(loss, maps, *truth):
    maps = [raw.detach().clone(memory_format=torch.preserve_format).requires_grad_() for raw in maps]
    parts = loss(maps, *truth, SIZE)
    return parts, torch.autograd.grad(sum(parts), maps)


def literal(kind, maps, boxes, labels, crowd):
    """The loss in loops over images, objects and places, on the tape: slow and plain."""
    box_sum = objectness_sum = class_sum = torch.zeros((), dtype=torch.float64)
    predicted, logits, class_logits = decode_all(maps, SCALES)
    raw_all = torch.cat([by_anchor(raw, scale).flatten(1, 3) for raw, scale in zip(maps, SCALES, strict=True)], 1)
    places = [
        (scale, anchor, row, column)
        for scale in SCALES
        for anchor in scale.anchors
        for row in range(SIZE // scale.stride)
        for column in range(SIZE // scale.stride)
    ]
    for image in range(len(boxes)):
        owner = {}
        for number, (box, label, many) in enumerate(zip(boxes[image], labels[image], crowd[image], strict=True)):
            if label < 0 or many:
                continue
            x1, y1, x2, y2 = box.tolist()
            shape = (x2 - x1, y2 - y1)
            like = lambda anchor, shape=shape: (
                (both := min(anchor[0], shape[0]) * min(anchor[1], shape[1]))
                / (anchor[0] * anchor[1] + shape[0] * shape[1] - both)
            )
            best = max((anchor for scale in SCALES for anchor in scale.anchors), key=like)
            owner[next(
                place for place, (scale, anchor, row, column) in enumerate(places)
                if anchor == best
                and (row, column) == (int((y1 + y2) / 2 // scale.stride), int((x1 + x2) / 2 // scale.stride))
            )] = number  # fmt: skip
        for place, (scale, anchor, row, column) in enumerate(places):
            raw, sure = raw_all[image, place], logits[image, place].sigmoid()
            if place not in owner:
                near = False
                for box, label, many in zip(boxes[image], labels[image], crowd[image], strict=True):
                    mine = predicted[image, place].detach()
                    common = (torch.minimum(mine[2:], box[2:]) - torch.maximum(mine[:2], box[:2])).clamp(min=0).prod()
                    share = common / (mine[2:] - mine[:2]).prod() if many else iou(mine, box)
                    near = near or bool(label >= 0 and share > IGNORE)
                if not near:
                    objectness_sum = objectness_sum + (0.5 * sure**2 if kind == "v1" else -(1 - sure).log())
                continue
            objectness_sum = objectness_sum + ((sure - 1) ** 2 if kind == "v1" else -sure.log())
            truth = boxes[image, owner[place]]
            width, height = (truth[2:] - truth[:2]).tolist()
            x = float(truth[0] + truth[2]) / 2 / scale.stride - column
            y = float(truth[1] + truth[3]) / 2 / scale.stride - row
            weight = 2 - width * height / SIZE**2
            cross = lambda logit, target: -(target * logit.sigmoid().log() + (1 - target) * (1 - logit.sigmoid()).log())
            if kind == "v1":
                sides = (
                    ((anchor[0] * raw[2].exp() / SIZE).sqrt() - math.sqrt(width / SIZE)) ** 2
                    + ((anchor[1] * raw[3].exp() / SIZE).sqrt() - math.sqrt(height / SIZE)) ** 2
                )  # fmt: skip
                box_sum = box_sum + 5 * ((raw[0].sigmoid() - x) ** 2 + (raw[1].sigmoid() - y) ** 2 + sides)
            elif kind in ("darknet", "bce"):
                sides = (raw[2] - math.log(width / anchor[0])) ** 2 / 2 + (
                    raw[3] - math.log(height / anchor[1])
                ) ** 2 / 2
                box_sum = box_sum + (weight if kind == "darknet" else 1) * (cross(raw[0], x) + cross(raw[1], y) + sides)
            else:
                measure = giou if kind == "giou" else ciou
                box_sum = box_sum + weight * (1 - measure(predicted[image, place], truth))
            for number in range(CLASSES):
                target = float(any(
                    label == number and not many and torch.equal(box, truth)
                    for box, label, many in zip(boxes[image], labels[image], crowd[image], strict=True)
                ))  # fmt: skip
                logit = class_logits[image, place, number]
                class_sum = class_sum + ((logit.sigmoid() - target) ** 2 if kind == "v1" else cross(logit, target))
    return Parts(box_sum, objectness_sum, class_sum)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [0, 1])
def test_values_and_gradients_are_those_of_the_loops(kind, seed):
    maps, *truth = batch(seed, images=2)
    found, mine = gradients(YoloLoss(kind, SCALES, CLASSES, ignore=IGNORE), maps, *truth)
    expected, theirs = gradients(lambda raw, *given: literal(kind, raw, *given[:3]), maps, *truth)
    torch.testing.assert_close(found, expected, atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(mine, theirs, atol=1e-9, rtol=1e-7)


@pytest.mark.parametrize("seed", range(5))
def test_darknets_gradients_are_those_of_its_own_loops(seed):
    maps, *truth = batch(seed)
    _, found = gradients(YoloLoss("darknet", SCALES, CLASSES, ignore=IGNORE), maps, *truth)
    expected = darknet_gradients(maps, SCALES, *truth, SIZE, IGNORE)
    torch.testing.assert_close(list(found), expected, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "ciou"])
def test_gradients_are_those_of_finite_differences(kind):
    maps, *truth = batch(0, images=1, most=4)
    loss = YoloLoss(kind, SCALES, CLASSES, ignore=1.0)
    maps = [raw.requires_grad_() for raw in maps]
    assert torch.autograd.gradcheck(lambda *raw: sum(loss(raw, *truth, SIZE)), maps, fast_mode=True)


@pytest.mark.parametrize("kind", KINDS)
def test_right_answers_cost_nearly_nothing_and_wrong_ones_more(kind):
    scale = SCALES[1]
    box = to_corners(torch.tensor([[[29.0, 35, 12, 20]]]))
    maps = [torch.full((1, 16, 64 // s.stride, 64 // s.stride), -20.0) for s in SCALES]
    answer = by_anchor(maps[1], scale)[0, 0, 4, 3]
    answer[:4] = encode(box[0, 0], torch.tensor([3, 4]), torch.tensor([12.0, 20]), 8)
    answer[4], answer[6] = 20, 20
    loss = YoloLoss(kind, SCALES, CLASSES)
    truth = box, torch.tensor([[1]]), torch.zeros(1, 1, dtype=torch.bool)
    right = loss(maps, *truth, SIZE)
    # A soft target has an entropy, which no answer can go below.
    entropy = -sum(p * math.log(p) for at in (29 / 8 % 1, 35 / 8 % 1) for p in (at, 1 - at))
    least = {"darknet": (2 - 12 * 20 / 64**2) * entropy, "bce": entropy}.get(kind, 0.0)
    assert right.box.item() == pytest.approx(least, abs=1e-4)
    assert right.objectness.item() == pytest.approx(0, abs=1e-4)
    assert right.classes.item() == pytest.approx(0, abs=1e-4)
    answer[0] += 2
    answer[4] = answer[6] = -20
    wrong = loss(maps, *truth, SIZE)
    assert all(after > before + 0.1 for after, before in zip(wrong, right, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_images_without_objects_teach_silence_alone(kind):
    maps, *_ = batch(0)
    truth = torch.zeros(3, 0, 4), torch.zeros(3, 0).long(), torch.zeros(3, 0).bool()
    parts, found = gradients(YoloLoss(kind, SCALES, CLASSES), maps, *truth)
    assert parts.box == parts.classes == 0
    assert parts.objectness > 0
    for gradient, scale in zip(found, SCALES, strict=True):
        answers = by_anchor(gradient, scale)
        assert (answers[..., 4] > 0).all()
        assert not answers[..., :4].any()
        assert not answers[..., 5:].any()


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_costs_what_its_images_do(kind):
    maps, *truth = batch(2)
    loss = YoloLoss(kind, SCALES, CLASSES, ignore=IGNORE)
    together = torch.stack(loss(maps, *truth, SIZE))
    alone = [
        torch.stack(loss([raw[i : i + 1] for raw in maps], *(part[i : i + 1] for part in truth), SIZE))
        for i in range(3)
    ]
    torch.testing.assert_close(together, sum(alone))


@pytest.mark.parametrize("kind", KINDS)
def test_the_gain_of_classes_is_theirs_alone(kind):
    maps, *truth = batch(3)
    plain, _ = gradients(YoloLoss(kind, SCALES, CLASSES), maps, *truth)
    parts, _ = gradients(YoloLoss(kind, SCALES, CLASSES, class_gain=4.0), maps, *truth)
    torch.testing.assert_close(torch.stack(parts).detach(), torch.stack(plain).detach() * torch.tensor([1.0, 1.0, 4.0]))


@pytest.mark.parametrize("kind", KINDS)
def test_bfloat16_and_memory_format_change_nothing_but_digits(kind):
    maps, boxes, labels, crowd = batch(4)
    maps = [raw.bfloat16() for raw in maps]
    truth = boxes.float(), labels, crowd
    loss = YoloLoss(kind, SCALES, CLASSES, ignore=IGNORE)
    parts, low = gradients(loss, [raw.contiguous(memory_format=torch.channels_last) for raw in maps], *truth)
    exact, full = gradients(loss, [raw.float() for raw in maps], *truth)
    torch.testing.assert_close(parts, exact)
    for one, other in zip(low, full, strict=True):
        assert one.dtype == torch.bfloat16
        assert one.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(one.float(), other, atol=1e-2, rtol=1e-2)


@pytest.mark.parametrize("kind", KINDS)
def test_wild_answers_have_finite_gradients(kind):
    maps, *truth = batch(0)
    for factor in (1e3, -1e3):
        parts, found = gradients(YoloLoss(kind, SCALES, CLASSES), [factor * raw.float() for raw in maps], *truth)
        assert torch.stack(parts).isfinite().all()
        assert all(gradient.isfinite().all() for gradient in found)


@pytest.mark.parametrize("kind", KINDS)
def test_descent_finds_the_objects(kind):
    """Maps that walk down by themselves come to say what is there."""
    from pendio.detection.yolo.decoding import detect

    boxes = torch.tensor([[[5.0, 8, 18, 26], [20, 10, 62, 55]], [[30.0, 30, 50, 46], [0, 0, 0, 0]]])
    labels, crowd = torch.tensor([[0, 2], [1, -1]]), torch.zeros(2, 2, dtype=torch.bool)
    maps = [torch.zeros(2, 16, 64 // scale.stride, 64 // scale.stride, requires_grad=True) for scale in SCALES]
    optimizer = torch.optim.Adam(maps, lr=0.1)
    loss = YoloLoss(kind, SCALES, CLASSES)
    for _ in range(200):
        optimizer.zero_grad()
        sum(loss(maps, boxes, labels, crowd, SIZE)).backward()
        optimizer.step()
    found = detect(maps, SCALES, threshold=0.5)
    assert [sorted(one.labels.tolist()) for one in found] == [[0, 2], [1]]
    for one, truth, names in zip(found, boxes, labels, strict=True):
        for box, label in zip(one.boxes, one.labels, strict=True):
            assert iou(box, truth[names == label][0]) > 0.9
