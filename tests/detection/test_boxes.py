import math

import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st

from pendio.detection.boxes import (
    area,
    centered_iou,
    ciou,
    coverage,
    diou,
    giou,
    intersection,
    iou,
    pairwise,
    to_centers,
    to_corners,
)  # fmt: skip

MEASURES = (iou, giou, diou, ciou)
numbers = st.floats(-50, 10_000, width=32)
box_lists = st.lists(st.tuples(numbers, numbers, numbers, numbers), min_size=1, max_size=6)


def boxes(count, seed=0, side=100.0):
    generator = torch.Generator().manual_seed(seed)
    low = side * torch.rand(count, 2, generator=generator)
    return torch.cat([low, low + side * (0.05 + torch.rand(count, 2, generator=generator))], 1)


def test_hand_computed_cases():
    first = torch.tensor([0.0, 0, 4, 3])
    second = torch.tensor([2.0, 1, 6, 5])
    assert area(first) == 12
    assert intersection(first, second) == 4
    assert iou(first, second) == pytest.approx(4 / 24)
    assert coverage(first, second) == pytest.approx(4 / 12)
    assert coverage(second, first) == pytest.approx(4 / 16)
    assert giou(first, second) == pytest.approx(4 / 24 - 6 / 30)
    assert diou(first, second) == pytest.approx(4 / 24 - (2**2 + 1.5**2) / (6**2 + 5**2))
    v = 4 / math.pi**2 * (math.atan(4 / 3) - math.atan(1)) ** 2
    expected = 4 / 24 - 6.25 / 61 - v * v / (1 - 4 / 24 + v)
    assert ciou(first, second) == pytest.approx(expected, abs=1e-6)
    assert centered_iou(torch.tensor([4.0, 3]), torch.tensor([2.0, 6])) == pytest.approx(6 / 18)


def test_boxes_that_only_touch_share_nothing():
    touching = torch.tensor([[10.0, 0, 20, 10], [0, 10, 10, 20], [10, 10, 20, 20], [30, 30, 40, 40]])
    assert iou(torch.tensor([0.0, 0, 10, 10]), touching).tolist() == [0, 0, 0, 0]


def test_farther_boxes_have_a_lower_generalised_iou():
    box = torch.tensor([0.0, 0, 10, 10])
    apart = giou(box, torch.tensor([[20.0, 0, 30, 10], [50, 0, 60, 10], [900, 0, 910, 10]]))
    assert (apart[:-1] > apart[1:]).all()
    assert (apart < 0).all()


@pytest.mark.parametrize(
    ("mine", "theirs", "within"),
    [
        (iou, torchvision.ops.box_iou, 1e-6),
        (giou, torchvision.ops.generalized_box_iou, 1e-6),
        (diou, torchvision.ops.distance_box_iou, 1e-6),
        (ciou, torchvision.ops.complete_box_iou, 1e-5),
    ],
)
def test_torchvision_agrees(mine, theirs, within):
    first, second = boxes(40, 1), boxes(50, 2)
    torch.testing.assert_close(pairwise(mine, first, second), theirs(first, second), atol=within, rtol=0)


@pytest.mark.parametrize("measure", MEASURES)
def test_gradients_are_those_of_finite_differences(measure):
    first, second = boxes(12, 1).double().requires_grad_(), boxes(12, 2).double()
    if measure is ciou:
        # No gradient flows through α, so differences see more than the gradient: fix α as the paper does.
        (gradient,) = torch.autograd.grad(measure(first, second).sum(), first)
        shape = 4 / math.pi**2 * ((_slant(first) - _slant(second)) ** 2)
        weight = (shape / (1 - iou(first, second) + shape)).detach()
        (expected,) = torch.autograd.grad((diou(first, second) - weight * shape).sum(), first)
        torch.testing.assert_close(gradient, expected)
    else:
        assert torch.autograd.gradcheck(lambda moved: measure(moved, second), first)


def _slant(corners):
    return torch.atan((corners[:, 2] - corners[:, 0]) / (corners[:, 3] - corners[:, 1]))


@settings(max_examples=30, deadline=None)
@given(box_lists, box_lists)
def test_any_boxes_give_finite_symmetric_measures_and_gradients(first, second):
    # Corners in order: a box may have no area, but is not inside out.
    first, second = (torch.tensor(some).view(-1, 2, 2).sort(1).values.flatten(1) for some in (first, second))
    for measure, least in zip(MEASURES, (0, -1, -1, -1.5), strict=True):
        moved = first.clone().requires_grad_()
        values = pairwise(measure, moved, second)
        torch.testing.assert_close(values, pairwise(measure, second, first).T, atol=1e-5, rtol=1e-5)
        assert (values >= least - 1e-5).all()
        assert (values <= 1 + 1e-6).all()
        (gradient,) = torch.autograd.grad(values.sum(), moved)
        assert gradient.isfinite().all()


@pytest.mark.parametrize("measure", MEASURES)
def test_a_box_is_wholly_like_itself_and_a_point_like_nothing(measure):
    some = boxes(30, side=5000)
    torch.testing.assert_close(measure(some, some), torch.ones(30), atol=1e-6, rtol=0)
    point = torch.tensor([[7.0, 7, 7, 7]], requires_grad=True)
    value = measure(point, point.detach())
    assert value.item() == 0
    assert torch.autograd.grad(value.sum(), point)[0].isfinite().all()


@pytest.mark.parametrize("measure", MEASURES)
def test_no_width_or_height_is_no_trouble(measure):
    thin = torch.tensor([[0.0, 0, 0, 9], [0, 0, 9, 0], [5, 5, 4, 4]], requires_grad=True)
    values = measure(thin, torch.tensor([0.0, 0, 9, 9]))
    assert (values <= 0).all()
    assert torch.autograd.grad(values.sum(), thin)[0].isfinite().all()


def test_float32_is_enough_for_ten_thousand_pixels():
    low = 9_900 + 90 * torch.rand(200, 2, generator=torch.Generator().manual_seed(0))
    first, second = torch.cat([low, low + 7.3], 1), torch.cat([low + 1.7, low + 9.1], 1)
    exact = iou(first.double(), second.double())
    torch.testing.assert_close(iou(first, second).double(), exact, atol=1e-6, rtol=0)


def test_half_precision_neither_overflows_nor_stays_half():
    box = torch.tensor([0.0, 0, 4096, 4096])
    assert iou(box.half(), box.bfloat16()).item() == 1
    assert area(box.half()).dtype == torch.float32


def test_centres_and_corners_are_each_others_inverse():
    some = boxes(50).double()
    torch.testing.assert_close(to_corners(to_centers(some)), some)
    assert to_centers(torch.tensor([2.0, 4, 6, 14])).tolist() == [4, 9, 4, 10]


def test_pairs_of_batches():
    first, second = boxes(6).view(2, 3, 4), boxes(8, 1).view(2, 4, 4)
    table = pairwise(iou, first, second)
    assert table.shape == (2, 3, 4)
    assert table[1, 2, 3] == iou(first[1, 2], second[1, 3])
