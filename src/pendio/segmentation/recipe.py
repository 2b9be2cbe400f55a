"""Training a segmenter from options, and taking up a trained one again."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from pendio.data.annotations.opening import open_masks
from pendio.data.examples import Data
from pendio.descent.devices import leave_processes
from pendio.descent.loop import fit
from pendio.errors import InputError
from pendio.nn.network import Network
from pendio.options import saved
from pendio.runs.run import Run, next_folder
from pendio.segmentation.losses import MapLoss, class_weights
from pendio.segmentation.models import body_name, build
from pendio.segmentation.networks.encoded import EncodedUNet
from pendio.segmentation.networks.unet import UNet
from pendio.segmentation.options import SegmentOptions
from pendio.segmentation.report import write_report
from pendio.segmentation.task import Segmenter

__all__ = ["load_segmenter", "open_data", "run_options", "segment"]

_TRAINED_BODY_LR = 0.3


def segment(options: SegmentOptions, progress: bool = True) -> Run:
    """Train a network that says of what class each pixel is, and write its report.

    Args:
        options: which network, on what, and how.
        progress: show how it goes on standard error.

    Raises:
        InputError: an option does not fit the data or the network; the message says which.
    """
    data = open_data(options)
    task = _new_task(options, data)
    config = {"recipe": "segment", "options": saved(options), "data": data.describe()}
    out = Path(options.out) if options.out else next_folder("segment", options.data)
    notes = [f"noticed: {finding.message}" for finding in data.findings]
    run = fit(task, data, options.plan, out, options.resume, config=config, notes=notes, progress=progress)
    if leave_processes():
        write_report(run, task, data)
    return run


def _new_task(options: SegmentOptions, data: Data) -> Segmenter:
    """The untrained task; the same seed gives the same weights."""
    if len(data.classes) < 2:
        raise InputError(f"the masks of '{data.name}' have one class alone, '{''.join(data.classes)}': there is nothing "
                         "to tell apart")  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(options.plan.seed)
        network = build(options, data.shape, data.classes, data.mean, data.std)
    _begin_with_frequencies(network.module, data.class_counts)
    weights = class_weights(options.class_weights, data.class_counts, data.name)
    return _task(options, network, MapLoss(options.loss, weights, options.gamma))


def _begin_with_frequencies(module: nn.Module, counts: Sequence[int]) -> None:
    """Let the last layer of a U-Net begin with how often each class occurs, which else is the first thing it must learn."""
    heads = [layer.head for layer in module.modules() if isinstance(layer, UNet | EncodedUNet)]
    if not counts:
        return
    frequencies = torch.tensor(counts, dtype=torch.float32).clamp(min=1)
    for head in heads:
        assert head.bias is not None
        with torch.no_grad():
            head.weight.mul_(0.1)
            head.bias.copy_((frequencies / frequencies.sum()).log())


def _task(options: SegmentOptions, network: Network, loss: MapLoss) -> Segmenter:
    rate = options.body_lr or (_TRAINED_BODY_LR if options.trained_body else 1.0)
    return Segmenter(network, loss, body_name(options), 0.0 if options.freeze else rate)


def open_data(options: SegmentOptions, data: str | None = None) -> Data:
    """The images and masks that options name, or those of ``data`` brought to the same size, as they are.

    Raises:
        InputError: there are none, or they cannot be used; the message says why.
    """
    if data is not None and data != options.data:
        return open_masks(data, size=options.side, augment="none", seed=options.split_seed)
    augment = options.augment if data is None else "none"
    return open_masks(
        options.data, size=options.side, augment=augment, seed=options.split_seed, images=options.images
    )  # fmt: skip


def run_options(run: Run) -> SegmentOptions:
    """The options a run was trained with.

    Raises:
        InputError: its config is not one of ``segment``.
    """
    return SegmentOptions.of(run.options("segment"))


def load_segmenter(run: Run) -> Segmenter:
    """The trained segmenter of a run, with its best weights, ready to predict and to be measured.

    Raises:
        InputError: the run's files are missing, damaged or do not fit together.
    """
    options = run_options(run)
    # What it started from is in its own weights now, and may be gone.
    plain = dataclasses.replace(options, pretrained=False, weights=None, stage_from=None, freeze=False)
    with run.facts() as facts:
        shape, mean, std, classes = (list(facts[name]) for name in ("shape", "mean", "std", "classes"))
        network = build(plain, shape, classes, mean, std)
    task = Segmenter(network, MapLoss(options.loss, gamma=options.gamma))
    run.fill(task)
    return task.eval().requires_grad_(False)
