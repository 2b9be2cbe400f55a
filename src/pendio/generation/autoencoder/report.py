"""The report on an autoencoder: what it makes of examples, what it calls strange, and how training went."""

import torch
from torch import Tensor

from pendio.data.examples import Data
from pendio.descent.loop import evaluate
from pendio.descent.report import about_data, closing, draw_training
from pendio.generation.autoencoder.diagnosis import diagnose_codes
from pendio.generation.autoencoder.pictures import draw_scores, heated
from pendio.generation.autoencoder.task import Autoencoder
from pendio.generation.examples import spaced
from pendio.runs.diagnosis import Diagnosis, Evidence, diagnose
from pendio.runs.page import Picture, Section, Table, write_page
from pendio.runs.run import REPORT, Run

__all__ = ["write_report"]

_BESIDE = 12
_SCORED = 4096

_CAPTIONS = {
    "reconstructions": "Held-out images, what was done to them where the network shall undo it, and what it gives.",
    "strangest": "The strangest held-out images, their reconstructions, and where they differ.",
    "scores": "Scores of held-out examples; the line is the threshold, set on other normal ones.",
    "curves": "Loss in training, and on validation examples; the dotted line marks the evaluation whose weights were kept.",
}


def write_report(run: Run, task: Autoencoder, data: Data) -> None:
    """Write ``report.html`` and its pictures into the run folder.

    Args:
        run: its folder.
        task: with the weights to report on.
        data: what it was trained on.
    """
    task.to("cpu").eval()
    split = data.split("test")
    metrics = evaluate(task, split)
    held = spaced(split, _SCORED)
    scores = task.strangeness(held.inputs)
    strange = torch.zeros(len(scores), dtype=torch.bool) if task.normal is None else held.targets != task.normal
    pictures = draw_training(run, "loss") | {"scores": draw_scores(scores, strange, float(task.threshold))}
    pictures |= _draw(task, held.inputs, scores)
    run.write_pictures(pictures)
    shown = [Picture(pictures[name], caption) for name, caption in _CAPTIONS.items() if name in pictures]
    text = (
        f"Codes have {task.latent[0]} dimensions. An example is an anomaly if its score, the mean squared error of its "
    )
    text += f"reconstruction, is above {float(task.threshold):.4g}."
    results = Section("Results", text, tables=[Table(("metric", "held out"), list(metrics.items()))], pictures=shown)
    use = Section("Use it", code=f"pendio predict {run.folder} IMAGE_OR_FOLDER\npendio latent interpolate {run.folder}")
    normal = "" if task.normal is None else f", of which '{data.classes[task.normal]}' alone was learned from"

    def found(evidence: Evidence) -> list[Diagnosis]:
        return diagnose(evidence) + diagnose_codes(task, data)

    sections = [results, use, about_data(data, normal), *closing(run, pictures, diagnose=found)]
    subtitle = f"{data.name}: mean squared error {metrics['mse']:.4g} on held-out examples"
    write_page(run.folder / REPORT, run.folder.name, subtitle, sections)


def _draw(task: Autoencoder, inputs: Tensor, scores: Tensor) -> dict[str, bytes]:
    if not task.is_image:
        return {}
    strangest = inputs[scores.argsort(descending=True)[:_BESIDE]]
    few = task.prepare(inputs[:_BESIDE])
    return {
        "reconstructions": task.beside(few),
        "strangest": heated(task.prepare(strangest), task.predict(strangest), task.heatmaps(strangest)),
    }
