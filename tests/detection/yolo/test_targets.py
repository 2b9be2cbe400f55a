import torch

from pendio.detection.boxes import coverage, iou, to_corners
from pendio.detection.yolo.decoding import decode, decode_all, encode
from pendio.detection.yolo.scales import Scale
from pendio.detection.yolo.targets import assign, unjudged

SCALES = (Scale(16, ((50.0, 40.0), (30.0, 60.0))), Scale(8, ((12.0, 20.0), (22.0, 14.0))))
PLACES = 2 * 16 + 2 * 64


def maps(images=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(images, 16, 64 // scale.stride, 64 // scale.stride, generator=generator) for scale in SCALES]


def objects(*rows):
    """Rows of x, y, w, h, label."""
    table = torch.tensor(rows)
    return to_corners(table[None, :, :4]), table[None, :, 4].long(), torch.zeros(1, len(rows), dtype=torch.bool)


def test_the_best_anchor_of_all_answers_in_the_cell_of_the_centre():
    boxes, labels, crowd = objects([20.0, 37, 13, 18, 2], [33, 30, 45, 41, 0])
    targets = assign(maps(), SCALES, boxes, labels, crowd, 3)
    assert targets.counts == [1, 1]
    assert targets.anchors.tolist() == [0, 0]
    assert targets.columns.tolist() == [2, 2]
    assert targets.rows.tolist() == [1, 4]
    assert targets.strides.tolist() == [[16], [8]]
    assert targets.classes.tolist() == [[1, 0, 0], [0, 0, 1]]
    assert torch.equal(targets.boxes, boxes[0].flip(0))
    torch.testing.assert_close(targets.placed[1], torch.tensor([0.5, 5 / 8, 13 / 12, 18 / 20]).where(
        torch.tensor([True, True, False, False]), torch.tensor([0.5, 5 / 8, 13 / 12, 18 / 20]).log()
    ))  # fmt: skip
    assert targets.positive.nonzero().tolist() == [[0, 1 * 4 + 2], [0, 32 + 4 * 8 + 2]]


def test_what_is_assigned_decodes_to_the_object():
    generator = torch.Generator().manual_seed(0)
    center = 64 * torch.rand(4, 9, 2, generator=generator)
    boxes = to_corners(torch.cat([center, 4 + 50 * torch.rand(4, 9, 2, generator=generator)], 2))
    labels, crowd = torch.randint(3, (4, 9), generator=generator), torch.zeros(4, 9, dtype=torch.bool)
    targets = assign(maps(4), SCALES, boxes, labels, crowd, 3)
    raw = encode(targets.boxes, targets.cells, targets.shapes, targets.strides)
    torch.testing.assert_close(
        decode(raw, targets.cells, targets.shapes, targets.strides), targets.boxes, atol=1e-3, rtol=0
    )
    assert targets.positive.sum() == len(targets.boxes) == sum(targets.counts)


def test_of_two_objects_at_one_place_the_later_one_has_it():
    rows = [20.0, 20, 12, 20, 0], [21.0, 21, 12, 19, 1]
    for order in (rows, rows[::-1]):
        boxes, labels, crowd = objects(*order)
        targets = assign(maps(), SCALES, boxes, labels, crowd, 3)
        assert targets.boxes.tolist() == [boxes[0, 1].tolist()]
        assert targets.classes.argmax().item() == labels[0, 1]
        assert targets.classes.sum() == 1


def test_classes_of_one_box_come_together_also_around_another_box():
    box, other = [20.0, 20, 12, 20], [21.0, 21, 12, 19]
    boxes, labels, crowd = objects([*box, 0], [*other, 1], [*box, 2])
    targets = assign(maps(), SCALES, boxes, labels, crowd, 3)
    assert targets.classes.tolist() == [[1, 0, 1]]


def test_images_do_not_share_places():
    boxes, _, crowd = objects([20.0, 20, 12, 20, 0])
    targets = assign(maps(3), SCALES, boxes.repeat(3, 1, 1), torch.tensor([[0], [-1], [2]]), crowd.repeat(3, 1), 3)
    assert targets.images.tolist() == [0, 2]
    assert targets.classes.argmax(1).tolist() == [0, 2]


def test_a_centre_on_the_far_edge_belongs_to_the_last_cell():
    boxes, labels, crowd = objects([64.0, 64, 12, 20, 0], [0.0, 0, 22, 14, 1], [70.0, -5, 22, 14, 1])
    targets = assign(maps(), SCALES, boxes, labels, crowd, 3)
    assert targets.cells.tolist() == [[7, 7], [0, 0], [7, 0]]
    assert targets.placed[:, :2].tolist() == [[1, 1], [0, 0], [1, 0]]


def test_rows_without_box_crowds_and_boxes_without_area_are_nobodys():
    boxes, labels, crowd = objects([20.0, 20, 12, 20, -1], [20.0, 20, 0, 20, 1], [20.0, 20, 12, 20, 1])
    crowd[0, 2] = True
    targets = assign(maps(), SCALES, boxes, labels, crowd, 3)
    assert targets.counts == [0, 0]
    assert not targets.positive.any()
    assert targets.positive.shape == (1, PLACES)
    none = assign(maps(), SCALES, torch.zeros(1, 0, 4), torch.zeros(1, 0).long(), torch.zeros(1, 0).bool(), 3)
    assert none.classes.shape == (0, 3)
    assert not unjudged(
        maps(), SCALES, torch.zeros(1, 0, 4), torch.zeros(1, 0).long(), torch.zeros(1, 0).bool(), 0.5
    ).any()


def test_near_answers_are_not_judged_and_those_within_crowds_neither(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    raw = maps(3)
    low = 40 * torch.rand(3, 6, 2, generator=generator)
    boxes = torch.cat([low, low + 10 + 20 * torch.rand(3, 6, 2, generator=generator)], 2)
    labels = torch.tensor([[0, -1, 1, 2, 0, -1], [-1] * 6, [0, 1, 2, 0, 1, 2]])
    crowd = torch.tensor([[False, True, True, False, False, False], [True] * 6, [False] * 5 + [True]])
    decoded = decode_all(raw, SCALES).boxes
    expected = torch.zeros(3, PLACES, dtype=torch.bool)
    for image in range(3):
        for box, label, many in zip(boxes[image], labels[image], crowd[image], strict=True):
            if label >= 0:
                expected[image] |= (coverage if many else iou)(decoded[image], box) > 0.4
    assert torch.equal(unjudged(raw, SCALES, boxes, labels, crowd, 0.4), expected)
    assert expected[0].any()
    assert not expected[1].any()
    monkeypatch.setattr("pendio.detection.yolo.targets._PAIRS", (50, 50))
    assert torch.equal(unjudged(raw, SCALES, boxes, labels, crowd, 0.4), expected)
