import math

import pytest
import torch

from pendio.detection.boxes import to_centers, to_corners
from pendio.detection.suppression import suppress_batch
from pendio.detection.yolo.decoding import decode, decode_all, decode_boxes, detect, encode, place
from pendio.detection.yolo.scales import Scale

SCALES = (Scale(16, ((50.0, 40.0), (30.0, 60.0))), Scale(8, ((12.0, 20.0), (22.0, 14.0), (9.0, 9.0))))
CLASSES = 3


def maps(images=2, height=64, width=64, seed=0, shift=-2.0, memory=torch.contiguous_format):
    generator = torch.Generator().manual_seed(seed)
    out = []
    for scale in SCALES:
        shape = (images, len(scale.anchors) * (5 + CLASSES), height // scale.stride, width // scale.stride)
        raw = 1.5 * torch.randn(shape, generator=generator)
        raw.view(images, len(scale.anchors), 5 + CLASSES, *shape[2:])[:, :, 4] += shift
        out.append(raw.contiguous(memory_format=memory))
    return out


def plain(raw_maps, threshold, multi_label=True, **options):
    """Everything decoded, then thresholded."""
    boxes, objectness, classes = decode_all(raw_maps, SCALES)
    scores = objectness.sigmoid()[..., None] * classes.sigmoid()
    if not multi_label:
        best = scores.amax(-1, keepdim=True)
        scores = torch.where(scores == best, scores, 0)
    images, places, labels = (scores > threshold).nonzero(as_tuple=True)
    return suppress_batch(
        boxes[images, places], scores[images, places, labels], labels, images, count=len(boxes), **options
    )  # fmt: skip


def same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one.labels, other.labels)
        torch.testing.assert_close(one.scores, other.scores, atol=1e-6, rtol=0)
        torch.testing.assert_close(one.boxes, other.boxes, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("threshold", [0.0, 0.005, 0.25, 0.6])
@pytest.mark.parametrize("multi_label", [True, False])
@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_detects_what_the_plain_way_does(threshold, multi_label, memory):
    raw = maps(memory=memory)
    found = detect(raw, SCALES, threshold=threshold, multi_label=multi_label, limit=10_000)
    same(found, plain(raw, threshold, multi_label, limit=10_000))
    assert threshold > 0.5 or sum(len(one.boxes) for one in found) > 0


@pytest.mark.parametrize("kind", ["hard", "linear", "gaussian"])
def test_suppression_and_limit_are_those_asked_for(kind):
    raw = maps(seed=1, shift=0.0)
    found = detect(raw, SCALES, threshold=0.05, iou=0.3, suppression=kind, limit=7)
    same(found, plain(raw, 0.05, overlap=0.3, kind=kind, limit=7))
    assert [len(one.boxes) for one in found] == [7, 7]


def test_inputs_need_not_be_square():
    raw = maps(height=32, width=96)
    same(detect(raw, SCALES, threshold=0.1), plain(raw, 0.1))
    assert decode_boxes(raw, SCALES).shape == (2, 2 * 2 * 6 + 3 * 4 * 12, 4)


def test_one_certain_answer_is_the_box_that_the_formulae_say():
    raw = [torch.full((1, len(scale.anchors) * 8, 64 // scale.stride, 64 // scale.stride), -20.0) for scale in SCALES]
    raw[1].view(1, 3, 8, 8, 8)[0, 1, :, 2, 5] = torch.tensor([0.3, -0.2, 0.4, -0.5, 3.0, 2.0, -9.0, 1.0])
    (found,) = detect(raw, SCALES, threshold=0.2)
    sigmoid = lambda value: 1 / (1 + math.exp(-value))
    x, y, width, height = (5 + sigmoid(0.3)) * 8, (2 + sigmoid(-0.2)) * 8, 22 * math.exp(0.4), 14 * math.exp(-0.5)
    assert found.labels.tolist() == [0, 2]
    assert found.scores.tolist() == pytest.approx([sigmoid(3) * sigmoid(2), sigmoid(3) * sigmoid(1)])
    expected = [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
    for box in found.boxes.tolist():
        assert box == pytest.approx(expected, abs=1e-4)
    (best,) = detect(raw, SCALES, threshold=0.2, multi_label=False)
    assert best.labels.tolist() == [0]


def test_nothing_is_found_where_nothing_is_sure():
    assert [len(one.boxes) for one in detect(maps(), SCALES, threshold=1.0)] == [0, 0]
    empty = detect([raw[:0] for raw in maps()], SCALES, threshold=0.1)
    assert empty == []


def test_wild_answers_stay_finite():
    raw = [torch.full_like(one, 1e4) for one in maps()]
    for one in detect(raw, SCALES, threshold=0.5):
        assert len(one.boxes)
        assert one.boxes.isfinite().all()


def test_bfloat16_maps_are_decoded_in_float32():
    raw = [one.bfloat16() for one in maps()]
    found = detect(raw, SCALES, threshold=0.2)
    same(found, detect([one.float() for one in raw], SCALES, threshold=0.2))
    assert found[0].boxes.dtype == found[0].scores.dtype == torch.float32


def test_places_come_by_scale_anchor_row_and_column():
    raw = maps()
    decoded = decode_all(raw, SCALES)
    place_ = 2 * 16 + (1 * 8 + 3) * 8 + 6
    answer = raw[1][1].view(3, 8, 8, 8)[1, :, 3, 6]
    assert decoded.objectness[1, place_] == answer[4]
    assert torch.equal(decoded.classes[1, place_], answer[5:])
    expected = decode(answer[:4], torch.tensor([6, 3]), torch.tensor([22.0, 14.0]), 8)
    torch.testing.assert_close(decoded.boxes[1, place_], expected)


def test_encoding_and_decoding_undo_each_other():
    generator = torch.Generator().manual_seed(0)
    raw = 2 * torch.randn(500, 4, generator=generator, dtype=torch.float64)
    cells = torch.randint(13, (500, 2), generator=generator).double()
    anchors = 5 + 300 * torch.rand(500, 2, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(encode(decode(raw, cells, anchors, 32), cells, anchors, 32), raw, atol=1e-6, rtol=0)


def test_centres_on_the_edge_of_a_cell_encode_to_something_finite():
    boxes = to_corners(torch.tensor([[32.0, 64, 10, 10], [64, 96, 10, 10]]))
    cells = torch.tensor([[1, 2], [1, 2]])
    raw = encode(boxes, cells, torch.tensor([10.0, 10]), 32)
    assert raw.isfinite().all()
    back = to_centers(decode(raw, cells, torch.tensor([10.0, 10]), 32))
    torch.testing.assert_close(back, to_centers(boxes), atol=1e-4, rtol=0)
    assert place(boxes, cells, torch.tensor([10.0, 10]), 32)[:, :2].tolist() == [[0, 0], [1, 1]]


def test_scales_can_be_keys():
    assert len({Scale(8, ((1.0, 2.0),)), Scale(8, ((1.0, 2.0),)), Scale(16, ((1.0, 2.0),))}) == 2
