"""Truths about walking down: rates on quadratics, optimisers' steps, gradients, exact resume."""

import dataclasses
import functools
import math
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pendio.anatomy.matrix import convolution_matrix
from pendio.classification.recipe import load_classifier
from pendio.descent import averaging, backpropagation, optimizers, surfaces, turns
from pendio.descent.plan import Plan
from pendio.exact.check import Check
from pendio.recipes import train
from pendio.runs.run import Run

__all__ = ["CHECKS"]

RAVINE = (1.0, 30.0)
"""The curvatures of the ravine."""


def _errors(plan: Plan, steps: int) -> Tensor:
    distances: Tensor = surfaces.descend(surfaces.SURFACES["ravine"], plan, steps).points.norm(dim=1)
    return distances


def _plain_rate() -> tuple[float, float]:
    errors = _errors(Plan(optimizer="sgd", lr=0.05), 200)
    return float(errors[-1] / errors[-2]), surfaces.plain_rate(0.05, RAVINE)


def _momentum_rate() -> tuple[float, float]:
    """Overdamped along both axes, so that the distance shrinks without swinging."""
    errors = _errors(Plan(optimizer="momentum", lr=0.001, momentum=0.5), 3000)
    return float(errors[-1] / errors[-2]), surfaces.momentum_rate(0.001, 0.5, RAVINE)


def _momentum_swing() -> tuple[float, float]:
    """Underdamped: swings average out over many steps."""
    errors = _errors(Plan(optimizer="momentum", lr=0.05, momentum=0.8), 1200)
    return float((errors[1100] / errors[100]) ** (1 / 1000)), surfaces.momentum_rate(0.05, 0.8, RAVINE)


def _threshold() -> tuple[float, float]:
    return surfaces.divergence_threshold(surfaces.SURFACES["ravine"]), 2 / max(RAVINE)


def _valley() -> tuple[float, float]:
    end = surfaces.descend(surfaces.SURFACES["rosenbrock"], Plan(optimizer="adam", lr=0.02), 5000).points[-1]
    return float((end - 1).norm()), 0


class Point(nn.Module):
    """A weight matrix of one row whose loss is its product with a given gradient."""

    def __init__(self, gradient: list[float]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1, len(gradient), dtype=torch.float64))
        self.gradient = torch.tensor(gradient, dtype=torch.float64)


def _steps(name: Any, count: int = 4) -> tuple[float, float]:
    """The largest difference between an optimiser's path and its textbook's, computed with plain numbers."""
    plan = Plan(optimizer=name, lr=0.1, momentum=0.9, weight_decay=0.02)
    point = Point([0.3, -2.0])
    player = SimpleNamespace(modules=[point], lr_factors=(), name="point")
    optimizer = optimizers.make_optimizer(player, plan)  # type: ignore[arg-type]
    w, v, s, worst = [1.0, 1.0], [0.0, 0.0], [0.0, 0.0], 0.0
    for t in range(1, count + 1):
        point.weight.grad = (point.gradient * t)[None].clone()
        optimizer.step()
        for i in range(2):
            g = float(point.gradient[i]) * t
            w[i], v[i], s[i] = _textbook(name, plan, g, w[i], v[i], s[i], t)
            worst = max(worst, abs(w[i] - point.weight[0, i].item()))
    return worst, 0


def _textbook(name: str, plan: Plan, g: float, w: float, v: float, s: float, t: int) -> tuple[float, float, float]:
    """A step of the optimiser ``name`` on one weight: the new weight, first and second moment."""
    rate, momentum, decay = plan.lr, plan.momentum, plan.weight_decay
    if name == "adamw":
        w -= rate * decay * w
    else:
        g += decay * w
    match name:
        case "sgd":
            return w - rate * g, v, s
        case "momentum":
            v = momentum * v + g
            return w - rate * v, v, s
        case "nesterov":
            v = momentum * v + g
            return w - rate * (g + momentum * v), v, s
        case "rmsprop":
            s = 0.99 * s + 0.01 * g * g
            v = momentum * v + g / (math.sqrt(s) + 1e-8)
            return w - rate * v, v, s
    v, s = 0.9 * v + 0.1 * g, 0.999 * s + 0.001 * g * g
    return w - rate * (v / (1 - 0.9**t)) / (math.sqrt(s / (1 - 0.999**t)) + 1e-8), v, s


class Pair(NamedTuple):
    """Inputs and targets of a regression."""

    inputs: Tensor
    targets: Tensor


def _accumulated() -> tuple[float, float]:
    """The gradient of a batch of 7 in 3 unequal parts, summed and divided once, against that of the whole."""
    generator = torch.Generator().manual_seed(0)
    batch = Pair(*(torch.randn(7, n, generator=generator, dtype=torch.float64) for n in (3, 1)))
    weight = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    (whole,) = torch.autograd.grad(F.mse_loss(batch.inputs @ weight.T, batch.targets), weight)
    summed = torch.zeros_like(weight)
    for part in turns.split_batch(batch, 3):
        loss = F.mse_loss(part.inputs @ weight.T, part.targets, reduction="sum")
        summed += torch.autograd.grad(loss, weight)[0]
    return float((summed / 7 - whole).abs().max()), 0


def _average() -> tuple[float, float]:
    """EMA of the weights 1, 2, 3, … against its sum written out."""
    plan = Plan(average="ema", ema_decay=0.9)
    task = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(task.weight)
    average = averaging.Average(task, plan)  # type: ignore[arg-type]
    expected = 0.0
    for step in range(6):
        nn.init.constant_(task.weight, step + 1.0)
        average.after_step()
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * (step + 1)
    return average.task.weight.item(), expected  # type: ignore[operator]


def _resume() -> tuple[float, float]:
    """The largest difference of any weight between four epochs, and two and two more after a resume."""
    with tempfile.TemporaryDirectory() as folder:
        parts, whole = Path(folder, "parts"), Path(folder, "whole")
        options: dict[str, Any] = {
            "data": "digits", "model": "mlp", "schedule": "constant", "dropout": 0.2, "augment": "shift",
            "accelerator": "cpu", "progress": False,
        }  # fmt: skip
        train("classify", **options, epochs=2, out=parts)
        train("classify", **options, epochs=4, out=parts, resume=True)
        train("classify", **options, epochs=4, out=whole)
        weights = [load_classifier(run).state_dict() | run.weights("last") for run in map(Run.open, (parts, whole))]
    return max(float((weights[0][name] - weights[1][name]).abs().max()) for name in weights[0]), 0


def _backpropagation(name: str) -> tuple[float, float]:
    """The largest difference from autograd over all weights and biases of a 5-7-6-3 network."""
    generator = torch.Generator().manual_seed(0)
    widths = (5, 7, 6, 3)
    shapes = list(zip(widths[1:], widths[:-1], strict=True))
    weights = [torch.randn(s, generator=generator, dtype=torch.float64, requires_grad=True) for s in shapes]
    biases = [torch.randn(s[0], generator=generator, dtype=torch.float64, requires_grad=True) for s in shapes]
    inputs = torch.randn(11, 5, generator=generator, dtype=torch.float64)
    targets = torch.randn(11, 3, generator=generator, dtype=torch.float64)
    activation = backpropagation.ACTIVATIONS[name]
    values = inputs
    for weight, bias in zip(weights, biases, strict=True):
        values = activation.value(values @ weight.T + bias)
    truth = torch.autograd.grad(((values - targets) ** 2).sum() / 2, [*weights, *biases])
    ours = backpropagation.backpropagate(inputs, weights, biases, [activation] * 3, lambda outputs: outputs - targets)
    pairs = zip((*ours.weights, *ours.biases), truth, strict=True)
    return max(float((mine - theirs).abs().max()) for mine, theirs in pairs), 0


def _backpropagation_convolution() -> tuple[float, float]:
    torch.manual_seed(0)
    layer = nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2, bias=False, dtype=torch.float64)
    images = torch.randn(3, 4, 7, 6, dtype=torch.float64, requires_grad=True)
    outputs = layer(images)
    delta = torch.randn_like(outputs)
    truth = torch.autograd.grad(outputs, [layer.weight, images], delta)
    ours = backpropagation.backpropagate_convolution(layer, images.detach(), delta)
    return max(float((mine - theirs).abs().max()) for mine, theirs in zip(ours, truth, strict=True)), 0


def _tied_sum() -> tuple[float, float]:
    """A kernel of one weight on 5 × 4 ones: its gradient is the sum over 20 places, not their mean."""
    layer = nn.Conv2d(1, 1, 1, bias=False, dtype=torch.float64)
    images = torch.ones(1, 1, 5, 4, dtype=torch.float64)
    kernel, _ = backpropagation.backpropagate_convolution(layer, images, torch.ones_like(images))
    return float(kernel), float(convolution_matrix(layer, (5, 4)).values().numel())


def _least_squares() -> tuple[float, float]:
    """Plain full-batch descent on a regression ends at the solution of the normal equations."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(20, 3, generator=generator, dtype=torch.float64)
    targets = inputs @ torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64) + 0.1
    solution = torch.linalg.lstsq(inputs, targets[:, None]).solution[:, 0]

    def height(point: Tensor) -> Tensor:
        return ((point @ inputs.T - targets) ** 2).mean(-1)

    surface = dataclasses.replace(surfaces.SURFACES["bowl"], height=height, start=(0.0, 0.0, 0.0))  # type: ignore[arg-type]
    end = surfaces.descend(surface, Plan(optimizer="sgd", lr=0.2), 500).points[-1]
    return float((end - solution).norm()), 0


_OPTIMIZERS = ("sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw")

CHECKS = (
    Check("rate-plain", "plain descent on a quadratic shrinks by max |1 − ηλ| a step", _plain_rate, 1e-9),
    Check("rate-momentum", "momentum by the largest root of z² − (1 + μ − ηλ)z + μ", _momentum_rate, 1e-9),
    Check("rate-momentum-swing", "and by √μ where the roots are complex", _momentum_swing, 1e-3),
    Check("divergence", "plain descent diverges from η = 2/λ_max on", _threshold, 1e-4),
    Check("rosenbrock", "Adam finds the valley's end (1, 1): distance", _valley, 1e-2),
    Check("least-squares", "full-batch descent ends at the normal equations' solution: distance", _least_squares, 1e-9),
    *(
        Check(
            f"optimizer-{name}", "takes the textbook's steps: largest difference", functools.partial(_steps, name), 1e-9
        )
        for name in _OPTIMIZERS
    ),
    Check("accumulation", "unequal parts of a batch give the whole batch's gradient", _accumulated, 1e-12),
    Check("average-ema", "the moving average is its sum written out", _average, 1e-5),
    Check("resume", "2 epochs and 2 more after a resume are 4 epochs, bit for bit", _resume),
    *(
        Check(
            f"backpropagation-{name}",
            "the δ recursion equals autograd",
            functools.partial(_backpropagation, name),
            1e-10,
        )
        for name in backpropagation.ACTIVATIONS
    ),
    Check(
        "backpropagation-convolution", "so does the convolution's, by its matrix", _backpropagation_convolution, 1e-10
    ),
    Check("tied-gradient", "a shared weight's gradient is the sum over its places", _tied_sum, 1e-12),
)
