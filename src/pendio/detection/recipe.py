"""Training a detector from options, and taking up a trained one again."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from pendio.data.annotations.opening import open_boxes
from pendio.data.examples import Data
from pendio.descent.devices import leave_processes
from pendio.descent.loop import fit
from pendio.detection.anchors import fit_anchors
from pendio.detection.darknet.cfg import format_cfg
from pendio.detection.darknet.network import DarknetNetwork
from pendio.detection.models import anchor_count, build, clusters_anchors, is_darknet, published_network, start_from
from pendio.detection.names import COCO, read_names
from pendio.detection.options import DetectOptions
from pendio.detection.report import write_report
from pendio.detection.task import Detector
from pendio.detection.yolo.losses import YoloLoss
from pendio.detection.yolo.scales import Scale
from pendio.errors import InputError
from pendio.nn.network import Network
from pendio.options import saved
from pendio.runs.run import Run, next_folder

__all__ = ["detect", "load_detector", "open_data", "published_detector", "run_options"]

CFG = "network.cfg"
"""The layers of a darknet network, as a text in the run folder."""


def detect(options: DetectOptions, progress: bool = True) -> Run:
    """Train a detector and write its report.

    Args:
        options: which, on what, and how.
        progress: show how it goes on standard error.

    Raises:
        InputError: an option does not fit the data or the model; the message says which.
    """
    data = open_data(options)
    if options.model == "rcnn":
        return _detect_by_regions(options, data, progress)
    anchors, notes = _anchors(options, data)
    task, started = _new_task(options, data.classes, anchors)
    module = task.network.module
    files = {CFG: format_cfg(module.config)} if isinstance(module, DarknetNetwork) else {}
    config = _config(options, data) | {"anchors": None if anchors is None else anchors.tolist()}
    notes += [started] if started else []
    return _trained(task, data, options, config, files, notes, progress)


def _config(options: DetectOptions, data: Data) -> dict[str, Any]:
    return {"recipe": "detect", "options": saved(options), "data": data.describe()}


def _trained(
    task: Any, data: Data, options: DetectOptions, config: dict[str, Any], files: dict[str, str], notes: Sequence[str],
    progress: bool, examples: Any = None,
) -> Run:  # fmt: skip
    out = Path(options.out) if options.out else next_folder("detect", options.data)
    told = [*(f"noticed: {finding.message}" for finding in data.findings), *notes]
    run = fit(
        task, examples or data, options.plan, out, options.resume,
        config=config, files=files, notes=told, progress=progress,
    )  # fmt: skip
    if leave_processes():
        write_report(run, task, data)
    return run


def _detect_by_regions(options: DetectOptions, data: Data, progress: bool) -> Run:
    from pendio.detection.proposals.recipe import region_data

    examples = region_data(data, options.split_seed, progress)
    task = _new_region_task(options, data.classes, data.mean, data.std)
    return _trained(task, data, options, _config(options, data), {}, examples.notes, progress, examples)


def _new_region_task(
    options: DetectOptions, classes: Sequence[str], mean: Sequence[float], std: Sequence[float]
) -> Any:
    from pendio.detection.proposals.recipe import region_detector

    return region_detector(
        classes, options.side, mean, std, options.plan.seed, options.suppression, options.usual_overlap
    )


def _anchors(options: DetectOptions, data: Data) -> tuple[Tensor | None, list[str]]:
    """Anchors for the model, in pixels at the training size, and what to say of them."""
    if not clusters_anchors(options):
        return None, []
    found = fit_anchors(training_shapes(data), anchor_count(options), seed=options.split_seed)
    sizes = ", ".join(f"{width:.0f}×{height:.0f}" for width, height in found.sizes.tolist())
    return found.sizes, [f"anchors of the training boxes: {sizes}; mean IoU {found.mean_iou:.3f}"]


def training_shapes(data: Data) -> Tensor:
    """``(n, 2)`` width and height of all training boxes in pixels at the training size."""
    shapes: Tensor = data.train.reader.source.shapes()  # type: ignore[attr-defined]
    return shapes


def _new_task(options: DetectOptions, classes: Sequence[str], anchors: Tensor | None) -> tuple[Detector, str]:
    """The untrained task, and what its weights were started from; the same seed gives the same weights."""
    with torch.random.fork_rng():
        torch.manual_seed(options.plan.seed)
        network = build(options, classes, anchors)
    started = start_from(network, options)
    return _task(options, network), started


def _task(options: DetectOptions, network: Network) -> Detector:
    scales = cast("tuple[Scale, ...]", network.module.scales)
    loss = YoloLoss(options.loss, scales, len(network.classes), ignore=options.ignore, class_gain=options.class_gain)
    return Detector(network, loss, suppression=options.suppression, overlap=options.usual_overlap)


def open_data(options: DetectOptions, data: str | None = None) -> Data:
    """The annotated images that options name, or ``data`` brought to the same form.

    Raises:
        InputError: there are none, or they cannot be used.
    """
    own = data is None
    return open_boxes(
        options.data if data is None else data, size=options.side, augment=options.augment if own else "none",
        seed=options.split_seed, images=options.images if own else None, sizes=options.sides if own else (),
    )  # fmt: skip


def run_options(run: Run) -> DetectOptions:
    """The options a run was trained with.

    Raises:
        InputError: its config is not one of ``detect``.
    """
    return DetectOptions.of(run.options("detect"))


def _kept_anchors(run: Run) -> Tensor | None:
    given = run.config.get("anchors")
    return None if given is None else torch.tensor([[float(width), float(height)] for width, height in given])


def load_detector(run: Run) -> Any:
    """The trained detector of a run, with its best weights, ready to predict.

    Raises:
        InputError: the run's files are missing, damaged or do not fit together.
    """
    options = run_options(run)
    with run.facts() as facts:
        classes = tuple(str(name) for name in facts["classes"])
        anchors = _kept_anchors(run)
        mean, std = ([float(value) for value in facts[name]] for name in ("mean", "std"))
    task: Any
    if options.model == "rcnn":
        task = _new_region_task(options, classes, mean, std)
    else:
        text = run.text(CFG) if is_darknet(options.model) else None
        task = _task(options, build(options, classes, anchors, config=text, fresh=False))
    run.fill(task)
    return task.eval().requires_grad_(False)


def published_detector(cfg: Path) -> Detector:
    """A detector as darknet's files describe it: ``NAME.cfg``, with ``NAME.weights`` beside it and maybe ``NAME.names``.

    Raises:
        InputError: a file is missing or damaged, or they do not belong together.
    """
    weights, names = cfg.with_suffix(".weights"), cfg.with_suffix(".names")
    if not weights.is_file():
        raise InputError(f"there is no '{weights}' beside '{cfg}': the weights go under the same name")
    network = published_network(cfg, weights, read_names(names) if names.is_file() else COCO)
    return Detector(network).eval().requires_grad_(False)
