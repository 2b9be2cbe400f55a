import pytest
import torch

import pendio.data
from pendio.data.embedded import EMBEDDED, PHOTOS, photo, photo_named


def test_digits_are_all_there_and_fairly_split():
    data = pendio.data.open("digits")
    assert (len(data.train), len(data.val), len(data.test)) == (1259, 179, 359)
    assert data.shape == (1, 8, 8)
    for split in (data.train, data.val, data.test):
        shares = torch.bincount(split.targets).double() / len(split)
        assert float(shares.max() - shares.min()) < 0.02
        assert float(split.inputs.min()) == 0
        assert float(split.inputs.max()) == 1
    train = {tuple(image) for image in data.train.inputs.flatten(1).tolist()}
    assert not any(tuple(image) in train for image in data.test.inputs.flatten(1).tolist())


def test_texture_patches_of_different_splits_share_no_pixel():
    """Each test patch is cut from columns 384 on, each training patch from columns below 320 of the photograph."""
    data = pendio.data.open("textures")
    assert (len(data.train), len(data.val), len(data.test)) == (405, 45, 135)
    brick = photo("brick")
    places = {"train": (0, 320), "val": (320, 384), "test": (384, 512)}
    for name, (left, right) in places.items():
        region = brick[:, :, left:right].unfold(1, 64, 1).unfold(2, 64, 1)
        windows = {hash(w.numpy().tobytes()) for w in region[0].reshape(-1, 64, 64)}
        split = data.split(name)
        patches = split.inputs[split.targets == 0][:, 0]
        assert all(hash(patch.contiguous().numpy().tobytes()) in windows for patch in patches)


@pytest.mark.parametrize("name", PHOTOS)
def test_every_photo_is_there_in_colour(name):
    image = photo(name)
    assert (image.dtype, image.shape[0]) == (torch.uint8, 3)
    assert min(image.shape[1:]) > 150
    assert float(image.float().std()) > 10


def test_photos_are_meant_with_or_without_an_ending_but_never_by_a_path():
    assert photo_named("coffee") == photo_named("coffee.png") == photo_named("coffee.jpg") == "coffee"
    assert photo_named("kitchen/coffee.png") is None
    assert photo_named("tea") is None
    with pytest.raises(KeyError):
        photo("tea")


@pytest.mark.parametrize("name", EMBEDDED)
def test_embedded_sets_carry_augmentation(name):
    data = pendio.data.open(name, augment="flip")
    assert data.augmented
    assert data.name == name


def test_photographs_come_in_the_size_that_is_wished_and_crops_are_cut_from_larger_ones():
    data = pendio.data.open("photos", size=40, augment="crop")
    assert data.shape == (3, 40, 40)
    assert tuple(data.val.inputs.shape) == (17, 3, 40, 40)
    assert tuple(data.train.inputs.shape) == (17, 3, 80, 80)
    [batch] = data.train.batches(17, epoch=0)
    assert tuple(batch.inputs.shape) == (17, 3, 40, 40)
