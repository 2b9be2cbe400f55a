from pathlib import Path

import pytest
import torch
from PIL import Image

import pendio
from pendio.data.frames import read_frames
from pendio.data.images import ImageError, read_image
from pendio.errors import InputError
from pendio.restyling.prediction import restyle_inputs

from ..data.conftest import picture


@pytest.fixture(scope="module")
def task(restyle_run):
    return pendio.load(restyle_run.folder)


def gif(path, frames=5, size=(22, 17), milliseconds=80):
    first, *others = (picture(number, (40, 30)).resize(size) for number in range(frames))
    first.save(path, save_all=True, append_images=others, duration=milliseconds)
    return path


def test_an_image_keeps_its_size_and_becomes_what_the_task_says(task, tmp_path):
    path = tmp_path / "odd.jpg"
    picture(1, (45, 30)).save(path)
    [made] = restyle_inputs(task, [str(path)], tmp_path / "out")
    assert (made.file, made.size, made.frames) == (tmp_path / "out" / "odd.png", (30, 45), 1)
    written, original = read_image(made.file), read_image(path)
    expected = (task.predict(original[None])[0] * 255).round().to(torch.uint8)
    assert torch.equal(written, expected)
    assert float((written.float() - original.float()).abs().mean()) > 5, "nothing was repainted"


def test_a_gif_keeps_its_frames_and_its_rate(task, tmp_path):
    path = gif(tmp_path / "film.gif")
    [made] = restyle_inputs(task, [str(path)], tmp_path / "out")
    assert (made.file.name, made.frames, made.size) == ("film.gif", 5, (17, 22))
    rate, frames = read_frames(made.file)
    assert rate == pytest.approx(12.5)
    assert [tuple(frame.shape) for frame in frames] == [(3, 17, 22)] * 5


def test_a_video_becomes_a_video(task, tmp_path):
    pytest.importorskip("av")
    from pendio.data.frames import write_frames

    path = tmp_path / "film.mov"
    write_frames(path, (torch.full((3, 32, 48), number / 6) for number in range(6)), 25)
    [made] = restyle_inputs(task, [str(path)], tmp_path / "out")
    assert (made.file.name, made.frames, made.size) == ("film.mp4", 6, (32, 48))
    rate, frames = read_frames(made.file)
    assert (rate, len(list(frames))) == (25, 6)


def test_a_folder_is_gone_through_and_nothing_lands_on_anything(task, tmp_path):
    folder = tmp_path / "mine"
    (folder / "deep").mkdir(parents=True)
    for number, name in enumerate(("a.jpg", "a.png", "deep/b.jpg")):
        picture(number).save(folder / name)
    gif(folder / "film.gif", 3)
    (folder / "broken.jpg").write_bytes(b"no image")
    results = list(restyle_inputs(task, [str(folder), "coffee"], tmp_path / "out"))
    [failure] = [result for result in results if isinstance(result, ImageError)]
    assert "broken.jpg" in str(failure)
    written = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*"))
    assert written == ["a-2.png", "a.png", "coffee.png", "deep/b.png", "film.gif"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "neither a file or folder"),
        (lambda path: path.write_bytes(b"no image"), "is not an image"),
        (lambda path: path.mkdir(), "has no images or videos"),
    ],
    ids=["missing", "broken", "empty folder"],
)
def test_what_was_named_itself_must_be_there(task, tmp_path, make, message):
    make(tmp_path / "x.png")
    with pytest.raises(InputError, match=message):
        list(restyle_inputs(task, [str(tmp_path / "x.png")], tmp_path / "out"))


def test_an_input_is_never_replaced(task, tmp_path):
    picture(1).save(tmp_path / "mine.png")
    before = (tmp_path / "mine.png").read_bytes()
    with pytest.raises(InputError, match="would be replaced by its result; choose another folder with --out"):
        list(restyle_inputs(task, [str(tmp_path / "mine.png")], tmp_path))
    assert (tmp_path / "mine.png").read_bytes() == before


def test_one_column_of_pixels_is_an_image_too(task, tmp_path):
    Image.new("RGB", (1, 9), "red").save(tmp_path / "thin.png")
    [made] = restyle_inputs(task, [str(tmp_path / "thin.png")], Path(tmp_path / "out"))
    assert read_image(made.file).shape == (3, 9, 1)
