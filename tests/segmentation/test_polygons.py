import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from pendio.segmentation.polygons import annotations, categories

CLASSES = ("background", "cat", "dog")

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def drawn(size=(40, 50)):
    mask = torch.zeros(size, dtype=torch.uint8)
    mask[3:20, 4:30] = 1
    mask[25:35, 0:12] = 2
    mask[30:38, 30:50] = 2
    mask[8:12, 8:12] = 2
    mask[39, 49] = 1
    return mask


def as_mask(segmentation, height, width):
    runs = segmentation
    if isinstance(segmentation, list):
        runs = coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
    return coco_mask.decode(runs).astype(bool)


def test_each_connected_part_of_a_class_stands_on_its_own():
    found = annotations(drawn(), CLASSES, image_id=7, first_id=5)
    assert [one["category_id"] for one in found] == [2, 3, 3, 3], "a single pixel and the background are left out"
    assert [one["id"] for one in found] == [5, 6, 7, 8]
    assert {one["image_id"] for one in found} == {7}
    assert [one["bbox"] for one in found] == [[4, 3, 26, 17], [8, 8, 4, 4], [0, 25, 12, 10], [30, 30, 20, 8]]
    assert [one["area"] for one in found] == [26 * 17 - 16, 16, 120, 160]


def test_outlines_fill_the_parts_again_but_for_corners():
    mask = drawn()
    again = np.zeros(mask.shape, dtype=np.uint8)
    for one in annotations(mask, CLASSES, 1, 1):
        again[as_mask(one["segmentation"], *mask.shape)] = one["category_id"] - 1
    mask[39, 49] = 0
    wrong = np.argwhere(again != mask.numpy())
    assert {tuple(place) for place in wrong.tolist()} <= {(8, 8), (11, 11), (8, 11), (11, 8), (25, 0), (25, 11), (34, 0),
                                                          (34, 11), (30, 30), (30, 49), (37, 30), (37, 49)}  # fmt: skip


def test_a_part_with_a_hole_is_written_as_run_lengths():
    found = annotations(drawn(), CLASSES, 1, 1)
    assert [isinstance(one["segmentation"], dict) for one in found] == [True, False, False, False]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_whatever_shape_a_part_has_its_outline_hardly_strays(seed):
    generator = torch.Generator().manual_seed(seed)
    noise = torch.nn.functional.interpolate(torch.rand(1, 1, 7, 8, generator=generator), (48, 56), mode="bicubic")
    mask = (noise[0, 0] > 0.5).to(torch.uint8)
    again = np.zeros(mask.shape, dtype=bool)
    for one in annotations(mask, CLASSES, 1, 1):
        part = as_mask(one["segmentation"], *mask.shape)
        assert abs(int(part.sum()) - one["area"]) <= max(4, 0.1 * one["area"])
        again |= part
    # Simplified by up to half a pixel, an outline may lose or gain some at its corners, nothing inside.
    assert (again != mask.numpy().astype(bool)).mean() < 0.02


def test_coco_reads_what_is_written(tmp_path):
    whole = {
        "images": [{"id": 1, "file_name": "a.png", "width": 50, "height": 40}],
        "categories": categories(CLASSES),
        "annotations": annotations(drawn(), CLASSES, 1, 1),
    }
    path = tmp_path / "segmentation.json"
    path.write_text(json.dumps(whole))
    coco = COCO(str(path))
    assert [one["name"] for one in coco.loadCats(coco.getCatIds())] == ["cat", "dog"]
    for one in coco.loadAnns(coco.getAnnIds()):
        assert coco.annToMask(one).sum() == pytest.approx(one["area"], abs=4)


def test_a_first_class_that_is_no_background_is_written_too():
    assert [one["id"] for one in categories(("sky", "cat"))] == [1, 2]
    found = annotations(torch.zeros(5, 6, dtype=torch.uint8), ("sky", "cat"), 1, 1)
    assert [(one["category_id"], one["area"]) for one in found] == [(1, 30)]
    assert annotations(torch.zeros(5, 6, dtype=torch.uint8), CLASSES, 1, 1) == []
