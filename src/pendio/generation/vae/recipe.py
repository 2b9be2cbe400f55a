"""Training a variational autoencoder from options, and taking up a trained one again."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pendio.data.examples import Data
from pendio.descent.devices import leave_processes
from pendio.descent.loop import fit
from pendio.errors import InputError
from pendio.generation.examples import open_examples
from pendio.generation.networks import check_form, coders
from pendio.generation.vae.diagnosis import codes_of
from pendio.generation.vae.likelihoods import Balanced, Bernoulli, Gaussian, Learned, Likelihood
from pendio.generation.vae.objective import Objective
from pendio.generation.vae.options import VaeOptions
from pendio.generation.vae.report import write_report
from pendio.generation.vae.task import Vae
from pendio.options import saved
from pendio.runs.run import Run, next_folder

__all__ = ["load_vae", "open_data", "run_options", "train_vae"]

_SIGMA = 0.1
_MOST, _EACH = 20, 50
"""Gaussians of the second stage by default, and examples for each at least."""

_DRAWN = 8192
"""Codes that the second stage is fitted to, at least."""

_CODED = 50_000
"""Examples whose codes the second stage is fitted to, at most."""


def train_vae(options: VaeOptions, progress: bool = True) -> Run:
    """Train a variational autoencoder, fit its second stage where one is asked for, and write its report.

    Args:
        options: what to learn, and how.
        progress: show how it goes on standard error.

    Raises:
        InputError: an option does not fit the data; the message says which.
    """
    data = open_data(options)
    if options.components is not None and options.components > len(data.train):
        raise InputError(f"--components {options.components} is more than the {len(data.train)} training examples")
    anneal = round(options.anneal * data.train.steps(options.plan.batch_size(len(data.train))))
    task = _new_task(options, data.describe(), anneal)
    config = {"recipe": "vae", "options": saved(options), "anneal_steps": anneal, "data": data.describe()}
    out = Path(options.out) if options.out else next_folder("vae", options.data)
    notes = [f"noticed: {finding.message}" for finding in data.findings]
    run = fit(task, data, options.plan, out, options.resume, config=config, notes=notes, progress=progress)
    if leave_processes():
        if task.second_stage is not None:
            _fit_second_stage(run, task, data)
        write_report(run, task, data)
    return run


def _fit_second_stage(run: Run, task: Vae, data: Data) -> None:
    """Fit to the codes of the best weights, and keep the result with them."""
    assert task.second_stage is not None
    task.to("cpu").eval()
    # Of few examples several draws each, for a posterior is more than its mean.
    times = max(1, _DRAWN // len(data.train))
    # Not the first ones: those of a folder are all of its first classes.
    every = max(1, len(data.train) // _CODED)
    codes: list[Tensor] = []
    for places in torch.arange(0, len(data.train), every).split(256):
        examples = task.prepare(data.train.take(places).inputs.cpu())
        codes.append(codes_of(task, examples, times * len(examples)))
    task.second_stage.fit(torch.cat(codes))
    run.refill(task)


def _new_task(options: VaeOptions, facts: Any, anneal: int) -> Vae:
    """The untrained task for data of these ``facts``; the same seed gives the same weights."""
    shape, mean, std = tuple(facts["shape"]), tuple(facts["mean"]), tuple(facts["std"])
    images = len(shape) == 3
    with torch.random.fork_rng():
        torch.manual_seed(options.plan.seed)
        encoder, decoder = coders(options.model, shape, options.width, 2 * options.latent, options.latent)
    return Vae(
        encoder, decoder, _likelihood(options, images, std), options.latent, shape,
        Objective(options.beta, anneal, options.free_bits), () if images else mean, () if images else std,
        _components(options, facts["examples"]["train"]),
    )  # fmt: skip


def _components(options: VaeOptions, examples: int) -> int:
    if options.second_stage == "none":
        return 0
    return options.components or min(_MOST, max(1, examples // _EACH))


def _likelihood(options: VaeOptions, images: bool, std: tuple[float, ...]) -> Likelihood:
    """Learned deviations start at the data's own: that is right for a decoder that knows nothing yet."""
    if options.likelihood == "bernoulli":
        return Bernoulli()
    if options.likelihood == "gaussian":
        return Gaussian(_SIGMA if options.sigma is None else options.sigma, images)
    start = max(1e-2, sum(std) / len(std)) if images else 1.0
    return Balanced(start, images) if options.balance else Learned(start, images)


def open_data(options: VaeOptions, data: str | None = None) -> Data:
    """The examples that options name, or ``data`` brought to the same size.

    Raises:
        InputError: they do not suit the options.
    """
    opened = open_examples(
        options.data if data is None else data, size=options.size, augment=options.augment if data is None else "none",
        target=options.target, seed=options.split_seed,
    )  # fmt: skip
    images = len(opened.shape) == 3
    if options.likelihood == "bernoulli" and not images:
        raise InputError(f"--likelihood bernoulli is for pixels, and '{opened.name}' has none; use learned or gaussian")
    check_form(options.model, opened)
    return opened


def run_options(run: Run) -> VaeOptions:
    """The options a run was trained with.

    Raises:
        InputError: its config is not one of ``vae``.
    """
    return VaeOptions.of(run.options("vae"))


def load_vae(run: Run) -> Vae:
    """The trained autoencoder of a run, with its best weights, ready to encode, decode and sample.

    Raises:
        InputError: the run's files are missing or damaged, or do not fit together.
    """
    options = run_options(run)
    anneal = run.config.get("anneal_steps", 0)
    if not isinstance(anneal, int):
        raise InputError(
            f"the config of '{run.folder}' does not say in how many steps the KL divergence got its weight"
        )
    with run.facts() as facts:
        task = _new_task(options, facts, anneal)
    run.fill(task)
    return task.eval().requires_grad_(False)
