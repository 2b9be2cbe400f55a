import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pendio.data.annotations.letterbox import GREY, Letterbox, read_fitted
from pendio.data.annotations.records import IGNORED, Annotated
from pendio.errors import InputError


@pytest.mark.parametrize(
    ("height", "width", "size", "new", "corner"),
    [
        (480, 640, 416, (312, 416), (52, 0)),
        (640, 480, 416, (416, 312), (0, 52)),
        (427, 640, 416, (277, 416), (69, 0)),  # 277.55 and 69.5 are truncated
        (416, 416, 416, (416, 416), (0, 0)),
        (1, 2000, 416, (1, 416), (207, 0)),
        (3, 2, 7, (7, 4), (0, 1)),
    ],
)
def test_its_geometry_is_darknets(height, width, size, new, corner):
    box = Letterbox(height, width, size)
    assert (box.new_height, box.new_width) == new
    assert (box.top, box.left) == corner
    assert (box.scale_y, box.scale_x) == (new[0] / height, new[1] / width)


@settings(deadline=None)
@given(
    st.integers(1, 3000), st.integers(1, 3000), st.integers(32, 1024), st.lists(st.floats(0, 1), min_size=4, max_size=4)
)
def test_back_undoes_boxes(height, width, size, shares):
    letterbox = Letterbox(height, width, size)
    box = torch.tensor([shares], dtype=torch.float64) * torch.tensor([width, height, width, height])
    fitted = letterbox.boxes(box)
    assert (fitted >= 0).all()
    assert (fitted <= size).all()
    assert torch.allclose(letterbox.back(fitted), box, atol=1e-9 * max(height, width), rtol=0)


def test_back_clips_to_the_image():
    letterbox = Letterbox(50, 100, 200)
    assert letterbox.back(torch.tensor([[-5.0, 0.0, 300.0, 180.0]])).tolist() == [[0, 0, 100, 50]]


def test_a_filled_box_lies_where_the_boxes_say():
    image = torch.zeros(3, 60, 90, dtype=torch.uint8)
    image[:, 10:40, 20:70] = 255
    letterbox = Letterbox(60, 90, 180)
    square = letterbox.image(image)
    assert square.shape == (3, 180, 180)
    assert (square[:, :30] == GREY).all()
    assert (square[:, 150:] == GREY).all()
    assert letterbox.boxes(torch.tensor([[20.0, 10, 70, 40]])).tolist() == [[40, 50, 140, 110]]
    assert (square[:, 52:108, 42:138] == 255).all()
    assert int((square > GREY).sum()) == pytest.approx(3 * 60 * 100, rel=0.02)


def test_a_mask_keeps_its_numbers_and_is_ignored_outside():
    mask = torch.tensor([[0, 7], [3, 3], [9, 0], [4, 4]], dtype=torch.uint8)
    fitted = Letterbox(4, 2, 8).mask(mask)
    assert torch.equal(fitted[:, 2:6], mask.repeat_interleave(2, 0).repeat_interleave(2, 1))
    assert (fitted[:, :2] == IGNORED).all()
    assert (fitted[:, 6:] == IGNORED).all()
    rows = torch.arange(6, dtype=torch.uint8)[:, None].expand(6, 6)
    assert Letterbox(6, 6, 2).mask(rows)[:, 0].tolist() == [1, 4], "the middles of what each pixel covers"


@pytest.mark.parametrize("size", [32, 100])
def test_a_jpeg_decoded_at_a_fraction_is_the_same_picture(tmp_path, size):
    ramp = torch.linspace(0, 255, 901)[None, :, None].expand(601, 901, 3).to(torch.uint8)
    Image.fromarray(ramp.numpy()).save(tmp_path / "a.jpg", quality=95)
    fitted, letterbox = read_fitted(Annotated(tmp_path / "a.jpg", 901, 601), size)
    assert fitted.shape == (3, size, size)
    plain = letterbox.image(ramp.permute(2, 0, 1))
    assert (fitted.int() - plain.int()).abs().max() <= 6


def test_an_image_of_another_size_than_its_annotations_say_is_refused(tmp_path):
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png' is 40×30 pixels and its annotations say 30×40"):
        read_fitted(Annotated(tmp_path / "a.png", 30, 40), 32)
