from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from pendio.data.examples import Resident
from pendio.descent.loop import fit
from pendio.descent.plan import Plan
from pendio.descent.task import Loss, Player, Task
from pendio.descent.turns import split_batch

from .conftest import Pair, Regression, make_network, make_regression


class Batch(NamedTuple):
    inputs: Tensor
    targets: Tensor


@pytest.mark.parametrize(("rows", "parts", "sizes"), [(10, 3, [4, 3, 3]), (2, 4, [1, 1]), (6, 1, [6])])
def test_a_batch_is_cut_into_nearly_equal_parts(rows, parts, sizes):
    batch = Batch(torch.arange(rows), torch.arange(rows) * 2)
    pieces = split_batch(batch, parts)
    assert [len(piece.inputs) for piece in pieces] == sizes
    assert torch.equal(torch.cat([piece.targets for piece in pieces]), batch.targets)
    assert all(isinstance(piece, Batch) for piece in pieces)


class Weighted(Regression):
    """Examples count by their first feature's size, so that parts of a batch weigh unequally."""

    def loss(self, batch):
        weights = batch.inputs[:, :1].abs() + 0.1
        return Loss((weights * (self.network(batch.inputs) - batch.targets).square()).sum(), weights.sum())


@pytest.mark.parametrize("parts", [2, 5, 48])
def test_accumulated_parts_give_the_full_batch_gradient(tmp_path, parts):
    """48 examples in parts of unequal size and weight: after several steps the weights are equal to 1e-6."""
    whole, cut = Weighted(make_network().network), Weighted(make_network().network)
    options = {"epochs": 6, "batch": "all", "optimizer": "sgd", "lr": 0.1, "schedule": "constant"}
    fit(whole, make_regression(), Plan(**options), tmp_path / "whole", progress=False)
    fit(cut, make_regression(), Plan(**options, accumulate=parts), tmp_path / "cut", progress=False)
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(cut.state_dict()[name], value, rtol=0, atol=1e-6)


def test_clipping_bounds_the_step_of_plain_descent(tmp_path, data):
    task = make_network()
    before = torch.cat([p.detach().flatten().clone() for p in task.parameters()])
    plan = Plan(steps=1, batch="all", optimizer="sgd", lr=1.0, weight_decay=0, schedule="constant", clip=1e-3)
    fit(task, data, plan, tmp_path / "run", progress=False)
    after = torch.cat([p.detach().flatten() for p in task.parameters()])
    assert float((after - before).norm()) == pytest.approx(1e-3, rel=1e-3)


class Game(Task):
    """Two players on f(x, y) = x²/2 + 2xy − y²/2: one lowers it by x, the other raises it by y; both end at (0, 0)."""

    def __init__(self):
        super().__init__()
        self.x, self.y = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
        with torch.no_grad():
            self.x.weight.fill_(1.0)
            self.y.weight.fill_(-0.5)
        self.seen = 0

    def value(self):
        x, y = self.x.weight, self.y.weight
        return (x**2 / 2 + 2 * x * y - y**2 / 2).sum()

    def players(self):
        return [
            Player("down", [self.x], lambda batch: Loss(self.value() * len(batch.inputs), len(batch.inputs))),
            Player("up", [self.y], lambda batch: Loss(-self.value() * len(batch.inputs), len(batch.inputs))),
        ]

    def loss(self, batch):
        raise AssertionError("a task with players of its own is not asked for a common loss")

    def measure(self, batch):
        self.seen += len(batch.inputs)

    def metrics(self):
        return {"distance": float(self.x.weight**2 + self.y.weight**2) ** 0.5}

    def score(self, metrics):
        return (-metrics["distance"],)

    def predict(self, inputs):
        return inputs


def test_two_players_take_turns_exactly_as_computed_by_hand(tmp_path):
    game = Game()
    nothing = Resident(torch.zeros(4, 1), torch.zeros(4))
    plan = Plan(epochs=40, batch="all", optimizer="sgd", lr=0.1, weight_decay=0, schedule="constant")
    run = fit(game, Pair(nothing, nothing), plan, tmp_path / "run", progress=False)
    x, y = 1.0, -0.5
    distances = []
    for _ in range(40):
        x = x - 0.1 * (x + 2 * y)
        y = y + 0.1 * (2 * x - y)  # the second player answers the first one's move
        distances.append((x * x + y * y) ** 0.5)
    assert [record["val_distance"] for record in run.history()] == pytest.approx(distances, rel=1e-4, abs=1e-6)
    assert distances[-1] < 0.05
