import pytest
import torch
from PIL import Image

from pendio.data.annotations import keeping
from pendio.data.annotations.boxes import BoxFiles, BoxReader, box_stream, boxes_split
from pendio.data.annotations.letterbox import GREY
from pendio.data.annotations.records import Annotated
from pendio.errors import InputError

COLORS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)]


@pytest.fixture
def images(tmp_path):
    """Twelve pictures of up to three filled rectangles, whose colours are their labels."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for number in range(12):
        width, height = 60 + 10 * (number % 4), 80 - 10 * (number % 3)
        picture = torch.zeros(height, width, 3, dtype=torch.uint8)
        boxes, labels = [], []
        for column in range(number % 4):
            x, y = 2 + column * width // 3, int(torch.randint(2, height - 30, (1,), generator=generator))
            box = (x, y, x + 14, y + 8 + 3 * column)
            picture[box[1] : box[3], box[0] : box[2]] = torch.tensor(COLORS[column], dtype=torch.uint8)
            boxes.append(box)
            labels.append(column)
        path = tmp_path / f"{number}.png"
        Image.fromarray(picture.numpy()).save(path)
        tensor = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
        found.append(
            Annotated(
                path, width, height, tensor, torch.tensor(labels, dtype=torch.long),
                torch.tensor([label == 2 for label in labels], dtype=torch.bool),
                (tensor[:, 2:] - tensor[:, :2]).prod(1), key=path.name,
            )
        )  # fmt: skip
    return found


def walk(split, size=5, **options):
    return list(split.batches(size, seed=2, **options))


def by_index(batches):
    """What is said of each example, without the padding of its batch."""
    found = {}
    for batch in batches:
        for row, index in enumerate(batch.indices.tolist()):
            real = batch.labels[row] >= 0
            found[index] = [batch.inputs[row], batch.sizes[row], *(column[row][real] for column in batch[1:5])]
    return found


def assert_same(one, other):
    one, other = by_index(one), by_index(other)
    assert one.keys() == other.keys()
    for index in one:
        assert all(torch.equal(a, b) for a, b in zip(one[index], other[index], strict=True)), index


def assert_boxes_fit(batch, tolerance=1.2, minimum=0):
    """Each box is the tight box of the pixels in its colour."""
    checked = 0
    for row, column in (batch.labels >= 0).nonzero().tolist():
        label, box = int(batch.labels[row, column]), batch.boxes[row, column]
        far = (batch.inputs[row].int() - torch.tensor(COLORS[label])[:, None, None]).abs().amax(0)
        like = far < 128
        same = (batch.labels[row] == label).sum() == 1
        if same and like.any():
            y, x = like.any(1).nonzero()[:, 0], like.any(0).nonzero()[:, 0]
            tight = torch.stack([x[0], y[0], x[-1] + 1, y[-1] + 1]).float()
            assert (tight - box).abs().max() <= tolerance, (row, column, tight, box)
            checked += 1
    assert checked > minimum


def test_evaluation_is_plain_padded_and_in_order(images):
    batches = walk(boxes_split(images, 64, ("flip", "color"), training=False))
    assert [batch.indices.tolist() for batch in batches] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11]]
    first = batches[0]
    assert first.inputs.shape == (5, 3, 64, 64)
    assert first.inputs.dtype == torch.uint8
    assert first.inputs.is_contiguous(memory_format=torch.channels_last)
    assert first.labels.tolist() == [[-1, -1, -1], [0, -1, -1], [0, 1, -1], [0, 1, 2], [-1, -1, -1]]
    assert first.crowd.tolist()[3] == [False, False, True]
    assert first.sizes.tolist()[:2] == [[80, 60], [70, 70]]
    assert first.areas[3].tolist() == images[3].areas.tolist(), "of the original image"
    assert (first.boxes[first.labels < 0] == 0).all()
    assert_boxes_fit(first, 1, 4)
    assert (first.inputs[0, :, :, :8] == GREY).all()


def test_a_batch_without_any_box_still_has_a_column(images):
    batch = boxes_split([images[0]], 32, (), training=False).take(torch.tensor([0]))
    assert batch.boxes.shape == (1, 1, 4)
    assert batch.labels.tolist() == [[-1]]


@pytest.mark.parametrize("names", [("flip",), ("scale",), ("shift",), ("flip", "scale", "shift")])
def test_boxes_fit_their_objects_after_augmentation(images, names):
    for epoch in range(4):
        for batch in walk(boxes_split(images, 128, names, training=True), epoch=epoch):
            assert_boxes_fit(batch, 1.5)


def test_boxes_fit_their_objects_in_mosaics(images):
    """Each picture has one label of its own, which a mosaic may show twice; those are left out."""
    checked = 0
    for epoch in range(4):
        split = boxes_split(images, 128, ("mosaic", "scale", "flip"), training=True)
        for batch in walk(split, epoch=epoch):
            for row, column in (batch.labels >= 0).nonzero().tolist():
                x1, y1, x2, y2 = batch.boxes[row, column].tolist()
                inside = batch.inputs[row, :, round(y1) : round(y2), round(x1) : round(x2)].flatten(1).float().mean(1)
                color = torch.tensor(COLORS[int(batch.labels[row, column])]).float()
                assert (inside - color).abs().max() < 110, (row, column)
                checked += 1
    assert checked > 60


def test_any_batch_size_and_any_number_of_workers_gives_the_same_examples(images, monkeypatch):
    names = ("flip", "scale", "shift", "color", "mosaic")
    kept = walk(boxes_split(images, 48, names, training=True), epoch=3)
    assert_same(kept, walk(boxes_split(images, 48, names, training=True), size=3, epoch=3))
    monkeypatch.setattr(keeping, "KEPT_BYTES", 0)
    assert_same(kept, walk(boxes_split(images, 48, names, training=True), epoch=3, workers=2))
    other = by_index(walk(boxes_split(images, 48, names, training=True), epoch=4))
    assert not all(torch.equal(other[index][0], row[0]) for index, row in by_index(kept).items())


def test_several_sizes_are_drawn_a_batch_and_boxes_follow(images):
    split = boxes_split(images, 64, (), training=True, sizes=(64, 96, 128))
    seen = set()
    for epoch in range(6):
        for batch in walk(split, 4, epoch=epoch):
            seen.add(batch.inputs.shape[-1])
            assert_boxes_fit(batch)
    assert seen == {64, 96, 128}
    assert split.take(torch.arange(3)).inputs.shape[-1] == 64, "plain examples have the plain size"
    sizes = [batch.inputs.shape[-1] for batch in walk(split, 4, epoch=1)]
    assert sizes == [batch.inputs.shape[-1] for batch in walk(split, 4, epoch=1)]


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("names", [(), ("mosaic",)])
def test_an_unreadable_image_is_left_out_and_named(images, names, workers, monkeypatch):
    monkeypatch.setattr(keeping, "KEPT_BYTES", 0)
    many = images * 20
    many[7] = Annotated(images[0].image.with_name("gone.png"), 60, 80)
    split = boxes_split(many, 32, names, training=True)
    seen = torch.cat([batch.indices for batch in walk(split, epoch=0, workers=workers)])
    assert sorted(seen.tolist()) == [index for index in range(240) if index != 7]
    [failure] = split.failures
    assert failure.path.endswith("gone.png")
    assert "cannot be read" in failure.reason


def test_too_many_unreadable_images_stop(images):
    broken = [Annotated(images[0].image.with_name("gone.png"), 60, 80), *images[1:]]
    with pytest.raises(InputError, match=r"1 of 12 examples cannot be read, more than 1 %.*gone\.png"):
        walk(boxes_split(broken, 32, (), training=False))


def test_one_object_may_stand_twice(images):
    box = torch.tensor([[10.0, 10, 30, 30], [10, 10, 30, 30]])
    twice = Annotated(images[0].image, 60, 80, box, torch.tensor([1, 3]), torch.tensor([False, False]), torch.ones(2))
    batch = box_stream(BoxReader(BoxFiles([twice], 80), 80)).take(torch.tensor([0]))
    assert batch.labels.tolist() == [[1, 3]]
    assert torch.equal(batch.boxes[0, 0], batch.boxes[0, 1])
