"""The report on a segmenter: how training went, what is met and what is not, and where."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pendio.data.annotations.keeping import image_name
from pendio.data.examples import Data, Split
from pendio.descent.report import about_data, closing, draw_training
from pendio.pictures.confusion import draw_confusion
from pendio.pictures.masks import draw_masks
from pendio.runs.page import Picture, Section, Table, write_page
from pendio.runs.run import REPORT, Run
from pendio.segmentation.diagnosis import diagnose_map_curves
from pendio.segmentation.metrics import confusion_matrix, scores
from pendio.segmentation.task import Segmenter

__all__ = ["Ranked", "class_table", "ranked", "write_report"]

_SHOWN = 6
_BATCH = 16


class Ranked(NamedTuple):
    """How an image fared: its place in the split, and its mean intersection over union."""

    place: int
    miou: float


def ranked(task: Segmenter, split: Split) -> list[Ranked]:
    """The images of a split from the worst to the best; those of which every pixel is ignored are left out.

    The task takes them in on the way, so that its metrics can be asked for next.
    """
    found = []
    for batch in split.batches(_BATCH):
        rows = zip(batch.indices.tolist(), task.judged(batch), batch.targets, strict=True)
        for place, predicted, truth in rows:
            confusion = confusion_matrix(predicted, truth, len(task.classes))
            if confusion.any():
                found.append(Ranked(place, scores(confusion).miou))
    return sorted(found, key=lambda one: (one.miou, one.place))


def class_table(task: Segmenter) -> Table:
    """What was measured last, class by class."""
    truth = task.last["confusion"].sum(1).double()
    rows = [
        (name, _or_none(iou), _or_none(edge), f"{share:.2%}")
        for name, iou, edge, share in zip(
            task.classes, task.last["iou"].tolist(), task.last["class_boundary_f1"].tolist(),
            (truth / truth.sum().clamp(min=1)).tolist(), strict=True,
        )
    ]  # fmt: skip
    return Table(("class", "intersection over union", "boundary F1", "share of pixels"), rows)


def _or_none(value: float) -> float | str:
    return "–" if math.isnan(value) else value


def write_report(run: Run, task: Segmenter, data: Data) -> None:
    """Write ``report.html`` and its pictures into the run folder.

    Args:
        run: its folder.
        task: with the weights to report on.
        data: what it was trained on.
    """
    task.to("cpu").eval()
    split = data.split("test")
    order = ranked(task, split)
    metrics = task.metrics()
    pictures = draw_training(run, "miou")
    pictures["confusion"] = draw_confusion(_per_thousand(task.last["confusion"]), task.classes)
    middle = max(0, len(order) // 2 - _SHOWN // 2)
    for name, chosen in (("worst", order[:_SHOWN]), ("middle", order[middle : middle + _SHOWN])):
        if chosen:
            pictures[name] = _draw(task, split, chosen)
    every = max(1, len(data.train) // _SHOWN)
    sample = data.train.take(torch.arange(0, len(data.train), every)[:_SHOWN])
    pictures["data"] = draw_masks(
        list(sample.inputs), list(sample.targets), None, [""] * len(sample.inputs), task.classes
    )
    run.write_pictures(pictures)
    shown = {name: Picture(png, _CAPTIONS[name]) for name, png in pictures.items() if name in _CAPTIONS}
    sections = [
        Section("Results", tables=[Table(("metric", "test"), list(metrics.items()))], pictures=_some(shown, "curves")),
        Section("Predictions", pictures=_some(shown, "worst", "middle")),
        Section("Classes", tables=[class_table(task)], pictures=_some(shown, "confusion")),
        Section("Use it", code=f"pendio predict {run.folder} IMAGE_OR_FOLDER_OR_VIDEO … --out FOLDER"),
        about_data(data, f" in {len(data.classes)} classes", _some(shown, "data")),
        *closing(run, pictures, "  # looks at masks and predictions too", diagnose=diagnose_map_curves),
    ]
    model = str(run.config.get("options", {}).get("model", "model"))
    subtitle = f"{model} on {data.name}: mean intersection over union {metrics['miou']:.4f} on {len(split)} test images"
    write_page(run.folder / REPORT, run.folder.name, subtitle, sections)


def _per_thousand(confusion: Tensor) -> Tensor:
    """Shares of each true class: of counts in the millions there is nothing to read."""
    counts = confusion.double()
    return (1000 * counts / counts.sum(1, keepdim=True).clamp(min=1)).round().long()


def _draw(task: Segmenter, split: Split, chosen: Sequence[Ranked]) -> bytes:
    by_place = {one.place: one.miou for one in chosen}
    batch = split.take(torch.tensor(list(by_place)))
    captions = [
        f"{image_name(split, place)[-40:]}: {by_place[place]:.3f}" for place in batch.indices.tolist()
    ]  # fmt: skip
    return draw_masks(list(batch.inputs), list(batch.targets), list(task.predict(batch.inputs)), captions, task.classes)


def _some(pictures: dict[str, Picture], *names: str) -> list[Picture]:
    return [pictures[name] for name in names if name in pictures]


_CAPTIONS = {
    "curves": "Loss, and mean intersection over union on validation images; the dotted line marks the evaluation whose "
    "weights were kept.",
    "worst": "The test images with the least mean intersection over union.",
    "middle": "Test images in the middle: half of the others are worse.",
    "confusion": "Of a thousand pixels of each true class in the test images, how many were taken for which.",
    "data": "Training images, before augmentation, and their masks.",
}
