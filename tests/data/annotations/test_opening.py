import json
from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image

from pendio.data.annotations.opening import as_classes_of_pixels, open_boxes, open_masks, read_annotations, with_splits
from pendio.data.annotations.records import IGNORED, Annotated, Annotations, Polygons
from pendio.errors import InputError

from .making import annotation, coco, masks, put, voc, xml, yolo

CAT = ("cat", 1, 1, 9, 9)
RING = Polygons(((0, 0, 9, 0, 9, 9),))
LINE = "0 0.5 0.5 0.5 0.2\n"


def stems(count):
    return [f"p{number}" for number in range(count)]


def many_coco(folder, count=10, outlines=False, name="instances.json", start=0):
    folder.mkdir(parents=True, exist_ok=True)
    files = put(folder / "images", *(f"{start + n}.png" for n in range(count)), start=start)
    ring = {"segmentation": [[0, 0, 10, 0, 10, 10, 0, 10]]} if outlines else {}
    content = {
        "images": [{"id": n, "file_name": file.name} for n, file in enumerate(files, 1)],
        "categories": [{"id": 5, "name": "owl"}, {"id": 2, "name": "cat"}],
        "annotations": [
            annotation(2 * n + m, n, (2, 5)[m], [20 * m, 0, 10, 10 + n], **ring) for n in range(1, count + 1) for m in (0, 1)
        ],
    }  # fmt: skip
    (folder / name).write_text(json.dumps(content))
    return folder / name


@pytest.fixture
def sets(tmp_path):
    """A set of ten images in each layout of boxes."""
    return {
        "coco": many_coco(tmp_path / "coco"),
        "coco-folder": many_coco(tmp_path / "coco-folder").parent,
        "voc": voc(tmp_path / "voc", **{stem: xml(CAT, name=f"{stem}.png") for stem in stems(10)}),
        "yolo": yolo(tmp_path / "yolo", **dict.fromkeys(stems(10), LINE)),
    }


@pytest.mark.parametrize("layout", ["coco", "coco-folder", "voc", "yolo"])
def test_each_layout_opens_with_one_name(sets, layout):
    data = open_boxes(sets[layout], size=64)
    assert (data.kind, data.shape, data.name) == ("boxes", (3, 64, 64), str(sets[layout]))
    assert [len(data.split(split)) for split in ("train", "val", "test")] == [7, 1, 2]
    assert "cat" in data.classes
    assert data.class_counts[data.classes.index("cat")] == 7
    assert all(0 < mean < 1 for mean in data.mean)
    batch = next(iter(data.train.batches(4)))
    assert batch.inputs.shape == (4, 3, 64, 64)
    assert (batch.labels >= 0).any(1).all()


def test_the_split_follows_the_seed_and_shares_no_image(sets):
    def split_of(seed):
        return {image.key: image.split for image in read_annotations(sets["coco"], "boxes", seed=seed).images}

    assert split_of(0) == split_of(0)
    assert split_of(0) != split_of(1)
    assert Counter(split_of(0).values()) == {"train": 7, "val": 1, "test": 2}


def test_boxes_arrive_in_pixels_of_the_square(sets):
    batch = open_boxes(sets["coco"], size=80).train.take(torch.arange(7))
    first = next(image for image in read_annotations(sets["coco"], "boxes").images if image.split == "train")
    # 40×30 in a square of 80: twice as large, 10 pixels below its top.
    assert batch.boxes[0][0].tolist() == pytest.approx((first.boxes[0] * 2 + torch.tensor([0, 10, 0, 10])).tolist())
    assert batch.sizes[0].tolist() == [30, 40]


def test_a_folder_of_coco_takes_its_splits_from_the_names(tmp_path):
    for number, split in enumerate(("train2017", "val2017")):
        path = many_coco(tmp_path / "annotations", 3, name=f"instances_{split}.json", start=10 * number)
        (tmp_path / "annotations" / "images").rename(tmp_path / split)
        (tmp_path / "annotations" / f"captions_{split}.json").write_text("{}")
    read = read_annotations(tmp_path, "boxes")
    assert Counter(image.split for image in read.images) == {"train": 3, "val": 3}
    assert read.categories == (2, 5)
    whole = read_annotations(path, "boxes")
    assert Counter(image.split for image in whole.images) == {"train": 1, "val": 1, "test": 1}


def test_coco_files_in_folders_of_splits(tmp_path):
    for number, split in enumerate(("train", "valid", "test")):
        many_coco(tmp_path / split, 2, name="_annotations.coco.json", start=10 * number)
    read = read_annotations(tmp_path, "boxes")
    assert Counter(image.split for image in read.images) == {"train": 2, "val": 2, "test": 2}


def test_several_files_of_unknown_splits_are_not_guessed(tmp_path):
    many_coco(tmp_path, 3, name="a.json")
    many_coco(tmp_path, 3, name="b.json")
    with pytest.raises(InputError, match=r"several .json files \(a.json, b.json\).*name one"):
        open_boxes(tmp_path, size=64)


def test_voc_in_folders_of_splits_has_the_classes_of_all(tmp_path):
    for number, (split, label) in enumerate((("train", "owl"), ("valid", "cat"))):
        put(tmp_path / split, "a.png", start=number)
        (tmp_path / split / "a.xml").write_text(xml((label, 1, 1, 9, 9)))
    read = read_annotations(tmp_path, "boxes")
    assert read.classes == ("cat", "owl")
    assert [(image.split, image.labels.tolist()) for image in read.images] == [("train", [1]), ("val", [0])]


def test_a_description_can_be_named_itself(tmp_path):
    folder = yolo(tmp_path / "set", names=None, **dict.fromkeys(stems(4), LINE))
    (folder / "mine.yaml").write_text("train: images\nnames: [cat]")
    read = read_annotations(folder / "mine.yaml", "boxes")
    assert Counter(image.split for image in read.images) == {"train": 3, "val": 1}
    assert read.classes == ("cat",)


def test_masks_open_with_one_name(tmp_path):
    arrays = {stem: np.eye(30, 40, n, dtype=np.uint8) for n, stem in enumerate(stems(10))}
    data = open_masks(masks(tmp_path / "set", arrays), size=64)
    assert (data.kind, data.shape, data.classes) == ("masks", (3, 64, 64), ("0", "1"))
    assert [len(data.split(split)) for split in ("train", "val", "test")] == [7, 1, 2]
    assert sum(data.class_counts) == 7 * 1200
    batch = next(iter(data.train.batches(7)))
    assert (batch.targets.shape, batch.targets.dtype) == ((7, 64, 64), torch.uint8)
    assert batch.targets.unique().tolist() == [0, 1, IGNORED]


def test_black_and_white_masks_are_two_classes_in_batches(tmp_path):
    arrays = dict.fromkeys(stems(10), np.repeat(np.uint8([0, 255]), 20)[None].repeat(30, 0))
    data = open_masks(masks(tmp_path / "set", arrays), size=40)
    batch = next(iter(data.train.batches(7)))
    assert (batch.targets == 1).sum() == (batch.targets == 0).sum() == 7 * 600
    assert data.class_counts == (7 * 600, 7 * 600)


def test_outlines_become_classes_of_pixels_after_background(tmp_path):
    data = open_masks(many_coco(tmp_path, 10, outlines=True), size=40)
    assert data.classes == ("background", "cat", "owl")
    # All outlines are the same square: the class of the smaller box lies on top, and here that is the last of equals.
    assert data.class_counts[0] == 7 * 1100
    assert sum(data.class_counts) == 7 * 1200
    targets = next(iter(data.train.batches(7))).targets
    assert (targets[:, 5:15, :10] > 0).all()


def test_polygons_of_yolo_become_masks(tmp_path):
    folder = yolo(tmp_path / "set", **dict.fromkeys(stems(4), "1 0 0 0.5 0 0.5 1 0 1\n"))
    read = read_annotations(folder, "masks")
    assert read.classes == ("background", "cat", "owl")
    assert read.images[0].labels.tolist() == [2]


def test_pascal_voc_gives_boxes_or_masks_as_wanted(tmp_path):
    folder = voc(tmp_path / "set", **{stem: xml(CAT, name=f"{stem}.png") for stem in stems(4)})
    with pytest.raises(InputError, match="has boxes and no masks"):
        open_masks(folder, size=64)
    (folder / "SegmentationClass").mkdir()
    for stem in stems(4):
        Image.fromarray(np.full((30, 40), 8, dtype=np.uint8)).save(folder / "SegmentationClass" / f"{stem}.png")
    assert open_masks(folder, size=64).classes[8] == "cat"
    assert open_boxes(folder, size=64).classes == ("cat",)


def test_scenes_open_by_their_name_and_have_no_files():
    for opened in (open_boxes, open_masks):
        with pytest.raises(InputError, match="scenes are made with"):
            opened("scenes", size=8)
    with pytest.raises(InputError, match="made, not read"):
        read_annotations("scenes", "boxes")


def test_what_is_odd_is_told_with_the_data(sets):
    content = json.loads(sets["coco"].read_text())
    content["annotations"][0]["bbox"] = [-9, -9, 20, 20]
    sets["coco"].write_text(json.dumps(content))
    kinds = {finding.kind for finding in open_boxes(sets["coco"], size=12).findings}
    assert {"clipped", "tiny"} <= kinds


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: "scene", "no data 'scene': .*did you mean 'scenes'"),
        (lambda folder: folder / "gone", "no data .*gone': it is neither a file or folder here"),
        (lambda folder: folder, "has no annotations that are understood: a COCO .json"),
        (lambda folder: put(folder, "a.png")[0], "unknown ending '.png'"),
        (lambda folder: masks(folder / "set", {"a": np.eye(30, 40)}), "has masks and no boxes"),
        (lambda folder: many_coco(folder, 1), "too few images to hold any back for validation: only 1"),
    ],
)
def test_what_cannot_be_opened_is_one_line(tmp_path, make, message):
    with pytest.raises(InputError, match=message) as raised:
        open_boxes(make(tmp_path), size=64)
    assert "\n" not in str(raised.value)


def test_masks_need_masks_or_outlines(tmp_path):
    with pytest.raises(InputError, match="has boxes and no outlines"):
        open_masks(coco(tmp_path), size=64)
    with pytest.raises(InputError, match="--images .* is no folder"):
        open_masks(tmp_path / "instances.json", size=64, images=tmp_path / "gone")


def test_augmentation_has_to_be_known_and_fit(tmp_path):
    path = many_coco(tmp_path)
    assert open_boxes(path, size=64, augment="flip,color").augmented
    with pytest.raises(InputError, match="unknown augmentation 'flop'"):
        open_boxes(path, size=64, augment="flop")
    with pytest.raises(InputError, match="mosaic"):
        open_masks(path, size=64, augment="mosaic")


def unsplit(*splits):
    images = tuple(Annotated(f"{n}.png", 9, 9, split=split, key=str(n)) for n, split in enumerate(splits))
    return Annotations("x", images, ("cat",))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([""] * 2, {"train": 1, "val": 1}),
        ([""] * 3, {"train": 1, "val": 1, "test": 1}),
        ([""] * 100, {"train": 70, "val": 10, "test": 20}),
        (["train"] * 20, {"train": 18, "val": 2}),
        (["train"] * 20 + ["test"] * 3, {"train": 18, "val": 2, "test": 3}),
        (["train"] * 4 + ["val"] * 3, {"train": 4, "val": 3}),
    ],
)
def test_splits_are_filled_where_there_are_none(given, expected):
    assert Counter(image.split for image in with_splits(unsplit(*given), 0).images) == expected


def test_a_set_without_training_images_is_refused():
    with pytest.raises(InputError, match="has no training images, only test, val"):
        with_splits(unsplit("val", "test"), 0)


def test_a_class_called_background_keeps_its_name():
    image = Annotated("a.png", 9, 9, torch.zeros(1, 4), torch.zeros(1, dtype=torch.long), outlines=(RING,))
    moved = as_classes_of_pixels(Annotations("x", (image,), ("background",)))
    assert moved.classes == ("unlabelled", "background")
    assert moved.images[0].labels.tolist() == [1]


def test_objects_without_an_outline_are_told():
    image = Annotated("a.png", 9, 9, torch.zeros(2, 4), torch.zeros(2, dtype=torch.long), outlines=(RING, None))
    [finding] = as_classes_of_pixels(Annotations("x", (image,), ("cat",))).findings
    assert "1 objects have a box and no outline" in finding.message
    assert finding.files == ("a.png",)
