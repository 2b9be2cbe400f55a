import math

import pytest
import torch
from torch import nn

from pendio.descent.optimizers import lr_factor, make_optimizer, penalize, set_lr
from pendio.descent.plan import Plan
from pendio.descent.task import Loss, Player
from pendio.errors import InputError

STEPS = 7
RATE = 0.05


def quadratic(weights):
    return (weights * torch.tensor([1.0, 3.0, 0.2])).square().sum() / 2


def walk(name, **options):
    """Where the plan's optimiser gets on a quadratic, from (1, −2, 3)."""
    module = nn.Module()
    module.w = nn.Parameter(torch.tensor([[1.0, -2.0, 3.0]]))
    plan = Plan(optimizer=name, lr=RATE, **options)
    player = Player("p", [module], lambda batch: Loss(quadratic(module.w), 1))
    optimizer = make_optimizer(player, plan)
    for _ in range(STEPS):
        optimizer.zero_grad()
        quadratic(module.w).backward()
        optimizer.step()
    return module.w.detach()[0].double()


def gradient(w):
    return w * torch.tensor([1.0, 9.0, 0.04], dtype=torch.float64)


def by_hand(rule, decay=0.0, beta1=0.9, beta2=0.999):
    """The textbook rule, in float64 and one line at a time."""
    w = torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64)
    v, s = torch.zeros(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    for step in range(1, STEPS + 1):
        g = gradient(w)
        if rule in ("sgd", "momentum", "nesterov", "rmsprop", "adam"):
            g = g + decay * w
        if rule == "sgd":
            w = w - RATE * g
        elif rule == "momentum":
            v = 0.9 * v + g
            w = w - RATE * v
        elif rule == "nesterov":
            v = 0.9 * v + g
            w = w - RATE * (g + 0.9 * v)
        elif rule == "rmsprop":
            s = 0.99 * s + 0.01 * g**2
            v = 0.9 * v + g / (s.sqrt() + 1e-8)
            w = w - RATE * v
        else:
            if rule == "adamw":
                w = w * (1 - RATE * decay)
            v = beta1 * v + (1 - beta1) * g
            s = beta2 * s + (1 - beta2) * g**2
            w = w - RATE * (v / (1 - beta1**step)) / ((s / (1 - beta2**step)).sqrt() + 1e-8)
    return w


@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize("rule", ["sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw"])
def test_every_rule_takes_the_textbook_steps(rule, decay):
    torch.testing.assert_close(walk(rule, weight_decay=decay), by_hand(rule, decay), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("rule", ["adam", "adamw"])
def test_the_memory_of_adam_is_the_plans(rule):
    options = {"beta1": 0.5, "beta2": 0.9}
    torch.testing.assert_close(walk(rule, weight_decay=0, **options), by_hand(rule, **options), rtol=1e-5, atol=1e-5)


def test_biases_and_normalisation_do_not_decay():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 2))
    optimizer = make_optimizer(Player("p", [network], None), Plan(weight_decay=0.1))
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert {name: decay[id(p)] for name, p in network.named_parameters()} == {
        "0.weight": 0.1, "0.bias": 0, "1.weight": 0, "1.bias": 0, "3.weight": 0.1, "3.bias": 0,
    }  # fmt: skip


def test_parts_have_their_own_learning_rates_and_frozen_weights_none():
    body, head, frozen = nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2).requires_grad_(False)
    optimizer = make_optimizer(Player("p", [body, head, frozen], None, [0.1, 1.0, 1.0]), Plan())
    set_lr([optimizer], 0.5)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert rates == {**{id(p): 0.05 for p in body.parameters()}, **{id(p): 0.5 for p in head.parameters()}}


def factors(epochs=10, per_epoch=10, **options):
    plan = Plan(epochs=epochs, **options)
    return [lr_factor(plan, step, per_epoch, epochs * per_epoch) for step in range(epochs * per_epoch)]


def test_schedules_follow_their_formulas():
    assert set(factors(schedule="constant")) == {1.0}
    assert factors(schedule="step", step_every=3, step_factor=0.5)[::10] == [
        1,
        1,
        1,
        0.5,
        0.5,
        0.5,
        0.25,
        0.25,
        0.25,
        0.125,
    ]
    cosine = factors(schedule="cosine")
    assert cosine[0] == 1
    assert cosine[50] == pytest.approx(0.5)
    assert cosine[25] == pytest.approx((1 + math.sqrt(0.5)) / 2)
    assert cosine == sorted(cosine, reverse=True)
    onecycle = factors(schedule="onecycle")
    assert onecycle[0] == pytest.approx(1 / 25)
    assert onecycle[30] == pytest.approx(1)
    assert onecycle[-1] < 0.01
    assert max(onecycle) == onecycle[30]


def test_warm_up_rises_linearly_and_then_hands_over():
    warm = factors(schedule="cosine", warmup=2)
    assert warm[:20] == pytest.approx([(step + 1) / 21 for step in range(20)])
    assert warm[20] == 1
    assert warm[60] == pytest.approx(0.5)


def test_the_inverse_root_falls_from_the_end_of_its_warm_up():
    warm = factors(schedule="inverse-root", warmup=2)
    assert warm[:20] == pytest.approx([(step + 1) / 21 for step in range(20)])
    assert warm[20] == 1
    assert (warm[80], warm[45]) == (pytest.approx(1 / 2), pytest.approx(2 / 3))
    assert factors(epochs=20, schedule="inverse-root", warmup=2)[:100] == warm, "it does not depend on what is to come"
    tiny = factors(schedule="inverse-root", warmup=1e-3)
    assert (tiny[0], tiny[1], tiny[16]) == (1, 1, 1 / 4)


def test_the_inverse_root_needs_a_warm_up():
    with pytest.raises(InputError, match="--schedule inverse-root falls from the end of a warm-up.*--warmup"):
        Plan(schedule="inverse-root")


def test_penalties_are_the_gradient_of_their_formula():
    layer = nn.Linear(3, 2).double()
    inputs = torch.randn(4, 3, dtype=torch.float64)
    layer(inputs).square().sum().backward()
    penalize(list(layer.parameters()), l1=0.3, l2=0.7)
    expected = nn.Linear(3, 2).double()
    expected.load_state_dict(layer.state_dict())
    penalty = 0.3 * expected.weight.abs().sum() + 0.7 / 2 * expected.weight.square().sum()
    (expected(inputs).square().sum() + penalty).backward()
    torch.testing.assert_close(layer.weight.grad, expected.weight.grad)
    torch.testing.assert_close(layer.bias.grad, expected.bias.grad)
