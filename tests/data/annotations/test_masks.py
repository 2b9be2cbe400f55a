import numpy as np
import pytest
import torch
from PIL import Image

from pendio.data.annotations.masks import (
    class_pixels,
    class_values,
    read_masks,
    read_voc_masks,
    value_table,
    write_masks,
)
from pendio.data.annotations.records import IGNORED
from pendio.errors import InputError

from .making import SIZE, kinds, masks, put


def stripes(*values):
    """Columns of equal width with these values: ``(30, 40)``."""
    return np.repeat(np.array(values, dtype=np.uint8), 40 // len(values))[None].repeat(30, 0)


@pytest.mark.parametrize("mode", ["L", "P"])
def test_values_are_classes_whatever_the_palette(tmp_path, mode):
    read = read_masks(masks(tmp_path / "set", {"a": stripes(0, 2), "b": stripes(1, IGNORED)}, mode=mode))
    assert read.classes == ("0", "1", "2")
    assert [(image.key, image.width, image.height) for image in read.images] == [("a.png", 40, 30), ("b.png", 40, 30)]
    values = class_values(read.images[1], read.classes)
    assert torch.equal(values, torch.from_numpy(stripes(1, IGNORED)))
    assert value_table(read) is None
    assert read.findings == ()


def test_names_come_from_the_file_beside(tmp_path):
    read = read_masks(masks(tmp_path / "set", {"a": stripes(0, 1)}, names=["ground", "road", "tree"]))
    assert read.classes == ("ground", "road", "tree")


def test_masks_of_one_bit_and_of_sixteen_are_read(tmp_path):
    folder = masks(tmp_path / "set", {"a": stripes(0, 1), "b": stripes(0, 1)})
    Image.fromarray(stripes(0, 1).astype(bool)).save(folder / "masks" / "a.png")
    Image.fromarray(stripes(0, 3).astype(np.uint16)).save(folder / "masks" / "b.png")
    read = read_masks(folder)
    assert read.classes == ("0", "1", "2", "3")
    assert class_pixels(read.images, read.classes).tolist() == [[600, 600, 0, 0], [600, 0, 0, 600]]


@pytest.mark.parametrize("names", [None, ["ground", "vessel"]])
def test_black_and_white_is_two_classes(tmp_path, names):
    read = read_masks(masks(tmp_path / "set", {"a": stripes(0, 255), "b": stripes(0)}, names=names))
    assert read.classes == (("background", "foreground") if names is None else ("ground", "vessel"))
    assert kinds(read) == {"two-valued"}
    table = value_table(read)
    assert torch.equal(class_values(read.images[0], read.classes, table), torch.from_numpy(stripes(0, 1)))
    assert class_pixels(read.images, read.classes, table).tolist() == [[600, 600], [1200, 0]]


def test_black_and_white_of_three_named_classes_is_ignored_as_ever(tmp_path):
    read = read_masks(masks(tmp_path / "set", {"a": stripes(0, 255)}, names=["a", "b", "c"]))
    assert value_table(read) is None
    assert class_pixels(read.images, read.classes).tolist() == [[600, 0, 0]]


@pytest.mark.parametrize("folder", ["masks", "labels", "annotations"])
@pytest.mark.parametrize("layout", ["{0}/{1}", "{1}/{0}"])
def test_splits_lie_below_or_above(tmp_path, folder, layout):
    for number, split in enumerate(("train", "val")):
        put(tmp_path / layout.format("images", split), f"{split}.jpg", start=number)
        home = tmp_path / layout.format(folder, split)
        home.mkdir(parents=True)
        Image.fromarray(stripes(0, 1)).save(home / f"{split}.png")
    read = read_masks(tmp_path)
    assert [(image.key, image.split, image.mask.stem) for image in read.images] == [
        ("train.jpg", "train", "train"), ("val.jpg", "val", "val"),
    ]  # fmt: skip


def test_images_may_lie_elsewhere(tmp_path):
    folder = masks(tmp_path / "set", {"a": stripes(0, 1)})
    (folder / "images").rename(tmp_path / "far")
    assert read_masks(folder, tmp_path / "far").images[0].image == tmp_path / "far" / "a.png"
    with pytest.raises(InputError, match="needs folders images/ and masks/"):
        read_masks(folder)


def change(folder, what):
    """One way to spoil a set."""
    masks, images = folder / "masks", folder / "images"
    spoil = {
        "size": lambda: Image.fromarray(stripes(0, 1)[:, :20]).save(masks / "a.png"),
        "rgb": lambda: Image.new("RGB", SIZE).save(masks / "a.png"),
        "rgba": lambda: Image.new("RGBA", SIZE).save(masks / "a.png"),
        "large": lambda: Image.fromarray(stripes(0, 1).astype(np.uint16) + 300).save(masks / "a.png"),
        "value": lambda: Image.fromarray(stripes(0, 2)).save(masks / "a.png"),
        "no mask": lambda: (masks / "a.png").unlink(),
        "no image": lambda: (images / "a.png").unlink(),
        "no images": lambda: [path.unlink() for path in images.iterdir()],
        "two": lambda: put(images, "a.jpg"),
        "void": lambda: [Image.fromarray(stripes(255)).save(path) for path in masks.iterdir()],
        "cut": lambda: (masks / "a.png").write_bytes((masks / "a.png").read_bytes()[:60]),
        "twice": lambda: (folder / "classes.txt").write_text("a\na"),
    }
    spoil[what]()


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("size", "a.png' is 20×30, but its image is 40×30"),
        ("rgb", r"a.png' has colours \(RGB\)"),
        ("rgba", r"a.png' has colours \(RGBA\)"),
        ("large", "a.png' has the value 301"),
        ("value", r"a.png' has the value 2, and there are 2 classes \(0 to 1; 255 is ignored\)"),
        ("no mask", "image .*a.png' has no mask"),
        ("no image", "mask .*a.png' has no image"),
        ("no images", "has no images"),
        ("two", "share one mask"),
        ("cut", "a.png' is damaged"),
        ("twice", "names 'a' twice"),
    ],
)
def test_damage_is_one_line_that_names_the_file(tmp_path, what, message):
    folder = masks(tmp_path / "set", {"a": stripes(0, 1), "b": stripes(0, 1)}, names=["x", "y"])
    change(folder, what)
    with pytest.raises(InputError, match=message) as raised:
        read_masks(folder)
    assert "\n" not in str(raised.value)


def test_masks_that_ignore_everything_teach_nothing(tmp_path):
    folder = masks(tmp_path / "set", {"a": stripes(0, 1)})
    change(folder, "void")
    with pytest.raises(InputError, match="hold 255 alone"):
        read_masks(folder)


def test_pascal_voc_has_its_own_names_and_lists(tmp_path):
    put(tmp_path / "JPEGImages", "a.jpg", "b.jpg", "c.jpg")
    lists = tmp_path / "ImageSets" / "Segmentation"
    for folder in (lists, tmp_path / "SegmentationClass"):
        folder.mkdir(parents=True)
    (lists / "train.txt").write_text("a\n")
    (lists / "val.txt").write_text("c\n")
    for stem, value in (("a", 15), ("c", 20)):
        Image.fromarray(stripes(0, value, IGNORED, 0)).save(tmp_path / "SegmentationClass" / f"{stem}.png")
    read = read_voc_masks(tmp_path)
    assert [(image.key, image.split) for image in read.images] == [("a.jpg", "train"), ("c.jpg", "val")]
    assert len(read.classes) == 21
    assert (read.classes[15], read.classes[20]) == ("person", "tvmonitor")
    (tmp_path / "SegmentationClass" / "c.png").unlink()
    with pytest.raises(InputError, match=r"c.png"):
        read_voc_masks(tmp_path)
    Image.fromarray(stripes(0, 21)).save(tmp_path / "SegmentationClass" / "c.png")
    with pytest.raises(InputError, match="has the value 21, and there are 21 classes"):
        read_voc_masks(tmp_path)
    (tmp_path / "JPEGImages" / "c.jpg").unlink()
    with pytest.raises(InputError, match="has no image"):
        read_voc_masks(tmp_path)


@pytest.mark.parametrize("values", [(0, 1, 2, IGNORED), (0, 255)])
def test_what_is_written_is_read_back_the_same(tmp_path, values):
    before = read_masks(masks(tmp_path / "set", {"a": stripes(*values), "b": stripes(0)}))
    put(tmp_path / "again" / "images", "a.png", "b.png")
    write_masks(before, tmp_path / "again")
    after = read_masks(tmp_path / "again")
    assert after.classes == before.classes
    assert Image.open(tmp_path / "again" / "masks" / "a.png").mode == "P"
    for one, other in zip(before.images, after.images, strict=True):
        expected = class_values(one, before.classes, value_table(before))
        assert torch.equal(class_values(other, after.classes, value_table(after)), expected)
