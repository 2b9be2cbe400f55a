import itertools

import pytest
import torch

from pendio.detection.detections import Detections
from pendio.detection.matching import NONE, Outcome, match, overlapping
from pendio.exact.precision import random_case

OBJECT = [0.0, 0, 10, 10]


def outcome(found, objects, crowd=()):
    """One image: (box, score, label) found, (box, label) there."""
    detections = Detections(
        torch.tensor([box for box, _, _ in found]).reshape(-1, 4),
        torch.tensor([score for _, score, _ in found]),
        torch.tensor([label for _, _, label in found], dtype=torch.long),
    )
    boxes = torch.tensor([box for box, _ in objects]).reshape(1, -1, 4)
    labels = torch.tensor([[label for _, label in objects]], dtype=torch.long)
    crowds = torch.tensor([[number in crowd for number in range(len(objects))]])
    return Outcome.of([detections], boxes, labels, crowds, (boxes[..., 2:] - boxes[..., :2]).prod(-1))


def test_the_surer_detection_chooses_first():
    found = [([0.0, 0, 10, 9], 0.5, 0), ([0.0, 0, 10, 8], 0.9, 0)]
    one = outcome(found, [(OBJECT, 0)])
    matches = match(one)
    assert one.found.scores.tolist() == pytest.approx([0.9, 0.5])
    assert matches.truth.tolist() == [0, NONE]
    assert matches.false.tolist() == [False, True]
    assert matches.found.tolist() == [0]


def test_a_detection_takes_the_object_that_it_overlaps_most_among_those_left():
    objects = [([0.0, 0, 10, 10], 0), ([2.0, 0, 12, 10], 0)]
    one = outcome([([2.0, 0, 12, 10], 0.9, 0), ([2.0, 0, 12, 10], 0.8, 0)], objects)
    assert match(one).truth.tolist() == [1, 0]


def test_of_equal_overlaps_the_later_object_is_taken_as_in_the_protocol():
    assert match(outcome([(OBJECT, 0.9, 0)], [(OBJECT, 0), (OBJECT, 0)])).truth.tolist() == [1]


def test_an_overlap_of_exactly_the_threshold_is_a_match():
    one = outcome([([0.0, 0, 10, 5], 0.9, 0)], [(OBJECT, 0)])
    assert match(one, 0.5).hits.tolist() == [True]
    assert match(one, 0.51).hits.tolist() == [False]


def test_classes_keep_apart_unless_they_are_not_asked_for():
    one = outcome([(OBJECT, 0.9, 1)], [(OBJECT, 0)])
    assert match(one).truth.tolist() == [NONE]
    assert match(one, by_class=False).truth.tolist() == [0]


def test_a_crowd_holds_any_number_and_yields_to_an_object():
    crowd = ([0.0, 0, 100, 100], 0)
    found = [([50.0, 50, 60, 60], 0.9, 0), ([60.0, 60, 70, 70], 0.8, 0), (OBJECT, 0.7, 0)]
    matches = match(outcome(found, [crowd, (OBJECT, 0)], crowd=[0]))
    assert matches.ignored.tolist() == [True, True, False]
    assert matches.hits.tolist() == [False, False, True]
    assert matches.found.tolist() == [NONE, 2]


def test_images_keep_apart():
    detections = [Detections.none(), Detections(torch.tensor([OBJECT]), torch.ones(1), torch.zeros(1).long())]
    boxes = torch.tensor([[OBJECT], [[50.0, 50, 60, 60]]])
    two = Outcome.of(detections, boxes, torch.zeros(2, 1).long(), torch.zeros(2, 1), torch.full((2, 1), 100.0))
    assert two.found.images.tolist() == [1]
    assert match(two).truth.tolist() == [NONE]
    assert match(two).found.tolist() == [NONE, NONE]


def test_padding_is_no_object():
    labels = torch.tensor([[0, -1, -1]])
    padded = Outcome.of([Detections.none()], torch.zeros(1, 3, 4), labels, torch.zeros(1, 3), torch.zeros(1, 3))
    assert len(padded.truths.labels) == 1


def test_nothing_matches_nothing():
    for empty in (Outcome.joined([]), outcome([], []), outcome([(OBJECT, 0.5, 0)], []), outcome([], [(OBJECT, 0)])):
        matches = match(empty)
        assert not matches.hits.any()
        assert (matches.found == NONE).all()


def test_joining_batches_is_the_same_as_one_batch():
    case = random_case(3, images=6)
    whole = Outcome.of(*case)
    halves = Outcome.joined(
        [Outcome.of(*(column[:2] for column in case)), Outcome.of(*(column[2:] for column in case))]
    )
    assert whole.count == halves.count == 6
    for one, other in zip((*whole.found, *whole.truths), (*halves.found, *halves.truths), strict=True):
        assert torch.equal(one, other)


def looped(one, least):
    """Greedy matching as it is told: detection by detection, object by object."""
    truth, taken = [], set()
    for image, box, label in zip(
        one.found.images.tolist(), one.found.boxes.tolist(), one.found.labels.tolist(), strict=True
    ):
        chosen = (least, NONE)
        for wanted in (False, True):
            for number in range(len(one.truths.crowd)):
                crowd = bool(one.truths.crowd[number])
                if crowd != wanted or int(one.truths.images[number]) != image or number in taken:
                    continue
                if int(one.truths.labels[number]) == label:
                    chosen = max(chosen, (shared(box, one.truths.boxes[number].tolist(), crowd), number))
            if chosen[1] != NONE:
                break
        truth.append(chosen[1])
        if chosen[1] != NONE and not bool(one.truths.crowd[chosen[1]]):
            taken.add(chosen[1])
    return truth


def shared(one, other, crowd):
    width = max(0.0, min(one[2], other[2]) - max(one[0], other[0]))
    height = max(0.0, min(one[3], other[3]) - max(one[1], other[1]))
    area = (one[2] - one[0]) * (one[3] - one[1])
    whole = area if crowd else area + (other[2] - other[0]) * (other[3] - other[1]) - width * height
    return width * height / whole if whole else 0.0


@pytest.mark.parametrize(("seed", "least"), list(itertools.product(range(20), [0.5, 0.75])))
def test_matching_is_the_loop_over_each_detection_and_object(seed, least):
    one = Outcome.of(*random_case(seed))
    assert match(one, least).truth.tolist() == looped(one, least)


def test_pairs_in_many_parts_are_the_same(monkeypatch):
    one = Outcome.of(*random_case(1))
    whole = overlapping(one, 0.1)
    monkeypatch.setattr("pendio.detection.matching._PAIRS", 7)
    for part, all_ in zip(overlapping(one, 0.1), whole, strict=True):
        assert torch.equal(part, all_)
    assert len(whole.found) > 20


def test_a_box_turned_over_is_empty_and_finds_nothing():
    assert match(outcome([([10.0, 10, 0, 0], 0.9, 0)], [(OBJECT, 0)])).truth.tolist() == [NONE]


def test_above_a_score_the_surer_detections_stay_and_their_matches_with_them():
    one = Outcome.of(*random_case(5))
    every, few = match(one), match(one.above(0.6))
    assert 0 < len(few.truth) < len(every.truth)
    assert torch.equal(few.truth, every.truth[: len(few.truth)])
