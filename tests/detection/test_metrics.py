import contextlib
import io
import multiprocessing
import time

import numpy as np
import pytest
import torch

from pendio.detection.detections import Detections
from pendio.detection.matching import Outcome, match
from pendio.detection.metrics import DetectionMetrics, best_threshold, evaluate, precision_at
from pendio.exact.precision import Case, random_case

from .test_matching import OBJECT, outcome

# Average precision against pycocotools, which stands as the definition


def by_pycocotools(case, classes):
    """Precision ``(10, 101, C, 4)`` and recall ``(10, C, 4)``."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    images = [{"id": 1 + number} for number in range(len(case.detections))]
    categories = [{"id": 1 + number} for number in range(classes)]
    truth, found = [], []
    for image, found_here in enumerate(case.detections):
        for box, label, crowd, area in zip(
            *(column[image].tolist() for column in (case.boxes, case.labels, case.crowd, case.areas)), strict=True
        ):
            if label >= 0:
                truth.append({"id": len(truth) + 1, "image_id": image + 1, "category_id": label + 1, "area": area,
                              "bbox": sides(box), "iscrowd": int(crowd)})  # fmt: skip
        for box, score, label in zip(*(column.tolist() for column in found_here), strict=True):
            found.append({"id": len(found) + 1, "image_id": image + 1, "category_id": label + 1, "score": score,
                          "bbox": sides(box), "area": sides(box)[2] * sides(box)[3], "iscrowd": 0})  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        there, answered = COCO(), COCO()
        for index, annotations in ((there, truth), (answered, found)):
            index.dataset = {"images": images, "categories": categories, "annotations": annotations}
            index.createIndex()
        evaluation = COCOeval(there, answered, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.eval["precision"][..., -1], evaluation.eval["recall"][..., -1], evaluation.stats


def sides(box):
    return [box[0], box[1], box[2] - box[0], box[3] - box[1]]


@pytest.mark.parametrize("batch", range(10))
def test_a_thousand_random_cases_are_measured_as_by_pycocotools(batch):
    """Classes are measured each on its own, so that a hundred of them are a hundred cases."""
    case = random_case(1000 + batch, images=2, classes=100, most=4)
    precision, recall, stats = by_pycocotools(case, 100)
    measured = evaluate(Outcome.of(*case), 100)
    np.testing.assert_allclose(measured.precision.numpy(), precision, atol=1e-10)
    np.testing.assert_allclose(measured.recall.numpy(), recall, atol=1e-10)
    present = (precision[0, 0, :, 0] > -1).sum()
    assert 50 < present < 100, "some classes must be absent"
    named = measured.summary()
    order = ("map", "map50", "map75", "map_small", "map_medium", "map_large")
    np.testing.assert_allclose([named[name] for name in order], stats[:6], atol=1e-10)
    assert named["recall100"] == pytest.approx(stats[8], abs=1e-10)


def test_the_hundred_surest_detections_of_a_class_in_an_image_count():
    boxes = torch.tensor([[[0.0, 0, 10, 10]]])
    wrong = torch.tensor([[50.0, 50, 60, 60]]).repeat(100, 1)
    scores = torch.linspace(0.9, 0.5, 101)
    zero = torch.zeros(1, 1).long()

    def measured(place):
        rows = torch.cat([wrong[:place], boxes[0], wrong[place:]])
        found = Detections(rows, scores, torch.zeros(101).long())
        metrics = DetectionMetrics(1)
        metrics.update([found], boxes, zero, zero, torch.full((1, 1), 100.0))
        return metrics.compute()

    assert measured(99)["map50"] == pytest.approx(1 / 100)
    assert measured(100)["map50"] == 0


# By hand


def metrics_of(one, classes=1):
    return evaluate(one, classes).summary()


def test_a_perfect_answer_is_1_and_nothing_found_is_0():
    assert metrics_of(outcome([(OBJECT, 0.3, 0)], [(OBJECT, 0)]))["map"] == 1
    nothing = metrics_of(outcome([], [(OBJECT, 0)]))
    assert (nothing["map"], nothing["recall100"], nothing["map_small"], nothing["map_large"]) == (0, 0, 0, -1)


def test_without_objects_nothing_can_be_measured():
    for one in (outcome([(OBJECT, 0.3, 0)], []), Outcome.joined([])):
        assert set(metrics_of(one).values()) == {-1}


def test_images_without_objects_cost_precision():
    detections = [
        Detections(torch.tensor([OBJECT]), torch.tensor([score]), torch.zeros(1).long()) for score in (0.5, 0.9)
    ]
    labels = torch.tensor([[0], [-1]])
    two = Outcome.of(detections, torch.tensor([[OBJECT], [[0.0] * 4]]), labels, labels < -1, torch.full((2, 1), 100.0))
    assert metrics_of(two)["map"] == pytest.approx(0.5)


def test_sizes_are_those_of_the_objects_outlines():
    box = torch.tensor([[[0.0, 0, 100, 100]]])
    found = [Detections(box[0], torch.ones(1), torch.zeros(1).long())]
    zero = torch.zeros(1, 1).long()

    def sizes(area):
        measured = metrics_of(Outcome.of(found, box, zero, zero, torch.tensor([[area]])))
        return [measured[f"map_{name}"] for name in ("small", "medium", "large")]

    assert sizes(900.0) == [1, -1, -1]
    assert sizes(9000.0) == [-1, 1, -1]
    assert sizes(10000.0) == [-1, -1, 1]


def test_each_class_has_its_own_and_absent_ones_none():
    one = outcome([(OBJECT, 0.9, 0), ([0.0, 0, 10, 6], 0.9, 2)], [(OBJECT, 0), (OBJECT, 2)])
    measured = evaluate(one, 3)
    assert measured.per_class() == [(1, 1), (-1, -1), (pytest.approx(0.3), 1)]
    assert measured.curves().shape == (3, 101)
    assert measured.curves()[:, 0].tolist() == [1, -1, 1]
    assert measured.summary()["map"] == pytest.approx(0.65)


def test_own_average_precision_is_the_evaluators():
    for seed in range(20):
        one = Outcome.of(*random_case(seed))
        matches, measured = match(one), evaluate(one, 3)
        for label, (_, expected) in enumerate(measured.per_class()):
            mine = (one.found.labels == label) & ~matches.ignored
            positives = int(((one.truths.labels == label) & ~one.truths.crowd).sum())
            if positives:
                assert precision_at(matches.hits[mine], positives) == pytest.approx(expected, abs=1e-10)
            else:
                assert expected == -1


# Collecting


def test_batches_add_up_and_reset_begins_anew():
    case = random_case(7, images=5)
    whole, parts = DetectionMetrics(3), DetectionMetrics(3)
    whole.update(*case)
    for start in range(5):
        parts.update(*(column[start : start + 1] for column in case))
    assert parts.compute() == whole.compute()
    assert parts.compute() == whole.compute(), "measuring twice changes nothing"
    assert parts.outcome().count == 5
    parts.reset()
    assert parts.outcome().count == 0


def test_padding_differs_from_batch_to_batch():
    case = random_case(8, images=4)
    narrow, wide = DetectionMetrics(3), DetectionMetrics(3)
    narrow.update(*case)
    extra = torch.full((4, 5), -1)
    wide.update(case.detections, torch.cat([case.boxes, torch.zeros(4, 5, 4)], 1), torch.cat([case.labels, extra], 1),
                torch.cat([case.crowd, extra > 0], 1), torch.cat([case.areas, extra * 0.0], 1))  # fmt: skip
    assert narrow.compute() == wide.compute()


def measure_share(rank, meet, answers):
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{meet}", rank=rank, world_size=2)
    metrics = DetectionMetrics(3)
    metrics.update(*(column[2 * rank : 2 * rank + 2] for column in random_case(9, images=4)))
    answers.put(metrics.compute())
    torch.distributed.destroy_process_group()


def test_processes_measure_together(tmp_path):
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    ranks = [context.Process(target=measure_share, args=(rank, tmp_path / "meet", answers)) for rank in range(2)]
    for process in ranks:
        process.start()
    measured = [answers.get(timeout=60) for _ in ranks]
    for process in ranks:
        process.join(timeout=60)
    alone = DetectionMetrics(3)
    alone.update(*random_case(9, images=4))
    assert measured == [alone.compute()] * 2


def test_five_hundred_images_take_well_under_a_second():
    draw = torch.Generator().manual_seed(0)
    corners = torch.rand(500, 6, 2, generator=draw) * 300
    boxes = torch.cat([corners, corners + 10 + torch.rand(500, 6, 2, generator=draw) * 100], -1)
    labels = torch.randint(0, 10, (500, 6), generator=draw)
    found = [
        Detections(its + 2, torch.linspace(1, 0.1, 6), numbers) for its, numbers in zip(boxes, labels, strict=True)
    ]
    case = Case(found, boxes, labels, labels < 0, (boxes[..., 2:] - boxes[..., :2]).prod(-1))

    def seconds():
        began = time.process_time()
        metrics = DetectionMetrics(10)
        metrics.update(*case)
        metrics.compute()
        return time.process_time() - began

    assert min(seconds() for _ in range(3)) < 1


# The threshold


def test_the_best_threshold_is_where_f1_is_highest():
    found = [(OBJECT, 0.9, 0), ([50.0, 0, 60, 10], 0.6, 0), ([0.0, 20, 10, 30], 0.4, 0), ([80.0, 0, 90, 10], 0.2, 0)]
    one = outcome(found, [(OBJECT, 0), ([0.0, 20, 10, 30], 0)])
    best = best_threshold(one, match(one))
    assert best == pytest.approx((0.4, 2 / 3, 1, 0.8))


def test_detections_of_equal_score_are_kept_together():
    wrong = ([50.0, 0, 60, 10], 0.5, 0)
    one = outcome([(OBJECT, 0.5, 0), wrong, wrong], [(OBJECT, 0)])
    assert best_threshold(one, match(one)).f1 == pytest.approx(2 / 4)


def test_what_lies_in_a_crowd_does_not_count():
    one = outcome([([50.0, 50, 60, 60], 0.9, 0), (OBJECT, 0.5, 0)], [(OBJECT, 0), ([40.0, 40, 99, 99], 0)], crowd=[1])
    assert best_threshold(one, match(one)) == pytest.approx((0.5, 1, 1, 1))


def test_without_any_detection_there_is_no_threshold():
    one = outcome([], [(OBJECT, 0)])
    assert best_threshold(one, match(one)) == (0, 0, 0, 0)
