"""Training a diffusion model from options, and taking up a trained one again."""

from collections.abc import Sequence
from pathlib import Path

import torch

from pendio.data.examples import Data
from pendio.descent.devices import leave_processes
from pendio.descent.loop import fit
from pendio.errors import InputError
from pendio.generation.diffusion.options import DiffuseOptions
from pendio.generation.diffusion.report import write_report
from pendio.generation.diffusion.schedules import Schedule
from pendio.generation.diffusion.task import Diffusion
from pendio.generation.diffusion.unet import DenoisingMLP, DenoisingUNet
from pendio.generation.examples import open_examples
from pendio.options import saved
from pendio.runs.run import Run, next_folder

__all__ = ["load_diffusion", "open_data", "run_options", "train_diffusion"]

_LEAST_SIDE = 16
_LEAST_MAP = 2
_DRAWS_OF_ROWS = 8


def train_diffusion(options: DiffuseOptions, progress: bool = True) -> Run:
    """Train a network to take noise away, and write its report.

    Args:
        options: what to learn to make, and how.
        progress: show how it goes on standard error.

    Raises:
        InputError: an option does not fit the data; the message says which.
    """
    data = open_data(options)
    classes = _classes(options, data)
    facts = data.describe() | {"class_counts": list(data.class_counts) if classes else []}
    task = _new_task(options, data.shape, data.mean, data.std, classes, data.class_counts)
    config = {"recipe": "diffuse", "options": saved(options), "data": facts}
    out = Path(options.out) if options.out else next_folder("diffuse", options.data)
    notes = [f"noticed: {finding.message}" for finding in data.findings]
    run = fit(task, data, options.plan, out, options.resume, config=config, notes=notes, progress=progress)
    if leave_processes():
        write_report(run, task, data)
    return run


def _classes(options: DiffuseOptions, data: Data) -> tuple[str, ...]:
    if not options.conditional:
        return ()
    if len(data.classes) < 2:
        raise InputError(
            f"--conditional needs classes, and '{data.name}' has {len(data.classes) or 'none'}; leave it out"
        )
    return data.classes


def _new_task(
    options: DiffuseOptions, shape: Sequence[int], mean: Sequence[float], std: Sequence[float], classes: Sequence[str],
    counts: Sequence[float],
) -> Diffusion:  # fmt: skip
    """The untrained task; the same seed gives the same weights."""
    with torch.random.fork_rng():
        torch.manual_seed(options.plan.seed)
        network: DenoisingUNet | DenoisingMLP
        if len(shape) == 3:
            if min(shape[1:]) < _LEAST_MAP * 2 ** (len(options.widths) - 1):
                raise InputError(f"--multipliers {options.multipliers} halves images of {shape[1]}×{shape[2]} too often; "
                                 "give fewer")  # fmt: skip
            network = DenoisingUNet(shape[0], options.widths, options.depth, len(classes), options.plan.dropout)
        else:
            network = DenoisingMLP(shape[0], 16 * options.width, 3 * options.depth, len(classes), options.plan.dropout)
    schedule = Schedule.named(options.noise_schedule, options.levels)
    draws = options.draws or (1 if len(shape) == 3 else _DRAWS_OF_ROWS)
    return Diffusion(
        network, schedule, options.predict, shape, mean, std, classes, counts if classes else (), options.label_dropout,
        draws,
    )  # fmt: skip


def open_data(options: DiffuseOptions, data: str | None = None) -> Data:
    """The examples that options name, or ``data`` brought to the same size.

    Raises:
        InputError: there are none, or they are not what is asked for.
    """
    name, augment = (options.data, options.augment) if data is None else (data, "none")

    def opened(size: int | None) -> Data:
        return open_examples(
            name, size=size, augment=augment, labels=options.conditional, target=options.target, seed=options.split_seed
        )

    found = opened(options.size)
    if options.size is None and len(found.shape) == 3 and max(found.shape[1:]) < _LEAST_SIDE:
        return opened(_LEAST_SIDE)
    return found


def run_options(run: Run) -> DiffuseOptions:
    """The options a run was trained with.

    Raises:
        InputError: its config is not one of ``diffuse``.
    """
    return DiffuseOptions.of(run.options("diffuse"))


def load_diffusion(run: Run) -> Diffusion:
    """The trained model of a run, with its best weights, ready to make examples.

    Raises:
        InputError: the run's files are missing, damaged or do not fit together.
    """
    options = run_options(run)
    with run.facts() as facts:
        classes = tuple(map(str, facts["classes"])) if options.conditional else ()
        counts = [float(count) for count in facts["class_counts"]]
        shape, mean, std = (tuple(facts[name]) for name in ("shape", "mean", "std"))
        task = _new_task(options, shape, mean, std, classes, counts)
    run.fill(task)
    return task.eval().requires_grad_(False)
