import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pendio.data.annotations.rasters import run_lengths
from pendio.data.annotations.records import Annotated, Annotations, Polygons
from pendio.data.annotations.yolo import read_yolo, write_yolo
from pendio.errors import InputError

from .making import SIZE, everything, kinds, put, yolo

LINE = "0 0.5 0.5 0.5 0.2\n"


def splits(read):
    return {image.key: image.split for image in read.images}


def test_shares_become_pixels(tmp_path):
    read = read_yolo(yolo(tmp_path / "set", a="1 0.5 0.5 0.25 0.2\n\n0 0.25 0.5 0.5 1\n", b=""))
    assert read.classes == ("cat", "owl")
    assert read.images[0].boxes.tolist() == [[15, 12, 25, 18], [0, 0, 20, 30]]
    assert read.images[0].labels.tolist() == [1, 0]
    assert len(read.images[1].boxes) == 0
    assert kinds(read) == {"empty"}


def test_polygons_become_outlines_and_their_boxes(tmp_path):
    [image] = read_yolo(yolo(tmp_path / "set", a="0 0.25 0.5 0.5 0.5 0.5 0.9 0.25 0.9\n")).images
    assert image.boxes.tolist() == [[10, 15, 20, 27]]
    assert image.outlines == (Polygons(((10, 15, 20, 15, 20, 27, 10, 27),)),)
    assert image.areas.tolist() == [120]


def test_an_image_without_a_file_is_empty_and_told(tmp_path):
    read = read_yolo(yolo(tmp_path / "set", a=LINE, b=None))
    assert len(read.images) == 2
    assert kinds(read) == {"empty", "unlabelled"}


def test_without_names_numbers_are_names(tmp_path):
    assert read_yolo(yolo(tmp_path / "set", names=None, a=LINE, b=LINE.replace("0 ", "3 ", 1))).classes == tuple("0123")


@pytest.mark.parametrize("layout", ["images/{}|labels/{}", "{}/images|{}/labels", "{}|{}"])
@pytest.mark.parametrize("names", [("train", "val"), ("train", "valid", "test")])
def test_splits_lie_below_or_above(tmp_path, layout, names):
    for number, name in enumerate(names):
        images, labels = (tmp_path / part.format(name) for part in layout.split("|"))
        put(images, f"{name}.png", start=number)
        labels.mkdir(parents=True, exist_ok=True)
        (labels / f"{name}.txt").write_text(LINE)
    read = read_yolo(tmp_path)
    assert splits(read) == {f"{name}.png": "val" if name == "valid" else name for name in names}
    assert all(len(image.boxes) == 1 for image in read.images)


def test_images_and_labels_may_lie_side_by_side(tmp_path):
    put(tmp_path, "a.png", "b.png")
    (tmp_path / "a.txt").write_text(LINE)
    (tmp_path / "b.txt").write_text("")
    (tmp_path / "obj.names").write_text("cat\n\nowl\n")
    (tmp_path / "notes.txt").write_text("taken in May")
    read = read_yolo(tmp_path)
    assert read.classes == ("cat", "owl")
    assert list(splits(read).values()) == ["", ""]


@pytest.mark.parametrize(
    "text",
    [
        "train: images/a\nval: images/b\nnames: [cat, owl]",
        "path: ../somewhere/else\ntrain: ../images/a\nval: [images/b]\nnames: {1: owl, 0: cat}",
        "path: .\ntrain: images/a\nvalid: list.txt\nnc: 2\nnames:\n- cat\n- owl",
    ],
)
def test_a_description_names_splits_and_classes(tmp_path, text):
    for number, name in enumerate("ab"):
        put(tmp_path / "images" / name, f"{name}.png", start=number)
        (tmp_path / "labels" / name).mkdir(parents=True)
        (tmp_path / "labels" / name / f"{name}.txt").write_text(LINE)
    (tmp_path / "list.txt").write_text("./images/b/b.png\n")
    (tmp_path / "data.yaml").write_text(text)
    read = read_yolo(tmp_path)
    assert read.classes == ("cat", "owl")
    assert splits(read) == {"a.png": "train", "b.png": "val"}
    assert [len(image.boxes) for image in read.images] == [1, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: [", r"data.yaml' line 1 is no YAML"),
        ("- 1", "has no 'names'"),
        ("names: 3", "'names' has to be a list"),
        ("names: {0: a, 2: b}", "0 to 1 without gaps"),
        ("names: [a, a]", "names 'a' twice"),
        ("names: !!python/object/apply:os.system ['true']", "is no YAML"),
        ("names: [cat, owl]\ntrain: /etc", "'/etc' leads out of the folder"),
        ("names: [cat, owl]\ntrain: ../../etc", "leads out of the folder"),
        ("names: [cat, owl]\ntrain: 7", "'train' has to name a folder"),
        ("names: [cat, owl]\ntrain: nowhere", "names 'nowhere', which is not in"),
        ("names: [cat, owl]\ntrain: list.txt", r"list.txt' line 2: there is no image .*gone.png"),
    ],
)
def test_a_wrong_description_is_one_line(tmp_path, text, message):
    folder = yolo(tmp_path / "set", names=None, a=LINE)
    (folder / "data.yaml").write_text(text)
    (folder / "list.txt").write_text("images/a.png\nimages/gone.png\n")
    with pytest.raises(InputError, match=message) as raised:
        read_yolo(folder)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2 0.5 0.5 0.1 0.1", "there is no class '2'; classes are 0 to 1"),
        ("-1 0.5 0.5 0.1 0.1", "there is no class '-1'"),
        ("cat 0.5 0.5 0.1 0.1", "there is no class 'cat'"),
        ("0 0.5 0.5 0.1", "has 3 numbers after the class"),
        ("0 0.5 0.5 0.1 0.1 0.9", "has 5 numbers after the class"),
        ("0 0.5 0.5 0.1 0.1 0.9 0.1 0.2", "has 7 numbers after the class"),
        ("0 0.5 0.5 0.1 x", "are not all numbers"),
        ("0 0.5 0.5 0.1 nan", "nan is no share of the image"),
        ("0 120 80 30 20", "120 is no share of the image, which runs from 0 to 1; are these pixels?"),
        ("0 0.5 0.5 -0.1 0.2", "its box has a negative size"),
        ("0", "has 0 numbers"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, line, message):
    folder = yolo(tmp_path / "set", a=f"{LINE}{line}\n")
    with pytest.raises(InputError, match=message) as raised:
        read_yolo(folder)
    assert "a.txt' line 2" in str(raised.value)


def test_missing_files_are_one_line(tmp_path):
    folder = yolo(tmp_path / "set", a=LINE, b=LINE)
    (folder / "images" / "b.png").unlink()
    with pytest.raises(InputError, match=r"b\.txt' has no image of the same name"):
        read_yolo(folder)
    (folder / "labels" / "b.txt").write_bytes(b"\xff\xff")
    with pytest.raises(InputError, match="is no text in UTF-8"):
        read_yolo(folder)
    for path in (folder / "labels").iterdir():
        path.unlink()
    with pytest.raises(InputError, match="1 images and no file of labels"):
        read_yolo(folder)
    (folder / "labels" / "a.txt").write_text("\n")
    with pytest.raises(InputError, match="none of the 1 images .* has an object"):
        read_yolo(folder)


def test_two_images_cannot_share_their_labels(tmp_path):
    folder = yolo(tmp_path / "set", a=LINE)
    put(folder / "images", "a.jpg")
    with pytest.raises(InputError, match="share one file of labels"):
        read_yolo(folder)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 8))
def test_boxes_survive_to_a_millionth_of_a_pixel(tmp_path_factory, seed, count):
    random = np.random.default_rng(seed)
    folder = tmp_path_factory.mktemp("set")
    [file] = put(folder / "images" / "train", "a.png")
    corners = np.sort(random.random((count, 2, 2)), axis=1) * SIZE
    whole = torch.from_numpy(np.round(corners.reshape(count, 4))).float()
    whole[:, 2:] = torch.maximum(whole[:, 2:], whole[:, :2] + 1).minimum(torch.tensor([41.0, 31]))
    boxes = torch.cat([torch.from_numpy(corners.reshape(count, 4)).float(), whole.unique(dim=0)])
    few = len(boxes)
    image = Annotated(file, *SIZE, boxes, torch.arange(few), torch.zeros(few, dtype=torch.bool), torch.ones(few),
                      split="train", key="a.png")  # fmt: skip
    classes = tuple(f"class {number}: é" for number in range(few))
    write_yolo(Annotations("x", (image,), classes), folder)
    after = read_yolo(folder)
    assert after.classes == classes
    assert splits(after) == {"a.png": "train"}
    kept = (boxes[:, 2:] <= torch.tensor(SIZE)).all(1)
    assert torch.allclose(after.images[0].boxes[kept], boxes[kept], rtol=0, atol=1e-5)
    assert torch.equal(after.images[0].boxes[kept].round(decimals=3), boxes[kept].round(decimals=3))


def test_what_the_format_cannot_hold_is_told(tmp_path):
    [file] = put(tmp_path / "images", "a.png")
    mask = np.zeros((30, 40), dtype=bool)
    mask[5:15, 5:25] = True
    rings = Polygons(((1, 1, 9, 1, 9, 9), (1, 20, 9, 20, 9, 29, 1, 29)))
    image = Annotated(file, *SIZE, torch.tensor([[1.0, 1, 9, 29], [5, 5, 25, 15], [0, 0, 4, 4]]), torch.tensor([0, 1, 0]),
                      torch.tensor([False, False, True]), torch.ones(3),
                      (rings, run_lengths(mask), None), key="a.png")  # fmt: skip
    annotations = Annotations("x", (image,), ("a", "b"))
    assert [finding.kind for finding in write_yolo(annotations, tmp_path)] == ["crowd"]
    assert everything(read_yolo(tmp_path))["", "a.png"][0] == [[1, 1, 9, 29], [5, 5, 25, 15]]
    assert [finding.kind for finding in write_yolo(annotations, tmp_path, outlines=True)] == ["crowd", "outline"]
    [after] = read_yolo(tmp_path).images
    assert after.boxes[0].tolist() == [1, 20, 9, 29]
    assert after.boxes[1].tolist() == pytest.approx([5, 5, 25, 15], abs=0.51)
