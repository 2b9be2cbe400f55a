import json

import numpy as np
import pytest
import torch
from PIL import Image

from pendio.data.annotations.convert import convert
from pendio.data.annotations.layouts import read_files
from pendio.data.annotations.masks import class_values, value_table
from pendio.data.annotations.opening import as_classes_of_pixels
from pendio.data.annotations.rasters import class_map, raster
from pendio.data.annotations.scenes import label_map, scene
from pendio.data.images import read_image
from pendio.errors import InputError

from .making import annotation, coco, everything, masks, put, xml, yolo

WHOLE = [annotation(1, 10, 3, [1, 2, 10, 12]), annotation(2, 10, 7, [20, 3, 10, 20], iscrowd=1),
         annotation(3, 11, 7, [0, 0, 40, 30])]  # fmt: skip


def boxes_by_stem(name):
    read = read_files(name, "boxes")
    return {
        image.image.stem: sorted(
            (*box, read.classes[label], crowd)
            for box, label, crowd in zip(image.boxes.tolist(), image.labels.tolist(), image.crowd.tolist(), strict=True)
        )
        for image in read.images
    }


@pytest.mark.parametrize(
    "chain", [("voc",), ("yolo",), ("coco",), ("voc", "yolo", "coco"), ("yolo", "voc", "coco", "yolo")]
)
def test_boxes_survive_any_chain_of_formats(tmp_path, chain):
    rows = WHOLE if "yolo" not in chain else [row | {"iscrowd": 0} for row in WHOLE]
    path = coco(tmp_path, annotations=rows)
    before, name = boxes_by_stem(path), path
    for number, to in enumerate(chain):
        name = convert(name, to, tmp_path / f"{number}-{to}").out
    assert boxes_by_stem(name) == before
    for image in read_files(name, "boxes").images:
        assert image.image.read_bytes() == (tmp_path / "images" / image.image.name).read_bytes()


@pytest.mark.parametrize("to", ["coco", "voc", "yolo", "masks"])
def test_splits_are_kept_and_the_summary_tells(tmp_path, to):
    for number, split in enumerate(("train", "val")):
        put(tmp_path / "set" / "images" / split, f"{split}.png", start=number)
        labels = tmp_path / "set" / "labels" / split
        labels.mkdir(parents=True)
        (labels / f"{split}.txt").write_text("0 0 0 0.5 0 0.5 1 0 1\n")
    summary = convert(tmp_path / "set", to, tmp_path / "out")
    assert summary.images == {"train": 1, "val": 1}
    assert summary.objects == (0 if to == "masks" else 2)
    after = read_files(tmp_path / "out", "masks" if to == "masks" else "boxes")
    assert {(image.image.stem, image.split) for image in after.images} == {("train", "train"), ("val", "val")}
    assert [finding.kind for finding in summary.findings] == (["outline"] if to == "voc" else [])


def test_outlines_survive_to_coco_and_as_masks(tmp_path):
    ring = [[4, 3, 20, 3, 20, 9, 4, 9]]
    path = coco(tmp_path, annotations=[annotation(1, 10, 7, [4, 3, 16, 6], segmentation=ring)])
    convert(path, "coco", tmp_path / "again")
    before, after = (read_files(name, None) for name in (path, tmp_path / "again"))
    assert after.images[0].outlines == before.images[0].outlines
    assert after.categories == (3, 7)
    assert [image.key for image in after.images] == ["10", "11", "12"]
    convert(path, "masks", tmp_path / "masks")
    made = read_files(tmp_path / "masks", "masks")
    assert made.classes == ("background", "cat", "owl")
    expected = as_classes_of_pixels(before)
    for one, other in zip(made.images, expected.images, strict=True):
        assert torch.equal(class_values(one, made.classes), class_map(other, expected.classes))


def test_polygons_go_to_yolo_where_asked(tmp_path):
    ring = [[4, 3, 20, 3, 20, 9, 4, 9]]
    path = coco(tmp_path, annotations=[annotation(1, 10, 7, [4, 3, 16, 6], segmentation=ring)])
    convert(path, "yolo", tmp_path / "polygons", outlines=True)
    assert read_files(tmp_path / "polygons", None).images[0].outlines[0].rings[0] == pytest.approx(ring[0], abs=1e-6)
    convert(path, "yolo", tmp_path / "boxes")
    assert read_files(tmp_path / "boxes", None).images[0].outlines == ()


def test_regions_of_masks_become_objects(tmp_path):
    values = np.zeros((30, 40), dtype=np.uint8)
    values[2:6, 3:9], values[10:14, 3:9], values[10:14, 9:20], values[20:22, 0:4] = 1, 1, 2, 255
    names = ["background", "cat", "owl"]
    folder = masks(tmp_path / "set", {"a": values}, names=names)
    summary = convert(folder, "coco", tmp_path / "out")
    assert summary.objects == 3
    read = read_files(tmp_path / "out", None)
    assert read.classes == ("cat", "owl")
    [image] = read.images
    found = {(*box, label) for box, label in zip(image.boxes.tolist(), image.labels.tolist(), strict=True)}
    assert found == {(3, 2, 9, 6, 0), (3, 10, 9, 14, 0), (9, 10, 20, 14, 1)}
    whole = sum(raster(outline, 30, 40).astype(int) * (label + 1)
                for outline, label in zip(image.outlines, image.labels.tolist(), strict=True))  # fmt: skip
    assert np.array_equal(whole, np.where(values == 255, 0, values))


def test_black_and_white_masks_become_plain_ones(tmp_path):
    folder = masks(tmp_path / "set", {"a": np.repeat(np.uint8([0, 255]), 20)[None].repeat(30, 0)})
    convert(folder, "masks", tmp_path / "out")
    read = read_files(tmp_path / "out", "masks")
    assert read.classes == ("background", "foreground")
    assert value_table(read) is None
    assert class_values(read.images[0], read.classes)[0, 20] == 1


def test_scenes_become_files(tmp_path):
    summary = convert("scenes", "coco", tmp_path / "coco", most=3)
    assert summary.images == {"train": 3, "val": 3, "test": 3}
    read = read_files(tmp_path / "coco", None)
    [image] = [image for image in read.images if image.split == "val" and image.image.stem == "val-0002"]
    made = scene(2, "val", 0, 128)
    assert torch.equal(read_image(image.image), made.image)
    assert torch.equal(image.boxes, made.boxes)
    assert torch.equal(image.labels, made.labels)
    assert np.array_equal([raster(outline, 128, 128) for outline in image.outlines], made.masks.numpy())
    convert("scenes", "masks", tmp_path / "masks", most=1, seed=3)
    masked = read_files(tmp_path / "masks", "masks")
    assert masked.classes == ("background", *map(str, range(10)))
    [first] = [image for image in masked.images if image.split == "train"]
    assert torch.equal(class_values(first, masked.classes), label_map(scene(0, "train", 3, 128)))


def test_images_of_one_name_stay_apart(tmp_path):
    for number, (split, name) in enumerate((("train", "a.png"), ("test", "A.png"), ("valid", "a.png"))):
        put(tmp_path / "set" / split, name, start=number)
        (tmp_path / "set" / split / f"{name[0]}.xml").write_text(xml(("cat", 1 + number, 1, 9, 9), name=name))
    convert(tmp_path / "set", "voc", tmp_path / "out")
    read = read_files(tmp_path / "out", "boxes")
    assert len({image.image.stem.lower() for image in read.images}) == 3
    assert {image.split: image.boxes[0, 0].item() for image in read.images} == {"train": 0, "val": 2, "test": 1}
    assert {image.image.read_bytes() for image in read.images} == {
        path.read_bytes() for path in (tmp_path / "set").rglob("*.png")
    }


def test_nothing_is_written_over(tmp_path):
    path = coco(tmp_path, annotations=WHOLE)
    (tmp_path / "out").mkdir()
    convert(path, "voc", tmp_path / "out")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match="is there already; name a folder that is empty or not there"):
        convert(path, "yolo", tmp_path / "out")
    with pytest.raises(InputError, match="is there already"):
        convert(path, "yolo", path)
    assert sorted(tmp_path.rglob("*")) == before


def test_what_cannot_be_converted_is_one_line_and_leaves_nothing(tmp_path):
    path = coco(tmp_path)
    for to, message in (
        ("mask", "unknown format 'mask': did you mean 'masks'"),
        ("masks", "has boxes and no outlines"),
    ):
        with pytest.raises(InputError, match=message):
            convert(path, to, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_a_format_cannot_hold_is_in_the_summary(tmp_path):
    summary = convert(coco(tmp_path, annotations=WHOLE), "yolo", tmp_path / "out")
    assert {finding.kind for finding in summary.findings} == {"empty", "crowd"}


def test_a_link_is_copied_as_what_it_points_to(tmp_path):
    folder = yolo(tmp_path / "set", a="0 0.5 0.5 0.5 0.5\n")
    (folder / "images" / "a.png").rename(tmp_path / "real.png")
    (folder / "images" / "a.png").symlink_to(tmp_path / "real.png")
    convert(folder, "coco", tmp_path / "out")
    [image] = read_files(tmp_path / "out", "boxes").images
    assert not image.image.is_symlink()
    assert Image.open(image.image).size == (40, 30)
    assert (
        json.loads((tmp_path / "out" / "annotations" / "instances.json").read_text())["images"][0]["file_name"]
        == "a.png"
    )
    assert everything(read_files(tmp_path / "out", "boxes"))
