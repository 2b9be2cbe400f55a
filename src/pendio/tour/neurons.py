"""Neurons, descent and depth."""

from pathlib import Path

import torch
from torch import nn

from pendio.classification.options import Classify
from pendio.classification.recipe import open_data
from pendio.descent.plan import Plan
from pendio.descent.surfaces import SURFACES, descend
from pendio.neurons.approximation import approximate, parse_function
from pendio.neurons.depth import compare
from pendio.neurons.gates import GATES, SQUARE, circuit
from pendio.neurons.perceptron import learn, prove
from pendio.neurons.vanishing import Kind, gradient_by_layer, stack
from pendio.pictures.approximation import draw_approximation
from pendio.pictures.lines import draw_lines
from pendio.pictures.paths import draw_paths
from pendio.recipes import train
from pendio.runs.page import Picture, Section, Table

__all__ = ["depth", "descent", "draw_vanishing", "neurons"]


def neurons(out: Path) -> Section:
    """One neuron, its limits, and what many can do."""
    nand, proof = learn(SQUARE, torch.tensor(GATES["nand"])), prove(SQUARE, torch.tensor(GATES["nand"]))
    truth = [bool(answer) for answer in GATES["xor"]]
    fits = approximate(parse_function("sin(6*x) + abs(x - 0.5)"), [2, 4, 8, 16, 32, 64])
    outputs, widths, errors = zip(*((fit.outputs, fit.width, fit.error) for fit in fits), strict=True)
    rows = [(folds, compare(folds).deep, compare(folds).shallow) for folds in (2, 4, 6, 8, 10)]
    return Section(
        "One neuron, and many",
        text=f"The perceptron learning rule finds NAND after {nand.mistakes} mistakes; by Novikoff's theorem it cannot make "
        f"more than {proof.bound:.0f}. No single neuron can do XOR, which pendio proves instead of trying for ever; "
        f"{len(circuit(truth).gates)} NAND neurons can. One hidden layer fits any continuous function, the better the wider "
        "it is. But depth is cheaper: the sawtooth with 2ⁿ⁻¹ teeth costs n layers of two units, or one layer of 2ⁿ.",
        code='pendio perceptron nand\npendio approximate "sin(6*x) + abs(x - 0.5)" --out fit.png',
        tables=[Table(("folds", "parameters in depth", "parameters in width"), rows)],
        pictures=[
            Picture(
                draw_approximation(fits[0].points, fits[0].targets, outputs, widths, errors),
                "Networks of one hidden layer, and their error against their width.",
            )
        ],
    )


def descent(out: Path) -> Section:
    """Optimisers on a surface, and batches of three sizes."""
    surface = SURFACES["ravine"]
    plans = {name: Plan(optimizer=name, lr=surface.lr, momentum=0.8) for name in ("sgd", "momentum", "nesterov")}
    plans["adam"] = Plan(optimizer="adam", lr=3 * surface.lr)
    paths = {str(name): descend(surface, plan, 60).points for name, plan in plans.items()}
    losses = {}
    for name, batch in (("full batch", "all"), ("mini-batches of 64", 64), ("online", 1)):
        options = {
            "data": "digits",
            "model": "mlp",
            "epochs": 8,
            "optimizer": "sgd",
            "lr": 0.05,
            "schedule": "constant",
        }
        run = train("classify", **options, batch=batch, progress=False, out=str(out / f"batch-{batch}"))
        losses[name] = ([r["epoch"] for r in run.history()], [r["val_loss"] for r in run.history()])
    return Section(
        "Walk down in the open",
        text="The optimisers that train networks, on a ravine thirty times steeper across than along; plain descent would "
        "diverge from a learning rate of 2/30 on. Below, the digits with the same rate and the same examples seen: the more "
        "steps an epoch is cut into, the further it gets, but single examples are too noisy a guide to settle by.",
        code="pendio descend ravine --out path.png\npendio find-lr --data digits --model cnn",
        pictures=[
            Picture(draw_paths(surface.height, surface.bounds, paths, surface.minimum), "Sixty steps each."),
            Picture(
                draw_lines(losses, "epoch", "validation loss", log_y=True), "One step an epoch, twenty, and 1,259."
            ),
        ],
    )


def depth(out: Path) -> Section:
    """What is left of the gradient in deep networks."""
    return Section(
        "Why depth needs help",
        text="What is left of the gradient in each layer of networks twenty layers deep, before training begins. A sigmoid "
        "passes on a quarter at most, so that the first layers learn nothing. ReLU passes on more; normalisation and "
        "residual connections keep it whole. A diagnosis tells a run's ailments, with a fix for each.",
        code="pendio diagnose tour/digits-cnn",
        pictures=[Picture(draw_vanishing(), "Root mean square of each layer's gradient on a batch of digits.")],
    )


def draw_vanishing() -> bytes:
    """The gradient in each layer of networks twenty layers deep, of three kinds of networks, on a batch of digits."""
    batch = next(open_data(Classify(data="digits")).train.batches(256))
    lines = {}
    kinds: tuple[tuple[Kind, str], ...] = (
        ("sigmoid", "sigmoid"), ("relu", "ReLU"), ("residual", "ReLU, normalised, residual"),
    )  # fmt: skip
    for kind, name in kinds:
        torch.manual_seed(0)
        gradients = gradient_by_layer(
            stack(kind, 64, 10), lambda logits: nn.functional.cross_entropy(logits, batch.targets), batch.inputs
        )
        lines[name] = (list(range(1, len(gradients) + 1)), gradients)
    return draw_lines(lines, "layer", "gradient", log_y=True, dots=True)
