from pathlib import Path

import numpy as np
import pytest
import torch

from pendio.data.annotations.files import Picture
from pendio.data.annotations.records import Polygons
from pendio.data.annotations.tidying import Objects, assemble

PICTURES = [Picture(Path(f"{name}.png"), name, "", 40, 30) for name in "abc"]


def test_objects_come_to_their_pictures_in_the_order_they_were_told():
    objects = Objects()
    random = np.random.default_rng(0)
    told = [(int(random.integers(3)), (float(n), 0.0, n + 1.0, 5.0), n % 4) for n in range(30)]
    for place, box, label in told:
        objects.add(place, box, label, crowd=label == 3)
    images, findings = assemble("x", PICTURES, objects)
    assert findings == ()
    for place, image in enumerate(images):
        assert image.key == "abc"[place]
        assert image.boxes.tolist() == [list(box) for at, box, _ in told if at == place]
        assert image.labels.tolist() == [label for at, _, label in told if at == place]
        assert torch.equal(image.crowd, image.labels == 3)


def test_areas_are_told_or_of_the_outline_or_of_the_clipped_box():
    objects = Objects()
    ring = Polygons(((0, 0, 10, 0, 10, 10, 0, 10),))
    objects.add(0, (0, 0, 20, 20), 0, area=7.0, outline=ring)
    objects.add(0, (0, 0, 20, 20), 1, outline=ring)
    objects.add(0, (30, 0, 50, 20), 0)
    [image, *_], _ = assemble("x", PICTURES, objects)
    assert image.areas.tolist() == [7, 100, 200]


def test_no_objects_at_all_are_empty_images():
    images, [finding] = assemble("x", PICTURES, Objects())
    assert [image.boxes.shape for image in images] == [(0, 4)] * 3
    assert (finding.kind, len(finding.files)) == ("empty", 3)


@pytest.mark.parametrize(
    "box", [(40, 0, 45, 9), (-5, 0, 0, 9), (0, 30, 9, 31), (3, 3, 3, 9), (9, 3, 3, 9), (3, 9, 9, 9)]
)
def test_boxes_that_touch_from_outside_or_have_no_area_are_of_no_use(box):
    objects = Objects()
    for number in range(9):
        objects.add(1, (number, 0, number + 1, 9), 0)
    objects.add(0, box, 0)
    images, findings = assemble("x", PICTURES, objects)
    assert len(images[0].boxes) == 0
    assert {finding.kind: finding.files for finding in findings}["unusable"] == ("a.png",)


def test_the_same_box_twice_counts_once_but_not_of_two_classes_or_images():
    objects = Objects()
    for place, label in ((0, 0), (0, 1), (1, 0), (0, 0), (0, 0)):
        objects.add(place, (1, 1, 5, 5), label, crowd=place == 1)
    images, findings = assemble("x", PICTURES[:2], objects)
    assert [image.labels.tolist() for image in images] == [[0, 1], [0]]
    [finding] = findings
    assert finding.message.startswith("2 boxes stand twice")
