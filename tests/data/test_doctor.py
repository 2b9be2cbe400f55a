import shutil

import numpy as np
import pytest
from PIL import Image

from pendio.data.doctor import ImageFile, diagnose, inspect

from .conftest import fill, picture


def files(folder, split="train"):
    return [ImageFile(path, path.parent.name, split) for path in sorted(folder.rglob("*.*"))]


def findings(*groups):
    return {finding.kind: finding for finding in diagnose(inspect([file for group in groups for file in group]))}


def test_a_sound_folder_has_no_findings(images):
    assert findings(files(images)) == {}


def test_equal_files_in_two_splits_leak(tmp_path):
    train, test = fill(tmp_path / "train", {"a": 3, "b": 3}), fill(tmp_path / "test", {"a": 3, "b": 3}, start=50)
    shutil.copy(train / "a" / "a001.jpg", test / "a" / "other-name.jpg")
    found = findings(files(train), files(test, "test"))
    assert set(found) == {"leak"}
    assert "1 images stand in more than one split" in found["leak"].message
    assert found["leak"].files == (str(train / "a" / "a001.jpg"), str(test / "a" / "other-name.jpg"))


def test_equal_files_under_two_labels_contradict_each_other(images):
    shutil.copy(images / "cat" / "cat001.jpg", images / "dog" / "x.jpg")
    found = findings(files(images))
    assert set(found) == {"contradiction"}
    assert "stand under different labels" in found["contradiction"].message


def test_equal_files_in_one_class_are_duplicates(images):
    for name in ("x.jpg", "y.jpg"):
        shutil.copy(images / "cat" / "cat001.jpg", images / "cat" / name)
    found = findings(files(images))
    assert set(found) == {"duplicate"}
    assert len(found["duplicate"].files) == 3


def test_unreadable_files_come_first_and_say_why(images):
    (images / "cat" / "z.jpg").write_text("not me")
    [first, *_] = diagnose(inspect(files(images)))
    assert first.kind == "unreadable"
    assert "z.jpg' is not an image" in first.message


@pytest.mark.parametrize(("few", "noticed"), [(1, True), (3, False)])
def test_a_class_ten_times_rarer_is_noticed(tmp_path, few, noticed):
    found = findings(files(fill(tmp_path, {"many": 20, "few": few})))
    assert ("imbalance" in found) == noticed
    if noticed:
        assert "class 'many' has 20 images, 'few' has 1" in found["imbalance"].message


def test_odd_sizes_shapes_and_modes(images):
    picture(90, (10, 10)).save(images / "cat" / "tiny.png")
    picture(91, (300, 40)).save(images / "cat" / "long.png")
    Image.fromarray(np.zeros((30, 40), dtype=np.uint8)).save(images / "cat" / "grey.png")
    found = findings(files(images))
    assert set(found) == {"size", "shape", "mode"}
    assert found["size"].files == (str(images / "cat" / "tiny.png"),)
    assert found["shape"].files == (str(images / "cat" / "long.png"),)
    assert "RGB (32), L (1)" in found["mode"].message or "L (1), RGB (32)" in found["mode"].message


def test_a_set_of_small_images_is_not_odd(tmp_path):
    assert findings(files(fill(tmp_path, {"a": 5, "b": 5}, size=(10, 10), suffix="png"))) == {}


def test_nothing_is_changed(images):
    before = {path: path.read_bytes() for path in images.rglob("*.jpg")}
    findings(files(images))
    assert {path: path.read_bytes() for path in images.rglob("*.jpg")} == before
