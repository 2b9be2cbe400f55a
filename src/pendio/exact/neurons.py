"""Truths about perceptrons and about what networks can express."""

import math
import tempfile
from pathlib import Path

import torch

from pendio.classification.models import build
from pendio.classification.task import Classifier
from pendio.data.arrays import Arrays, assemble
from pendio.descent.loop import fit
from pendio.descent.plan import Plan
from pendio.exact.check import Check
from pendio.neurons import approximation, depth, gates, perceptron
from pendio.neurons.gates import SQUARE

__all__ = ["CHECKS"]


def _nand() -> tuple[float, float]:
    learned = perceptron.learn(SQUARE, torch.tensor([1, 1, 1, 0])).perceptron
    return float((learned(SQUARE) == torch.tensor([True, True, True, False])).sum()), 4


def _xor() -> tuple[float, float]:
    return float(perceptron.prove(SQUARE, torch.tensor([0, 1, 1, 0])).separable), 0


def _margin() -> tuple[float, float]:
    """Classes at ±2 on a line: in (x, 1) space the widest plane is the vertical axis, two away from both."""
    return perceptron.prove(torch.tensor([[2.0], [-2.0]]), torch.tensor([1, 0])).margin, 2


def _novikoff() -> tuple[float, float]:
    """The largest share of the bound that was used, over forty random separable sets."""
    generator = torch.Generator().manual_seed(0)
    shares = []
    for trial in range(40):
        points = torch.randn(30, 2 + trial % 4, generator=generator, dtype=torch.float64)
        plane = torch.randn(points.shape[1], generator=generator, dtype=torch.float64)
        height = points @ plane + 0.3
        kept = height.abs() > 0.2
        points, labels = points[kept], height[kept] > 0
        proof = perceptron.prove(points, labels)
        shares.append(perceptron.learn(points, labels).mistakes / proof.bound)
    return max(shares), 1


def _circuits() -> tuple[float, float]:
    """Wrong answers of the circuits of all 256 truth tables of three inputs."""
    rows = torch.tensor([[number >> 2 & 1, number >> 1 & 1, number & 1] for number in range(8)])
    wrong = 0
    for table in range(256):
        truth = [bool(table >> row & 1) for row in range(8)]
        wrong += int((gates.circuit(truth)(rows) != torch.tensor(truth)).sum())
    return wrong, 0


def _mlp_xor() -> tuple[float, float]:
    inputs, targets = SQUARE.repeat(8, 1), torch.tensor([0, 1, 1, 0]).repeat(8)
    every = Arrays(inputs, targets)
    data = assemble("xor", every, ("0", "1"), 0, (), kind="points", val=every, test=every)
    torch.manual_seed(0)
    task = Classifier(build("mlp", (2,), data.mean, data.std, data.classes))
    with tempfile.TemporaryDirectory() as folder:
        fit(task, data, Plan(epochs=30, accelerator="cpu"), Path(folder) / "run", progress=False)
    return float((task.predict(SQUARE).argmax(1) == torch.tensor([0, 1, 1, 0])).sum()), 4


def _approximation() -> tuple[float, float]:
    """The slope of log error over log width for x²: polygons with w corners are off by a multiple of w⁻²."""
    few, many = approximation.approximate(lambda x: x**2, [16, 64])
    return math.log(few.error / many.error) / math.log(16 / 64), -2


def _approximation_bound() -> tuple[float, float]:
    """A polygon through w + 1 equally spaced points of f is never off by more than max |f″|/(8w²)."""
    (fitted,) = approximation.approximate(approximation.parse_function("sin(6*x)"), [64])
    return fitted.error, 36 / (8 * 64**2)


def _sawtooth_depth() -> tuple[float, float]:
    return depth.compare(10).deep_error, 0


def _sawtooth_width() -> tuple[float, float]:
    return depth.compare(10).shallow_error, 0


def _sawtooth_cost() -> tuple[float, float]:
    compared = depth.compare(10)
    return compared.shallow / compared.deep, (3 * 2**10 + 1) / (4 + 9 * 6 + 3)


CHECKS = (
    Check("perceptron-nand", "the learning rule finds NAND: right answers of 4", _nand),
    Check("perceptron-xor", "no hyperplane separates XOR, by linear programming", _xor),
    Check("perceptron-margin", "the widest margin between ±2 is 2", _margin, 1e-6),
    Check("perceptron-novikoff", "mistakes never exceed (R/γ)²: the largest share of it used", _novikoff, 0.0, "≤"),
    Check("nand-circuits", "NAND perceptrons compute all 256 truth tables of 3 inputs: wrong answers", _circuits),
    Check("mlp-xor", "a multi-layer perceptron learns XOR: right answers of 4", _mlp_xor),
    Check("approximation-rate", "the error of w ReLU units falls as w⁻²: exponent for x²", _approximation, 0.1),
    Check(
        "approximation-bound", "64 units fit sin(6x) to max |f″|/(8w²): largest error", _approximation_bound, 0.0, "≤"
    ),
    Check("sawtooth-deep", "ten layers of two units are the 10-fold sawtooth: largest error", _sawtooth_depth, 1e-12),
    Check("sawtooth-shallow", "so is one layer of 1,024 units: largest error", _sawtooth_width, 1e-9),
    Check("sawtooth-cost", "parameters of the shallow network to those of the deep one", _sawtooth_cost, 1e-12),
)
