import numpy as np
import pytest
import torch
from PIL import Image

from pendio.data.annotations import keeping
from pendio.data.annotations.labels import labels_split, read_mask
from pendio.data.annotations.records import IGNORED, Annotated, Polygons
from pendio.errors import InputError

CLASSES = ("ground", "thing", "other")


def save(folder, name, mask, mode="P"):
    """A mask file, and an image whose pixels are a hundred times the class."""
    mask = np.array(mask, dtype=np.uint8)
    picture = Image.fromarray(mask)
    if mode == "P":
        picture.putpalette([255, 0, 0, 9, 9, 9, 0, 0, 255])
    picture.save(folder / f"{name}-mask.png")
    shown = np.where(mask == IGNORED, 50, mask * 100)
    Image.fromarray(np.repeat(shown[..., None], 3, 2).astype(np.uint8)).save(folder / f"{name}.png")
    height, width = mask.shape
    return Annotated(folder / f"{name}.png", width, height, mask=folder / f"{name}-mask.png")


@pytest.fixture
def images(tmp_path):
    made = []
    for number in range(6):
        mask = np.zeros((40 + number, 60 - 3 * number), dtype=np.uint8)
        mask[5:25, 10 : 20 + number] = 1
        mask[20:35, 30:] = 2
        made.append(save(tmp_path, str(number), mask, "P" if number % 2 else "L"))
    return made


def walk(split, size=4, **options):
    batches = list(split.batches(size, seed=1, **options))
    return [torch.cat(column) for column in zip(*batches, strict=True)]


def test_masks_are_fitted_with_their_images_and_ignored_outside(images):
    inputs, targets, indices = walk(labels_split(images, CLASSES, 60, ("flip",), training=False))
    assert indices.tolist() == list(range(6))
    assert targets.shape == (6, 60, 60)
    assert targets.dtype == torch.uint8
    assert targets.unique().tolist() == [0, 1, 2, IGNORED]
    first = targets[0]
    assert (first[:10] == IGNORED).all()
    assert (first[50:] == IGNORED).all()
    assert torch.equal(first[10:50], read_mask(images[0].mask))
    assert torch.equal(inputs[0, 0, 10:50], first[10:50] * 100)


def test_palettes_give_their_indices_not_their_colours(images):
    assert Image.open(images[1].mask).mode == "P"
    assert read_mask(images[1].mask).unique().tolist() == [0, 1, 2]


@pytest.mark.parametrize("names", [("flip", "scale", "shift"), ("rotate",), ("elastic", "flip")])
def test_augmented_masks_still_say_what_the_image_shows(images, names):
    split = labels_split(images, CLASSES, 64, names, training=True)
    for epoch in range(3):
        inputs, targets, _ = walk(split, epoch=epoch)
        known = targets != IGNORED
        wrong = ((inputs[:, 0].float() / 100).round() != targets)[known].float().mean()
        assert wrong < 0.06
        assert known.float().mean() > 0.2


def test_any_batch_size_and_any_number_of_workers_gives_the_same_examples(images, monkeypatch):
    names = ("flip", "scale", "rotate", "color", "elastic")
    one = walk(labels_split(images, CLASSES, 48, names, training=True), epoch=2)
    other = walk(labels_split(images, CLASSES, 48, names, training=True), size=6, epoch=2)
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    monkeypatch.setattr(keeping, "KEPT_BYTES", 0)
    third = walk(labels_split(images, CLASSES, 48, names, training=True), epoch=2, workers=2)
    assert all(torch.equal(a, b) for a, b in zip(one, third, strict=True))


def test_outlines_become_masks(tmp_path, images):
    outlined = Annotated(
        images[0].image, 60, 40, torch.tensor([[10.0, 10, 30, 20]]), torch.tensor([2]), torch.tensor([False]),
        torch.tensor([200.0]), (Polygons(((10, 10, 30, 10, 30, 20, 10, 20),)),),
    )  # fmt: skip
    _, targets, _ = walk(labels_split([outlined], CLASSES, 60, (), training=False))
    assert (targets[0, 20:30, 10:30] == 2).all()
    assert int((targets[0] == 2).sum()) == 200


def test_a_table_says_what_the_numbers_of_a_mask_mean(tmp_path):
    mask = np.zeros((8, 8), dtype=np.uint8)
    mask[2:4] = 255
    table = torch.full((256,), IGNORED, dtype=torch.uint8)
    table[0], table[255] = 0, 1
    image = save(tmp_path, "two", mask, "L")
    _, targets, _ = walk(labels_split([image], ("no", "yes"), 8, (), training=False, table=table))
    assert targets[0].float().mean(1).tolist() == [0, 0, 1, 1, 0, 0, 0, 0]


def test_what_is_wrong_with_a_mask_is_said(tmp_path, images):
    high = save(tmp_path, "high", [[0, 3], [1, 2]])
    with pytest.raises(
        InputError, match=r"high-mask\.png' has class 3, and there are 3 classes \(0 … 2; 255 is ignored\)"
    ):
        walk(labels_split([high], CLASSES, 8, (), training=False))
    small = Annotated(images[0].image, 60, 40, mask=high.mask)
    with pytest.raises(InputError, match=r"high-mask\.png' is 2×2 pixels and its image '0\.png' 60×40"):
        walk(labels_split([small], CLASSES, 8, (), training=False))
    Image.new("RGB", (60, 40)).save(tmp_path / "colors.png")
    with pytest.raises(
        InputError, match=r"colors\.png' has colours \(RGB\) and no class numbers; save it with a palette"
    ):
        read_mask(tmp_path / "colors.png")
    Image.fromarray(np.full((2, 2), 300, dtype=np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(InputError, match=r"deep\.png' has the value 300"):
        read_mask(tmp_path / "deep.png")
    cut = images[1].mask.read_bytes()
    (tmp_path / "cut.png").write_bytes(cut[: len(cut) - 40])
    with pytest.raises(InputError, match=r"mask '.*cut\.png' is damaged"):
        read_mask(tmp_path / "cut.png")
