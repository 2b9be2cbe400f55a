import numpy as np
import pytest
import torch

import pendio.data
from pendio.data.arrays import channel_statistics, split_by_class
from pendio.errors import InputError


def test_splits_are_stratified_disjoint_complete_and_seeded():
    targets = torch.tensor([0] * 100 + [1] * 50 + [2] * 10 + [3])
    train, val, test = split_by_class(targets, 0, (0.1, 0.2))
    assert sorted(torch.cat([train, val, test]).tolist()) == list(range(161))
    assert torch.bincount(targets[train], minlength=4).tolist() == [70, 35, 7, 1]
    assert torch.bincount(targets[val], minlength=4).tolist() == [10, 5, 1, 0]
    assert torch.bincount(targets[test], minlength=4).tolist() == [20, 10, 2, 0]
    assert all(
        torch.equal(a, b) for a, b in zip(split_by_class(targets, 0, (0.1, 0.2)), (train, val, test), strict=True)
    )
    assert not torch.equal(split_by_class(targets, 1, (0.1, 0.2))[2], test)


@pytest.mark.parametrize("shape", [(2500, 3, 4, 5), (3000, 7)])
def test_statistics_in_parts_equal_those_at_once(shape):
    values = torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 3 + 100
    over = (0, 2, 3) if len(shape) == 4 else (0,)
    mean, std = channel_statistics(values)
    assert mean == pytest.approx(values.double().mean(over).tolist(), rel=1e-12)
    assert std == pytest.approx(values.double().std(over, unbiased=False).tolist(), rel=1e-9)
    bytes_ = values.to(torch.uint8)
    assert channel_statistics(bytes_)[0] == pytest.approx((bytes_.double() / 255).mean(over).tolist())


def test_a_constant_feature_is_divided_by_one():
    assert channel_statistics(torch.full((10, 2), 5.0))[1] == (1.0, 1.0)
    assert channel_statistics(torch.full((10, 1, 2, 2), 7, dtype=torch.uint8))[1] == (1.0,)


def test_arrays_of_any_layout_become_channels_first():
    labels = ["yes", "no"] * 20
    for shape, expected in (
        ((40, 8, 8), (1, 8, 8)),
        ((40, 8, 9, 3), (3, 8, 9)),
        ((40, 3, 8, 9), (3, 8, 9)),
        ((40, 5), (5,)),
    ):
        data = pendio.data.from_arrays(np.zeros(shape, dtype=np.uint8) if len(shape) > 2 else np.zeros(shape), labels)
        assert data.shape == expected
        assert data.classes == ("no", "yes")
    pixels = np.arange(40 * 2 * 2 * 3, dtype=np.uint8).reshape(40, 2, 2, 3)
    data = pendio.data.from_arrays(pixels, labels, val=(pixels, labels), test=(pixels, labels))
    assert np.array_equal(data.train.inputs.permute(0, 2, 3, 1).numpy(), pixels)
    assert data.train.targets[:4].tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize(
    ("inputs", "labels", "message"),
    [
        (np.zeros((4, 2)), [0, 1, 0], "4 inputs need as many labels"),
        (np.zeros((4, 2)), [1, 1, 1, 1], "all 4 labels are '1'; a classifier needs two"),
        (np.full((4, 2), np.nan), [0, 1, 0, 1], "contain NaN or infinite"),
        (np.zeros((4, 2, 3, 4, 5)), [0, 1, 0, 1], r"inputs of shape \(4, 2, 3, 4, 5\); expected"),
        (
            np.full((4, 8, 8), 3.0),
            [0, 1, 0, 1],
            r"float images range over \[3, 3\]; scale them to \[0, 1\] or give uint8",
        ),
    ],
)
def test_arrays_that_do_not_fit_say_why(inputs, labels, message):
    with pytest.raises(InputError, match=message):
        pendio.data.from_arrays(inputs, labels)


def test_a_validation_label_unknown_to_training_is_named():
    with pytest.raises(InputError, match=r"validation has labels that training has not: \['bird'\]"):
        pendio.data.from_arrays(np.zeros((4, 2)), ["a", "b", "a", "b"], val=(np.zeros((1, 2)), ["bird"]))


def test_npz_archives(tmp_path):
    x, y = np.random.default_rng(0).random((60, 4)), np.arange(60) % 3
    np.savez(tmp_path / "one.npz", x=x, y=y)
    assert len(pendio.data.open(tmp_path / "one.npz").train) == 42
    np.savez(tmp_path / "split.npz", x_train=x, y_train=y, x_val=x[:9], y_val=y[:9], x_test=x[:6], y_test=y[:6])
    data = pendio.data.open(tmp_path / "split.npz")
    assert (len(data.train), len(data.val), len(data.test)) == (60, 9, 6)


def test_npz_archives_that_cannot_be_used_say_why(tmp_path):
    np.savez(tmp_path / "names.npz", a=np.zeros(3))
    with pytest.raises(InputError, match=r"has no array 'x_train'; it holds \['a'\]; expected x and y"):
        pendio.data.open(tmp_path / "names.npz")
    np.savez(tmp_path / "objects.npz", x=np.array([{}, {}], dtype=object), y=np.arange(2))
    with pytest.raises(InputError, match="no readable .npz archive of plain arrays"):
        pendio.data.open(tmp_path / "objects.npz")
    (tmp_path / "broken.npz").write_bytes((tmp_path / "names.npz").read_bytes()[:50])
    with pytest.raises(InputError, match="no readable .npz archive"):
        pendio.data.open(tmp_path / "broken.npz")


TABLE = "length,colour,kind\n" + "".join(f"{n * 0.5},{('red', 'blue')[n % 2]},{('x', 'y')[n % 2]}\n" for n in range(40))


def test_a_table_has_numbers_as_they_are_and_texts_as_switches(tmp_path):
    (tmp_path / "t.csv").write_text(TABLE)
    data = pendio.data.open(tmp_path / "t.csv", target="kind")
    assert (data.kind, data.shape, data.classes) == ("table", (3,), ("x", "y"))
    rows = {tuple(row) for row in data.train.inputs[:, 1:].tolist()}
    assert rows == {(0.0, 1.0), (1.0, 0.0)}
    for row, target in zip(data.train.inputs, data.train.targets, strict=True):
        assert int(target) == (row[0] * 2) % 2 == row[1]


@pytest.mark.parametrize(
    ("text", "target", "message"),
    [
        (TABLE, None, r"is a table: say with --target which column to predict \(length, colour, kind\)"),
        (TABLE, "knid", "has no column 'knid': did you mean 'kind'"),
        (TABLE + "7,,x\n", "kind", "line 42: column 'colour' is empty"),
        (TABLE + "nan,red,x\n", "kind", "line 42: column 'length' is not finite"),
        (TABLE + "7,red,\n", "kind", "line 42: the target 'kind' is empty"),
        (TABLE + "7,red\n", "kind", "line 42: expected 3 fields"),
        ("kind\nx\ny\n", "kind", "has no column beside the target"),
        ("", "kind", "has no rows"),
        (
            "a,kind\n" + "".join(f"text{n},{n % 2}\n" for n in range(60)),
            "kind",
            "text column 'a' has 60 distinct values",
        ),
    ],
)
def test_a_table_with_a_mistake_says_where(tmp_path, text, target, message):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        pendio.data.open(tmp_path / "t.csv", target=target)


def test_a_table_without_labels_is_all_features(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("a,b\n" + "\n".join(f"{i},{2 * i}" for i in range(20)))
    data = pendio.data.open(path, labels=False)
    assert (data.shape, data.classes, data.kind) == ((2,), ("row",), "table")
    together = torch.cat([split.inputs for split in (data.train, data.val, data.test)])
    assert torch.equal(together.sort(0).values, torch.arange(20.0)[:, None] * torch.tensor([1.0, 2.0]))


def test_a_file_that_is_no_text_says_so(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"\xff\xfe\x00a,b")
    with pytest.raises(InputError, match="cannot be read as CSV in UTF-8"):
        pendio.data.open(tmp_path / "t.csv")


def test_augmentation_is_refused_where_there_are_no_images(tmp_path):
    (tmp_path / "t.csv").write_text(TABLE)
    for name, options in (("moons", {}), (tmp_path / "t.csv", {"target": "kind"})):
        with pytest.raises(InputError, match="--augment flip is for images"):
            pendio.data.open(name, augment="flip", **options)


def test_any_torch_data_set_becomes_data():
    items = [(torch.full((3, 4, 4), n / 50), n % 2) for n in range(50)]
    data = pendio.data.from_dataset(items, items[:10], classes=("even", "odd"))
    assert (data.shape, data.test, len(data.train)) == ((3, 4, 4), None, 50)
    assert data.mean == pytest.approx((0.49,) * 3)
    with pytest.raises(InputError, match="need an example each; they have 50 and 0"):
        pendio.data.from_dataset(items, [], classes=("even", "odd"))
