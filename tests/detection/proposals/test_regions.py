import pytest
import torch

from pendio.detection.boxes import iou
from pendio.detection.proposals.crops import moved
from pendio.detection.proposals.regions import Matched, match_regions, overlaps_with, region_stream, search

from .squares import squares_data

NOBODY = torch.zeros(2, dtype=torch.bool)
OBJECTS = torch.tensor([[0.0, 0, 10, 10], [20, 20, 40, 40]])


@pytest.fixture(scope="module")
def data():
    return squares_data(20, 4)


@pytest.fixture(scope="module")
def found(data):
    return search(data.train, 0, False, "")


def test_each_region_stands_for_the_object_it_overlaps_most():
    proposals = torch.tensor([[0.0, 0, 10, 5], [21, 20, 40, 40], [60, 60, 70, 70], [0, 0, 40, 40]])
    matched = match_regions(proposals, OBJECTS, NOBODY)
    assert matched.overlaps.tolist() == pytest.approx([0.5, 0.95, 0, 0.25, 1, 1])
    assert matched.owners[[0, 1, 3, 4, 5]].tolist() == [0, 1, 1, 0, 1]
    assert matched.proposed == 4
    assert matched.boxes[4:].tolist() == OBJECTS.tolist()


def test_regions_of_a_crowd_are_neither_objects_nor_background():
    proposals = torch.tensor([[22.0, 22, 30, 30], [20, 20, 40, 40], [0, 0, 10, 10], [50, 50, 60, 60]])
    matched = match_regions(proposals, OBJECTS, torch.tensor([False, True]))
    assert matched.overlaps.tolist() == [-1, -1, 1, 0, 1]
    assert len(matched.boxes) == 5


def test_an_object_in_a_crowd_remains_one():
    boxes = torch.tensor([[0.0, 0, 40, 40], [20, 20, 40, 40]])
    assert match_regions(boxes[1:], boxes, torch.tensor([True, False])).overlaps.tolist() == [1, 1]


def test_images_without_objects_are_background():
    matched = match_regions(OBJECTS, torch.zeros(0, 4), torch.zeros(0, dtype=torch.bool))
    assert matched.overlaps.tolist() == [0, 0]


def test_objects_without_area_are_no_regions():
    empty = torch.tensor([[5.0, 5, 5, 9]])
    assert len(match_regions(OBJECTS, empty, NOBODY[:1]).boxes) == 2


def test_the_search_finds_what_is_there(data, found):
    assert sorted(found) == list(range(20))
    assert (overlaps_with(list(found.values())) > 0.9).all()


def test_processes_find_the_same(data, found, monkeypatch):
    monkeypatch.setattr("pendio.detection.proposals.regions._WORTH_PROCESSES", 1)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1}, raising=False)
    again = search(data.train, 0, False, "")
    assert all(torch.equal(again[number].boxes, found[number].boxes) for number in found)


def test_images_that_cannot_be_read_have_no_regions_and_are_named():
    assert sorted(search(squares_data(5, 4, broken=(3,)).train, 0, False, "")) == [0, 1, 2, 4]
    broken = squares_data(101, 4, broken=(3,))
    split = region_stream(broken.train.reader, {}, 2)
    assert sum(len(batch.inputs) for batch in split.batches(16, epoch=0)) == 100
    assert [failure.reason for failure in split.failures] == ["image 3 is damaged"]


def test_a_quarter_of_the_regions_stand_for_objects(data, found):
    (batch,) = region_stream(data.train.reader, found, 2).batches(20, epoch=0, seed=1)
    assert batch.regions.shape == (20, 8, 4)
    assert ((batch.labels >= 0) & (batch.labels < 2)).sum(1).max() == 2
    assert ((batch.labels >= 0) & (batch.labels < 2)).float().mean() == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize(
    ("there", "drawn"),
    [
        ((9, 9, 9), (2, 3, 3)),
        ((1, 9, 9), (1, 3, 4)),
        ((0, 9, 9), (0, 4, 4)),
        ((9, 1, 9), (2, 1, 5)),
        ((9, 9, 1), (2, 5, 1)),
        ((9, 0, 0), (2, 0, 0)),
        ((0, 2, 3), (0, 2, 3)),
    ],
)
def test_half_of_the_background_is_near_an_object_and_lacks_are_made_up_for(data, there, drawn):
    kinds = torch.arange(3).repeat_interleave(torch.tensor(there))
    boxes = torch.tensor([0.0, 0, 20, 20]) + kinds[:, None]
    crowd = torch.tensor([[30.0, 30, 50, 50]])
    matched = Matched(
        torch.cat([boxes, crowd]), torch.cat([torch.tensor([0.5, 0.3, 0.0])[kinds], torch.tensor([-1.0])]),
        torch.zeros(len(boxes) + 1).long(), len(boxes),
    )  # fmt: skip
    (batch,) = region_stream(squares_data(1, 1).train.reader, {0: matched}, 2).batches(1, epoch=0)
    chosen = batch.regions[0][batch.labels[0] >= 0][:, 0].long()
    assert torch.bincount(chosen, minlength=3).tolist() == list(drawn)
    assert (batch.labels[0][: drawn[0]] < 2).all()


def test_regions_are_named_after_their_objects_and_moved_onto_them(data, found):
    (batch,) = region_stream(data.train.reader, found, 2).batches(20, epoch=3, seed=1)
    plain = data.train.take(batch.indices)
    assert torch.equal(plain.inputs, batch.inputs)
    for row in range(20):
        real = plain.labels[row] >= 0
        overlaps = iou(batch.regions[row][:, None], plain.boxes[row][real][None])
        highest, owner = overlaps.max(1)
        positive = batch.labels[row] < 2
        assert torch.equal(positive, highest >= 0.5)
        assert torch.equal(batch.labels[row][positive], plain.labels[row][real][owner[positive]])
        onto = moved(batch.regions[row], batch.offsets[row])[positive]
        torch.testing.assert_close(onto, plain.boxes[row][real][owner[positive]], rtol=0, atol=1e-3)
        assert (batch.offsets[row][~positive] == 0).all()


def test_draws_depend_on_seed_and_epoch_alone(data, found):
    split = region_stream(data.train.reader, found, 2)

    def regions(size, **which):
        parts = list(split.batches(size, **which))
        order = torch.cat([part.indices for part in parts]).argsort()
        return torch.cat([part.regions for part in parts])[order]

    first = regions(20, epoch=0, seed=0)
    assert torch.equal(first, regions(5, epoch=0, seed=0))
    assert not torch.equal(first, regions(20, epoch=1, seed=0))
    assert not torch.equal(first, regions(20, epoch=0, seed=1))
    assert torch.equal(regions(7), regions(20))


def test_a_crowd_alone_leaves_background_or_nothing():
    crowded = squares_data(4, 4, crowd=True)
    found = search(crowded.train, 0, False, "")
    (batch,) = region_stream(crowded.train.reader, found, 2).batches(4)
    assert ((batch.labels == 2) | (batch.labels == -1)).all()


def test_an_image_that_could_not_be_searched_teaches_nothing(data, found):
    rest = {number: its for number, its in found.items() if number != 5}
    (batch,) = region_stream(data.train.reader, rest, 2).batches(20)
    assert (batch.labels[5] == -1).all()
    assert (batch.labels[6] >= 0).any()
