import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as reference

from pendio.data.annotations.rasters import (
    area,
    box_of,
    checked_runs,
    class_map,
    compressed,
    decompressed,
    polygons,
    raster,
    run_lengths,
)
from pendio.data.annotations.records import IGNORED, Annotated, Polygons, RunLengths


@st.composite
def masks(draw):
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    share = draw(st.sampled_from([0.0, 0.05, 0.5, 0.95, 1.0]))
    return np.random.default_rng(draw(st.integers(0, 1000))).random((height, width)) < share


@settings(max_examples=60, deadline=None)
@given(masks())
def test_masks_survive_run_lengths_and_strings_exactly(mask):
    runs = run_lengths(mask)
    text = compressed(runs)
    assert np.array_equal(raster(runs, *mask.shape), mask)
    assert decompressed(text, *mask.shape) == runs
    assert text == reference.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
    assert area(runs, *mask.shape) == mask.sum()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(3, 12), st.integers(1, 3))
def test_polygons_fill_what_the_reference_fills(seed, points, rings):
    random = np.random.default_rng(seed)
    height, width = (int(side) for side in random.integers(5, 60, 2))
    shapes = [(random.random((points, 2)) * (width, height)).ravel().tolist() for _ in range(rings)]
    expected = reference.decode(reference.merge(reference.frPyObjects(shapes, height, width)))
    outline = Polygons(tuple(map(tuple, shapes)))
    assert np.array_equal(raster(outline, height, width), expected.astype(bool))
    assert area(outline, height, width) == expected.sum()


@settings(max_examples=40, deadline=None)
@given(masks())
def test_boxes_of_run_lengths_are_tight(mask):
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    expected = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1) if len(rows) else (0, 0, 0, 0)
    assert box_of(run_lengths(mask)) == expected


def test_a_polygon_far_outside_costs_no_memory_and_fills_what_is_inside():
    far = Polygons(((-1e9, -1e9, 1e9, -1e9, 1e9, 1e9, -1e9, 1e9),))
    assert raster(far, 20, 30).all()


@pytest.mark.parametrize("text", ["", "9250", "92500099", "\x10", "é", "o" * 40, "PPPPPPPPPPPPP0", "9250005 "])
def test_damaged_strings_are_refused_before_anything_is_filled(text):
    with pytest.raises(ValueError, match="runs|run lengths"):
        decompressed(text, 7, 5)


@pytest.mark.parametrize("counts", [(5, -2, 32), (1, 2), (10**12,)])
def test_runs_have_to_fill_their_image(counts):
    with pytest.raises(ValueError, match="runs have"):
        checked_runs(counts, 7, 5)
    with pytest.raises(ValueError, match="for an image of 9×9"):
        raster(RunLengths((35,), 7, 5), 9, 9)


def test_traced_outlines_keep_a_mask_nearly_and_close_at_the_border():
    rows, columns = np.mgrid[:60, :80]
    mask = (rows - 30) ** 2 + (columns - 70) ** 2 < 400
    mask |= (rows < 20) & (columns < 25)
    again = raster(polygons(mask), *mask.shape)
    assert (again & mask).sum() / (again | mask).sum() > 0.97
    traced = polygons(mask)
    assert len(traced.rings) == 2
    assert box_of(traced) == pytest.approx(box_of(run_lengths(mask)), abs=0.51)


def test_holes_are_filled_and_nothing_gives_no_ring():
    mask = np.zeros((20, 20), dtype=bool)
    assert polygons(mask).rings == ()
    mask[3:17, 3:17], mask[8:12, 8:12] = True, False
    assert len(polygons(mask).rings) == 1


def square(left, top, right, bottom):
    return Polygons(((left, top, right, top, right, bottom, left, bottom),))


def painted(*objects):
    """Objects are an outline or None, a box, a label, and whether it is a crowd."""
    outlines, boxes, labels, crowd = zip(*objects, strict=True)
    boxes = torch.tensor(boxes, dtype=torch.float32)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    image = Annotated(
        "x.png", 12, 10, boxes, torch.tensor(labels), torch.tensor(crowd), areas, outlines, key="x"
    )  # fmt: skip
    return class_map(image, ("background", "a", "b", "c"))


def test_small_objects_lie_on_large_ones_in_any_order():
    large, small = (square(0, 0, 8, 8), [0, 0, 8, 8], 1, False), (square(2, 2, 5, 5), [2, 2, 5, 5], 2, False)
    expected = torch.zeros(10, 12, dtype=torch.uint8)
    expected[:8, :8], expected[2:5, 2:5] = 1, 2
    assert torch.equal(painted(large, small), expected)
    assert torch.equal(painted(small, large), expected)


def test_crowds_and_boxes_without_outline_are_ignored_where_no_object_is():
    values = painted(
        (square(0, 0, 4, 4), [0, 0, 4, 4], 3, True), (None, [6.5, 6, 9, 8], 2, False),
        (square(3, 3, 7, 7), [3, 3, 7, 7], 1, False)
    )  # fmt: skip
    assert (values[0, 0], values[3, 3], values[6, 6], values[7, 8], values[9, 11]) == (IGNORED, 1, 1, IGNORED, 0)


def test_labels_outside_of_the_classes_are_refused():
    with pytest.raises(ValueError, match="label 4 of 'x' is none of 4 classes"):
        painted((square(0, 0, 4, 4), [0, 0, 4, 4], 4, False))
