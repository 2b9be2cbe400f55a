import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from pendio.data.annotations.doctor import _almost_equal, examine, examine_masks, training_counts
from pendio.data.annotations.masks import class_pixels
from pendio.data.annotations.records import Annotated, Annotations

from .making import SIZE, put


def told(findings):
    return {finding.kind: finding for finding in findings}


def image(file, boxes, labels, crowd=None, split="train"):
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    crowd = torch.tensor(crowd or [False] * len(labels), dtype=torch.bool)
    return Annotated(
        file, *SIZE, boxes, torch.tensor(labels, dtype=torch.long), crowd, torch.ones(len(labels)), split=split
    )


def test_nothing_odd_is_nothing_told(tmp_path):
    a, b = put(tmp_path, "a.png", "b.png")
    images = (image(a, [[0, 0, 9, 9], [20, 5, 30, 20]], [0, 1]), image(b, [[0, 0, 9, 9]], [1], split="val"))
    assert examine(Annotations("x", images, ("cat", "owl")), 40) == ()


def test_equal_files_in_two_splits_leak(tmp_path):
    a, b = put(tmp_path, "a.png", "b.png")
    copy = tmp_path / "copy.png"
    shutil.copy(a, copy)
    images = (
        image(a, [[0, 0, 9, 9]], [0]),
        image(b, [[0, 0, 9, 9]], [0]),
        image(copy, [[0, 0, 9, 9]], [0], split="test"),
    )
    found = told(examine(Annotations("x", images, ("cat",)), 40))
    assert set(found["leak"].files) == {str(a), str(copy)}
    assert "duplicate" not in found
    same = (images[0], images[1], replace(images[2], split="train"))
    assert set(told(examine(Annotations("x", same, ("cat",)), 40))) == {"duplicate"}


def test_classes_that_are_rare_or_not_there_are_told(tmp_path):
    a, b = put(tmp_path, "a.png", "b.png")
    many = [[n, 0, n + 9, 9] for n in range(20)]
    images = (image(a, [*many, [0, 9, 9, 20], [9, 9, 19, 20]], [0] * 20 + [1, 3], [False] * 21 + [True]),
              image(b, [[0, 0, 9, 9]], [2], split="val"))  # fmt: skip
    annotations = Annotations("x", images, ("cat", "owl", "dog", "bat"))
    assert training_counts(annotations).tolist() == [20, 1, 0, 0]
    found = told(examine(annotations, 40))
    assert "class 'cat' has 20 boxes, 'owl' has 1" in found["imbalance"].message
    assert "no training image has any of 2 classes: 'dog', 'bat'" in found["unseen"].message


def test_boxes_are_tiny_at_the_size_of_training_alone(tmp_path):
    [a] = put(tmp_path, "a.png")
    annotations = Annotations("x", (image(a, [[0, 0, 5, 20], [0, 0, 20, 20]], [0, 0]),), ("cat",))
    assert "tiny" not in told(examine(annotations, 32))
    assert (
        "1 of 2 boxes are narrower than 4 pixels once images are 31 pixels"
        in told(examine(annotations, 31))["tiny"].message
    )


def test_images_with_a_great_many_boxes_are_told(tmp_path):
    [a] = put(tmp_path, "a.png")
    for count, kinds in ((100, set()), (101, {"crowded"})):
        boxes = [[n / 10, n / 10, n / 10 + 5, n / 10 + 5] for n in range(count)]
        assert set(told(examine(Annotations("x", (image(a, boxes, [0] * count),), ("cat",)), 40))) == kinds


def test_almost_equal_boxes_of_two_classes_are_told(tmp_path):
    [a] = put(tmp_path, "a.png")
    boxes = [[0, 0, 20, 20], [0.1, 0.1, 20, 20], [0, 0, 20.1, 20]]
    found = told(examine(Annotations("x", (image(a, boxes, [0, 1, 0]),), ("cat", "owl")), 40))
    assert "2 pairs of almost equal boxes" in found["contradiction"].message
    assert "'cat' and 'owl' in" in found["contradiction"].message
    assert "contradiction" not in told(examine(Annotations("x", (image(a, boxes, [1, 1, 1]),), ("cat", "owl")), 40))


@pytest.mark.parametrize("seed", range(20))
def test_almost_equal_pairs_are_those_of_brute_force(seed):
    random = np.random.default_rng(seed)
    centres = random.random((6, 4)) * [50, 50, 0, 0] + [0, 0, 40, 40]
    near = centres[random.integers(0, 6, 60)] + random.random((60, 4)) * random.choice([0.3, 1.5, 4])
    boxes = np.column_stack([near[:, :2], near[:, :2] + near[:, 2:]]).astype(np.float32)
    first, second = _almost_equal(boxes)
    found = {frozenset(pair) for pair in zip(first.tolist(), second.tolist(), strict=True)}
    expected = set()
    for one in range(60):
        for other in range(one):
            shared = np.prod(np.clip(np.minimum(boxes[one, 2:], boxes[other, 2:]) -
                                     np.maximum(boxes[one, :2], boxes[other, :2]), 0, None))  # fmt: skip
            areas = sum(np.prod(boxes[n, 2:] - boxes[n, :2]) for n in (one, other))
            if shared / (areas - shared) > 0.95:
                expected.add(frozenset((one, other)))
    assert found == expected
    assert len(first) == len(found)


def test_masks_of_one_class_and_classes_without_pixels_are_told(tmp_path):
    files = put(tmp_path, "a.png", "b.png", "c.png")
    ring = torch.tensor([[0.0, 0, 2, 2]])
    images = [replace(image(file, [], []), split="train") for file in files]
    images[1] = image(files[1], ring.tolist(), [1])
    annotations = Annotations("x", tuple(images), ("background", "cat", "owl"))
    pixels = np.array([[1200, 0, 0], [1196, 4, 0], [600, 600, 0]])
    found = told(examine_masks(annotations, pixels))
    assert found["single"].files == (str(files[0]),)
    assert "none of 3 training masks looked at has any of 1 classes: 'owl'" in found["unseen"].message
    assert set(found) == {"single", "unseen"}
    pixels[2, 1] = 40
    assert (
        "class 'background' has 2996 pixels, 'cat' has 44"
        in told(examine_masks(annotations, pixels))["imbalance"].message
    )
    assert class_pixels(images, annotations.classes).tolist()[0] == [1200, 0, 0]
