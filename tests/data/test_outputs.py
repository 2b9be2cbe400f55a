import pytest

from pendio.data.images import ImageError
from pendio.data.outputs import Places, through
from pendio.errors import InputError

from .conftest import picture


def test_each_result_has_a_place_of_its_own(tmp_path):
    places, source = Places(tmp_path / "out"), tmp_path / "a.jpg"
    made = [places.make(name, ".png", source) for name in ("a.jpg", "a.png", "deep/a.jpg", "a.b.jpg")]
    assert [str(path.relative_to(tmp_path / "out")) for path in made] == ["a.png", "a-2.png", "deep/a.png", "a.b.png"]
    assert (tmp_path / "out" / "deep").is_dir()
    assert places.make("a.jpg", ".png", source, "-overlay").name == "a-overlay.png"
    assert places.make("a-overlay.jpg", ".png", source).name == "a-overlay-2.png"


def test_an_input_is_never_a_place(tmp_path):
    picture(1).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="would be replaced by its result; choose another folder with --out"):
        Places(tmp_path).make("a.png", ".png", tmp_path / "a.png")


def test_folders_are_gone_through_and_what_is_broken_in_them_comes_out(tmp_path):
    folder = tmp_path / "mine"
    (folder / "deep").mkdir(parents=True)
    for name in ("b.jpg", "deep/a.png", "film.gif"):
        picture(1).save(folder / name)
    (folder / "notes.txt").write_text("no image")

    def work(text, name):
        if name == "b.jpg":
            raise ImageError(f"{name} is broken")
        yield text, name

    results = list(through([str(folder), "coffee"], work))
    assert [str(result) for result in results if isinstance(result, ImageError)] == ["b.jpg is broken"]
    assert results[1:] == [
        (str(folder / "deep/a.png"), "deep/a.png"), (str(folder / "film.gif"), "film.gif"), ("coffee", "coffee"),
    ]  # fmt: skip
    with pytest.raises(ImageError):
        list(through(["b.jpg"], work))


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="has no images or videos"):
        list(through([str(tmp_path / "empty")], lambda text, name: iter(())))
