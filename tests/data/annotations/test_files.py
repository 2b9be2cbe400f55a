import pytest
from PIL import Image

from pendio.data.annotations.files import Picture, inside, measured, read_lines, seen_size, split_of
from pendio.data.images import read_image
from pendio.errors import InputError


@pytest.mark.parametrize(
    ("name", "split"),
    [("train2017", "train"), ("instances_val2017", "val"), ("Valid", "val"), ("my-test-set", "test"), ("trainval", ""),
     ("constrained", ""), ("_annotations.coco", ""), ("training", "train")],
)  # fmt: skip
def test_names_speak_of_a_split_by_a_word_of_their_own(name, split):
    assert split_of(name) == split


@pytest.mark.parametrize("name", ["../a", "b/../../a", "/a", "..\\a", "C:/a", "\\\\host\\a", "a\0b", "x" * 256])
def test_names_that_lead_out_of_a_folder_are_refused(tmp_path, name):
    with pytest.raises(InputError, match=r"'set.json'.*file name"):
        inside(tmp_path, name, "'set.json'")


def test_other_names_are_files_of_the_folder(tmp_path):
    assert inside(tmp_path, "b/c..d.png", "") == tmp_path / "b" / "c..d.png"
    assert inside(tmp_path, "b\\c.png", "") == tmp_path / "b" / "c.png"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "tif", "webp", "png"])
def test_sizes_are_those_a_person_sees(tmp_path, orientation, suffix):
    image, path = Image.new("RGB", (40, 30)), tmp_path / f"a.{suffix}"
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(path, exif=exif)
    assert seen_size(path) == ((30, 40) if orientation > 4 else (40, 30))
    assert read_image(path).shape[:0:-1] == seen_size(path)


def test_a_size_that_is_told_has_to_hold(tmp_path):
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    picture = Picture(tmp_path / "a.png", "a", source="record 7")
    assert measured("x", [picture])[0] == [picture._replace(width=40, height=30)]
    with pytest.raises(InputError, match="record 7: says 40×31, but the image"):
        measured("x", [picture._replace(width=40, height=31)])


def test_text_may_start_with_a_byte_order_mark_and_end_lines_as_windows_does(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfcat\r\nowl\r\n")
    assert read_lines(tmp_path / "a.txt") == ["cat", "owl"]
