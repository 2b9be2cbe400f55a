import math
import time

import pytest
import torch

from pendio.detection.boxes import iou
from pendio.detection.suppression import suppress, suppress_batch
from pendio.exact.detection import brute_force_suppression, overlap


def crowd(count, seed=0, side=60.0, levels=50):
    """Boxes on a grid of quarters of pixels, so that ties and equal boxes are common."""
    generator = torch.Generator().manual_seed(seed)
    low = (side * 4 * torch.rand(count, 2, generator=generator)).floor() / 4
    size = 5 + (120 * torch.rand(count, 2, generator=generator)).floor() / 4
    return torch.cat([low, low + size], 1), torch.randint(1, levels, (count,), generator=generator) / levels


def brute_soft(boxes, scores, kind, most, floor):
    """Soft suppression of one group, box after box."""
    boxes, waiting = boxes.tolist(), dict(enumerate(scores.tolist()))
    chosen = []
    while waiting:
        best = max(waiting, key=lambda number: (waiting[number], -number))
        score = waiting.pop(best)
        if score < floor:
            break
        chosen.append((best, score))
        for other in waiting:
            common = overlap(boxes[best], boxes[other])
            if kind == "gaussian":
                waiting[other] *= math.exp(-(common**2) / 0.5)
            elif common > most:
                waiting[other] *= 1 - common
    return chosen


@pytest.mark.parametrize("count", [1, 5, 64, 65, 300])
@pytest.mark.parametrize("groups", [1, 3, 40])
def test_decides_as_brute_force_does(count, groups):
    for seed in range(4):
        boxes, scores = crowd(count, seed)
        numbers = torch.randint(groups, (count,), generator=torch.Generator().manual_seed(seed))
        kept = suppress(boxes, scores, numbers, overlap=0.3)
        expected = brute_force_suppression(boxes.tolist(), scores.tolist(), numbers.tolist(), 0.3)
        assert kept.indices.tolist() == expected
        assert torch.equal(kept.scores, scores[kept.indices])


@pytest.mark.parametrize("count", [10, 100])
def test_of_equals_the_first_stays_and_goes_first(count):
    boxes = torch.tensor([[0.0, 0, 9, 9], [20, 0, 29, 9]]).repeat(count, 1)
    kept = suppress(boxes, torch.full((2 * count,), 0.5))
    assert kept.indices.tolist() == [0, 1]


def test_an_overlap_just_at_the_limit_stays():
    boxes = torch.tensor([[0.0, 0, 10, 20], [0, 0, 10, 9]])
    assert suppress(boxes, torch.tensor([0.9, 0.8]), overlap=0.45).indices.tolist() == [0, 1]
    assert suppress(boxes, torch.tensor([0.9, 0.8]), overlap=0.449).indices.tolist() == [0]
    many = torch.cat([boxes, torch.arange(100)[:, None] * 50.0 + torch.tensor([100.0, 0, 110, 10])])
    scores = torch.cat([torch.tensor([0.9, 0.8]), torch.full((100,), 0.1)])
    assert len(suppress(many, scores, overlap=0.45).indices) == 102


def test_far_corners_and_many_classes_lose_no_digits():
    """A tenth of a pixel decides, at the far end of a large image and in the 79th class."""
    one = torch.tensor([7600.0, 7600, 7600.2, 7600.2])
    boxes = torch.stack([one, one + torch.tensor([0.1, 0, 0.1, 0])])
    exact = float(iou(boxes[0], boxes[1]))
    for number in (0, 79, 79 * 64):
        groups = torch.full((2,), number)
        assert len(suppress(boxes, torch.tensor([0.9, 0.8]), groups, overlap=exact - 0.01).indices) == 1
        assert len(suppress(boxes, torch.tensor([0.9, 0.8]), groups, overlap=exact + 0.01).indices) == 2


def test_half_precision_boxes_are_no_trouble():
    boxes = torch.tensor([[0.0, 0, 4000, 4000], [0, 0, 4000, 3900], [10, 10, 20, 20]]).half()
    assert suppress(boxes, torch.tensor([0.5, 0.6, 0.4]).half()).indices.tolist() == [1, 2]


def test_boxes_without_area_hide_nothing():
    boxes = torch.tensor([[5.0, 5, 5, 5], [5, 5, 5, 5], [0, 0, 9, 9]])
    assert suppress(boxes, torch.tensor([0.9, 0.8, 0.7])).indices.tolist() == [0, 1, 2]


def test_nothing_in_nothing_out():
    kept = suppress(torch.zeros(0, 4), torch.zeros(0))
    assert len(kept.indices) == len(kept.scores) == 0
    found = suppress_batch(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0).long(), torch.zeros(0).long(), count=3)
    assert [len(one.boxes) for one in found] == [0, 0, 0]


@pytest.mark.parametrize("kind", ["linear", "gaussian"])
@pytest.mark.parametrize("count", [1, 12, 90])
def test_soft_suppression_is_that_of_its_loop(kind, count):
    boxes, scores = crowd(count, 3)
    groups = torch.arange(count) % 3
    kept = suppress(boxes, scores, groups, overlap=0.3, kind=kind, floor=0.05)
    found = dict(zip(kept.indices.tolist(), kept.scores.tolist(), strict=True))
    expected = {}
    for group in range(3):
        mine = (groups == group).nonzero()[:, 0]
        for number, score in brute_soft(boxes[mine], scores[mine], kind, 0.3, 0.05):
            expected[int(mine[number])] = score
    assert found == pytest.approx(expected, abs=1e-6)
    assert (kept.scores[:-1] >= kept.scores[1:]).all()


def test_soft_suppression_by_hand():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 5], [50, 50, 60, 60]])
    scores = torch.tensor([0.9, 0.8, 0.7])
    linear = suppress(boxes, scores, overlap=0.3, kind="linear")
    assert linear.indices.tolist() == [0, 2, 1]
    assert linear.scores.tolist() == pytest.approx([0.9, 0.7, 0.4])
    gaussian = suppress(boxes, scores, kind="gaussian")
    assert gaussian.scores.tolist() == pytest.approx([0.9, 0.7, 0.8 * math.exp(-0.5)])


@pytest.mark.parametrize("kind", ["hard", "linear", "gaussian"])
def test_images_do_not_matter_to_each_other(kind):
    parts = [crowd(count, seed) for seed, count in enumerate((40, 0, 7))]
    boxes, scores = (torch.cat(column) for column in zip(*parts, strict=True))
    images = torch.tensor([0] * 40 + [2] * 7)
    labels = torch.arange(47) % 4
    mixed = torch.randperm(47, generator=torch.Generator().manual_seed(0))
    found = suppress_batch(boxes[mixed], scores[mixed], labels[mixed], images[mixed], count=3, kind=kind, limit=10)
    assert len(found[1].boxes) == 0
    for image in (0, 2):
        mine = mixed[images[mixed] == image]
        alone = suppress(boxes[mine], scores[mine], labels[mine], kind=kind)
        order = mine[alone.indices[:10]]
        assert torch.equal(found[image].boxes, boxes[order])
        assert torch.equal(found[image].labels, labels[order])
        torch.testing.assert_close(found[image].scores, alone.scores[:10])


def test_agnostic_suppression_minds_no_classes():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9]])
    given = (boxes, torch.tensor([0.5, 0.9]), torch.tensor([1, 2]), torch.zeros(2).long())
    assert suppress_batch(*given, count=1)[0].labels.tolist() == [2, 1]
    assert suppress_batch(*given, count=1, agnostic=True)[0].labels.tolist() == [2]


@pytest.mark.parametrize("kind", ["hard", "linear", "gaussian"])
@pytest.mark.parametrize("levels", [3, 100_000])
def test_judging_the_surest_first_changes_nothing(kind, levels):
    boxes, scores = crowd(3000, 5, side=30, levels=levels)
    labels, images = torch.arange(3000) % 2, torch.zeros(3000).long()
    (found,) = suppress_batch(boxes, scores, labels, images, count=1, overlap=0.2, kind=kind, limit=30)
    all_kept = suppress(boxes, scores, labels, overlap=0.2, kind=kind)
    assert torch.equal(found.boxes, boxes[all_kept.indices[:30]])
    torch.testing.assert_close(found.scores, all_kept.scores[:30])


def test_an_untrained_network_finds_all_everywhere_and_costs_little():
    boxes, _ = crowd(400_000, 1, side=400)
    scores = torch.rand(400_000, generator=torch.Generator().manual_seed(1))
    labels, images = torch.arange(400_000) % 80, torch.arange(400_000) % 4
    began = time.perf_counter()
    found = suppress_batch(boxes, scores, labels, images, count=4)
    assert time.perf_counter() - began < 30
    assert all(len(one.boxes) == 300 for one in found)
