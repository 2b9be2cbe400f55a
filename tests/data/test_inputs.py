import pytest
import torch
from PIL import Image

from pendio.data.embedded import PHOTOS
from pendio.data.images import ImageError
from pendio.data.inputs import named_image, named_images
from pendio.errors import InputError


def test_files_folders_and_names_are_images_of_their_own_size(tmp_path):
    Image.new("RGB", (9, 5), "red").save(tmp_path / "b.png")
    Image.new("L", (4, 6)).save(tmp_path / "a.png")
    (tmp_path / "c.jpg").write_bytes(b"no picture")
    found = list(named_images([str(tmp_path / "b.png"), str(tmp_path), "coffee.png"]))
    names, images = zip(*found, strict=True)
    folder = [str(tmp_path / name) for name in ("a.png", "b.png", "c.jpg")]
    assert list(names) == [str(tmp_path / "b.png"), *folder, "coffee"]
    assert [image.shape for image in images[:3]] == [(3, 5, 9), (3, 6, 4), (3, 5, 9)]
    assert isinstance(images[3], ImageError)
    assert images[4].shape == (3, 400, 600)
    assert images[4].dtype == torch.uint8


def test_photos_are_all_of_them_and_grey_where_asked():
    found = dict(named_images(["photos"], grey=True))
    assert tuple(found) == PHOTOS
    assert {image.shape[0] for image in found.values()} == {1}


def test_what_is_no_input_is_named(tmp_path):
    with pytest.raises(InputError, match="'cofee' is neither a file or folder, nor an embedded photo"):
        list(named_images(["cofee"]))
    with pytest.raises(InputError, match="has no images"):
        list(named_images([str(tmp_path)]))
    with pytest.raises(InputError, match="'photos' holds 17 images; name the one that is meant"):
        named_image("photos")
    (tmp_path / "bad.png").write_bytes(b"nothing")
    with pytest.raises(ImageError, match="is not an image"):
        named_image(str(tmp_path / "bad.png"))
    assert named_image("cell").shape == (3, 660, 550)
