"""The report on a restyler: how training went, and held-out images before and after."""

import torch
from torch import Tensor

from pendio.data.examples import Data
from pendio.descent.loop import evaluate
from pendio.descent.report import about_data, closing, draw_training
from pendio.pictures.grids import draw_grid
from pendio.pictures.png import image_png
from pendio.restyling.task import Restyle
from pendio.runs.page import Picture, Section, Table, write_page
from pendio.runs.run import REPORT, Run

__all__ = ["write_report"]

_SHOWN = 6


def write_report(run: Run, task: Restyle, data: Data, style: Tensor) -> None:
    """Write ``report.html`` and its pictures into the run folder.

    Args:
        run: its folder.
        task: with the weights to report on, able to judge.
        data: what it was trained on.
        style: ``(1, C, h, w)`` as it was seen.
    """
    task.to("cpu").eval()
    split = data.split("test")
    metrics = evaluate(task, split, batch=8)
    every = max(1, len(split) // _SHOWN)
    before = split.take(torch.arange(0, len(split), every)[:_SHOWN]).inputs
    after = task.predict(before)
    originals = before.float() / 255 if before.dtype == torch.uint8 else before
    both = torch.cat([originals.expand_as(after), after])
    captions = ["before"] * len(after) + ["after"] * len(after)
    pictures = draw_training(run, "style") | {
        "style": image_png(style[0]), "restyled": draw_grid(both, captions, columns=len(after)),
    }  # fmt: skip
    run.write_pictures(pictures)
    shown = {name: Picture(pictures[name], caption) for name, caption in _CAPTIONS.items() if name in pictures}
    results = Section(
        "Results",
        tables=[Table(("metric", "held out"), list(metrics.items()))],
        pictures=[shown[name] for name in ("restyled", "style", "curves") if name in shown],
    )
    use = Section("Use it", code=f"pendio predict {run.folder} IMAGE_OR_FOLDER_OR_VIDEO … --out FOLDER")
    style_name = str(run.config.get("options", {}).get("style", "a style"))
    subtitle = f"the style of {style_name} on {data.name}: loss {metrics['loss']:.4g} on {len(split)} held-out images"
    sections = [results, use, about_data(data, ", their labels unused"), *closing(run, pictures)]
    write_page(run.folder / REPORT, run.folder.name, subtitle, sections)


_CAPTIONS = {
    "restyled": "Held-out images before and after.",
    "style": "The style, at the size at which it was seen.",
    "curves": "Loss, and how far the Gram matrices of restyled validation images are from the style's; the dotted line "
    "marks the evaluation whose weights were kept.",
}
