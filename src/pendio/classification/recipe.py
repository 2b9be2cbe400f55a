"""Training a classifier from options, and taking up a trained one again."""

import dataclasses
from pathlib import Path

import torch

import pendio.data
from pendio.classification.evaluation import write_report
from pendio.classification.models import LITE0, MODELS, build, preprocessing, pretrained
from pendio.classification.options import Classify
from pendio.classification.robust import Adversary
from pendio.classification.task import Classifier
from pendio.data.examples import Data, Resident, Split
from pendio.descent.classes import balanced_weights
from pendio.descent.devices import launch, leave_processes
from pendio.descent.finder import Search
from pendio.descent.finder import find_lr as search_lr
from pendio.descent.loop import fit
from pendio.errors import InputError, did_you_mean
from pendio.nn.network import Network
from pendio.options import saved
from pendio.runs.run import Run, next_folder

__all__ = ["classify", "find_lr", "load_classifier", "open_data", "run_options", "trained_network"]

_CACHE_BYTES = 4 << 30
"""Largest set of features that is kept in memory to train a head on."""


def classify(options: Classify, progress: bool = True) -> Run:
    """Train a classifier and write its report.

    Args:
        options: what to train, on what, and how.
        progress: show how it goes on standard error.

    Raises:
        InputError: an option does not fit the data or the model; the message says which.
    """
    data = open_data(options)
    if options.adversarial and data.kind != "images":
        raise InputError(f"--adversarial is for images, and '{options.data}' has none")
    task = _new_task(options, data)
    config = {"recipe": "classify", "options": saved(options), "data": data.describe()}
    out = Path(options.out) if options.out else next_folder("classify", options.data)
    examples = data
    changing = data.augmented or options.adversarial
    if options.freeze and not changing and _features_fit(data, task):
        examples = _cache_features(task, data, launch(options.plan).device)
        task.takes_features = True
    notes = [f"noticed: {finding.message}" for finding in data.findings]
    run = fit(task, examples, options.plan, out, options.resume, config=config, notes=notes, progress=progress)
    task.takes_features = False
    if leave_processes():
        write_report(run, task, data)
    return run


def _new_task(options: Classify, data: Data) -> Classifier:
    """The untrained task; the same seed gives the same weights."""
    with torch.random.fork_rng():
        torch.manual_seed(options.plan.seed)
        network = build(
            options.model,
            data.shape,
            data.mean,
            data.std,
            data.classes,
            dropout=options.plan.dropout,
            pretrained=options.pretrained,
            weights=options.weights,
        )
    return Classifier(
        network,
        label_smoothing=options.label_smoothing,
        class_weights=_balanced(data) if options.class_weights == "balanced" else None,
        tuned_stages=0 if options.freeze else options.tune,
        body_lr=options.body_lr or (0.1 if options.trained_body else 1.0),
        adversary=Adversary(options.adversarial, options.adversarial_steps) if options.adversarial else None,
    )


def find_lr(options: Classify) -> Search:
    """A learning rate for what ``options`` would train.

    Raises:
        InputError: an option does not fit, or the loss does not fall at any rate.
    """
    data = open_data(options)
    with torch.random.fork_rng():
        torch.manual_seed(options.plan.seed)
        return search_lr(_new_task(options, data), data, options.plan)


def open_data(options: Classify, data: str | None = None) -> Data:
    """The data that options name, or ``data`` brought to the same form."""
    named = options.data if data is None else data
    size, crop = options.size, 1.0
    if options.model not in MODELS:
        form = preprocessing(options.model)
        size, crop = size or form.size, form.crop
    return pendio.data.open(
        named, size=size, crop=crop, augment=options.augment if data is None else "none", target=options.target,
        seed=options.split_seed,
    )  # fmt: skip


def _balanced(data: Data) -> list[float]:
    """Weight of each class, as if all were equally frequent."""
    if not data.class_counts:
        raise InputError(f"--class-weights balanced: the classes of '{data.name}' have not been counted")
    return balanced_weights(data.class_counts)


def _features_fit(data: Data, task: Classifier) -> bool:
    return len(data.train) * task.head.in_features * 4 <= _CACHE_BYTES


@torch.no_grad()
def _features(task: Classifier, split: Split, device: torch.device) -> Resident:
    parts, targets = [], []
    for batch in split.batches(64):
        parts.append(task.features(batch.inputs.to(device)).cpu())
        targets.append(batch.targets)
    return Resident(torch.cat(parts).clone(), torch.cat(targets).clone())


def _cache_features(task: Classifier, data: Data, device: torch.device) -> Data:
    """The data with what the frozen body makes of it as inputs, computed once instead of every epoch."""
    task.to(device).to(memory_format=torch.channels_last).eval()
    return dataclasses.replace(
        data, train=_features(task, data.train, device), val=_features(task, data.val, device), test=None
    )


def run_options(run: Run) -> Classify:
    """The options a run was trained with.

    Raises:
        InputError: its config is not one of ``classify``.
    """
    return Classify.of(run.options("classify"))


def load_classifier(run: Run) -> Classifier:
    """The trained classifier of a run, with its best weights, ready to predict.

    Raises:
        InputError: the run's files are missing, damaged or do not fit together.
    """
    options = run_options(run)
    with run.facts() as facts:
        shape, mean, std, classes = (list(facts[name]) for name in ("shape", "mean", "std", "classes"))
        network = build(options.model, shape, mean, std, classes, pretrained=False)
    task = Classifier(network)
    run.fill(task)
    return task.eval().requires_grad_(False)


def trained_network(name: str | Path, weights: str | None = None) -> Network:
    """A classifier's network: of a run folder, or a published one.

    Args:
        name: a run folder, "efficientnet-lite0", "timm:NAME" or "torchvision:NAME".
        weights: a .safetensors file, or a .pt file of tensors alone, to use instead of the published weights.

    Raises:
        InputError: there is none, or it is damaged.
    """
    if Path(name).is_dir():
        return load_classifier(Run.open(name)).network
    text = str(name)
    if text in MODELS:
        raise InputError(f"'{text}' is a form without weights; train it first: pendio train classify --model {text}")
    if text != LITE0 and ":" not in text:
        known = did_you_mean(text, [LITE0, "timm:NAME", "torchvision:NAME"])
        raise InputError(f"there is no run folder and no network '{text}'; {known}")
    return pretrained(text, weights)
