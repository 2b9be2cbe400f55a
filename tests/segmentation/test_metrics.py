import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt
from sklearn.metrics import jaccard_score
from torchmetrics.classification import MulticlassJaccardIndex

from pendio.segmentation.metrics import MapMetrics, boundary, boundary_scores, confusion_matrix, scores


def maps(count=3, classes=4, size=(17, 23), seed=0, ignored=True):
    """Blobs: random numbers, each 4 × 4 pixels."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randint(0, classes, (count, -(-size[0] // 4), -(-size[1] // 4)), generator=generator)
    fine = coarse.repeat_interleave(4, 1).repeat_interleave(4, 2)[:, : size[0], : size[1]].clone()
    if ignored:
        fine[:, :2, 5:9] = 255
    return fine.to(torch.uint8)


def test_numbers_of_a_case_counted_by_hand():
    truth = torch.tensor([[[0, 0, 1], [0, 1, 255]]])
    guess = torch.tensor([[[0, 1, 1], [0, 1, 2]]])
    confusion = confusion_matrix(guess, truth, 4)
    assert confusion.tolist() == [[2, 1, 0, 0], [0, 2, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    found = scores(confusion)
    assert found.iou[:2].tolist() == pytest.approx([2 / 3, 2 / 3])
    assert found.iou[2:].isnan().all()
    assert (found.miou, found.pixel_accuracy) == (pytest.approx(2 / 3), pytest.approx(4 / 5))
    assert found.weighted_iou == pytest.approx(3 / 5 * 2 / 3 + 2 / 5 * 2 / 3)


def test_a_class_that_is_only_predicted_counts_as_missed_wholly():
    found = scores(confusion_matrix(torch.tensor([[0, 2]]), torch.tensor([[0, 0]]), 3))
    assert found.iou.tolist()[0] == pytest.approx(0.5)
    assert (found.iou[1].isnan(), float(found.iou[2])) == (True, 0.0)
    assert found.miou == pytest.approx(0.25)


def test_overlap_agrees_with_scikit_learn_and_torchmetrics():
    truth, guess = maps(), maps(seed=1, ignored=False)
    found = scores(confusion_matrix(guess, truth, 4))
    valid = truth != 255
    each = jaccard_score(truth[valid].numpy(), guess[valid].numpy(), average=None)
    np.testing.assert_allclose(found.iou.numpy(), each, rtol=1e-6)
    other = MulticlassJaccardIndex(4, ignore_index=255)(guess.long(), truth.long())
    assert found.miou == pytest.approx(float(other), rel=1e-6)
    weighted = jaccard_score(truth[valid].numpy(), guess[valid].numpy(), average="weighted")
    assert found.weighted_iou == pytest.approx(weighted)


def test_255_classes_do_not_collide_with_what_is_ignored():
    truth = torch.tensor([[[254, 255, 0]]], dtype=torch.uint8)
    guess = torch.tensor([[[254, 254, 254]]], dtype=torch.uint8)
    confusion = confusion_matrix(guess, truth, 255)
    assert (int(confusion.sum()), int(confusion[254, 254]), int(confusion[0, 254])) == (2, 1, 1)


def test_a_boundary_is_where_classes_touch_and_nowhere_else():
    one = torch.zeros(1, 5, 5, dtype=torch.uint8)
    one[0, :, 2:] = 1
    one[0, 4, :] = 255
    expected = torch.zeros(5, 5, dtype=torch.bool)
    expected[:4, 1:3] = True
    assert torch.equal(boundary(one)[0], expected)


def by_distance(predicted, truth, classes, theta):
    """F1 of each image and class by distance transforms, and whether it counts."""
    predicted = np.where(truth == 255, 255, predicted)
    f1, counts = np.zeros((len(truth), classes)), np.zeros((len(truth), classes), dtype=bool)
    for image in range(len(truth)):
        edges = [boundary(torch.from_numpy(part[image : image + 1]))[0].numpy() for part in (predicted, truth)]
        for number in range(classes):
            guessed, true = (
                edge & (part[image] == number) for edge, part in zip(edges, (predicted, truth), strict=True)
            )
            counts[image, number] = guessed.any() or true.any()
            if guessed.any() and true.any():
                precision = (distance_transform_edt(~true)[guessed] <= theta).mean()
                recall = (distance_transform_edt(~guessed)[true] <= theta).mean()
                f1[image, number] = 2 * precision * recall / max(precision + recall, 1e-12)
    return f1, counts


@pytest.mark.parametrize("theta", [0.0, 1.0, 1.5, 2.3, 5.0, 9.0])
@pytest.mark.parametrize("size", [(17, 23), (24, 9), (1, 13)])
def test_boundaries_are_met_as_distance_transforms_say(theta, size):
    truth, guess = maps(size=size), maps(size=size, seed=3, ignored=False)
    guess[0] = truth[0].roll(1, 1)
    found, counts = boundary_scores(guess, truth, 4, theta / math.hypot(*size) + 1e-9)
    expected, which = by_distance(guess.numpy(), truth.numpy(), 4, theta)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)
    assert (counts.numpy() == which).all()


def test_a_shift_within_the_tolerance_is_no_error_and_one_beyond_it_is():
    truth = torch.zeros(1, 300, 400, dtype=torch.uint8)
    truth[:, 100:200, 100:200] = 1
    tolerance = 0.0075 * 500  # 3.75 pixels
    for shift in range(6):
        f1, counts = boundary_scores(truth.roll(shift, 2), truth, 2)
        assert counts.all()
        assert (float(f1.min()) == 1) == (shift <= tolerance)


def test_a_class_without_a_boundary_on_either_side_does_not_count():
    truth = torch.zeros(1, 20, 20, dtype=torch.uint8)
    f1, counts = boundary_scores(truth, truth, 2)
    assert not counts.any()
    guess = truth.clone()
    guess[:, 5:9, 5:9] = 1
    f1, counts = boundary_scores(guess, truth, 3)
    assert (counts.tolist(), f1.tolist()) == ([[True, True, False]], [[0, 0, 0]])


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.permutations(range(6)), st.integers(1, 6))
def test_batches_and_order_change_nothing(seed, order, size):
    truth, guess = maps(6, seed=seed), maps(6, seed=seed + 1, ignored=False)
    whole, parts = MapMetrics(4), MapMetrics(4)
    whole.update(guess, truth)
    for places in torch.tensor(order).split(size):
        parts.update(guess[places], truth[places])
    one, other = whole.compute(), parts.compute()
    assert all(torch.equal(torch.as_tensor(one[name]), torch.as_tensor(other[name])) for name in one)


def test_what_is_taken_in_comes_out_together():
    truth = maps(2)
    metrics = MapMetrics(5)
    metrics.update(truth, truth)
    found = metrics.compute()
    assert [found[name] for name in ("miou", "pixel_accuracy", "weighted_iou", "boundary_f1")] == [1, 1, 1, 1]
    assert found["iou"][:4].tolist() == [1] * 4
    assert found["class_boundary_f1"][4].isnan()
    metrics.reset()
    metrics.update(torch.full_like(truth, 4), truth)
    found = metrics.compute()
    assert (found["miou"], found["boundary_f1"]) == (0, 0)


def test_the_mean_of_boundaries_is_over_the_images_that_have_them():
    truth = torch.zeros(2, 20, 20, dtype=torch.uint8)
    truth[0, :, 10:] = 1
    metrics = MapMetrics(2)
    metrics.update(truth, truth)
    assert metrics.compute()["boundary_f1"] == 1
    wrong = truth.clone()
    wrong[1, :, 10:] = 1
    metrics.update(wrong, truth)
    # Of each class: met in two images, missed in one.
    assert metrics.compute()["boundary_f1"] == pytest.approx(2 / 3)
