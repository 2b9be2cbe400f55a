import defusedxml.ElementTree
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pendio.data.annotations.records import Annotated, Annotations
from pendio.data.annotations.voc import read_voc, write_voc
from pendio.errors import InputError

from .making import SIZE, everything, kinds, put, voc, xml


def test_pixels_from_one_become_edges_from_zero(tmp_path):
    read = read_voc(voc(tmp_path / "set", a=xml(("owl", 1, 1, 40, 30), ("cat", 5, 6, 5, 6))))
    assert read.classes == ("cat", "owl")
    [image] = read.images
    assert image.boxes.tolist() == [[0, 0, 40, 30], [4, 5, 5, 6]]
    assert (image.labels.tolist(), image.areas.tolist(), image.key) == ([1, 0], [1200, 1], "a")
    assert read.findings == ()


def test_difficult_objects_are_crowds_and_parts_are_no_objects(tmp_path):
    text = xml(("cat", 1, 1, 9, 9, 1), ("cat", 2, 2, 9, 9))
    part = "<part><name>ear</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part></object>"
    read = read_voc(voc(tmp_path / "set", a=text.replace("</object>", part, 1)))
    assert read.classes == ("cat",)
    assert read.images[0].crowd.tolist() == [True, False]
    assert read.images[0].boxes[0].tolist() == [0, 0, 9, 9]


def test_lists_tell_the_splits_and_what_is_in_none_is_left_out(tmp_path):
    folder = voc(tmp_path / "set", **{stem: xml(("cat", 1, 1, 9, 9), name=f"{stem}.png") for stem in "abcd"})
    lists = folder / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("a\nb\n\n")
    (lists / "val.txt").write_text("c\n")
    read = read_voc(folder)
    assert [(image.key, image.split) for image in read.images] == [("a", "train"), ("b", "train"), ("c", "val")]
    assert kinds(read) == {"unlisted"}
    (lists / "test.txt").write_text("a\n")
    with pytest.raises(InputError, match=r"test.txt' line 1: 'a' is in train.txt as well"):
        read_voc(folder)
    (lists / "test.txt").write_text("gone\n")
    with pytest.raises(InputError, match="lists 'gone', which has no file in Annotations"):
        read_voc(folder)


def test_a_flat_folder_and_sizes_that_are_not_known(tmp_path):
    put(tmp_path, "a.png")
    (tmp_path / "a.xml").write_text(xml(("cat", 1, 1, 9, 9), name="somewhere-else.jpg", size=(0, 0)))
    [image] = read_voc(tmp_path, split="val").images
    assert (image.image, image.width, image.split) == (tmp_path / "a.png", 40, "val")


LAUGHS = "<!DOCTYPE x [<!ENTITY a 'ha'>" + "".join(
    f"<!ENTITY {chr(98 + n)} '{f'&{chr(97 + n)};' * 10}'>" for n in range(9)
) + "]>"  # fmt: skip
FILE = "<!DOCTYPE annotation [<!ENTITY file SYSTEM 'file:///etc/hostname'>]>"
CAT = ("cat", 1, 1, 9, 9)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (xml(CAT, before=LAUGHS).replace("cat", "&j;"), "declares a document type or entities"),
        (xml(CAT, before=FILE).replace("cat", "&file;"), "declares a document type or entities"),
        (
            xml(CAT, before="<!DOCTYPE annotation SYSTEM 'http://localhost/x.dtd'>"),
            "declares a document type or entities",
        ),
        (xml(CAT)[:90], r"line 1 column \d+ is no XML"),
        ("", "line 1 column 1 is no XML"),
        (xml(CAT).replace("cat", "&nosuch;"), "is no XML: undefined entity"),
        ("<?xml version='1.0' encoding='nosuch'?>" + xml(CAT), "is no XML"),
        ("<html/>", "its outermost element is <html>"),
        (xml(("", 1, 1, 9, 9)), "object 1 has no <name>"),
        (xml(CAT, ("cat", 9, 1, 5, 9)), "object 2: its box has a negative size"),
        (xml(("cat", "x", 1, 5, 9)), "object 1: <xmin> cannot be 'x'"),
        (xml(("cat", 1, "nan", 5, 9)), "object 1: <ymin> cannot be 'nan'"),
        (xml(("cat", 1, 1, "1e99", 9)), "object 1: <xmax> cannot be '1e99'"),
        (xml(CAT).replace("<xmax>9</xmax>", ""), "object 1 has no <xmax>"),
        (xml(CAT, name="../../a.png"), "leads out of the folder"),
        (xml(CAT, name="/etc/passwd"), "leads out of the folder"),
        (xml(CAT, size=(30, 40)), "says 30×40, but the image .* is 40×30"),
        (xml(), "none of the 1 XML files .* has an <object>"),
    ],
)
def test_damage_and_malice_are_one_line_that_names_the_file(tmp_path, text, message):
    folder = voc(tmp_path / "set", a=text)
    with pytest.raises(InputError, match=message) as raised:
        read_voc(folder)
    assert str(folder) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_missing_image_or_folder_is_one_line(tmp_path):
    folder = voc(tmp_path / "set", a=xml(CAT), b=xml(CAT, name="b.png"))
    (folder / "JPEGImages" / "b.png").unlink()
    with pytest.raises(InputError, match=r"b\.xml': there is no image .*b\.png'"):
        read_voc(folder)
    (folder / "JPEGImages").rename(folder / "elsewhere")
    with pytest.raises(InputError, match="has no folder JPEGImages; say with --images"):
        read_voc(folder)
    (folder / "Annotations" / "b.xml").unlink()
    assert len(read_voc(folder, folder / "elsewhere").images) == 1


def test_an_xml_of_many_megabytes_is_refused(tmp_path):
    folder = voc(tmp_path / "set", a=xml(CAT) + " " * (17 << 20))
    with pytest.raises(InputError, match="more than 16,777,216 bytes"):
        read_voc(folder)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 8))
def test_boxes_of_whole_pixels_survive_exactly(tmp_path_factory, seed, count):
    random = np.random.default_rng(seed)
    folder = tmp_path_factory.mktemp("set")
    [file] = put(folder / "JPEGImages", "a.png")
    left, top = random.integers(0, 39, count), random.integers(0, 29, count)
    right, bottom = random.integers(left + 1, 41), random.integers(top + 1, 31)
    boxes = torch.from_numpy(np.unique(np.stack([left, top, right, bottom], 1), axis=0)).float()
    few = len(boxes)
    image = Annotated(file, *SIZE, boxes, torch.arange(few), torch.arange(few) % 2 == 0, torch.ones(few), split="train",
                      key="a")  # fmt: skip
    before = Annotations("x", (image,), tuple("abcdefgh"[:few]))
    write_voc(before, folder)
    assert everything(read_voc(folder)) == everything(before)


def test_other_boxes_are_rounded_and_never_vanish(tmp_path):
    [file] = put(tmp_path / "JPEGImages", "a.png")
    boxes = torch.tensor([[1.4, 2.6, 9.5, 9.4], [39.8, 29.9, 40, 30], [5.1, 5.1, 5.2, 5.3]])
    image = Annotated(
        file, *SIZE, boxes, torch.zeros(3, dtype=torch.long), torch.zeros(3, dtype=torch.bool), torch.ones(3)
    )
    write_voc(Annotations("x", (image,), ("a&<b",)), tmp_path)
    read = read_voc(tmp_path)
    assert read.classes == ("a&<b",)
    assert read.images[0].boxes.tolist() == [[1, 3, 10, 9], [39, 29, 40, 30], [5, 5, 6, 6]]
    written = defusedxml.ElementTree.parse(tmp_path / "Annotations" / "a.xml")
    assert [written.findtext(f"object/bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax")] == [
        "2",
        "4",
        "10",
        "9",
    ]
