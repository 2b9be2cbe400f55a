import pytest
import torch
from torch.utils.data import Dataset

from pendio.data.augment import Augment
from pendio.data.images import read_image
from pendio.data.streams import ImageFiles, Items, Stream, frame
from pendio.errors import InputError

from .conftest import fill


def files(folder, count=60, augment=("crop", "flip"), size=16):
    paths = sorted(fill(folder, {"a": count // 2, "b": count - count // 2}).rglob("*.jpg"))
    targets = torch.arange(len(paths)) % 2
    return ImageFiles(paths, targets, size, 1.0, False, Augment(augment, 2) if augment else None)


def walk(stream, **options):
    return [tuple(column.clone() for column in batch) for batch in stream.batches(8, seed=5, **options)]


def assert_same(one, other):
    assert len(one) == len(other)
    for mine, theirs in zip(one, other, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))


def test_any_number_of_workers_gives_the_same_batches(tmp_path):
    reader = files(tmp_path, augment=("crop", "flip", "jitter", "mixup"))
    alone = walk(Stream(reader), epoch=3)
    assert_same(alone, walk(Stream(reader), epoch=3, workers=1))
    shared = Stream(reader)
    assert_same(alone, walk(shared, epoch=3, workers=2))
    assert_same(walk(Stream(reader), epoch=4), walk(shared, epoch=4, workers=2)), "workers live on into the next epoch"
    assert_same(alone[5:], walk(shared, epoch=3, start=5, workers=2))


def test_evaluation_is_plain_and_in_order(tmp_path):
    reader = files(tmp_path)
    batches = walk(Stream(reader))
    assert torch.cat([batch[2] for batch in batches]).tolist() == list(range(60))
    expected = torch.stack([frame(read_image(path), 16) for path in reader.paths])
    assert torch.equal(torch.cat([batch[0] for batch in batches]), expected)
    assert expected.dtype == torch.uint8


def test_one_damaged_file_is_skipped_counted_once_and_named(tmp_path):
    reader = files(tmp_path, count=200)
    bad = reader.paths[17]
    bad.write_bytes(bad.read_bytes()[:300])
    stream = Stream(reader)
    for epoch in range(2):
        seen = torch.cat([batch[2] for batch in walk(stream, epoch=epoch, workers=2)])
        assert sorted(seen.tolist()) == [index for index in range(200) if index != 17]
    [failure] = stream.failures
    assert failure.path == str(bad)
    assert bad.name in failure.reason
    assert len(stream.take(torch.tensor([16, 17, 18])).targets) == 2


def test_more_than_one_percent_stops_with_the_first_named(tmp_path):
    reader = files(tmp_path, count=100)
    for index in (3, 60):
        reader.paths[index].write_bytes(b"nothing")
    with pytest.raises(
        InputError, match=r"2 of 100 examples cannot be read, more than 1 %; repair .*'a003.jpg'|is not an image"
    ):
        walk(Stream(reader))


@pytest.mark.parametrize(
    ("shape", "crop"), [((3, 30, 50), 1.0), ((3, 50, 30), 0.875), ((1, 24, 24), 1.0), ((3, 7, 90), 0.5)]
)
def test_a_frame_is_the_middle_of_the_image(shape, crop):
    ramp = torch.linspace(0, 255, shape[2])[None, None, :].expand(shape).round().to(torch.uint8)
    framed = frame(ramp, 24, crop).float()
    assert framed.shape == (shape[0], 24, 24)
    kept = min(shape[1:]) * crop / shape[2]  # share of the width that is seen
    middle, left, right = framed[0, 12, 11:13].mean(), framed[0, 12, 0], framed[0, 12, -1]
    assert float(middle) == pytest.approx(127.5, abs=255 / shape[2])
    assert float(right - left) == pytest.approx(255 * kept * shape[2] / (shape[2] - 1) * 23 / 24, abs=8)


class Squares(Dataset):
    """Items of any kind of data set, one of which cannot be had."""

    def __init__(self, bad=None, count=200):
        self.bad = bad
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if index == self.bad:
            raise OSError("the disk hiccupped")
        return torch.full((3, 4, 4), index / 200), index % 2


def test_any_torch_data_set_streams():
    batches = walk(Stream(Items(Squares())), epoch=0, workers=2)
    inputs, targets, indices = (torch.cat(column) for column in zip(*batches, strict=True))
    assert torch.equal((inputs[:, 0, 0, 0] * 200).round().long(), indices)
    assert torch.equal(targets, indices % 2)


def test_an_item_that_raises_is_named():
    stream = Stream(Items(Squares(bad=9)))
    assert sum(len(batch[2]) for batch in walk(stream)) == 199
    assert [tuple(failure) for failure in stream.failures] == [("item 9", "the disk hiccupped")]
