"""``pendio.train`` and ``pendio.load``: a recipe or a trained thing by its name; and what is asked of any run."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pendio.errors import InputError, did_you_mean
from pendio.generation.names import GENERATORS
from pendio.nn.network import Network
from pendio.presets import preset
from pendio.reinforcement.presets import AGENTS
from pendio.runs.diagnosis import Diagnosis, Evidence
from pendio.runs.diagnosis import diagnose as find
from pendio.runs.run import Run

if TYPE_CHECKING:
    from torch import nn

    from pendio.data.examples import Data
    from pendio.runs.export import Export

__all__ = [
    "GENERATORS",
    "SEEING",
    "SEQUENCES",
    "TASKS",
    "blank",
    "diagnose",
    "export",
    "load",
    "network",
    "opened",
    "report",
    "train",
]

SEQUENCES = ("language", "translate", "tag")
"""Tasks on sequences."""

SEEING = ("segment", "detect")
"""Tasks on what is where in images."""

TASKS = ("classify", *SEEING, *GENERATORS, "restyle", *SEQUENCES, *AGENTS)


def train(task: str, progress: bool = True, **options: Any) -> Run:
    """Train, as ``pendio train TASK`` does.

    Args:
        task: one of ``pendio list tasks``.
        progress: show how it goes on standard error.
        options: those of the command line, with underscores: ``data="digits", epochs=10, lr=1e-3``.

    Raises:
        InputError: the task or an option is unknown or unfit.
    """
    if task not in TASKS:
        raise InputError(f"unknown task '{task}': {did_you_mean(task, TASKS)}")
    options = {**preset(task, options)[1], **options}
    if task in AGENTS:
        from pendio.reinforcement.recipe import KINDS, train_agent

        return train_agent(task, KINDS[task].of(options), progress)
    if task in SEQUENCES:
        return _train_on_sequences(task, options, progress)
    if task in GENERATORS:
        from pendio.generation.rooms import room

        return room(task).train(options, progress)
    if task == "segment":
        from pendio.segmentation.options import SegmentOptions
        from pendio.segmentation.recipe import segment

        return segment(SegmentOptions.of(options), progress)
    if task == "detect":
        from pendio.detection.options import DetectOptions
        from pendio.detection.recipe import detect

        return detect(DetectOptions.of(options), progress)
    if task == "restyle":
        from pendio.restyling.options import RestyleOptions
        from pendio.restyling.recipe import restyle

        return restyle(RestyleOptions.of(options), progress)
    from pendio.classification.options import Classify
    from pendio.classification.recipe import classify

    return classify(Classify.of(options), progress)


def _train_on_sequences(task: str, options: dict[str, Any], progress: bool) -> Run:
    if task == "language":
        from pendio.sequences.language.options import LanguageOptions
        from pendio.sequences.language.recipe import language

        return language(LanguageOptions.of(options), progress)
    if task == "translate":
        from pendio.sequences.translation.options import TranslateOptions
        from pendio.sequences.translation.recipe import translate

        return translate(TranslateOptions.of(options), progress)
    from pendio.sequences.tagging.options import TagOptions
    from pendio.sequences.tagging.recipe import tag

    return tag(TagOptions.of(options), progress)


def load(name: str | Path, weights: str | None = None) -> Any:
    """A trained task from its run folder, or a published network by its name.

    Args:
        name: a run folder, "efficientnet-lite0", "timm:NAME" or "torchvision:NAME", or a darknet .cfg file with its .weights
            beside it.
        weights: a .safetensors file, or a .pt file of tensors alone, to use instead of the published weights.

    Raises:
        InputError: there is none, or it is damaged.
    """
    from pendio.classification.recipe import load_classifier, trained_network

    if str(name).endswith(".cfg"):
        from pendio.detection.recipe import published_detector

        return published_detector(Path(name))
    if not Path(name).is_dir():
        return trained_network(name, weights)
    run = Run.open(name)
    if run.recipe in AGENTS:
        from pendio.reinforcement.recipe import load_agent

        return load_agent(run)
    if run.recipe in GENERATORS:
        from pendio.generation.rooms import room

        return room(run.recipe).load(run)
    if run.recipe == "segment":
        from pendio.segmentation.recipe import load_segmenter

        return load_segmenter(run)
    if run.recipe == "detect":
        from pendio.detection.recipe import load_detector

        return load_detector(run)
    if run.recipe in SEQUENCES:
        from pendio.sequences.loading import load_run

        return load_run(run)
    if run.recipe == "restyle":
        from pendio.restyling.recipe import load_restyler

        return load_restyler(run)
    return load_classifier(run)


def opened(run: Run, data: str | None = None) -> "tuple[Any, Data]":
    """The trained task of a run on images or tables, able to be measured, and what it was trained on.

    Args:
        run: of classify, segment, detect, restyle or a generative task.
        data: other data, brought to the same form.

    Raises:
        InputError: the run or the data is damaged or gone.
    """
    if run.recipe in GENERATORS:
        from pendio.generation.rooms import room

        found = room(run.recipe)
        task, examples = found.load(run), found.open_data(run, data)
        if tuple(task.shape) != tuple(examples.shape):
            shapes = ["×".join(map(str, shape)) for shape in (examples.shape, task.shape)]
            raise InputError(f"'{examples.name}' has examples of {shapes[0]}, and the run learned from such of {shapes[1]}; "
                             "give data of the same form")  # fmt: skip
        return task, examples
    if run.recipe == "segment":
        from pendio.segmentation import recipe as segmentation

        return segmentation.load_segmenter(run), segmentation.open_data(segmentation.run_options(run), data)
    if run.recipe == "detect":
        from pendio.detection import recipe as detection

        return detection.load_detector(run), detection.open_data(detection.run_options(run), data)
    if run.recipe == "restyle":
        from pendio.restyling import recipe as restyling

        return restyling.load_restyler(run, judging=True), restyling.open_data(restyling.run_options(run), data)
    from pendio.classification.recipe import load_classifier, open_data, run_options

    return load_classifier(run), open_data(run_options(run), data)


def network(name: str | Path, weights: str | None = None) -> Network:
    """The network of a run or a published one; ``weights`` as for :func:`load`.

    Raises:
        InputError: as for :func:`load`, or the task has no single network.
    """
    loaded = load(name, weights)
    if isinstance(name, str | Path) and Path(name).is_dir() and Run.open(name).recipe in AGENTS:
        from pendio.reinforcement.prediction import network_of

        return network_of(loaded)
    found = loaded if isinstance(loaded, Network) else getattr(loaded, "network", None)
    if not isinstance(found, Network):
        raise InputError(f"'{name}' is a run of 'train {Run.open(name).recipe}', whose network has no classes; "
                         "give a run of 'train classify'")  # fmt: skip
    return found


def export(name: str, to: 'Export | Literal["darknet"]', path: Path) -> float:
    """Write a network to a file for other programs, as ``pendio export`` does.

    Args:
        name: as for :func:`load`.
        to: "onnx", "torch-export", "safetensors" or "darknet".
        path: the file.

    Returns:
        The largest difference between what the file computes and what the network does.

    Raises:
        InputError: as for :func:`load`, or the network has no such form.
    """
    from pendio.detection.task import Detector
    from pendio.runs.export import export as write
    from pendio.segmentation.task import Segmenter

    loaded = load(name)
    if isinstance(loaded, Detector):
        from pendio.detection.export import export_detector

        return export_detector(loaded, to, path)
    if to == "darknet":
        raise InputError(f"--to darknet is for detectors with darknet's layers, and '{name}' is none")
    found = loaded.network if isinstance(loaded, Segmenter) else network(name)
    return write(found, found.shape, to, path)


def blank(name: str, shape: Sequence[int] | None) -> "tuple[nn.Module, tuple[int, ...]]":
    """A network to count, with random weights, and the shape of its input.

    Args:
        name: of a classifier, "yolov3", "yolov3-tiny", "darknet53" or a darknet .cfg file.
        shape: of an input; None for the network's own.

    Raises:
        InputError: the name is unknown, or the file is damaged.
    """
    from pendio.classification.models import blank as blank_classifier
    from pendio.detection.darknet.catalogue import DETECTORS, darknet53

    known = {**DETECTORS, "darknet53": darknet53}
    if name not in known and not name.endswith(".cfg"):
        return blank_classifier(name, shape)
    import torch

    from pendio.detection.darknet.cfg import read_cfg
    from pendio.detection.darknet.network import DarknetNetwork

    config = known[name]() if name in known else read_cfg(Path(name))
    with torch.device("meta"):
        module = DarknetNetwork(config)
    return module, (config.net.channels, config.net.height, config.net.width)


def report(folder: str | Path, env: str | None = None) -> Run:
    """Rebuild the report of a run, as ``pendio report`` does; ``env`` as for :func:`pendio.reinforcement.recipe.load_agent`.

    Raises:
        InputError: there is no run, its files are damaged, or its data is gone.
    """
    run = Run.open(folder)
    if run.recipe in AGENTS:
        from pendio.reinforcement.recipe import load_agent
        from pendio.reinforcement.report import write_report as write_played

        write_played(run, load_agent(run, env))
        return run
    if env is not None:
        raise InputError(f"--env is for runs of agents, and '{folder}' is one of 'train {run.recipe}'")
    if run.recipe in SEQUENCES:
        from pendio.sequences.loading import rebuild_report

        rebuild_report(run)
        return run
    task, data = opened(run)
    if run.recipe in GENERATORS:
        from pendio.generation.rooms import room

        room(run.recipe).write_report(run, task, data)
    elif run.recipe == "segment":
        from pendio.segmentation.report import write_report as write_segmented

        write_segmented(run, task, data)
    elif run.recipe == "detect":
        from pendio.detection.report import write_report as write_detected

        write_detected(run, task, data)
    elif run.recipe == "restyle":
        from pendio.restyling.recipe import run_options, style_image
        from pendio.restyling.report import write_report as write_restyled

        write_restyled(run, task, data, style_image(run_options(run), task.restyler.channels))
    else:
        from pendio.classification.evaluation import write_report

        write_report(run, task, data)
    return run


def diagnose(folder: str | Path) -> list[Diagnosis]:
    """Why training went as it did, as ``pendio diagnose`` does; empty where nothing went wrong.

    Raises:
        InputError: as for :func:`report`.
    """
    run = Run.open(folder)
    if run.recipe in AGENTS:
        from pendio.reinforcement.diagnosis import diagnose_run

        return diagnose_run(run)
    if run.recipe in SEQUENCES:
        from pendio.sequences.loading import diagnose_run as diagnose_sequences

        return diagnose_sequences(run)
    if run.recipe == "restyle":
        # Nothing is right or wrong here: what there is to look at are the curves and the gradients.
        return find(Evidence(run.history(), run.layers()))
    task, data = opened(run)
    if run.recipe in GENERATORS:
        from pendio.generation.rooms import room

        return room(run.recipe).diagnose(run, task, data)
    if run.recipe == "segment":
        from pendio.segmentation.diagnosis import diagnose_segmenter

        return diagnose_segmenter(run, task, data)
    if run.recipe == "detect":
        from pendio.detection.diagnosis import diagnose_trained

        return diagnose_trained(run, task, data)
    from pendio.classification.diagnosis import diagnose_classifier

    return diagnose_classifier(run, task, data)
