"""Truths about climbing with the input."""

from collections import OrderedDict
from dataclasses import replace

import torch
from torch import Tensor, nn

from pendio.ascent import objectives
from pendio.ascent.attacks.deepfool import DeepFool
from pendio.ascent.attacks.goal import Goal
from pendio.ascent.attacks.gradient import fgsm
from pendio.ascent.canvas import Palette, Pixels, Spectrum
from pendio.ascent.climb import climb
from pendio.ascent.constraints import Ball
from pendio.ascent.objectives import Objective
from pendio.ascent.reading import Reader, Readings, frozen
from pendio.ascent.rules import Adam, Normalized
from pendio.ascent.transforms import Wobble
from pendio.exact.check import Check
from pendio.nn.network import Network

__all__ = ["CHECKS"]

_SHAPE = (2, 5, 4)


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _network(module: nn.Module, classes: int = 3) -> Network:
    network = Network(module, _SHAPE, [0.0] * 2, [1.0] * 2, [str(number) for number in range(classes)])
    return network.double().eval()


def _linear(classes: int = 3) -> tuple[Network, Tensor]:
    layer = nn.Linear(40, classes)
    layer.weight.data, layer.bias.data = _random(classes, 40), torch.zeros(classes)
    network = _network(nn.Sequential(nn.Flatten(), layer), classes)
    return network, layer.weight.data


def _smooth() -> Network:
    """Two layers of smooth functions, so that finite differences are to be trusted."""
    body = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.Tanh())
    module = nn.Sequential(OrderedDict(body=body, flat=nn.Flatten(), head=nn.Linear(60, 4)))
    for number, parameter in enumerate(module.parameters()):
        parameter.data = 0.5 * _random(*parameter.shape, seed=number)
    return _network(module, 4)


def _visualization() -> tuple[float, float]:
    """The image of length 1 that a linear unit responds to most is w/‖w‖: the cosine of what is found with it."""
    network, weights = _linear()
    middle = torch.full((1, *_SHAPE), 0.5, dtype=torch.float64)
    ball = Ball(middle, 0.2, "l2")
    climbed = climb(network, objectives.logit(1), Pixels(), middle, rule=Normalized(0.01), steps=60, project=ball)
    found = (climbed.images - middle).flatten()
    return float(found @ weights[1] / found.norm() / weights[1].norm()) * float(found.norm()) / 0.2, 1.0


def _nearest(norm: str) -> tuple[float, float]:
    """The distance to the nearest other class of a linear network, against min |margin| / dual norm of the weights'
    difference.
    """
    network, weights = _linear()
    image = 0.5 + 0.01 * _random(1, *_SHAPE, seed=3)
    logits = weights @ image.flatten()
    label = int(logits.argmax())
    others = [number for number in range(3) if number != label]
    dual = [(weights[label] - weights[other]).norm(p=2 if norm == "l2" else 1) for other in others]
    closed = min(float((logits[label] - logits[other]) / size) for other, size in zip(others, dual, strict=True))
    attack = DeepFool(norm="l2" if norm == "l2" else "linf", overshoot=1e-9)
    moved = (attack(network, image, Goal(torch.tensor([label]))).images - image).flatten()
    return float(moved.norm() if norm == "l2" else moved.abs().max()), closed


def _fgsm() -> tuple[float, float]:
    """One step of ε by the sign changes a margin between two classes by ε·‖w₁ − w₀‖₁."""
    network, weights = _linear(2)
    image = torch.full((1, *_SHAPE), 0.5, dtype=torch.float64)
    attack = replace(fgsm(0.01), eight_bit=False)
    label = int((weights @ image.flatten()).argmax())
    moved = attack(network, image, Goal(torch.tensor([label]))).images
    gap = weights[1 - label] - weights[label]
    return float(gap @ (moved - image).flatten()), 0.01 * float(gap.abs().sum())


def _gram() -> tuple[float, float]:
    """Two channels over two places, (1, 2) and (3, 4): G = [[5, 11], [11, 25]]/2."""
    maps = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])
    return float((objectives.gram(maps)[0] - torch.tensor([[2.5, 5.5], [5.5, 12.5]])).abs().max()), 0.0


def _variation() -> tuple[float, float]:
    """A 2×2 image of 0, 1, 0, 0: a step of 1 to its left and one below it, over four pixels."""
    image = torch.tensor([[[[0.0, 1.0], [0.0, 0.0]]]])
    return float(objectives.total_variation()(Readings(image, {}, torch.arange(1)))[0]), 2 / 4


def _every_objective() -> dict[str, Objective]:
    wanted = _random(1, 3, 5, 4, seed=9)
    return {
        "channel": objectives.channel("body", 1), "neuron": objectives.neuron("body", 2, (1, 3)),
        "whole": objectives.whole("body"), "direction": objectives.direction("body", _random(3, seed=5), 0.0),
        "cosine": objectives.direction("body", _random(3, seed=5).abs(), 2.0), "logit": objectives.logit(2),
        "likelihood": objectives.likelihood(3), "matching": objectives.matching("body", wanted),
        "style": objectives.style({"body": objectives.gram(wanted)}, {"body": 2.0}),
        "diversity": objectives.diversity("body"), "variation": objectives.total_variation(),
        "contrast": objectives.contrast(), "blur": objectives.blur(0.8),
        "cross-entropy": Goal(torch.tensor([1, 2])).objective("cross-entropy"),
        "margin": Goal(torch.tensor([1, 2]), targeted=True).objective("margin"),
        "ratio": Goal(torch.tensor([1, 2])).objective("ratio"),
    }  # fmt: skip


def _gradients() -> tuple[float, float]:
    """Every objective's gradient along a random direction, against a central difference: the largest relative gap."""
    network, worst = _smooth(), 0.0
    images, along = 0.5 + 0.1 * _random(2, *_SHAPE, seed=1), _random(2, *_SHAPE, seed=2)
    for objective in _every_objective().values():
        with frozen(network):
            reader = Reader(network, objective.layers)
            points = images.clone().requires_grad_(True)
            (gradient,) = torch.autograd.grad(objective(reader(points)).sum(), [points])
            step = 1e-6
            with torch.no_grad():
                ahead, behind = (objective(reader(images + sign * step * along)).sum() for sign in (1, -1))
        slope, difference = float((gradient * along).sum()), float(ahead - behind) / (2 * step)
        worst = max(worst, abs(slope - difference) / max(1e-3, abs(difference)))
    return worst, 0.0


def _spectrum() -> tuple[float, float]:
    """A spectrum of standard normal coefficients has colours of variance 1 before they are brought into [0, 1]."""
    canvas = Spectrum((1, 32, 32), Palette(torch.ones(1, 1), torch.tensor([0.5]), 1.0))
    images = canvas.images(canvas.start(0, torch.arange(400), spread=1.0), torch.arange(400))
    return float(torch.logit(images.double()).square().mean()), 1.0


def _alone() -> tuple[float, float]:
    """Three images climbing together under random views end where each ends alone: the largest difference."""
    network = _smooth()
    start = Pixels.start(_SHAPE, 0, torch.arange(3)).double()
    wobble = Wobble(0.5, 0.1, 5.0)

    def walk(rows: Tensor) -> Tensor:
        return climb(
            network, objectives.channel("body", 0), Pixels(), start[rows], rule=Adam(0.01), steps=5, wobble=wobble, rows=rows
        ).images  # fmt: skip

    together = walk(torch.arange(3))
    return float(max((walk(torch.tensor([row])) - together[row : row + 1]).abs().max() for row in range(3))), 0.0


CHECKS = (
    Check(
        "visualize-linear",
        "a linear unit's best image is w/‖w‖: cosine, times share of the radius",
        _visualization,
        1e-6,
    ),
    Check("attack-l2", "the nearest image a linear network takes for another: L2", lambda: _nearest("l2"), 1e-6),
    Check("attack-linf", "the same in L∞", lambda: _nearest("linf"), 1e-6),
    Check("attack-fgsm", "one step by the sign moves a linear margin by ε·‖w‖₁", _fgsm, 1e-9),
    Check("gram", "a Gram matrix is Σ a aᵀ over places, over their number", _gram, 1e-6),
    Check("total-variation", "of 0, 1 over 0, 0", _variation, 1e-6),
    Check("objective-gradients", "16 objectives' gradients equal central differences: largest gap", _gradients, 1e-5),
    Check("spectrum", "a Fourier canvas of unit noise has unit variance", _spectrum, 0.05),
    Check("climb-alone", "images climb in a batch as each does alone: largest difference", _alone, 1e-9),
)
