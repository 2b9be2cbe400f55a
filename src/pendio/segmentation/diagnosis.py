"""Why a segmenter became what it is: rules over a run's curves, and over what its weights make of the data now."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pendio.data.annotations.records import IGNORED
from pendio.data.examples import Data, Split
from pendio.runs.diagnosis import STUCK, Diagnosis, Evidence, diagnose_curves
from pendio.runs.run import Run
from pendio.segmentation.metrics import confusion_matrix, scores

if TYPE_CHECKING:
    from pendio.segmentation.task import Segmenter

__all__ = ["MapProbe", "diagnose_map_curves", "diagnose_maps", "diagnose_segmenter", "probe"]

_LOOKED_AT = 512
"""Images of a split that are looked at."""

_BATCH = 16

_MOSTLY_IGNORED = 0.9
_RARE = 0.01
_POOR = 0.3
_SEEN_ENOUGH = 1e-5

_FITTING = {
    "overfitting": "--augment flip,scale,color --patience 5 --average ema",
    "underfitting": "--epochs 30 --width 32",
    "vanishing-gradients": "--model unet",
}
"""Kind of a finding of all tasks → the options that segmenters have for it."""


@dataclass(frozen=True)
class MapProbe:
    """What the best weights make of the data.

    Attributes:
        classes: names.
        train, val: confusion matrices ``(K, K)`` of (true, predicted) pixels.
        ignored: share of the training pixels that are ignored.
        weighted: whether rare classes weigh more in the loss.
    """

    classes: tuple[str, ...]
    train: Tensor
    val: Tensor
    ignored: float
    weighted: bool = False


def diagnose_map_curves(evidence: Evidence) -> list[Diagnosis]:
    """What a run's curves and gradients tell, before or after its end; empty where nothing went wrong."""
    return diagnose_curves(evidence, _FITTING, (_common_classes_alone, _past_its_best))


def _common_classes_alone(history: Sequence[Mapping[str, Any]]) -> Diagnosis | None:
    """Most pixels right, most classes wrong, and no longer moving."""
    if len(history) < 3 or not {"val_miou", "val_pixel_accuracy"} <= set(history[-1]):
        return None
    right, overlap, before = history[-1]["val_pixel_accuracy"], history[-1]["val_miou"], history[-3]["val_miou"]
    if right < 0.8 or overlap > 0.4 * right or overlap > before + 0.01:
        return None
    return Diagnosis(
        "class-imbalance",
        "The network knows the frequent classes alone: most pixels are right, most classes are not.",
        f"{right:.1%} of the validation pixels are right, but the mean intersection over union is {overlap:.3f}",
        "let rare classes weigh more, or learn from overlap, in which classes count alike",
        "--loss ce+dice --class-weights median-frequency",
    )


def _past_its_best(history: Sequence[Mapping[str, Any]]) -> Diagnosis | None:
    losses = [float(record["val_loss"]) for record in history if "val_loss" in record]
    if len(losses) < 5 or losses[-1] < 1.3 * min(losses) or history[-1]["loss"] > 0.8 * losses[-1]:
        return None
    best = losses.index(min(losses)) + 1
    return Diagnosis(
        "overfitting",
        "The network overfits: the loss on held-out images rises while that on training images falls.",
        f"validation loss {min(losses):.3g} in epoch {best}, {losses[-1]:.3g} at the end; training loss "
        f"{history[-1]['loss']:.3g}",
        "more data or augmentation, early stopping, averaging",
        _FITTING["overfitting"],
    )


def diagnose_segmenter(run: Run, task: "Segmenter", data: Data) -> list[Diagnosis]:
    """Why a run went as it did, the likeliest cause first; empty where nothing went wrong.

    Args:
        run: its folder.
        task: with the weights to look at.
        data: what it was trained on.

    Raises:
        InputError: the run's files are damaged.
    """
    found = diagnose_map_curves(Evidence(run.history(), run.layers()))
    if any(one.kind in STUCK for one in found):
        return found
    weighted = run.config.get("options", {}).get("class_weights", "none") != "none"
    known = {one.kind for one in found}
    return found + [one for one in diagnose_maps(probe(task, data, weighted)) if one.kind not in known]


@torch.no_grad()
def probe(task: "Segmenter", data: Data, weighted: bool = False) -> MapProbe:
    """Look at what the task makes of up to 512 images of the training and of the validation split each."""
    task = copy.deepcopy(task).cpu().eval()
    train, ignored = _confusion(task, data.train)
    val, _ = _confusion(task, data.val)
    return MapProbe(task.classes, train, val, ignored, weighted)


def _confusion(task: "Segmenter", split: Split) -> tuple[Tensor, float]:
    count = len(task.classes)
    confusion, skipped, pixels = torch.zeros(count, count, dtype=torch.long), 0, 0
    for places in torch.linspace(0, len(split) - 1, min(len(split), _LOOKED_AT)).long().unique().split(_BATCH):
        batch = split.take(places)
        if len(batch.targets):
            confusion += confusion_matrix(task.predict(batch.inputs), batch.targets, count)
            skipped += int((batch.targets == IGNORED).sum())
            pixels += batch.targets.numel()
    return confusion, skipped / max(1, pixels)


def diagnose_maps(probe: MapProbe) -> list[Diagnosis]:
    """What went wrong, by what the weights make of the data; empty where nothing did."""
    rules = (_ignored, _unseen, _never_predicted, _rare, _gap, _unlearnt)
    return [finding for rule in rules if (finding := rule(probe)) is not None]


def _names(probe: MapProbe, chosen: Tensor) -> str:
    names = [probe.classes[number] for number in chosen.nonzero()[:, 0].tolist()]
    return ", ".join(f"'{name}'" for name in names[:5]) + (" …" if len(names) > 5 else "")


def _ignored(probe: MapProbe) -> Diagnosis | None:
    if probe.ignored < _MOSTLY_IGNORED:
        return None
    return Diagnosis(
        "mostly-ignored",
        "Nearly all training pixels are ignored: there is hardly anything to learn from.",
        f"{probe.ignored:.1%} of the pixels of the masks looked at are 255, or lie outside of their image",
        "look whether 255 means a class in these masks; save them with class numbers 0, 1, 2, …",
        "--data",
    )


def _unseen(probe: MapProbe) -> Diagnosis | None:
    unseen = (probe.train.sum(1) == 0) & (probe.val.sum(1) > 0)
    if not unseen.any():
        return None
    return Diagnosis(
        "unseen-classes",
        "Classes of the held-out images do not occur in the training images.",
        f"{_names(probe, unseen)} in none of the training masks looked at",
        "split the images anew, or add training images of these classes",
        "--split-seed 1",
    )


def _never_predicted(probe: MapProbe) -> Diagnosis | None:
    """Classes that training saw and validation has, and that are named nowhere."""
    truth = probe.train.sum(1) + probe.val.sum(1)
    missing = (probe.train.sum(0) + probe.val.sum(0) == 0) & (probe.train.sum(1) > 0)
    if not missing.any():
        return None
    share = float(truth[missing].sum() / truth.sum())
    return Diagnosis(
        "never-predicted",
        "Classes are never predicted.",
        f"{_names(probe, missing)}: {share:.2%} of the pixels, not one of them found",
        "train longer, let rare classes weigh more, or learn from overlap, in which classes count alike",
        "--loss ce+dice" if probe.weighted else "--loss ce+dice --class-weights median-frequency",
    )


def _rare(probe: MapProbe) -> Diagnosis | None:
    """Rare classes that are found far worse than the others."""
    truth = probe.train.sum(1)
    share = truth / truth.sum().clamp(min=1)
    iou = scores(probe.val).iou
    rare = (share < _RARE) & (share > _SEEN_ENOUGH) & (iou < _POOR) & (probe.val.sum(0) > 0)
    common = (share >= _RARE) & ~iou.isnan()
    if probe.weighted or not rare.any() or not common.any() or float(iou[common].mean()) < 2 * float(iou[rare].mean()):
        return None
    return Diagnosis(
        "class-imbalance",
        "Rare classes are found far worse than frequent ones.",
        f"{_names(probe, rare)} have {float(share[rare].max()):.2%} of the training pixels or less each and a mean "
        f"intersection over union of {float(iou[rare].mean()):.3f}; the others have {float(iou[common].mean()):.3f}",
        "let rare classes weigh more, or learn from overlap, in which classes count alike",
        "--loss ce+dice --class-weights median-frequency",
    )


def _gap(probe: MapProbe) -> Diagnosis | None:
    known, new = scores(probe.train).miou, scores(probe.val).miou
    if known < 0.6 or known - new < 0.12:
        return None
    return Diagnosis(
        "overfitting",
        "The network overfits: it knows its training images much better than new ones.",
        f"mean intersection over union {known:.3f} on training images, {new:.3f} on validation images",
        "more data or augmentation, early stopping, averaging, a trained encoder",
        _FITTING["overfitting"],
    )


def _unlearnt(probe: MapProbe) -> Diagnosis | None:
    known, new = scores(probe.train).miou, scores(probe.val).miou
    if known > 0.6 or known - new > 0.1:
        return None
    return Diagnosis(
        "underfitting",
        "The network underfits: it does not even know its training images.",
        f"mean intersection over union {known:.3f} on training images, {new:.3f} on validation images",
        "more epochs, a wider network, a trained encoder, larger images",
        _FITTING["underfitting"],
    )
