import shutil
from collections import Counter

import pytest
import torch

import pendio.data
from pendio.data.streams import Stream
from pendio.errors import InputError

from .conftest import CLASSES, fill, picture


def test_a_folder_without_splits_is_split_by_class_the_same_each_time(images):
    data = pendio.data.open(images)
    assert data.classes == CLASSES
    for split, each in (("train", 7), ("val", 1), ("test", 2)):
        assert Counter(data.split(split).targets.tolist()) == dict.fromkeys(range(3), each)
    again, other = pendio.data.open(images), pendio.data.open(images, seed=1)
    assert torch.equal(data.test.inputs, again.test.inputs)
    assert not torch.equal(data.test.inputs, other.test.inputs)


def test_no_picture_is_lost_or_shared_between_splits(images):
    data = pendio.data.open(images, size=24)
    every = torch.cat([data.train.inputs, data.val.inputs, data.test.inputs]).flatten(1)
    assert len(every) == 30
    assert len(every.unique(dim=0)) == 30


@pytest.mark.parametrize(
    ("names", "sizes"),
    [
        (("train", "val", "test"), (12, 6, 6)),
        (("Training", "validation"), (12, 6, None)),
        (("train", "test"), (9, 3, 6)),
    ],
)
def test_folders_with_splits_keep_them(tmp_path, names, sizes):
    for number, name in enumerate(names):
        fill(tmp_path / name, dict.fromkeys(CLASSES, 4 if number == 0 else 2), start=100 * number)
    data = pendio.data.open(tmp_path)
    assert (len(data.train), len(data.val), None if data.test is None else len(data.test)) == sizes


def test_sizes_follow_the_wish_or_the_images(tmp_path, images):
    assert pendio.data.open(images).shape == (3, 128, 128)
    assert pendio.data.open(images, size=20).shape == (3, 20, 20)
    fill(tmp_path / "small", {"a": 5, "b": 5}, size=(32, 32), suffix="png")
    assert pendio.data.open(tmp_path / "small").shape == (3, 32, 32)


def test_grey_folders_have_one_channel(tmp_path):
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        for number in range(5):
            picture(number + 10 * (label == "b"), (20, 20)).convert("L").save(tmp_path / label / f"{number}.png")
    assert pendio.data.open(tmp_path).shape == (1, 20, 20)


def test_random_crops_are_cut_from_the_originals_so_the_data_streams(images):
    data = pendio.data.open(images, size=16, augment="crop,flip")
    assert isinstance(data.train, Stream)
    assert data.augmented
    [first, *_] = data.train.batches(8, epoch=0)
    assert (first.inputs.dtype, first.inputs.shape) == (torch.uint8, (8, 3, 16, 16))


def test_streams_and_resident_sets_have_the_same_statistics(images):
    resident, stream = pendio.data.open(images, size=16), pendio.data.open(images, size=16, augment="crop")
    assert stream.mean == pytest.approx(resident.mean, abs=1e-9)
    assert stream.std == pytest.approx(resident.std, abs=1e-9)
    floats = resident.train.inputs.double() / 255
    assert resident.mean == pytest.approx(floats.mean((0, 2, 3)).tolist())
    assert resident.std == pytest.approx(floats.std((0, 2, 3), unbiased=False).tolist())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: None, "has no images in subfolders .looked for .jpg .jpeg .png"),
        (lambda root: picture(1).save(root / "loose.png"), "its 1 images lie outside of class subfolders"),
        (lambda root: fill(root, {"only": 5}), "has one class only, 'only'; a classifier needs two"),
        (lambda root: fill(root, {"a": 1, "b": 1}), "too few images to hold any back for val"),
        (
            lambda root: fill(root / "test", {"a": 2, "b": 2}) and fill(root / "val", {"a": 2, "b": 2}),
            "has test/ and val/ but no train/",
        ),
    ],
    ids=["empty", "loose", "one class", "too few", "no training"],
)
def test_folders_that_cannot_be_learnt_from_say_why(tmp_path, make, message):
    make(tmp_path)
    with pytest.raises(InputError, match=message):
        pendio.data.open(tmp_path)


def test_what_is_no_image_is_left_out_and_named(images):
    (images / "cat" / "notes.txt").write_text("meow")
    (images / "cat" / ".DS_Store").touch()
    (images / ".git").mkdir()
    data = pendio.data.open(images)
    [finding] = data.findings
    assert finding.kind == "ignored"
    assert finding.files == (str(images / "cat" / "notes.txt"),)


def test_one_unreadable_image_in_many_is_skipped_and_named(tmp_path):
    folder = fill(tmp_path / "many", {"a": 60, "b": 60})
    bad = folder / "b" / "b007.jpg"
    bad.write_bytes(bad.read_bytes()[:400])
    data = pendio.data.open(folder, size=16)
    assert len(data.train) + len(data.val) + len(data.test) == 119
    [finding] = [finding for finding in data.findings if finding.kind == "unreadable"]
    assert finding.files == (str(bad),)


@pytest.mark.parametrize("content", [b"", b"no image", None])
def test_more_than_one_percent_unreadable_stops(images, content):
    bad = images / "dog" / "dog003.jpg"
    bad.write_bytes(bad.read_bytes()[:400] if content is None else content)
    with pytest.raises(
        InputError, match=r"1 of 30 images .* cannot be read, more than 1 %; repair or remove them: .*dog003"
    ):
        pendio.data.open(images)


def write_csv(images, rows, header="path,label"):
    path = images / "labels.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def rows_of(images):
    return [f"{path.relative_to(images)},{path.parent.name}" for path in sorted(images.rglob("*.jpg"))]


def test_a_csv_of_paths_and_labels(images):
    data = pendio.data.open(write_csv(images, rows_of(images)), size=16)
    assert data.classes == CLASSES
    assert (len(data.train), len(data.val), len(data.test)) == (21, 3, 6)


def test_a_csv_may_name_the_splits(images):
    rows = [f"{row},{('train', 'val')[number % 2]}" for number, row in enumerate(rows_of(images))]
    data = pendio.data.open(write_csv(images, rows, "path,label,split"), size=16)
    assert (len(data.train), len(data.val), data.test) == (15, 15, None)
    assert data.split("test") is data.val


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("cat/gone.jpg,cat", r"labels.csv' line 32: there is no image '.*gone.jpg'"),
        ("cat/cat000.jpg,", r"line 32: the label is empty"),
        ("cat/cat000.jpg", r"line 32: expected 2 fields"),
    ],
)
def test_a_csv_with_a_mistake_names_its_line(images, row, message):
    with pytest.raises(InputError, match=message):
        pendio.data.open(write_csv(images, [*rows_of(images), row]))


def test_a_csv_with_an_unknown_or_partial_split_says_so(images):
    rows = [f"{row},train" for row in rows_of(images)]
    with pytest.raises(InputError, match="line 2: unknown split 'trian'"):
        pendio.data.open(write_csv(images, [rows[0].replace("train", "trian"), *rows[1:]], "path,label,split"))
    with pytest.raises(InputError, match="names a split for some images and none for others"):
        pendio.data.open(write_csv(images, [rows[0].removesuffix("train"), *rows[1:]], "path,label,split"))


def test_a_folder_that_is_not_there_suggests_an_embedded_set(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="no data 'digit': .* did you mean 'digits'"):
        pendio.data.open("digit")
    shutil.copy(__file__, tmp_path / "x.py")
    with pytest.raises(InputError, match="unknown ending '.py'; expected .csv or .npz"):
        pendio.data.open("x.py")


def test_images_without_labels_may_lie_anywhere(tmp_path):
    fill(tmp_path, {"one": 5, "two": 5})
    (tmp_path / "two" / "deep").mkdir()
    for number, place in enumerate((".", ".", "two/deep")):
        picture(100 + number).save(tmp_path / place / f"loose{number}.png")
    data = pendio.data.open(tmp_path, size=16, labels=False)
    assert data.classes == ("image",)
    assert (len(data.train), len(data.val), len(data.test)) == (9, 1, 3)
    every = torch.cat([data.train.inputs, data.val.inputs, data.test.inputs]).flatten(1)
    assert len(every.unique(dim=0)) == 13


def test_images_without_labels_keep_the_splits_they_lie_in(tmp_path):
    for split, count in (("train", 4), ("val", 2)):
        (tmp_path / split).mkdir()
        for number in range(count):
            picture(number + 10 * count).save(tmp_path / split / f"{number}.png")
    data = pendio.data.open(tmp_path, size=16, labels=False)
    assert (len(data.train), len(data.val), data.test) == (4, 2, None)


def test_a_list_of_images_without_labels_needs_their_paths_alone(tmp_path):
    for number in range(10):
        picture(number).save(tmp_path / f"{number}.png")
    (tmp_path / "list.csv").write_text("\n".join(["path", *(f"{number}.png" for number in range(10))]))
    data = pendio.data.open(tmp_path / "list.csv", size=16, labels=False)
    assert (len(data.train), data.classes) == (7, ("image",))


def test_unlabelled_crops_stream_and_the_doctor_looks_too(tmp_path):
    for number in range(10):
        picture(number).save(tmp_path / f"{number}.png")
    (tmp_path / "copy.png").write_bytes((tmp_path / "0.png").read_bytes())
    data = pendio.data.open(tmp_path, size=16, augment="crop", labels=False)
    assert isinstance(data.train, Stream)
    assert {finding.kind for finding in data.findings} in ({"leak"}, {"duplicate"})


def test_an_empty_folder_has_no_images_with_or_without_labels(tmp_path):
    with pytest.raises(InputError, match="has no images .looked for .jpg"):
        pendio.data.open(tmp_path, labels=False)
