"""Sources that change as they are read: saved with the run, told of, and saved when they fail."""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from pendio.descent.loop import fit
from pendio.descent.plan import Plan
from pendio.descent.task import SourceFailed
from pendio.runs.run import Run

from .conftest import Regression


class Batch(NamedTuple):
    inputs: Tensor
    targets: Tensor


class Walk:
    """Each batch starts from where the last one ended."""

    failures = ()

    def __init__(self, fails_at=None):
        self.place, self.fails_at = torch.zeros(()), fails_at

    def __len__(self):
        return 100

    def steps(self, size, world=1):
        return 6

    def to(self, device):
        return self

    def batches(self, size, *, seed=0, epoch=None, start=0, rank=0, world=1, workers=0):
        for _ in range(start, 6):
            if self.fails_at is not None and self.place >= self.fails_at:
                raise SourceFailed("the well is dry")
            self.place = self.place + 1
            inputs = (self.place / 10).sin() * torch.ones(4, 2)
            yield Batch(inputs, inputs.sum(1, keepdim=True))

    def state_dict(self):
        return {"place": self.place}

    def load_state_dict(self, state):
        self.place = state["place"]
        return "the walk has lost its hat"

    def tell(self):
        return {"place": float(self.place)}


class Told:
    """Counts what the loop asks of a task after its steps."""

    def __init__(self, source):
        self.train, self.val = source, Walk()


def task():
    torch.manual_seed(0)
    return Regression(nn.Linear(2, 1))


def plan(**given):
    return Plan(**{"epochs": 3, "batch": 4, "schedule": "constant", "save_every": 1e6, **given})


def test_it_goes_on_where_it_was_and_says_what_was_lost(tmp_path, capfd):
    whole = fit(task(), Told(Walk()), plan(), tmp_path / "whole", progress=False)
    fit(task(), Told(Walk()), plan(epochs=2), tmp_path / "part", progress=False)
    resumed = fit(task(), Told(Walk()), plan(), tmp_path / "part", True)
    assert "the walk has lost its hat" in capfd.readouterr().err
    for name, value in whole.weights("last").items():
        assert torch.equal(resumed.weights("last")[name], value)
    assert [record["place"] for record in resumed.history()] == [6, 12, 18]


def test_what_was_learned_before_a_source_failed_is_saved(tmp_path):
    with pytest.raises(SourceFailed, match=rf"the well is dry.*--resume --out {tmp_path}/run"):
        fit(task(), Told(Walk(fails_at=8)), plan(), tmp_path / "run", progress=False)
    run = Run.open(tmp_path / "run")
    assert run.state()["step"] == 8
    resumed = fit(task(), Told(Walk()), plan(), tmp_path / "run", True, progress=False)
    whole = fit(task(), Told(Walk()), plan(), tmp_path / "whole", progress=False)
    for name, value in whole.weights("last").items():
        assert torch.equal(resumed.weights("last")[name], value)


class Counting(Regression):
    """Notes its weight after each step."""

    def __init__(self):
        torch.manual_seed(0)
        super().__init__(nn.Linear(2, 1))
        self.seen = []

    def after_step(self):
        self.seen.append(float(self.network.weight[0, 0].detach()))


def test_a_task_is_told_after_each_step_when_its_weights_have_moved(tmp_path):
    counting = Counting()
    before = float(counting.network.weight[0, 0].detach())
    fit(counting, Told(Walk()), plan(epochs=1, lr=0.1), tmp_path / "run", progress=False)
    assert len(counting.seen) == 6
    assert len({before, *counting.seen}) == 7
