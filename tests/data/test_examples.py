import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pendio.data.augment import Augment
from pendio.data.examples import Examples, Resident, positions, step_count


def every(count, size, world=1, **options):
    return [list(positions(count, size, rank=rank, world=world, **options)) for rank in range(world)]


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 4), st.integers(0, 5))
def test_an_epoch_visits_each_example_once_in_shares_of_equal_batches(count, size, world, epoch):
    size = min(size, count)
    ranks = every(count, size, world, seed=0, epoch=epoch)
    steps = step_count(count, size, world)
    assert {len(rank) for rank in ranks} == {steps}
    seen = torch.cat([share for rank in ranks for share in rank]) if steps else torch.tensor([], dtype=torch.long)
    assert len(seen.unique()) == len(seen)
    left_out = count - len(seen)
    assert left_out < world, "only a last batch with less than an example a process may be left out"
    if world == 1:
        assert left_out == 0
    lengths = [sum(len(rank[step]) for rank in ranks) for step in range(steps)]
    assert all(length == size for length in lengths[:-1])
    if size > 1 and count > 1:
        assert all(length > 1 for length in lengths)


@given(st.integers(1, 60), st.integers(1, 70), st.integers(1, 4))
def test_evaluation_sees_everything_once_in_order(count, size, world):
    ranks = every(count, size, world, seed=0, epoch=None)
    assert sorted(torch.cat([share for rank in ranks for share in rank]).tolist()) == list(range(count))
    if world == 1:
        assert torch.cat(ranks[0]).tolist() == list(range(count))


def test_starting_later_gives_the_rest_of_the_same_epoch():
    whole = list(positions(50, 8, seed=2, epoch=3))
    rest = list(positions(50, 8, seed=2, epoch=3, start=4))
    assert [share.tolist() for share in rest] == [share.tolist() for share in whole[4:]]


def test_a_last_batch_of_one_joins_the_one_before():
    assert [len(share) for share in positions(9, 4, seed=0, epoch=0)] == [4, 5]
    assert [len(share) for share in positions(3, 1, seed=0, epoch=0)] == [1, 1, 1]
    assert [len(share) for share in positions(10, 4, seed=0, epoch=0)] == [4, 4, 2]


def test_a_resident_split_gives_its_rows():
    split = Resident(torch.arange(10.0)[:, None], torch.arange(10))
    for batch in split.batches(4, epoch=1, seed=1):
        assert torch.equal(batch.inputs[:, 0].long(), batch.targets)
        assert torch.equal(batch.indices, batch.targets)
    assert split.take(torch.tensor([7, 2])).targets.tolist() == [7, 2]


def test_augmentation_changes_training_batches_alone():
    images = torch.rand(12, 1, 8, 8)
    split = Resident(images, torch.arange(12) % 3, Augment(("flip", "shift"), 3))
    trained = torch.cat([batch.inputs for batch in split.batches(4, epoch=0)])
    plain = torch.cat([batch.inputs for batch in split.batches(4)])
    assert torch.equal(plain, images)
    assert not torch.equal(trained.sum((1, 2, 3)).sort().values, images.sum((1, 2, 3)).sort().values)


@pytest.mark.parametrize("size", [1, 3, 5, 12])
def test_augmentation_does_not_depend_on_the_batch_size(size):
    images = torch.rand(12, 3, 16, 16)
    split = Resident(images, torch.zeros(12, dtype=torch.long), Augment(("flip", "shift", "crop", "jitter"), 2))

    def by_index(size):
        made = {}
        for batch in split.batches(size, seed=4, epoch=2):
            made |= dict(zip(batch.indices.tolist(), batch.inputs, strict=True))
        return torch.stack([made[index] for index in range(12)])

    torch.testing.assert_close(by_index(size), by_index(12), rtol=0, atol=1e-6)


def test_a_batch_is_a_tuple_of_rows():
    batch = Examples(torch.zeros(2, 1), torch.zeros(2), torch.zeros(2))
    assert batch._fields == ("inputs", "targets", "indices")
