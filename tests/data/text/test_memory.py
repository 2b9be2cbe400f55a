import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pendio.data.embedded import digits
from pendio.data.text.memory import adding, copying, pixels
from pendio.errors import InputError


def everything(source, **options):
    batches = list(source.batches(500, **options))
    return torch.cat([batch.inputs for batch in batches]), torch.cat([batch.targets for batch in batches])


@given(st.integers(2, 60), st.integers(0, 20))
def test_the_answer_is_the_sum_of_one_marked_number_from_each_half(length, epoch):
    data = adding(length, seed=3)
    batch = next(data.train.batches(50, epoch=epoch))
    assert batch.inputs.shape == (50, length, 2)
    values, marks = batch.inputs.unbind(2)
    assert marks.sum(1).tolist() == [2] * 50
    assert marks[:, : length // 2].sum(1).tolist() == [1] * 50
    assert set(marks.unique().tolist()) <= {0.0, 1.0}
    torch.testing.assert_close((values * marks).sum(1), batch.targets)
    assert float(values.min()) >= 0
    assert float(values.max()) <= 1


def test_marks_reach_everywhere_and_numbers_are_uniform():
    inputs, targets = everything(adding(10, 0).train, epoch=0)
    assert inputs[:, :, 1].sum(0).min() > 6400 / 5 - 150
    assert inputs[:, :, 1].sum(0).max() < 6400 / 5 + 150
    assert float(inputs[:, :, 0].mean()) == pytest.approx(0.5, abs=0.005)
    assert float(inputs[:, :, 0].var()) == pytest.approx(1 / 12, abs=0.002)
    assert float((targets - 1).square().mean()) == pytest.approx(1 / 6, abs=0.008), "who always answers 1"


def test_adding_is_200_numbers_unless_told():
    data = adding(None, 0)
    assert data.length == 200
    assert data.features == 2
    assert (data.kind, data.answer, data.asked) == ("numbers", "number", 1)
    assert data.describe()["examples"] == {"train": 6400, "val": 1000, "test": 2000}


def test_symbols_come_first_and_are_asked_for_last():
    data = copying(20, 0)
    batch = next(data.train.batches(30, epoch=0))
    assert batch.inputs.shape == (30, 20 + 16) == (30, data.length)
    for text, answer in zip((data.tokenizer.decode(row) for row in batch.inputs), batch.targets, strict=True):
        symbols = "".join(data.classes[number] for number in answer.tolist())
        assert text == f"{symbols}{'.' * 19}?{'.' * 8}"
    assert (batch.inputs > 3).all(), "padding and the other marks never occur"
    assert (data.kind, data.answer, data.asked) == ("text", "tokens", 8)
    assert data.texts[7] == data.tokenizer.decode(data.test.take(torch.tensor([7])).inputs[0])
    assert len(data.texts) == 2000


def test_each_symbol_is_as_likely_as_the_others():
    _, targets = everything(copying(5, 0).train, epoch=0)
    shares = torch.bincount(targets.flatten(), minlength=8) / targets.numel()
    entropy = -(shares * shares.log()).sum()
    assert float(entropy) == pytest.approx(math.log(8), abs=1e-3)
    pairs = torch.bincount(targets[:, 0] * 8 + targets[:, 1], minlength=64)
    assert pairs.min() > 50, "the second does not follow from the first"


@pytest.mark.parametrize("make", [adding, copying])
def test_training_examples_are_new_in_each_epoch_and_the_others_stay(make):
    data = make(30, 0)

    def rows(source, **options):
        return {tuple(row.flatten().tolist()) for row in everything(source, **options)[0]}

    sets = [rows(data.train, epoch=epoch) for epoch in (0, 1, None)] + [rows(data.val), rows(data.test)]
    again = sum(map(len, sets)) - len(set.union(*sets))
    # Of the 8⁸ that symbols can make, 22,200 draws repeat 22,200² / 2 / 8⁸ = 15 on average.
    assert again < (35 if make is copying else 1), "no example is in two of them, but by chance"
    assert rows(data.train, epoch=1) == sets[1]
    assert rows(data.val, epoch=1) == sets[3]
    assert rows(make(30, 1).val) != sets[3]


@pytest.mark.parametrize("make", [adding, copying])
def test_an_example_depends_on_its_place_and_epoch_alone(make):
    data = make(12, 5)

    def by_place(**options):
        found = {}
        for batch in data.train.batches(epoch=3, **options):
            for row, answer, index in zip(*batch, strict=True):
                found[int(index)] = (row.flatten().tolist(), answer.tolist())
        return found

    whole = by_place(size=64)
    assert len(whole) == data.train.count
    assert by_place(size=100) == whole
    assert by_place(size=64, rank=0, world=2) | by_place(size=64, rank=1, world=2) == whole
    assert by_place(size=64, start=90) == {index: whole[index] for index in by_place(size=64, start=90)}
    assert by_place(size=64, seed=9) == whole, "the plan's seed is for the order"
    assert data.train.steps(64) == len(list(data.train.batches(64, epoch=0))) == 100


def test_what_is_taken_is_what_evaluation_sees():
    data = adding(12, 0)
    first = next(data.train.batches(10))
    taken = data.train.take(torch.arange(10))
    assert all(torch.equal(*pair) for pair in zip(first, taken, strict=True))
    assert data.val.take(torch.tensor([4, 2])).indices.tolist() == [4, 2]
    assert torch.equal(data.val.take(torch.tensor([4])).inputs[0], data.val.inputs[4])


def test_pixels_are_the_digits_row_by_row():
    data, images = pixels(None, 2), digits(2, ())
    for split in ("train", "val", "test"):
        series, pictures = data.split(split), images.split(split)
        assert torch.equal(series.inputs.view(-1, 1, 8, 8), pictures.inputs)
        assert torch.equal(series.targets, pictures.targets)
    assert data.train.inputs.shape == (1259, 64, 1)
    assert data.classes == tuple("0123456789")
    assert data.class_counts == tuple(torch.bincount(data.train.targets).tolist())
    (batch,) = data.train.batches(1259, epoch=0)
    assert torch.equal(batch.targets, data.train.targets[batch.indices])
    assert not torch.equal(batch.indices, batch.indices.sort().values)


@pytest.mark.parametrize(("make", "length"), [(adding, 1), (copying, 0), (adding, 10_001), (pixels, 64)])
def test_lengths_out_of_range_are_told(make, length):
    with pytest.raises(InputError, match=f"--length {length}"):
        make(length, 0)
