import json

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools.coco import COCO

from pendio.data.frames import read_frames
from pendio.data.images import ImageError, read_image
from pendio.errors import InputError
from pendio.pictures.masks import overlay
from pendio.pictures.png import image_png
from pendio.segmentation.prediction import predict_masks, segmented

from ..data.conftest import picture
from .conftest import CLASSES, make_task, shapes


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "mine.png"
    path.write_bytes(image_png(shapes(1, 32, seed=9)[0][0]))
    return path


def test_an_image_gets_a_mask_an_overlay_and_outlines(trained, image, tmp_path):
    [made] = predict_masks(trained, [str(image)], tmp_path / "out")
    pixels = read_image(image)
    mask = trained.predict(pixels[None])[0]
    assert (made.mask, made.overlay) == (tmp_path / "out" / "mine.png", tmp_path / "out" / "mine-overlay.png")
    assert (np.array(Image.open(made.mask)) == mask.numpy()).all()
    assert torch.equal(read_image(made.overlay), overlay(pixels, mask, CLASSES))
    assert made.size == (32, 32)
    assert sum(made.shares.values()) == pytest.approx(1)
    assert made.shares["square"] == pytest.approx(float((mask == 1).double().mean()))
    coco = COCO(str(tmp_path / "out" / "segmentation.json"))
    assert {one["name"] for one in coco.loadCats(coco.getCatIds())} == {"square", "stripe"}
    assert coco.loadImgs(1) == [{"id": 1, "file_name": "mine.png", "width": 32, "height": 32}]
    [square] = [one for one in coco.loadAnns(coco.getAnnIds(catIds=[2])) if one["area"] > 50]
    assert abs(int(coco.annToMask(square).sum()) - square["area"]) <= 6
    assert json.loads(json.dumps(made.to_dict()))["mask"].endswith("mine.png")


@pytest.mark.parametrize("size", [(64, 64), (32, 64), (64, 40), (90, 32)])
def test_an_image_of_another_size_is_seen_as_those_that_were_learnt_from(trained, size):
    """The square is found where it is, whatever the image's size."""
    height, width = size
    picture = torch.full((3, height, width), 115, dtype=torch.uint8)
    side = 10 * max(size) // 32
    picture[:, 4 : 4 + side, 6 : 6 + side] = 215
    mask = segmented(trained, picture)
    assert mask.shape == size
    inside = mask[4 : 4 + side, 6 : 6 + side] == 1
    assert float(inside.float().mean()) > 0.9
    assert int((mask == 1).sum()) < 1.3 * side * side


def test_tiles_give_what_the_whole_image_gives_in_its_own_size(trained):
    image = torch.cat([torch.cat(list(shapes(4, 32, seed=9)[0]), 2)] * 3, 1)
    assert image.shape == (3, 96, 128)
    whole = trained.predict(image[None])[0]
    assert (segmented(trained, image, tile=96) == whole).float().mean() > 0.9999
    with pytest.raises(InputError, match="tiles of 8 pixels are smaller than what the network sees"):
        segmented(trained, image, tile=8)


def test_one_row_of_pixels_is_an_image_too(trained):
    assert segmented(trained, torch.zeros(3, 1, 90, dtype=torch.uint8)).shape == (1, 90)


def test_a_gif_keeps_its_frames(trained, tmp_path):
    first, *others = (picture(number, (40, 30)).resize((22, 17)) for number in range(3))
    first.save(tmp_path / "film.gif", save_all=True, append_images=others, duration=80)
    [made] = predict_masks(trained, [str(tmp_path / "film.gif")], tmp_path / "out")
    assert (made.mask, made.overlay.name, made.frames, made.size) == (None, "film-overlay.gif", 3, (17, 22))
    assert len(list(read_frames(made.overlay)[1])) == 3
    assert sum(made.shares.values()) == pytest.approx(1)


def test_a_folder_is_gone_through_and_one_file_tells_of_all(trained, tmp_path):
    folder = tmp_path / "mine"
    (folder / "deep").mkdir(parents=True)
    for number, name in enumerate(("a.jpg", "a.png", "deep/b.jpg")):
        picture(number).save(folder / name)
    (folder / "broken.jpg").write_bytes(b"no image")
    results = list(predict_masks(trained, [str(folder)], tmp_path / "out"))
    assert [type(result) for result in results].count(ImageError) == 1
    written = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*"))
    assert written == ["a-2.png", "a-overlay-2.png", "a-overlay.png", "a.png", "deep/b-overlay.png", "deep/b.png",
                       "segmentation.json"]  # fmt: skip
    told = json.loads((tmp_path / "out" / "segmentation.json").read_text())
    assert [one["file_name"] for one in told["images"]] == ["a.jpg", "a.png", "deep/b.jpg"]
    assert len({one["id"] for one in told["annotations"]}) == len(told["annotations"])


def test_what_cannot_be_had_is_refused(trained, image, tmp_path):
    with pytest.raises(InputError, match="neither a file or folder"):
        list(predict_masks(trained, ["no.png"], tmp_path / "out"))
    with pytest.raises(InputError, match="would be replaced by its result"):
        list(predict_masks(trained, [str(image)], image.parent))


def test_nothing_found_is_an_answer():
    task = make_task()
    task.network.module.head.bias.data[0] = 1e4
    assert segmented(task, shapes(1)[0][0]).unique().tolist() == [0]
