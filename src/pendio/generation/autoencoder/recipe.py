"""Training an autoencoder from options, and taking up a trained one again."""

import dataclasses
from pathlib import Path
from typing import Any

import torch

from pendio.data.arrays import channel_statistics
from pendio.data.examples import Data, Resident
from pendio.descent.devices import leave_processes
from pendio.descent.loop import fit
from pendio.errors import InputError, did_you_mean
from pendio.generation.autoencoder.anomaly import conformal_rank, conformal_threshold
from pendio.generation.autoencoder.options import AutoencodeOptions
from pendio.generation.autoencoder.report import write_report
from pendio.generation.autoencoder.task import Autoencoder
from pendio.generation.examples import open_examples
from pendio.generation.networks import check_form, coders
from pendio.options import saved
from pendio.runs.run import Run, next_folder

__all__ = ["load_autoencoder", "open_data", "run_options", "train_autoencoder"]


def train_autoencoder(options: AutoencodeOptions, progress: bool = True) -> Run:
    """Train an autoencoder, set the threshold of its alarms, and write its report.

    Args:
        options: what to compress, and how.
        progress: show how it goes on standard error.

    Raises:
        InputError: an option does not fit the data; the message says which.
    """
    data = open_data(options)
    conformal_rank(len(data.val), options.false_alarms)  # before hours of training, not after
    task = _new_task(options, data.describe())
    config = {"recipe": "autoencode", "options": saved(options), "data": data.describe()}
    out = Path(options.out) if options.out else next_folder("autoencode", options.data)
    notes = [f"noticed: {finding.message}" for finding in data.findings]
    run = fit(task, data, options.plan, out, options.resume, config=config, notes=notes, progress=progress)
    if leave_processes():
        _calibrate(run, task, data, options.false_alarms)
        write_report(run, task, data)
    return run


def _calibrate(run: Run, task: Autoencoder, data: Data, false_alarms: float) -> None:
    """Set the threshold by the validation examples, with the best weights, and keep it with them."""
    task.to("cpu").eval()
    scores = torch.cat([task.strangeness(batch.inputs.cpu()) for batch in data.val.batches(256)])
    task.threshold.fill_(conformal_threshold(scores, false_alarms))
    run.refill(task)


def _new_task(options: AutoencodeOptions, facts: Any) -> Autoencoder:
    """The untrained task for data of these ``facts``; the same seed gives the same weights."""
    shape, mean, std = tuple(facts["shape"]), tuple(facts["mean"]), tuple(facts["std"])
    images = len(shape) == 3
    with torch.random.fork_rng():
        torch.manual_seed(options.plan.seed)
        encoder, decoder = coders(options.model, shape, options.width, options.latent, options.latent)
    classes = () if options.normal is None else tuple(str(name) for name in facts["classes"])
    normal = None if options.normal is None else classes.index(options.normal)
    return Autoencoder(
        encoder, decoder, options.latent, shape, () if images else mean, () if images else std,
        options.corrupt, options.level, normal, classes,
    )  # fmt: skip


def open_data(options: AutoencodeOptions, data: str | None = None) -> Data:
    """The examples that options name, or ``data`` brought to the same size.

    With a ``normal`` class the training and validation splits hold that class alone, and the test split all.

    Raises:
        InputError: they do not suit the options.
    """
    opened = open_examples(
        options.data if data is None else data, size=options.size, augment=options.augment if data is None else "none",
        target=options.target, labels=options.normal is not None, seed=options.split_seed,
    )  # fmt: skip
    check_form(options.model, opened)
    return opened if options.normal is None or data is not None else _normal_alone(opened, options.normal)


def _normal_alone(data: Data, name: str) -> Data:
    if name not in data.classes:
        raise InputError(f"--normal: '{data.name}' has no class '{name}': {did_you_mean(name, data.classes)}")
    if not isinstance(data.train, Resident) or not isinstance(data.val, Resident):
        raise InputError(f"--normal is for data that fits into memory, and '{data.name}' does not; give a folder of the "
                         "normal examples alone")  # fmt: skip
    number = data.classes.index(name)
    train, val = (
        Resident(split.inputs[split.targets == number], split.targets[split.targets == number], split.augment)
        for split in (data.train, data.val)
    )
    if len(train) < 2 or not len(val):
        raise InputError(f"'{data.name}' has {len(train)} training examples of '{name}', and {len(val)} for validation")
    mean, std = channel_statistics(train.inputs)
    counts = tuple(len(train) if label == number else 0 for label in range(len(data.classes)))
    return dataclasses.replace(data, train=train, val=val, mean=mean, std=std, class_counts=counts)


def run_options(run: Run) -> AutoencodeOptions:
    """The options a run was trained with.

    Raises:
        InputError: its config is not one of ``autoencode``.
    """
    return AutoencodeOptions.of(run.options("autoencode"))


def load_autoencoder(run: Run) -> Autoencoder:
    """The trained autoencoder of a run, with its best weights, ready to encode, decode and judge.

    Raises:
        InputError: the run's files are missing or damaged, or do not fit together.
    """
    options = run_options(run)
    with run.facts() as facts:
        task = _new_task(options, facts)
    run.fill(task)
    return task.eval().requires_grad_(False)
