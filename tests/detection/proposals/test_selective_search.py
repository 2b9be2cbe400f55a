import numpy as np
import pytest
import torch

from pendio.data.annotations.scenes import scene
from pendio.detection.boxes import iou, pairwise
from pendio.detection.proposals import selective_search
from pendio.detection.proposals.selective_search import STRATEGIES, propose


def painted(height=72, width=96, ground=(200, 180, 40), **rectangles):
    """An image of one colour with rectangles: name = (x1, y1, x2, y2, colour)."""
    image = torch.empty(3, height, width, dtype=torch.uint8)
    image[:] = torch.tensor(ground)[:, None, None]
    for left, top, right, bottom, color in rectangles.values():
        image[:, top:bottom, left:right] = torch.tensor(color)[:, None, None]
    return image


def boxes_of(found):
    return {tuple(box) for box in found.boxes.tolist()}


@pytest.mark.parametrize("mode", ["single", "fast"])
def test_a_rectangle_of_another_colour_is_proposed_exactly(mode):
    found = propose(painted(thing=(20, 10, 61, 52, (10, 30, 220))), mode)
    assert {(20, 10, 61, 52), (0, 0, 96, 72)} <= boxes_of(found)


def test_so_are_two_and_both_together():
    image = painted(one=(8, 8, 40, 40, (10, 30, 220)), two=(40, 8, 80, 40, (10, 90, 220)))
    assert {(8, 8, 40, 40), (40, 8, 80, 40), (8, 8, 80, 40)} <= boxes_of(propose(image, "fast"))


def test_an_image_of_one_colour_is_one_region():
    found = propose(painted(), "single")
    assert found.boxes.tolist() == [[0, 0, 96, 72]]
    assert found.regions == 1


def test_proposals_are_the_first_regions_and_the_merges():
    image = scene(0, "val").image
    labels = selective_search._first_regions(selective_search._SPACES["hsv"](selective_search._unit(image)), 100)
    assert propose(image, "single").regions == 2 * len(np.unique(labels)) - 1


def test_no_two_are_alike_and_all_lie_in_the_image():
    found = propose(scene(1, "val").image, "fast").boxes
    assert len(np.unique(found.numpy(), axis=0)) == len(found)
    assert found.dtype == torch.float32
    assert (found[:, :2] >= 0).all()
    assert (found[:, 2:] <= 128).all()
    assert (found[:, 2:] > found[:, :2]).all()


def test_small_boxes_are_left_out_on_demand():
    image = scene(1, "val").image
    every, large = propose(image, "single"), propose(image, "single", smallest=12)
    sides = (every.boxes[:, 2:] - every.boxes[:, :2]).amin(1)
    assert large.boxes.tolist() == every.boxes[sides >= 12].tolist()
    assert len(large.boxes) < len(every.boxes)
    assert large.regions == every.regions


def test_the_seed_decides_the_order_alone():
    image = scene(2, "val").image
    found, again, other = (propose(image, "single", seed).boxes for seed in (0, 0, 1))
    assert found.tolist() == again.tolist()
    assert found.tolist() != other.tolist()
    assert sorted(found.tolist()) == sorted(other.tolist())


def test_large_regions_mostly_come_first():
    boxes = propose(scene(3, "val").image, "fast").boxes
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    third = len(areas) // 3
    assert areas[:third].median() > 2 * areas[-third:].median()


def test_more_ways_of_looking_find_all_that_fewer_do():
    image = scene(4, "val", size=64).image
    single, fast, quality = (boxes_of(propose(image, mode)) for mode in STRATEGIES)
    assert single < fast < quality


def test_digits_on_photographs_are_found():
    best = []
    for number in range(5):
        made = scene(number, "val")
        best.append(pairwise(iou, made.boxes, propose(made.image, "single").boxes).amax(1))
    overlaps = torch.cat(best)
    assert (overlaps >= 0.5).float().mean() > 0.95
    assert overlaps.mean() > 0.88


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (3, 2)])
def test_tiny_images_are_looked_at_too(shape):
    image = torch.arange(3 * shape[0] * shape[1], dtype=torch.uint8).view(3, *shape)
    assert (0, 0, shape[1], shape[0]) in boxes_of(propose(image, "quality"))


def extremes():
    """All corners of the cube of colours, and grey: ``(3, 3, 3)``."""
    corners = [[red, green, blue] for red in (0, 255) for green in (0, 255) for blue in (0, 255)] + [[128] * 3]
    return torch.tensor(corners, dtype=torch.uint8).T.reshape(3, 3, 3)


@pytest.mark.parametrize("name", list(selective_search._SPACES))
def test_colour_spaces_fill_the_range_that_is_counted(name):
    seen = selective_search._SPACES[name](selective_search._unit(extremes()))
    assert np.isfinite(seen).all()
    assert seen.min() >= 0
    assert seen.max() <= 1
    for channel in range(seen.shape[2]):
        assert np.ptp(seen[..., channel]) > 0.6


def test_colours_are_counted_in_25_bins_up_to_the_brightest():
    codes = selective_search._color_codes(np.array([[[0.0], [0.0399], [0.0401], [0.5], [1.0]]]))
    assert codes[0].tolist() == [[0, 0, 1, 12, 24]]


def test_a_step_is_in_the_last_bin_of_its_direction_and_in_the_first_of_the_opposite():
    image = np.zeros((24, 24, 1))
    image[:, 12:] = 1
    codes = selective_search._texture_codes(image)
    assert len(codes) == 8
    east, west, _, _, south, north, southwest, northeast = (code[12, 11] for code in codes)
    assert east == 9
    assert west == 0
    assert south == north == 0
    assert northeast == 6
    assert southwest == 0


def test_turning_an_image_turns_its_directions():
    image = np.random.default_rng(0).random((20, 20, 1))
    # y runs down: a quarter turn to the right takes east to south.
    turned = selective_search._texture_codes(np.rot90(image, -1).copy())
    codes = selective_search._texture_codes(image)
    assert (turned[4] == np.rot90(codes[0], -1)).all()
    assert (turned[5] == np.rot90(codes[1], -1)).all()
    assert (turned[6] == np.rot90(codes[2], -1)).all()


def test_texture_does_not_depend_on_brightness_and_colour_does():
    dark, bright = ((np.random.default_rng(0).random((16, 16, 1)) * 0.5 + lift) for lift in (0.0, 0.4))
    for one, other in zip(*map(selective_search._texture_codes, (dark, bright)), strict=True):
        assert (one == other).mean() > 0.99
    assert (selective_search._color_codes(dark)[0] != selective_search._color_codes(bright)[0]).all()
