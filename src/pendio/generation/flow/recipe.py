"""Training a normalising flow from options, and taking up a trained one again."""

from pathlib import Path
from typing import Any

import torch

from pendio.data.examples import Data
from pendio.descent.devices import leave_processes
from pendio.descent.loop import fit
from pendio.errors import InputError
from pendio.generation.examples import check_classes, open_examples, spaced
from pendio.generation.flow.models import image_flow, vector_flow
from pendio.generation.flow.options import FlowOptions
from pendio.generation.flow.pixels import Pixels, grey_levels
from pendio.generation.flow.report import write_report
from pendio.generation.flow.task import Flow
from pendio.options import saved
from pendio.runs.run import Run, next_folder

__all__ = ["load_flow", "open_data", "run_options", "train_flow"]

_FIRST = 512
"""Examples that normalisations take their first values from."""


def train_flow(options: FlowOptions, progress: bool = True) -> Run:
    """Train a normalising flow, and write its report.

    Args:
        options: what to learn the density of, and how.
        progress: show how it goes on standard error.

    Raises:
        InputError: an option does not fit the data; the message says which.
    """
    data = open_data(options)
    levels = grey_levels(data) if len(data.shape) == 3 else 0
    shares = [count / sum(data.class_counts) for count in data.class_counts] if options.conditional else []
    task = _new_task(options, data.describe(), levels, shares)
    first = spaced(data.train, _FIRST)
    task.initialize(first.inputs, first.targets)
    config = {"recipe": "flow", "options": saved(options), "levels": levels, "shares": shares, "data": data.describe()}
    out = Path(options.out) if options.out else next_folder("flow", options.data)
    notes = [f"noticed: {finding.message}" for finding in data.findings]
    run = fit(task, data, options.plan, out, options.resume, config=config, notes=notes, progress=progress)
    if leave_processes():
        write_report(run, task, data)
    return run


def _new_task(options: FlowOptions, facts: Any, levels: int, shares: list[float]) -> Flow:
    """The untrained task for data of these ``facts``; the same seed gives the same weights."""
    shape, mean, std = tuple(facts["shape"]), tuple(facts["mean"]), tuple(facts["std"])
    images = len(shape) == 3
    classes = tuple(facts["classes"]) if options.conditional else ()
    size = options.layers, options.width, len(classes), options.bins, options.bound
    with torch.random.fork_rng():
        torch.manual_seed(options.plan.seed)
        model = _model(options, shape)
        transform = image_flow(model, shape, *size) if images else vector_flow(model, shape[0], *size)
    if images:
        return Flow(transform, shape, Pixels(levels, options.alpha), classes=classes, shares=shares)
    return Flow(transform, shape, None, mean, std, classes, shares)


def _model(options: FlowOptions, shape: tuple[int, ...]) -> str:
    if options.model != "auto":
        return options.model
    if len(shape) == 3:
        return "glow"
    return "nsf" if shape[0] > 1 else "nsf-ar"


def open_data(options: FlowOptions, data: str | None = None) -> Data:
    """The examples that options name, or ``data`` brought to the same size.

    Raises:
        InputError: they do not suit the options.
    """
    opened = open_examples(
        options.data if data is None else data, size=options.size, augment=options.augment if data is None else "none",
        labels=options.conditional, target=options.target, seed=options.split_seed,
    )  # fmt: skip
    if options.conditional:
        check_classes(opened)
    model, shape = _model(options, opened.shape), opened.shape
    if len(shape) == 3 and model in ("glow", "realnvp") and (shape[1] % 2 or shape[2] % 2):
        raise InputError(f"the images of '{opened.name}' are {shape[1]}×{shape[2]}: --model {model} halves sides, which "
                         "must be even; bring them to it with --size, or use --model maf")  # fmt: skip
    if len(shape) != 3 and model == "glow":
        raise InputError(f"--model glow is for images, and '{opened.name}' has none; use nsf")
    if shape == (1,) and model in ("realnvp", "nsf"):
        raise InputError(f"--model {model} couples two features at least, and '{opened.name}' has one; use nsf-ar")
    return opened


def run_options(run: Run) -> FlowOptions:
    """The options a run was trained with.

    Raises:
        InputError: its config is not one of ``flow``.
    """
    return FlowOptions.of(run.options("flow"))


def load_flow(run: Run) -> Flow:
    """The trained flow of a run, with its best weights, ready to judge, encode and sample.

    Raises:
        InputError: the run's files are missing or damaged, or do not fit together.
    """
    options, levels, shares = run_options(run), run.config.get("levels"), run.config.get("shares", [])
    if not isinstance(levels, int) or not isinstance(shares, list):
        raise InputError(f"the config of '{run.folder}' does not say how many grey levels and classes there are")
    with run.facts() as facts:
        task = _new_task(options, facts, levels, shares)
    run.fill(task)
    return task.eval().requires_grad_(False)
