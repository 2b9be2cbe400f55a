"""Training a GAN from options, and taking up a trained one again."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from pendio.data.examples import Data
from pendio.descent.devices import leave_processes
from pendio.descent.loop import fit
from pendio.errors import InputError
from pendio.generation.examples import check_classes, open_examples, spaced
from pendio.generation.gan.networks import (
    Discriminator,
    conv_discriminator,
    conv_generator,
    dense_discriminator,
    dense_generator,
    normalize_spectra,
)  # fmt: skip
from pendio.generation.gan.options import GanOptions
from pendio.generation.gan.report import write_report
from pendio.generation.gan.task import Gan, Rules
from pendio.generation.networks import check_form, is_convolutional
from pendio.options import saved
from pendio.runs.run import Run, next_folder

__all__ = ["load_gan", "open_data", "run_options", "train_gan"]

_UNITS = 8
"""Units of a dense layer for each channel that a convolution would have."""

_LOOKED_AT = 2048
"""Examples whose principal components measure what is made."""


def train_gan(options: GanOptions, progress: bool = True) -> Run:
    """Train a generator and a discriminator against each other, and write a report.

    Args:
        options: what to learn, and by which game.
        progress: show how it goes on standard error.

    Raises:
        InputError: an option does not fit the data; the message says which.
    """
    data = open_data(options)
    if options.plan.batch_size(len(data.train)) < 2:
        raise InputError("--batch must be at least 2: the generator normalises over the examples of a batch")
    shares = [count / sum(data.class_counts) for count in data.class_counts]
    task = _new_task(options, data.describe(), shares)
    task.components.fit(task.prepare(spaced(data.train, _LOOKED_AT).inputs))
    config = {"recipe": "gan", "options": saved(options), "shares": shares, "data": data.describe()}
    out = Path(options.out) if options.out else next_folder("gan", options.data)
    notes = [f"noticed: {finding.message}" for finding in data.findings]
    run = fit(task, data, options.plan, out, options.resume, config=config, notes=notes, progress=progress)
    if leave_processes():
        write_report(run, task, data)
    return run


def _new_task(options: GanOptions, facts: Any, shares: list[float]) -> Gan:
    """The untrained task for data of these ``facts``; the same seed gives the same weights."""
    shape, mean, std = tuple(facts["shape"]), tuple(facts["mean"]), tuple(facts["std"])
    images = len(shape) == 3
    classes = tuple(facts["classes"]) if options.conditional else ()
    with torch.random.fork_rng():
        torch.manual_seed(options.plan.seed)
        generator, discriminator = _networks(options, shape, len(classes))
        if options.normalized:
            normalize_spectra(discriminator)
    changes = options.changes(shape[0] if images else 0)
    rules = Rules(
        options.loss, options.critic_steps, penalty=options.penalty, r1=options.r1_weight(images), changes=changes,
        discriminator_lr=options.discriminator_lr,
    )  # fmt: skip
    return Gan(
        generator, discriminator, options.latent, shape, rules, classes, shares if classes else (),
        () if images else mean, () if images else std,
    )  # fmt: skip


def _networks(options: GanOptions, shape: tuple[int, ...], classes: int) -> tuple[nn.Module, Discriminator]:
    if is_convolutional(options.model, shape):
        return (conv_generator(options.latent, shape, options.width, classes),
                conv_discriminator(shape, options.width, classes))  # fmt: skip
    units = _UNITS * options.width
    return dense_generator(options.latent, shape, units, classes), dense_discriminator(shape, units, classes)


def open_data(options: GanOptions, data: str | None = None) -> Data:
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
    if len(opened.shape) != 3 and options.changes(channels=0):
        raise InputError(f"--diff-augment is for images, and '{opened.name}' has none; leave it out")
    check_form(options.model, opened, most=64)
    return opened


def run_options(run: Run) -> GanOptions:
    """The options a run was trained with.

    Raises:
        InputError: its config is not one of ``gan``.
    """
    return GanOptions.of(run.options("gan"))


def load_gan(run: Run) -> Gan:
    """The trained GAN of a run, with its best weights, ready to sample and to invert.

    Raises:
        InputError: the run's files are missing or damaged, or do not fit together.
    """
    options, shares = run_options(run), run.config.get("shares")
    if not isinstance(shares, list) or not all(isinstance(share, float) for share in shares):
        raise InputError(f"the config of '{run.folder}' does not say how often its data has each class")
    with run.facts() as facts:
        task = _new_task(options, facts, shares)
    run.fill(task)
    return task.eval().requires_grad_(False)
