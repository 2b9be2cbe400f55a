import pytest
import torch

from pendio.detection.evaluation import measure_split, outcome_of_batch
from pendio.detection.metrics import DetectionMetrics, evaluate

from .seeing import Seer, Shown


def test_boxes_are_compared_in_pixels_of_the_original_images():
    # A picture of 128 × 256 lies at a quarter of its size in the rows 16 to 48.
    split = Shown([[([16.0, 16, 32, 32], 0)]], sizes=[(128, 256)])
    measured = measure_split(Seer({0: [([16.0, 16, 32, 32], 0.9, 0)]}), split)
    assert measured.outcome.truths.boxes.tolist() == [[64, 0, 128, 64]]
    assert measured.outcome.found.boxes.tolist() == [[64, 0, 128, 64]]
    assert measured.shapes.tolist() == [[16, 16]]
    precision = evaluate(measured.outcome, 2).summary()
    assert precision["map"] == 1
    # 64 × 64 original pixels are of medium size, though 16 × 16 were seen.
    assert (precision["map_small"], precision["map_medium"]) == (-1, 1)


def test_a_batch_can_be_taken_into_the_metrics():
    split = Shown([[([16.0, 16, 32, 32], 0)]], sizes=[(128, 256)])
    metrics = DetectionMetrics(2)
    for batch in split.batches(1):
        metrics.add(outcome_of_batch(Seer({0: [([16.0, 16, 32, 32], 0.9, 0)]}).predict(batch.inputs), batch))
    assert metrics.compute()["map_medium"] == 1


def test_all_images_are_taken_or_the_first():
    split = Shown([[([0.0, 0, 9, 9], 0)]] * 40)
    assert measure_split(Seer({}), split).places.tolist() == list(range(40))
    assert measure_split(Seer({}), split, most=20).outcome.count == 32, "whole batches"


def test_a_hundred_detections_of_an_image_are_looked_at():
    many = [([0.0, 0, 9, 9], (number + 1) / 200, 0) for number in range(150)]
    found = measure_split(Seer({0: many}), Shown([[([0.0, 0, 9, 9], 0)]])).outcome.found
    assert len(found.scores) == 100
    assert float(found.scores.min()) == pytest.approx(51 / 200)


def test_crowds_have_no_shape_to_learn():
    split = Shown([[([0.0, 0, 9, 9], 0), ([0.0, 0, 50, 50], 1)]], crowd=[(0, 1)])
    assert measure_split(Seer({}), split).shapes.tolist() == [[9, 9]]


def test_an_empty_split_has_nothing():
    measured = measure_split(Seer({}), Shown([]))
    assert measured.outcome.count == 0
    assert torch.equal(measured.places, torch.zeros(0).long())
