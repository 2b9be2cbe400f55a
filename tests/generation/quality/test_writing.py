import io

import numpy as np
import pytest
import torch
from PIL import Image

import pendio
from pendio.data.images import read_image
from pendio.errors import InputError
from pendio.generation.quality.writing import check_place, usual_place, write_examples

IMAGES = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
ROWS = torch.randn(30, 3, generator=torch.Generator().manual_seed(0))


def test_many_images_stand_side_by_side_large_enough_to_see(tmp_path):
    assert write_examples(tmp_path / "a.png", IMAGES, columns=3) == 1
    picture = read_image(tmp_path / "a.png")
    assert picture.shape == (3, 2 * 50 + 2, 3 * 50 + 2)
    corner = (IMAGES[0, 0, 0, 0] * 255).round()
    assert (picture[:, 2:8, 2:8] - corner).abs().max() <= 1
    assert (picture[:, :2] == 255).all()


def test_a_single_image_is_written_as_it_is(tmp_path):
    write_examples(tmp_path / "new" / "one.png", IMAGES[:1])
    assert torch.equal(read_image(tmp_path / "new" / "one.png", grey=True), (IMAGES[0] * 255).round().byte())


def test_a_folder_of_classes_opens_as_data(tmp_path):
    labels = torch.arange(60) % 2
    images = IMAGES.repeat(10, 1, 1, 1)
    assert write_examples(tmp_path / "made", images, labels, ("a/b", "..")) == 60
    data = pendio.data.open(tmp_path / "made")
    assert data.classes == ("a-b", "class")
    assert data.shape == (1, 8, 8)
    assert not list(tmp_path.glob("*.png"))


def test_a_folder_without_classes_holds_an_image_a_file(tmp_path):
    assert write_examples(tmp_path / "made", IMAGES) == 6
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == [f"{n}.png" for n in range(1, 7)]


def test_arrays_open_as_data(tmp_path):
    images, labels = IMAGES.repeat(10, 1, 1, 1), torch.arange(60) % 2
    write_examples(tmp_path / "made.npz", images, labels, ("left", "right"))
    data = pendio.data.open(tmp_path / "made.npz")
    assert data.classes == ("left", "right")
    assert len(data.train) + len(data.val) + len(data.test) == 60
    assert data.train.inputs.dtype == torch.uint8
    write_examples(tmp_path / "rows.npz", ROWS)
    np.testing.assert_array_equal(np.load(tmp_path / "rows.npz")["x"], ROWS.numpy())


def test_tables_open_as_data(tmp_path):
    write_examples(tmp_path / "made.csv", ROWS, torch.arange(30) % 2, ("left", "right"))
    data = pendio.data.open(tmp_path / "made.csv", target="class")
    assert data.classes == ("left", "right")
    found = torch.cat([split.inputs for split in (data.train, data.val, data.test)]).sort(0).values
    torch.testing.assert_close(found, ROWS.sort(0).values, rtol=1e-6, atol=1e-6)
    write_examples(tmp_path / "plain.csv", ROWS)
    assert (tmp_path / "plain.csv").read_text().splitlines()[0] == "x1,x2,x3"


def test_points_are_drawn(tmp_path):
    write_examples(tmp_path / "points.png", ROWS[:, :2], torch.arange(30) % 2, ("a", "b"))
    with Image.open(io.BytesIO((tmp_path / "points.png").read_bytes())) as picture:
        assert len(set(picture.convert("RGB").get_flattened_data())) > 10


def test_what_can_be_looked_at_goes_to_a_picture():
    assert usual_place((1, 8, 8)).name == usual_place((2,)).name == "samples.png"
    assert usual_place((5,)).name == "samples.csv"


@pytest.mark.parametrize(("name", "shape", "message"), [
    ("a.gif", (1, 8, 8), "must end in .png, .npz or .csv"),
    ("a.csv", (1, 8, 8), "images go to .png"),
    ("a", (5,), "a folder holds images"),
    ("a.png", (5,), "rows of 5 numbers cannot be drawn"),
])  # fmt: skip
def test_a_place_that_does_not_suit_is_refused(tmp_path, name, shape, message):
    with pytest.raises(InputError) as error:
        check_place(tmp_path / name, shape)
    assert message in str(error.value)


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(InputError, match="no empty folder"):
        write_examples(tmp_path, IMAGES)
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]
