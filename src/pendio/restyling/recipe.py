"""Training a restyler from options, and taking up a trained one again."""

from pathlib import Path

import torch
import torchvision.transforms.v2.functional as V
from torch import Tensor

import pendio.data
from pendio.classification.recipe import trained_network
from pendio.data.augment import parse_augment
from pendio.data.examples import Data
from pendio.data.inputs import named_image
from pendio.descent.devices import leave_processes
from pendio.descent.loop import fit
from pendio.errors import InputError
from pendio.options import saved
from pendio.restyling.network import Restyler
from pendio.restyling.options import RestyleOptions
from pendio.restyling.perception import Perception
from pendio.restyling.report import write_report
from pendio.restyling.task import Restyle, Weights
from pendio.runs.run import Run, next_folder

__all__ = ["load_restyler", "open_data", "restyle", "run_options", "style_image"]


def restyle(options: RestyleOptions, progress: bool = True) -> Run:
    """Train a network that repaints any image in one style, and write its report.

    Args:
        options: which style, on what, and how.
        progress: show how it goes on standard error.

    Raises:
        InputError: an option does not fit the data, the style or the loss network; the message says which.
    """
    network = trained_network(options.loss_network)
    if len(network.shape) != 3:
        raise InputError(f"--loss-network '{options.loss_network}' sees {network.shape[0]} numbers, not images")
    channels = network.shape[0]
    style = style_image(options, channels)
    data = open_data(options)
    if data.shape[0] not in (1, channels):
        raise InputError(f"--loss-network '{options.loss_network}' sees {channels} channel, and the images of "
                         f"'{data.name}' have {data.shape[0]}; give a network of colour images")  # fmt: skip
    perception = Perception(network, style, (channels, *data.shape[1:]), options.plan.precision)
    task = _new_task(options, channels, perception)
    config = {"recipe": "restyle", "options": saved(options), "channels": channels, "data": data.describe()}
    out = Path(options.out) if options.out else next_folder("restyle", options.style)
    notes = [f"noticed: {finding.message}" for finding in data.findings]
    run = fit(task, data, options.plan, out, options.resume, config=config, notes=notes, progress=progress)
    if leave_processes():
        write_report(run, task, data, style)
    return run


def _new_task(options: RestyleOptions, channels: int, perception: Perception | None) -> Restyle:
    """The untrained task; the same seed gives the same weights."""
    with torch.random.fork_rng():
        torch.manual_seed(options.plan.seed)
        restyler = Restyler(channels, options.width, options.blocks)
    return Restyle(restyler, perception, Weights(options.content_weight, options.style_weight, options.smooth))


def style_image(options: RestyleOptions, channels: int) -> Tensor:
    """The style ``(1, C, h, w)`` in [0, 1] at the size at which it is seen.

    Raises:
        InputError: there is no such image, or several are meant.
    """
    image = named_image(options.style, grey=channels == 1)
    scale = options.style_size / max(image.shape[1:])
    size = [max(8, round(side * scale)) for side in image.shape[1:]]
    seen: Tensor = V.resize(image, size, interpolation=V.InterpolationMode.BICUBIC, antialias=True)
    return seen[None].float() / 255


def open_data(options: RestyleOptions, data: str | None = None) -> Data:
    """The images that options name, or ``data`` brought to the same size.

    Raises:
        InputError: they are no images, or not of the size that is asked for.
    """
    mixing = {"mixup", "cutmix"} & set(parse_augment(options.augment))
    if mixing:
        raise InputError(f"--augment {','.join(sorted(mixing))} mixes labels, and restyling has none")
    opened = pendio.data.open(
        options.data if data is None else data, size=options.size, augment=options.augment if data is None else "none",
        seed=options.split_seed, labels=False,
    )  # fmt: skip
    if opened.kind != "images":
        raise InputError(f"--data '{opened.name}' has no images but {opened.kind}")
    if options.size is not None and options.size not in opened.shape[1:]:
        raise InputError(
            f"--size {options.size}: the images of '{opened.name}' are {opened.shape[1]}×{opened.shape[2]}; leave it out"
        )
    return opened


def run_options(run: Run) -> RestyleOptions:
    """The options a run was trained with.

    Raises:
        InputError: its config is not one of ``restyle``.
    """
    return RestyleOptions.of(run.options("restyle"))


def load_restyler(run: Run, judging: bool = False) -> Restyle:
    """The trained restyler of a run, with its best weights, ready to predict.

    Args:
        run: its folder.
        judging: also open the loss network and the style image, so that the loss can be measured.

    Raises:
        InputError: the run's files are missing, damaged or do not fit together, or the style image is gone.
    """
    options, channels = run_options(run), run.config.get("channels")
    if channels not in (1, 3):
        raise InputError(f"the config of '{run.folder}' does not say how many channels its images have")
    perception = None
    if judging:
        with run.facts() as facts:
            shape = (channels, *map(int, facts["shape"][1:]))
        perception = Perception(trained_network(options.loss_network), style_image(options, channels), shape)
    task = _new_task(options, channels, perception)
    run.fill(task)
    return task.eval().requires_grad_(False)
