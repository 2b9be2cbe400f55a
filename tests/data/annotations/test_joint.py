import colorsys
import math

import pytest
import torch
import torch.nn.functional as F

from pendio.data.annotations.joint import (
    DRAWS,
    JOINT,
    Place,
    Window,
    augment_labelled,
    color_matrix,
    move,
    paint,
    parse_joint,
    place,
    recolor,
    visible,
)
from pendio.data.annotations.letterbox import GREY
from pendio.data.annotations.records import IGNORED
from pendio.data.randomness import uniforms
from pendio.errors import InputError

SIZE = 96


def drawn(count=40, epoch=0):
    return uniforms(3, epoch, torch.arange(count), DRAWS).tolist()


def tight(mask):
    """The tight box of a mask, or None."""
    rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
    if not len(rows):
        return None
    return torch.tensor([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], dtype=torch.float32)


def rectangle(box, size=SIZE):
    mask = torch.zeros(size, size, dtype=torch.uint8)
    left, top, right, bottom = box
    mask[top:bottom, left:right] = 255
    return mask


def test_names_are_parsed_and_refused():
    assert parse_joint("flip, mosaic", "boxes") == ("flip", "mosaic")
    assert parse_joint("none", "masks") == ()
    with pytest.raises(InputError, match="unknown augmentation 'flop' in --augment: did you mean 'flip'"):
        parse_joint("flop", "boxes")
    with pytest.raises(
        InputError, match="rotate is for masks only; for boxes there are flip, scale, shift, color, mosaic"
    ):
        parse_joint("rotate", "boxes")
    with pytest.raises(InputError, match="mosaic is for boxes only"):
        parse_joint("mosaic", "masks")


@pytest.mark.parametrize("canvas", [SIZE, 128, 64])
@pytest.mark.parametrize("names", [(), ("flip",), ("scale",), ("shift",), ("flip", "scale", "shift")])
def test_boxes_go_where_the_pixels_go(names, canvas):
    boxes = [(10, 20, 40, 35), (50, 4, 90, 88), (0, 0, 96, 96), (70, 70, 74, 91)]
    whole = Window(0, 0, canvas, canvas)
    seen = 0
    for draws in drawn():
        where = place(draws, canvas, names)
        moved = move(torch.tensor(boxes).float(), torch.tensor([where] * 4), SIZE)
        moved, kept = visible(moved, torch.tensor([whole] * 4))
        for box, target, keep in zip(boxes, moved, kept, strict=True):
            painted = torch.zeros(1, canvas, canvas, dtype=torch.uint8)
            paint(painted, rectangle(box)[None], where, whole, nearest=True)
            found = tight(painted[0] > 0)
            if not keep:
                continue
            seen += 1
            assert (found - target).abs().max() <= 1, (names, box)
            soft = torch.zeros(3, canvas, canvas, dtype=torch.uint8)
            paint(soft, rectangle(box).expand(3, -1, -1), where, whole)
            assert (tight(soft[0] > 127) - target).abs().max() <= 1
    assert seen > 70


def test_what_is_hardly_left_is_dropped():
    window = Window(0, 10, 100, 60)
    boxes = torch.tensor([[0, 0, 12.4, 20], [0, 0, 12.6, 20], [20, 20, 21.9, 40], [20, 20, 22.0, 40], [50, 0, 99, 9.0]])
    clipped, kept = visible(boxes, torch.tensor([window] * 5))
    assert kept.tolist() == [False, True, False, True, True]
    assert clipped[0].tolist() == pytest.approx([10, 0, 12.4, 20])
    assert clipped[4].tolist() == [50, 0, 60, 9]
    assert not visible(torch.tensor([[61.0, 0, 90, 9]]), torch.tensor([window]))[1].any()


def test_scale_covers_half_to_one_and_a_half_and_shift_an_eighth():
    many = drawn(2000)
    sides = torch.tensor([place(draws, 100, ("scale",)).side for draws in many])
    assert (int(sides.min()), int(sides.max())) == (50, 150)
    assert float(sides.float().mean()) == pytest.approx(100, abs=2)
    moves = torch.tensor([place(draws, 100, ("shift",)).left for draws in many])
    assert (int(moves.min()), int(moves.max())) == (-12, 12)
    flips = [place(draws, 100, ("flip",)).mirrored for draws in many]
    assert sum(flips) / 2000 == pytest.approx(0.5, abs=0.05)


def test_a_shrunk_picture_stays_whole_and_an_enlarged_one_leaves_nothing_empty():
    for draws in drawn():
        where = place(draws, 100, ("scale",))
        if where.side <= 100:
            assert where.left >= 0
            assert where.left + where.side <= 100
        else:
            assert where.left <= 0
            assert where.top + where.side >= 100


@pytest.mark.parametrize("names", [("flip", "scale"), ("rotate",), ("rotate", "scale", "flip", "shift"), ("elastic",)])
def test_masks_go_where_their_images_go(names):
    mask = rectangle((20, 30, 60, 80)).bool().to(torch.uint8)
    image = (mask * 200)[None].expand(3, -1, -1)
    for draws in drawn(20):
        seen, labels = augment_labelled(image, mask, draws, names)
        inside = labels != IGNORED
        agree = ((seen[0] > 100) == (labels == 1))[inside].float().mean()
        assert agree > 0.97
        # A pixel beside the picture may be blended with it, where both are resampled as a whole.
        far = F.max_pool2d(inside[None].float(), 5, 1, 2)[0] == 0
        assert (seen[:, far] == GREY).all()


def test_a_rotated_mask_is_turned_about_the_middle_by_the_drawn_angle():
    draws = [0.5] * DRAWS
    draws[6] = 1.0  # 10°
    image = torch.zeros(3, 201, 201, dtype=torch.uint8)
    mask = torch.zeros(201, 201, dtype=torch.uint8)
    mask[98:103, 180:185] = 1  # on the axis to the right, 82 from the middle
    _, labels = augment_labelled(image, mask, draws, ("rotate",))
    y, x = (labels == 1).nonzero().float().mean(0).tolist()
    assert math.hypot(x - 100, y - 100) == pytest.approx(82, abs=0.7)
    assert abs(math.degrees(math.atan2(y - 100, x - 100))) == pytest.approx(10, abs=0.5)
    assert (labels == IGNORED).sum() > 100, "the corners come from outside"
    assert (labels[90:110, 90:110] == 0).all()


def test_rotated_without_an_angle_nothing_moves():
    draws = [0.5] * DRAWS
    image = torch.randint(0, 256, (3, 40, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    mask = image[0] % 11
    seen, labels = augment_labelled(image, mask, draws, ("rotate", "elastic"))
    assert torch.equal(labels, mask)
    assert torch.equal(seen, image)


def test_elastic_displacements_have_the_papers_spread():
    """At 512 pixels, 10 of standard deviation at the grid's middle."""
    moved = []
    for draws in drawn(200):
        mask = torch.zeros(128, 128, dtype=torch.uint8)
        mask[60:68, 60:68] = 1
        _, labels = augment_labelled(torch.zeros(3, 128, 128, dtype=torch.uint8), mask, draws, ("elastic",))
        y, x = (labels == 1).nonzero().float().mean(0).tolist()
        moved += [x - 63.5, y - 63.5]
    assert float(torch.tensor(moved).std()) == pytest.approx(2.5, rel=0.2)


def test_colors_keep_grey_and_brightness_and_turn_hues():
    grey = torch.full((3,), 0.4, dtype=torch.float64)
    assert torch.allclose(torch.tensor(color_matrix(0.5, 1.4, 1.0)) @ grey, grey)
    assert torch.allclose(
        torch.tensor(color_matrix(0.0, 1.0, 1.3)), 1.3 * torch.eye(3, dtype=torch.float64), atol=1e-12
    )
    luma = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)
    assert torch.allclose(luma @ torch.tensor(color_matrix(0.6, 0.7, 1.0)), luma)
    color = torch.tensor([0.6, 0.4, 0.35], dtype=torch.float64)
    less = torch.tensor(color_matrix(0.0, 0.5, 1.0)) @ color
    assert torch.allclose(less, (luma @ color) + 0.5 * (color - luma @ color))
    before, after = (
        colorsys.rgb_to_hsv(*c.tolist())[0] for c in (color, torch.tensor(color_matrix(0.3, 1, 1)) @ color)
    )
    assert abs((after - before + 0.5) % 1 - 0.5) == pytest.approx(0.3 / (2 * math.pi), abs=0.03)


def test_recoloring_changes_each_picture_otherwise_in_place():
    image = torch.full((3, 8, 8), 100, dtype=torch.uint8)
    image[0] = 160
    results = set()
    for draws in drawn(30):
        own = image.clone()
        recolor(own, draws)
        assert len(own.flatten(1).unique(dim=1)[0]) == 1
        results.add(tuple(own[:, 0, 0].tolist()))
        assert 0.6 < float(own.float().mean() / image.float().mean()) < 1.6
    assert len(results) == 30


def test_painting_stays_in_its_window():
    canvas = torch.full((1, 10, 10), 7, dtype=torch.uint8)
    paint(canvas, torch.ones(1, 10, 10, dtype=torch.uint8), Place(20, -5, -5, False), Window(2, 3, 6, 9))
    assert int((canvas == 1).sum()) == 4 * 6
    assert (canvas[0, 2:6, 3:9] == 1).all()
    paint(canvas, torch.ones(1, 10, 10, dtype=torch.uint8), Place(4, 20, 20, False), Window(0, 0, 10, 10))
    assert int((canvas == 1).sum()) == 4 * 6, "a picture outside of the canvas leaves it as it is"


def test_each_augmentation_has_a_line():
    assert all(line for line in JOINT.values())
