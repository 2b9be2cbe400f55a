import threading

import pytest
import torch

from pendio.data.annotations import keeping
from pendio.data.annotations.keeping import Keeper
from pendio.data.examples import Examples
from pendio.data.streams import Stream
from pendio.errors import InputError


class Source:
    def __init__(self, bad=()):
        self.bad, self.loads, self.lock = bad, [], threading.Lock()

    def load(self, number):
        with self.lock:
            self.loads.append(number)
        if number in self.bad:
            raise InputError(f"picture {number} is damaged")
        return number * 10


def test_what_fits_is_read_once():
    source = Source(bad=(3,))
    keeper = Keeper(source.load, 5, 100)
    assert keeper.keeps
    first = keeper.get([4, 0, 4, 3])
    assert {number: str(value) for number, value in first.items()} == {4: "40", 0: "0", 3: "picture 3 is damaged"}
    again = keeper.get([0, 1, 4])
    assert again == {0: 0, 1: 10, 4: 40}
    assert sorted(source.loads) == [0, 1, 3, 4]


def test_what_does_not_fit_is_read_again(monkeypatch):
    monkeypatch.setattr(keeping, "KEPT_BYTES", 499)
    source = Source()
    keeper = Keeper(source.load, 5, 100)
    assert not keeper.keeps
    assert keeper.get([2, 2]) == keeper.get([2]) == {2: 20}
    assert source.loads == [2, 2]


class Here:
    """Says which process read."""

    def __len__(self):
        return 6

    def read(self, indices, seed, epoch):
        import os

        return Examples(torch.full((len(indices),), os.getpid()), indices, indices), []


@pytest.mark.parametrize("kept", [True, False])
def test_kept_pictures_need_no_worker_processes(kept):
    import os

    found = torch.cat([batch.inputs for batch in Stream(Here(), in_process=kept).batches(2, epoch=0, workers=1)])
    assert (found == os.getpid()).all() == kept
