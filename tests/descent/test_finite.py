import pytest
import torch
from torch import nn

from pendio.descent.finite import Guard, LossNotFinite, NotFiniteError, first_not_finite
from pendio.descent.loop import fit
from pendio.descent.plan import Plan
from pendio.descent.task import Loss
from pendio.runs.run import Run

from .conftest import Pair, Regression, Resident, make_network


class Log(nn.Module):
    def forward(self, inputs):
        return inputs.log()


def test_the_first_spoilt_layer_is_named():
    network = nn.Sequential(nn.Linear(2, 2), Log(), nn.Linear(2, 1))
    with torch.no_grad():
        network[0].weight.fill_(-1.0)
        network[0].bias.zero_()
    sentence = first_not_finite(network, lambda: network(torch.ones(1, 2)))
    assert sentence == "first at the output of layer '1'"


def test_spoilt_weights_are_named_before_any_output():
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    network[1].bias.data.fill_(float("nan"))
    assert first_not_finite(network, lambda: network(torch.ones(1, 2))).startswith("weights '1.bias'")


def test_a_loss_that_alone_is_not_finite_is_told_apart():
    network = nn.Linear(2, 1)
    assert "the loss itself" in first_not_finite(network, lambda: network(torch.ones(1, 2)) * float("inf"))


class Shaky(Regression):
    """Its middle layer takes the logarithm of something that is negative for one example."""

    def __init__(self):
        super().__init__(nn.Sequential(nn.Identity(), Log(), nn.Linear(5, 1)))

    def loss(self, batch):
        return Loss((self.network(batch.inputs) - batch.targets).square().sum(), len(batch.inputs))


def test_training_stops_at_the_step_and_names_it_and_keeps_the_checkpoint(tmp_path):
    inputs = torch.rand(40, 5) + 0.5
    inputs[23] = -1.0
    data = Pair(Resident(inputs, torch.zeros(40, 1)), Resident(inputs[:8], torch.zeros(8, 1)))
    plan = Plan(epochs=3, batch=4, seed=5, lr=1e-3)
    batches = list(data.train.batches(4, seed=5, epoch=0))
    bad_step = next(step for step, batch in enumerate(batches, 1) if 23 in batch.indices)
    with pytest.raises(
        NotFiniteError, match=rf"at step {bad_step} \(epoch 1\): first at the output of layer 'network.1'"
    ):
        fit(Shaky(), data, plan, tmp_path / "run", progress=False)
    weights = Run.open(tmp_path / "run").weights("last")
    assert all(value.isfinite().all() for value in weights.values())


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", "adamw"])
def test_a_guard_that_looks_seldom_stops_the_weights_at_the_bad_step_all_the_same(optimizer):
    """What happens on a GPU: the updates after a bad loss are skipped on the device until the host looks."""
    from pendio.descent.optimizers import make_optimizer
    from pendio.descent.task import Player

    def run(losses, patience):
        task = make_network(3)
        opt = make_optimizer(Player("p", [task], task.loss), Plan(optimizer=optimizer))
        guard = Guard([opt], torch.device("cpu"), patience)
        reached = None
        for step, factor in enumerate(losses):
            opt.zero_grad()
            total = task.network(torch.ones(2, 5)).sum() * factor
            total.backward()
            try:
                guard.admit(step, total.detach(), opt)
            except LossNotFinite as bad:
                reached = bad.step
                break
            opt.step()
        return task.state_dict(), reached

    good, _ = run([1.0, 1.0, 1.0], patience=1)
    nan = float("nan")
    spoilt, reached = run([1.0, 1.0, 1.0, nan, nan, 1.0, nan, 1.0, 1.0], patience=8)
    assert reached == 3
    assert all(torch.equal(good[name], spoilt[name]) for name in good)


def test_a_rule_without_a_fused_kernel_is_looked_at_every_step():
    task = make_network()
    optimizer = torch.optim.RMSprop(task.parameters())
    guard = Guard([optimizer], torch.device("cuda") if torch.cuda.is_available() else torch.device("cpu"))
    with pytest.raises(LossNotFinite):
        guard.admit(7, torch.tensor(float("inf")), optimizer)
