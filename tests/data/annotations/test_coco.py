import json
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as reference

from pendio.data.annotations.coco import joined, read_coco, write_coco
from pendio.data.annotations.rasters import compressed, raster, run_lengths
from pendio.data.annotations.records import Annotated, Annotations, Polygons
from pendio.errors import InputError

from .making import SIZE, annotation, coco, everything, kinds, put


def test_classes_follow_the_order_of_ids_and_boxes_become_corners(tmp_path):
    read = read_coco(coco(tmp_path))
    assert (read.classes, read.categories) == (("cat", "owl"), (3, 7))
    first, second, third = read.images
    assert (first.key, first.width, first.height, first.image) == ("10", 40, 30, tmp_path / "images" / "a.png")
    assert first.boxes.tolist() == [[1, 2, 11, 14], [20.5, 3.25, 31, 23.25]]
    assert (first.labels.tolist(), first.areas.tolist()) == ([0, 1], [120, 210])
    assert second.boxes.dtype == torch.float32
    assert len(third.boxes) == 0
    assert third.boxes.shape == (0, 4)


def test_an_image_without_boxes_stays_and_is_told(tmp_path):
    read = read_coco(coco(tmp_path))
    [finding] = read.findings
    assert finding.kind == "empty"
    assert finding.files == (str(tmp_path / "images" / "c.png"),)
    assert "1 images have no box" in finding.message


def test_areas_are_those_of_the_file_and_else_of_the_outlines(tmp_path):
    ring = [[0, 0, 10, 0, 10, 10, 0, 10]]
    rows = [annotation(1, 10, 3, [0, 0, 10, 10], area=33.5), annotation(2, 10, 7, [0, 0, 10, 10], segmentation=ring),
            annotation(3, 11, 7, [0, 0, 4, 5], iscrowd=1)]  # fmt: skip
    first, second, _ = read_coco(coco(tmp_path, annotations=rows)).images
    assert first.areas.tolist() == [33.5, 100]
    assert (second.areas.tolist(), second.crowd.tolist()) == ([20], [True])
    assert first.outlines == (None, Polygons(((0, 0, 10, 0, 10, 10, 0, 10),)))
    assert second.outlines == ()
    assert all(image.outlines == () for image in read_coco(coco(tmp_path, annotations=rows), outlines=False).images)


def test_all_forms_of_outlines_are_read(tmp_path):
    mask = np.zeros((30, 40), dtype=bool)
    mask[3:9, 4:20] = True
    runs = run_lengths(mask)
    forms = [[[4, 3, 20, 3, 20, 9, 4, 9]], {"size": [30, 40], "counts": compressed(runs)},
             {"size": [30, 40], "counts": list(runs.counts)}]  # fmt: skip
    rows = [annotation(n, 10 + n, 3, [4, 3, 16, 6], segmentation=form) for n, form in enumerate(forms)]
    del rows[1]["bbox"]
    for image in read_coco(coco(tmp_path, annotations=rows)).images:
        assert np.array_equal(raster(image.outlines[0], 30, 40), mask)
        assert image.boxes.tolist() == [[4, 3, 20, 9]]


def test_odd_boxes_are_mended_or_left_out_and_told(tmp_path):
    rows = [annotation(n, 10, 3, [n, 0, 5, 5]) for n in range(12)]
    rows += [annotation(20, 11, 3, [-5, -5, 15, 15]), annotation(21, 11, 7, [30, 20, 30, 30.0])]
    rows += [annotation(30, 10, 3, [10, 10, 0, 5]), annotation(31, 11, 3, [50, 5, 5, 5])]
    rows += [annotation(40, 10, 3, [3, 0, 5, 5]), annotation(41, 10, 7, [3, 0, 5, 5])]
    read = read_coco(coco(tmp_path, annotations=rows))
    told = {finding.kind: (finding.message.split(": ")[0], finding.files) for finding in read.findings}
    a, b, c = (str(tmp_path / "images" / name) for name in ("a.png", "b.png", "c.png"))
    assert told == {
        "clipped": ("2 boxes reach outside of their images and were clipped", (b,)),
        "unusable": ("2 boxes of no area or wholly outside were left out", (a, b)),
        "repeated": ("1 boxes stand twice with the same class and were left out", (a,)),
        "empty": ("1 images have no box; they teach what is background", (c,)),
    }
    assert read.images[1].boxes.tolist() == [[0, 0, 10, 10], [30, 20, 40, 30]]
    assert read.images[0].labels.tolist() == [0] * 12 + [1]
    assert read.images[0].boxes[-1].tolist() == [3, 0, 8, 5]


def test_more_than_a_fifth_of_useless_boxes_is_a_mistake(tmp_path):
    rows = [annotation(n, 10, 3, [n, 0, 5, 5]) for n in range(3)] + [annotation(9, 11, 3, [99, 5, 5, 5])]
    with pytest.raises(InputError, match=r"1 of 4 boxes .* more than 20 %.*b\.png' \(40×30\): 99, 5, 104, 10"):
        read_coco(coco(tmp_path, annotations=rows))


def test_rounding_by_a_few_hundredths_is_not_told(tmp_path):
    read = read_coco(coco(tmp_path, annotations=[annotation(1, 10, 3, [-0.01, 0, 40.02, 30.01])]))
    assert "clipped" not in kinds(read)
    assert read.images[0].boxes.tolist() == [[0, 0, 40, 30]]


@pytest.mark.parametrize("where", ["images", ".", "../images", "../instances", "instances", "../images/instances"])
def test_images_are_found_near_the_file(tmp_path, where):
    folder = tmp_path / "annotations"
    folder.mkdir()
    path = coco(folder)
    images = (folder / where).resolve()
    if where != "images":
        images.mkdir(parents=True, exist_ok=True)
        for image in (folder / "images").iterdir():
            image.rename(images / image.name)
    assert read_coco(path).images[0].image.resolve() == images / "a.png"


def test_images_elsewhere_can_be_given_by_their_folder_or_the_one_above(tmp_path):
    path = coco(tmp_path / "set") if (tmp_path / "set").mkdir() is None else None
    elsewhere = tmp_path / "far" / "instances"
    elsewhere.parent.mkdir()
    (tmp_path / "set" / "images").rename(elsewhere)
    for given_ in (elsewhere, elsewhere.parent):
        assert read_coco(path, given_).images[0].image == elsewhere / "a.png"
    with pytest.raises(InputError, match=r"there is no image 'a\.png' in .*say with --images where"):
        read_coco(path)


IMAGE = {"id": 10, "file_name": "a.png", "width": 40, "height": 30}
RUNS = {"size": [30, 40], "counts": [5, 10]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": []}, "has no images"),
        ({"images": None}, "has no list 'images'"),
        ({"categories": []}, "has no categories"),
        ({"annotations": {}}, "has no list 'annotations'"),
        ({"images": [IMAGE, IMAGE | {"file_name": "b.png"}]}, r"two images have the id 10 \('a.png' and 'b.png'\)"),
        ({"images": [{"id": 1}]}, "image number 1 has no 'file_name'"),
        ({"images": [3]}, "image number 1 is int, not an object"),
        ({"images": [IMAGE | {"id": True}]}, "image number 1: 'id' cannot be 'True'"),
        ({"images": [IMAGE, IMAGE | {"id": 5, "file_name": "gone.png"}]}, "image 5: there is no file .*gone.png"),
        ({"images": [IMAGE | {"file_name": "../a.png"}]}, r"'\.\./a\.png' leads out of the folder"),
        ({"images": [IMAGE | {"file_name": "/etc/passwd"}]}, "'/etc/passwd' leads out of the folder"),
        ({"images": [IMAGE | {"file_name": "..\\a.png"}]}, "leads out of the folder"),
        ({"images": [IMAGE | {"file_name": "a" * 5000}]}, "longer than file names can be"),
        ({"images": [IMAGE | {"file_name": "C:\\a.png"}]}, "leads out of the folder"),
        ({"images": [IMAGE | {"width": 30, "height": 40}]}, "image 10: says 30×40, but the image .* is 40×30"),
        ({"categories": [{"id": 3, "name": "a"}, {"id": 3, "name": "b"}]}, "two categories have the id 3"),
        ({"categories": [{"id": 3, "name": "a"}, {"id": 4, "name": "a"}]}, "two categories have the name 'a'"),
        ({"annotations": [annotation(1, 10, 3, [1, 1, 2, 2])] * 2}, "two annotations have the id 1"),
        ({"annotations": [annotation(1, 99, 3, [1, 1, 2, 2])]}, "annotation 1 is of the image 99, which is not listed"),
        ({"annotations": [annotation(1, 10, 4, [1, 1, 2, 2])]}, "annotation 1 has the unknown category 4; known: '3', '7'"),
        ({"annotations": [{"id": 1, "image_id": 10}]}, "annotation 1 has no 'category_id'"),
        ({"annotations": [{"image_id": 10}]}, "annotation number 1 has no 'id'"),
        ({"annotations": [{"id": 1, "image_id": 10, "category_id": 3}]}, "neither 'bbox' nor 'segmentation'"),
        ({"annotations": [annotation(1, 10, 3, [1, 1, -2, 2])]}, "annotation 1: its box has a negative size"),
        ({"annotations": [annotation(1, 10, 3, [1, 1, float("nan"), 2])]}, "annotation 1: 'bbox' has 'nan'"),
        ({"annotations": [annotation(1, 10, 3, [1, 1, 1e400, 2])]}, "annotation 1: 'bbox' has 'inf'"),
        ({"annotations": [annotation(1, 10, 3, [1, 1, "2", 2])]}, "annotation 1: 'bbox' has '2'"),
        ({"annotations": [annotation(1, 10, 3, [1, 1, 2])]}, "'bbox' has to be a list of 4 numbers"),
        ({"annotations": [annotation(1, 10, 3, [1, 1, 2, 2], area=-1)]}, "annotation 1: 'area' cannot be '-1'"),
        ({"annotations": [annotation(1, 10, 3, [1, 1, 2, 2], segmentation=[[1] * 7])]}, "has 7 numbers; x and y"),
        ({"annotations": [annotation(1, 10, 3, [1, 1, 2, 2], segmentation=7)]}, "neither polygons nor run lengths"),
        ({"annotations": [annotation(1, 10, 3, [1, 1, 2, 2], segmentation=RUNS)]}, "its runs have 15 pixels"),
        ({"annotations": [annotation(1, 10, 3, [1, 1, 2, 2], segmentation=RUNS | {"size": [9, 9]})]}, r"'size' is \[9, 9\]"),
        ({"annotations": [annotation(1, 10, 3, [1, 1, 2, 2], segmentation=RUNS | {"counts": "oooo"})]}, "run lengths"),
        ({"annotations": [annotation(1, 10, 3, [1, 1, 2, 2], segmentation=RUNS | {"counts": 5})]}, "neither a string nor"),
    ],
)  # fmt: skip
def test_damage_is_one_line_that_names_file_and_record(tmp_path, changes, message):
    with pytest.raises(InputError, match=message) as raised:
        read_coco(coco(tmp_path, **changes))
    assert str(tmp_path) in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"images": [\n  {"id": 1,,}]}', "line 2 column 12 is no JSON"),
        ("", "line 1 column 1 is no JSON"),
        ("[" * 100_000, "nested too deeply|is no JSON"),
        ('{"images": ' + '{"a": ' * 100_000, "nested too deeply|is no JSON"),
        ("[1, 2]", "is no COCO file"),
        (b"\xff\xfe\xfa\x00", "is no JSON"),
        ('{"images": [' + "9" * 5000 + "]}", "is no JSON"),
    ],
)
def test_broken_json_is_one_line(tmp_path, text, message):
    path = tmp_path / "x.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=message) as raised:
        read_coco(path)
    assert "\n" not in str(raised.value)


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_coco(tmp_path / "gone.json")


def test_turned_photographs_have_the_size_a_person_sees(tmp_path):
    path = coco(tmp_path)
    image = Image.new("RGB", (30, 40), "red")
    exif = image.getexif()
    exif[0x0112] = 6
    content = json.loads(path.read_text())
    content["images"][0]["file_name"] = "a.jpg"
    path.write_text(json.dumps(content))
    image.save(tmp_path / "images" / "a.jpg", exif=exif)
    assert read_coco(path).images[0].width == 40
    content["images"][0] |= {"width": 30, "height": 40}
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"says 30×40, .* is 40×30 as one sees it; it is stored turned"):
        read_coco(path)


def test_unreadable_images_are_left_out_or_a_mistake(tmp_path):
    path = coco(tmp_path)
    (tmp_path / "images" / "a.png").write_bytes(b"no image")
    with pytest.raises(InputError, match="1 of 3 images .* cannot be read, more than 1 %"):
        read_coco(path)
    names = put(tmp_path / "images", *(f"{n}.png" for n in range(120)), start=50)
    images = [{"id": n, "file_name": name.name} for n, name in enumerate(names, 100)]
    content = json.loads(path.read_text())
    content["images"] += images
    path.write_text(json.dumps(content))
    read = read_coco(path)
    assert len(read.images) == 122
    assert {"unreadable", "empty"} == kinds(read)
    assert read.images[0].key == "11"
    assert read.images[0].boxes.tolist() == [[0, 0, 40, 30], [5, 5, 11, 12]]


def test_rings_of_two_points_are_left_out_and_told(tmp_path):
    rows = [annotation(1, 10, 3, [1, 1, 9, 9], segmentation=[[1, 1, 5, 5], [1, 1, 9, 1, 9, 9]])]
    read = read_coco(coco(tmp_path, annotations=rows))
    assert "outline" in kinds(read)
    assert read.images[0].outlines == (Polygons(((1, 1, 9, 1, 9, 9),)),)


@st.composite
def sets(draw):
    random = np.random.default_rng(draw(st.integers(0, 10_000)))
    images = []
    for key in range(draw(st.integers(1, 4))):
        count = draw(st.integers(0, 6))
        corners = np.sort(random.random((count, 2, 2)).astype(np.float32) * np.float32([40, 30]), axis=1)
        boxes = torch.from_numpy(corners.reshape(count, 4))
        labels = torch.from_numpy(random.integers(0, 3, count))
        crowd = torch.from_numpy(random.random(count) < 0.2)
        outlines = tuple(run_lengths(random.random((30, 40)) < 0.3) if n % 2 else None for n in range(count))
        outlines = outlines if count > 1 else ()
        images.append(
            Annotated(f"{key}.png", 40, 30, boxes, labels, crowd, (boxes[:, 2:] - boxes[:, :2]).prod(1), outlines,
                      key=str(key + 5))
        )  # fmt: skip
    return images


@settings(max_examples=30, deadline=None)
@given(sets())
def test_what_is_written_is_read_back_the_same(tmp_path_factory, images):
    folder = tmp_path_factory.mktemp("set")
    files = put(folder / "images", *(image.image for image in images))
    images = tuple(Annotated(**(vars(i) | {"image": file})) for i, file in zip(images, files, strict=True))
    before = Annotations("x", images, ("a", "b", "c"), (4, 9, 90))
    write_coco(before, folder / "annotations" / "set.json")
    after = read_coco(folder / "annotations" / "set.json")
    assert everything(after) == everything(before)
    assert after.categories == before.categories
    for one, other in zip(before.images, after.images, strict=True):
        assert torch.equal(one.areas, other.areas)
        assert one.outlines == other.outlines


def test_other_tools_read_what_is_written(tmp_path):
    mask = np.zeros((30, 40), dtype=bool)
    mask[2:5, 3:9] = True
    [file] = put(tmp_path, "a.png")
    image = Annotated(file, *SIZE, torch.tensor([[3.0, 2, 9, 5]]), torch.tensor([0]), torch.tensor([False]),
                      torch.tensor([18.0]), (run_lengths(mask),), key="a.png")  # fmt: skip
    write_coco(Annotations("x", (image,), ("thing",)), tmp_path / "x.json")
    content = json.loads((tmp_path / "x.json").read_text())
    [record] = content["annotations"]
    assert (content["images"][0]["id"], record["category_id"], record["bbox"]) == (1, 1, [3, 2, 6, 3])
    assert np.array_equal(reference.decode(record["segmentation"]).astype(bool), mask)


def test_files_with_different_categories_do_not_join(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    one = read_coco(coco(tmp_path / "one"))
    two = read_coco(coco(tmp_path / "two", categories=[{"id": 7, "name": "owl"}, {"id": 3, "name": "dog"}]))
    with pytest.raises(InputError, match="have different categories"):
        joined("x", [one, two])
    assert len(joined("x", [one, one]).images) == 6


def test_many_annotations_are_read_in_linear_time(tmp_path):
    def took(count):
        rows = [annotation(n, 10 + n % 3, 3, [n % 30 + n * 1e-6, n % 20, 5, 5]) for n in range(count)]
        path = coco(tmp_path, annotations=rows)
        start = time.process_time()
        read_coco(path)
        return time.process_time() - start

    took(10)
    small, large = took(2_000), took(12_000)
    assert large < 15 * small
