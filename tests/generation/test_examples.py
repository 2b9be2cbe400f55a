import numpy as np
import pytest
import torch

import pendio
from pendio.data.examples import Resident
from pendio.data.images import read_image
from pendio.errors import InputError
from pendio.generation.examples import open_examples, spaced
from pendio.pictures.png import image_png


def saved(path, **arrays):
    np.savez(path, **arrays)
    return str(path)


def test_digits_come_in_the_size_asked_for_and_keep_their_values():
    data, original = open_examples("digits", size=16), pendio.data.open("digits")
    assert data.shape == (1, 16, 16)
    for name in ("train", "val", "test"):
        made, given = data.split(name), original.split(name)
        assert made.inputs.shape == (len(given), 1, 16, 16)
        assert torch.equal(made.targets, given.targets)
        assert made.inputs.min() >= 0
        assert made.inputs.max() <= 1
        torch.testing.assert_close(made.inputs.mean((2, 3)), given.inputs.mean((2, 3)), atol=0.03, rtol=0)
    assert data.mean[0] == pytest.approx(float(data.train.inputs.mean()), abs=1e-5)
    assert data.std[0] == pytest.approx(float(data.train.inputs.std()), abs=1e-3)


def test_the_size_they_have_changes_nothing():
    assert torch.equal(open_examples("digits", size=8).train.inputs, pendio.data.open("digits").train.inputs)


def test_bytes_stay_bytes(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (40, 6, 6, 3), dtype=np.uint8)
    data = open_examples(saved(tmp_path / "a.npz", x=images, y=np.arange(40) % 2), size=12)
    assert data.train.inputs.dtype == torch.uint8
    assert data.shape == (3, 12, 12)


def test_augmentation_is_for_training_alone_and_survives_the_resizing():
    data = open_examples("digits", size=16, augment="shift")
    plain = next(iter(data.train.batches(8, seed=0, epoch=None))).inputs
    changed = next(iter(data.train.batches(8, seed=0, epoch=0)))
    assert torch.equal(plain, data.train.inputs[:8])
    assert not torch.equal(changed.inputs, data.train.inputs[changed.indices])
    assert data.val.augment is None


def test_a_folder_needs_no_labels(tmp_path):
    generator = torch.Generator().manual_seed(0)
    for number in range(12):
        (tmp_path / f"{number}.png").write_bytes(image_png(torch.rand(3, 20, 20, generator=generator)))
    data = open_examples(str(tmp_path), size=16)
    assert next(iter(data.train.batches(4))).inputs.shape[1:] == (3, 16, 16)
    assert read_image(tmp_path / "0.png").shape == (3, 20, 20)


def test_points_are_examples_too():
    data = open_examples("moons")
    assert data.kind == "points"
    assert isinstance(data.train, Resident)


@pytest.mark.parametrize(("options", "message"), [
    ({"name": "moons", "size": 16}, "'moons' has no images but points"),
    ({"name": "moons", "images": True}, "'moons' has no images but points"),
    ({"name": "digits", "augment": "mixup"}, "--augment mixup makes images that are not of the data"),
    ({"name": "nothing"}, "no data 'nothing'"),
])  # fmt: skip
def test_what_cannot_be_learned_from_is_named(options, message):
    with pytest.raises(InputError) as error:
        open_examples(**options)
    assert message in str(error.value)


def test_constant_images_are_refused(tmp_path):
    path = saved(tmp_path / "a.npz", x=np.full((20, 4, 4), 7, dtype=np.uint8), y=np.arange(20) % 2)
    with pytest.raises(InputError, match="all examples of .* are the same"):
        open_examples(path)


def test_a_wrong_range_is_refused(tmp_path):
    path = saved(tmp_path / "a.npz", x=np.random.default_rng(0).normal(size=(20, 4, 4)), y=np.arange(20) % 2)
    with pytest.raises(InputError, match=r"scale them to \[0, 1\] or give uint8"):
        open_examples(path)


def test_a_table_with_a_gap_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("a,b,label\n" + "1,2,x\n3,4,y\n" * 10 + "nan,1,x\n")
    with pytest.raises(InputError, match="line 22: column 'a' is not finite"):
        open_examples(str(tmp_path / "a.csv"), target="label")


def test_a_single_example_is_no_distribution(tmp_path):
    for split in ("train", "val"):
        (tmp_path / split).mkdir()
        (tmp_path / split / "a.png").write_bytes(image_png(torch.rand(1, 9, 9)))
    with pytest.raises(InputError, match="1 example to learn from: a distribution needs two at least"):
        open_examples(str(tmp_path))


def test_examples_that_are_all_one_image_are_refused_though_it_is_not_flat(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (1, 4, 4), dtype=np.uint8)
    with pytest.raises(InputError, match="all examples of .* are the same"):
        open_examples(saved(tmp_path / "a.npz", x=image.repeat(20, 0)))


def test_archives_need_no_labels(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (40, 4, 4), dtype=np.uint8)
    data = open_examples(saved(tmp_path / "a.npz", x=images))
    assert (data.classes, data.shape, len(data.train)) == (("example",), (1, 4, 4), 28)
    split = open_examples(saved(tmp_path / "b.npz", x_train=images, x_test=images[:7]))
    assert (len(split.train), len(split.val), len(split.test)) == (36, 4, 7)
    with pytest.raises(InputError, match="has no array 'y'"):
        open_examples(saved(tmp_path / "a.npz", x=images), labels=True)


def test_some_of_a_split_are_of_all_its_classes():
    split = Resident(torch.arange(100.0)[:, None], torch.arange(100) // 10)
    assert spaced(split, 10).targets.unique().tolist() == list(range(10))
    assert spaced(split, 1000).inputs.flatten().tolist() == list(range(100))
