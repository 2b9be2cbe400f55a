import math

import pytest
import torch

from pendio.detection.proposals.recall import best_overlaps, recall_of

OBJECT = torch.tensor([[0.0, 0, 10, 10]])
HALF, MORE, NONE = [0.0, 0, 10, 5], [0.0, 0, 10, 8], [50.0, 50, 60, 60]


def test_the_best_of_the_first_proposals_counts():
    best = best_overlaps(torch.tensor([NONE, HALF, NONE, MORE, HALF]), OBJECT, [1, 2, 3, 4, 100])
    assert best.tolist() == [pytest.approx([0, 0.5, 0.5, 0.8, 0.8])]


def test_without_proposals_or_objects_nothing_is_found():
    assert best_overlaps(torch.zeros(0, 4), OBJECT, [1, 5]).tolist() == [[0, 0]]
    assert best_overlaps(OBJECT, torch.zeros(0, 4), [1, 5]).shape == (0, 2)
    assert best_overlaps(OBJECT, OBJECT, [0, 1]).tolist() == [[0, 1]]


def test_many_objects_are_compared_in_parts(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(2, 40, 2, generator=generator) * 50
    boxes = torch.cat([corners[0], corners[0] + corners[1]], 1)
    whole = best_overlaps(boxes.flip(0), boxes, [1, 7, 40])
    monkeypatch.setattr("pendio.detection.proposals.recall._PAIRS", 100)
    assert torch.equal(best_overlaps(boxes.flip(0), boxes, [1, 7, 40]), whole)
    assert (whole[:, -1] == 1).all()


def test_recall_and_average_best_overlap_over_images():
    proposals = [torch.tensor([HALF, MORE]), torch.tensor([NONE, HALF]), torch.zeros(0, 4)]
    found = recall_of(
        proposals,
        [OBJECT, OBJECT, OBJECT[:0]],
        [torch.tensor([0]), torch.tensor([2]), torch.zeros(0).long()],
        3,
        (1, 2),
    )
    assert found.objects == 2
    assert found.counts == (1, 2)
    assert found.recall50 == (0.5, 1.0)
    assert found.recall70 == (0.0, 0.5)
    assert found.overlap == pytest.approx((0.25, 0.65))
    assert found.by_class[:, 0].tolist() == pytest.approx([0.5, 0.8])
    assert math.isnan(found.by_class[0, 1])
    assert found.by_class[:, 2].tolist() == pytest.approx([0, 0.5])
