"""Runs that were broken on purpose and healthy ones, to diagnose.

    python -m tests.classification.diagnosed_runs --seeds 3

prints how often each was told for what it is.
"""

import argparse
import tempfile
from collections import Counter, OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

import pendio.data
from pendio.classification.diagnosis import diagnose_classifier
from pendio.classification.models import build
from pendio.classification.task import Classifier
from pendio.data.arrays import Arrays, assemble
from pendio.data.examples import Resident
from pendio.descent.loop import fit
from pendio.descent.plan import Plan
from pendio.nn.network import Network
from pendio.nn.residual import Residual


@dataclass
class Case:
    """A training: its data, its network's body (or a model's name), and its plan."""

    data: object
    body: object = "mlp"
    plan: Plan = Plan(epochs=8)  # noqa: RUF009  (frozen)
    prepare: object = None


def digits():
    return pendio.data.open("digits")


def few(count):
    data = digits()
    return replace(data, train=Resident(data.train.inputs[:count], data.train.targets[:count]))


def relabelled(data, share):
    """The data with this share of the labels drawn anew, in all splits."""
    generator = torch.Generator().manual_seed(0)

    def change(split):
        drawn = torch.randint(0, 10, split.targets.shape, generator=generator)
        chosen = torch.rand(split.targets.shape, generator=generator) < share
        return Resident(split.inputs, torch.where(chosen, drawn, split.targets))

    return replace(data, train=change(data.train), val=change(data.val), test=change(data.test))


def leaking():
    data = digits()
    val = Resident(
        torch.cat([data.val.inputs, data.train.inputs[:60]]), torch.cat([data.val.targets, data.train.targets[:60]])
    )
    return replace(data, val=val)


def rare():
    """Two classes of equal inputs, one of them a fortieth of the examples."""
    generator = torch.Generator().manual_seed(0)
    targets = (torch.arange(800) % 40 == 0).long()
    inputs = torch.randn(800, 4, generator=generator)
    return assemble("rare", Arrays(inputs, targets), ("often", "seldom"), 0, (), kind="table")


def stack(depth, activation, width=32, gain=None, wrap=lambda *layers: nn.Sequential(*layers)):
    deeper = [wrap(nn.Linear(width, width), activation()) for _ in range(depth - 1)]
    body = nn.Sequential(nn.Flatten(), nn.Linear(64, width), activation(), *deeper)
    if gain is not None:
        for layer in body.modules():
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=gain / layer.in_features**0.5)
    return body


def dead_start(body):
    for layer in body.modules():
        if isinstance(layer, nn.Linear) and layer.out_features == 32:
            nn.init.constant_(layer.bias, -30.0)


def stale_norm():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.BatchNorm1d(32, momentum=1e-4), nn.ReLU())


def straight():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 1))


BROKEN = {
    "vanishing-gradients": Case(digits, lambda: stack(20, nn.Sigmoid)),
    "vanishing-gradients 2": Case(digits, lambda: stack(12, nn.Tanh, gain=0.2)),
    "exploding-gradients": Case(digits, lambda: stack(12, nn.ReLU, gain=6.0), Plan(epochs=6, lr=1e-4)),
    "lr-too-high": Case(digits, "mlp", Plan(epochs=8, lr=0.5, schedule="constant")),
    "lr-too-high 2": Case(digits, "cnn", Plan(epochs=6, optimizer="momentum", lr=5.0, schedule="constant")),
    "lr-too-low": Case(digits, "mlp", Plan(epochs=6, lr=1e-7)),
    "labels": Case(lambda: relabelled(digits(), 1.0), "mlp", Plan(epochs=30, lr=3e-3)),
    "overfitting": Case(lambda: few(40), "mlp", Plan(epochs=40)),
    "underfitting": Case(digits, straight, Plan(epochs=10)),
    "dead-relus": Case(digits, lambda: stack(2, nn.ReLU), Plan(epochs=6), dead_start),
    "saturated": Case(digits, lambda: stack(2, nn.Sigmoid, gain=60.0), Plan(epochs=4)),
    "one-class": Case(rare, "mlp", Plan(epochs=6, lr=3e-4)),
    "leak": Case(leaking, "mlp"),
    "batch-norm": Case(digits, stale_norm),
    "mislabelled": Case(lambda: relabelled(digits(), 0.15), "mlp", Plan(epochs=10, weight_decay=1.0, lr=2e-3)),
}
"""What should be found (a number after it tells two apart) → how to break a training so."""

HEALTHY = {
    "mlp": Case(digits),
    "lenet": Case(digits, "lenet", Plan(epochs=10, lr=4e-3)),
    "cnn": Case(digits, "cnn", Plan(epochs=4)),
    "resnet": Case(digits, "resnet", Plan(epochs=4, lr=4e-3)),
    "se-resnet": Case(digits, "se-resnet", Plan(epochs=4, lr=4e-3)),
    "separable": Case(digits, "separable", Plan(epochs=4)),
    "sgd": Case(digits, "mlp", Plan(epochs=15, optimizer="momentum", lr=0.05)),
    "full batch": Case(digits, "mlp", Plan(epochs=60, batch="all", lr=5e-3)),
    "dropout and ema": Case(digits, "mlp", Plan(epochs=12, dropout=0.3, average="ema", ema_decay=0.98)),
    "moons": Case(lambda: pendio.data.open("moons"), "mlp", Plan(epochs=15, lr=5e-3)),
    "gaussians": Case(lambda: pendio.data.open("gaussians"), "mlp", Plan(epochs=10, lr=5e-3)),
    "twenty residual layers": Case(
        digits,
        lambda: stack(20, nn.ReLU, wrap=lambda *layers: Residual(nn.Sequential(*layers, nn.BatchNorm1d(32)))),
        Plan(epochs=8),
    ),
    "shallow sigmoid": Case(digits, lambda: stack(1, nn.Sigmoid, 64), Plan(epochs=15, lr=1e-2)),
}


def diagnosed(case, folder, seed=0):
    """The kinds of what is found, the likeliest cause first."""
    data = case.data()
    torch.manual_seed(seed)
    if isinstance(case.body, str):
        network = build(case.body, data.shape, data.mean, data.std, data.classes)
    else:
        body = case.body()
        width = [layer for layer in body.modules() if isinstance(layer, nn.Linear)][-1].out_features
        module = nn.Sequential(OrderedDict(body=body, dropout=nn.Identity(), head=nn.Linear(width, len(data.classes))))
        network = Network(module, data.shape, data.mean, data.std, data.classes)
        if case.prepare:
            case.prepare(body)
    task = Classifier(network)
    run = fit(task, data, replace(case.plan, seed=seed), folder / "run", progress=False)
    return [finding.kind for finding in diagnose_classifier(run, task, data)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    seeds = parser.parse_args().seeds
    counts = Counter()
    cases = [(name.split()[0], case) for name, case in BROKEN.items()]
    for truth, case in cases + [("healthy", case) for case in HEALTHY.values()]:
        for seed in range(seeds):
            with tempfile.TemporaryDirectory() as folder:
                told = diagnosed(case, Path(folder), seed)
            counts[truth, (told or ["healthy"])[0]] += 1
    print("| run | told as | times |\n| --- | --- | --- |")
    for (truth, told), times in counts.items():
        print(f"| {truth} | {told} | {times} |")


if __name__ == "__main__":
    main()
