import itertools

import pytest
import torch

from pendio.detection.anchors import Anchors, assign_scales, fit_anchors, mean_iou
from pendio.detection.darknet.catalogue import ANCHORS, TINY_ANCHORS
from pendio.detection.yolo.scales import Scale
from pendio.errors import InputError


def shapes(count, seed=0):
    """Small, middle and large boxes, wide and tall, as in photographs: log-normal."""
    generator = torch.Generator().manual_seed(seed)
    return (3.5 + 0.8 * torch.randn(count, 2, generator=generator)).exp()


def test_repeated_shapes_are_found_exactly_for_any_seed():
    known = torch.tensor([[8.0, 9], [20, 60], [61, 22], [100, 100.5], [300, 170]])
    for seed in range(5):
        found = fit_anchors(known.repeat(13, 1), 5, seed=seed)
        assert torch.equal(found.sizes, known)
        assert found.mean_iou == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_reaches_the_best_of_all_partitions_of_a_tiny_set(seed):
    few = shapes(8, seed)
    best = 0.0
    for owners in itertools.product((0, 1), repeat=7):
        owners = torch.tensor((0, *owners))
        if owners.any():
            for center in (lambda mine: mine.mean(0), lambda mine: mine.quantile(0.5, 0)):
                best = max(best, mean_iou(few, torch.stack([center(few[owners == 0]), center(few[owners == 1])])))
    assert fit_anchors(few, 2, seed=seed, restarts=30).mean_iou >= best - 1e-6


def test_the_reported_fit_is_that_of_the_anchors_and_more_anchors_fit_better():
    some = shapes(1000)
    fits = [fit_anchors(some, count, seed=0, restarts=2) for count in (1, 3, 6, 9)]
    assert [fit.mean_iou for fit in fits] == sorted(fit.mean_iou for fit in fits)
    assert fits[-1].mean_iou > 0.63
    for fit in fits:
        assert fit.mean_iou == pytest.approx(mean_iou(some.double(), fit.sizes), abs=1e-9)
        assert fit.sizes.prod(1).diff().ge(0).all()
        assert fit.sizes.dtype == torch.float32


def test_the_mean_fit_by_hand():
    anchors = torch.tensor([[10.0, 10], [40, 20]])
    given = torch.tensor([[10.0, 5], [40, 20], [20, 40]])
    assert mean_iou(given, anchors) == pytest.approx((0.5 + 1 + 400 / 1200) / 3)


def test_clusters_beat_evenly_spread_shapes_and_more_starts_never_fit_worse():
    some = shapes(800, 3)
    fit = fit_anchors(some, 6)
    squares = torch.linspace(10, 150, 6)[:, None].expand(6, 2)
    assert fit.mean_iou > mean_iou(some, squares) + 0.03
    assert fit.mean_iou >= fit_anchors(some, 6, restarts=1).mean_iou


def test_the_same_seed_gives_the_same_anchors():
    some = shapes(6000, 1)
    first, again = (fit_anchors(some, 4, seed=7, restarts=2) for _ in range(2))
    assert torch.equal(first.sizes, again.sizes)
    assert first.mean_iou == again.mean_iou


def test_fewer_shapes_than_anchors_fit_wholly():
    found = fit_anchors(torch.tensor([[10.0, 20], [30, 5]]).repeat(4, 1), 6)
    assert found.sizes.shape == (6, 2)
    assert found.mean_iou == pytest.approx(1)
    assert isinstance(found, Anchors)


@pytest.mark.parametrize("empty", [torch.zeros(0, 2), torch.zeros(3, 2), torch.tensor([[5.0, 0], [-1, 3]])])
def test_boxes_without_area_give_no_anchors(empty):
    with pytest.raises(InputError, match="no training image has one; --anchors published"):
        fit_anchors(empty, 3)


def test_boxes_without_area_are_left_out_of_the_fit():
    found = fit_anchors(torch.tensor([[10.0, 20], [0, 7], [float("inf"), 1], [10, 20]]), 1)
    assert found.sizes.tolist() == [[10, 20]]
    assert found.mean_iou == 1


def test_an_anchor_goes_to_the_coarsest_grid_of_which_it_covers_two_cells():
    sizes = torch.tensor([[20.0, 80], [15, 15], [64, 64], [16, 16], [10, 7], [300, 40], [31, 33]])
    assert assign_scales(sizes, (8, 16, 32)) == (
        Scale(32, ((64.0, 64.0), (300.0, 40.0))),
        Scale(16, ((20.0, 80.0),)),
        Scale(8, ((10.0, 7.0), (15.0, 15.0), (16.0, 16.0), (31.0, 33.0))),
    )
    assert assign_scales(sizes, (32, 8, 16)) == assign_scales(sizes, (8, 16, 32))


def test_a_grid_that_suits_nothing_has_an_anchor_that_nothing_is_like():
    assert assign_scales(torch.tensor([[14.0, 22], [28, 44]]), (16, 32)) == (
        Scale(32, ((128.0, 128.0),)),
        Scale(16, ((14.0, 22.0), (28.0, 44.0))),
    )


@pytest.mark.parametrize(("shares", "strides"), [(ANCHORS, (32, 16, 8)), (TINY_ANCHORS, (32, 16))])
def test_published_anchors_stay_where_they_are_but_for_one(shares, strides):
    every = torch.tensor([anchor for share in shares for anchor in share], dtype=torch.float32)
    found = assign_scales(every, strides)
    moved = [
        anchor for scale, share in zip(found, shares, strict=True) for anchor in scale.anchors if anchor not in share
    ]
    assert moved in ([], [(59.0, 119.0)])
