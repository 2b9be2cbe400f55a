import pytest
import torch

from pendio.descent.averaging import Average
from pendio.descent.plan import Plan

from .conftest import make_network


def set_all(task, value):
    with torch.no_grad():
        for tensor in task.state_dict().values():
            tensor.fill_(value)


def values(task):
    return {float(t.flatten()[0]) for n, t in task.state_dict().items() if t.is_floating_point()}


def test_ema_of_weights_and_buffers_follows_its_formula():
    task = make_network(norm=True)
    set_all(task, 0)
    average = Average(task, Plan(average="ema", ema_decay=0.5))
    expected = 0.0
    for step, value in enumerate([1, 2, 3, 4, 5, 6, 7]):
        set_all(task, value)
        average.after_step()
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
        assert list(values(average.task)) == [pytest.approx(expected)], "weights and running statistics alike"
        assert int(average.task.state_dict()["network.1.num_batches_tracked"]) == value


def test_swa_is_the_plain_mean_of_the_last_epochs():
    task = make_network(norm=True)
    average = Average(task, Plan(average="swa", epochs=8, swa_start=0.5))
    for epoch in range(8):
        set_all(task, float(epoch**2))
        average.after_epoch(epoch)
        if epoch < 4:
            assert values(average.task) == {epoch**2}, "before it begins, the average is the last epoch"
    assert list(values(average.task)) == [pytest.approx((16 + 25 + 36 + 49) / 4)]


def test_an_average_goes_on_from_its_saved_state():
    plan = Plan(average="ema", ema_decay=0.9)
    one, other = make_network(0), make_network(0)
    straight, resumed = Average(one, plan), Average(other, plan)
    for value in (1.0, 5.0):
        set_all(one, value)
        straight.after_step()
    resumed.load_state_dict(straight.state_dict())
    set_all(one, -3.0)
    set_all(other, -3.0)
    straight.after_step()
    resumed.after_step()
    for mine, theirs in zip(straight.task.state_dict().values(), resumed.task.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs)


def test_averaging_leaves_the_trained_weights_alone():
    task = make_network()
    before = {name: value.clone() for name, value in task.state_dict().items()}
    average = Average(task, Plan(average="ema"))
    set_all(average.task, 9.0)
    assert all(torch.equal(value, before[name]) for name, value in task.state_dict().items())
