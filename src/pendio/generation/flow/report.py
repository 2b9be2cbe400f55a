"""The report on a normalising flow: what it makes, how likely it finds held-out examples, and how training went."""

import torch

from pendio.data.examples import Data
from pendio.descent.loop import evaluate
from pendio.descent.report import about_data, closing, draw_training
from pendio.generation.examples import spaced
from pendio.generation.flow.diagnosis import diagnose_probe, probe
from pendio.generation.flow.pictures import density_plane, draw_density
from pendio.generation.flow.task import Flow
from pendio.nn.network import unit_range
from pendio.pictures.tiles import tiled
from pendio.runs.page import Picture, Section, Table, write_page
from pendio.runs.run import REPORT, Run

__all__ = ["write_report"]

_SHOWN = 64
_ROW = 12
_LOOKED_AT = 1024

_CAPTIONS = {
    "samples": "Samples at temperature 1.",
    "cool": "Samples at temperature 0.7: less various, more typical.",
    "extremes": "Held-out images: the likeliest above, the least likely below.",
    "density": "The density around the data, with its integral over the plane shown, beside data and samples.",
    "curves": "Loss, and negative log-likelihood of validation examples; the dotted line marks the evaluation whose weights "
    "were kept.",
}


def write_report(run: Run, task: Flow, data: Data) -> None:
    """Write ``report.html`` and its pictures into the run folder.

    Args:
        run: its folder.
        task: with the weights to report on.
        data: what it was trained on.
    """
    task.to("cpu").eval()
    split = data.split("test")
    metrics = evaluate(task, split)
    seen = probe(task, data)
    pictures = draw_training(run, "nll" if task.pixels is None else "bpd") | _draw(task, data)
    run.write_pictures(pictures)
    shown = [Picture(pictures[name], caption) for name, caption in _CAPTIONS.items() if name in pictures]
    text = "loss in nats a dimension, nll in nats an example"
    if task.pixels is not None:
        text += f", bpd in bits a dimension of {task.pixels.levels} grey levels"
    looks = [("largest error of the inverse", seen.inverse_error), ("largest stretch of a small step", seen.stretch),
             ("rounding of the log-determinant, nats a dimension", seen.drift),
             ("training above validation, nats a dimension", seen.gap)]  # fmt: skip
    tables = [Table(("metric", "held out"), list(metrics.items())), Table(("of the flow", "measured"), looks)]
    results = Section("Results", f"{text}.", tables=tables, pictures=shown)
    use = Section("Use it", code=f"pendio sample {run.folder} -n 64\npendio latent interpolate {run.folder} …")
    score = f"{metrics['nll']:.4g} nats" if task.pixels is None else f"{metrics['bpd']:.4g} bits per dimension"
    subtitle = f"{data.name}: {score} on {len(split)} held-out examples"
    ending = closing(run, pictures, diagnose=lambda evidence: [*task.diagnose(evidence), *diagnose_probe(seen)])
    labels = "" if task.classes else ", their labels unused"
    write_page(
        run.folder / REPORT, run.folder.name, subtitle, [results, use, about_data(data, labels), *ending]
    )  # fmt: skip


def _draw(task: Flow, data: Data) -> dict[str, bytes]:
    generator = torch.Generator().manual_seed(0)
    split = data.split("test")
    if task.pixels is None:
        if task.dimensions != 2:
            return {}
        points = spaced(data.train, _LOOKED_AT).inputs
        made = task.sample(len(points), generator=generator)
        return {"density": draw_density(density_plane(task, points), points, made)}
    held = spaced(split, _LOOKED_AT)
    order = task.log_prob(held.inputs, held.targets if task.classes else None).argsort(descending=True)
    ends = torch.cat([order[:_ROW], order[-_ROW:]])
    labels = torch.arange(_SHOWN) % len(task.classes) if task.classes else None
    return {
        "samples": tiled(task.sample(_SHOWN, generator=generator, labels=labels)),
        "cool": tiled(task.sample(_SHOWN, generator=generator, labels=labels, temperature=0.7)),
        "extremes": tiled(unit_range(held.inputs[ends]), columns=_ROW),
    }
