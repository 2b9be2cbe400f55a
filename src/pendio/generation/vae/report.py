"""The report on a variational autoencoder: what it makes, what its codes carry, and how training went."""

import torch
from torch import Tensor

from pendio.data.examples import Data
from pendio.descent.loop import evaluate
from pendio.descent.report import about_data, closing, draw_training
from pendio.generation.examples import spaced
from pendio.generation.pictures import draw_points
from pendio.generation.vae.diagnosis import CodeProbe, diagnose_all, probe
from pendio.generation.vae.evidence import iwae
from pendio.generation.vae.pictures import draw_dimensions, plane_codes
from pendio.generation.vae.task import Vae
from pendio.pictures.tiles import beside, tiled
from pendio.runs.page import Picture, Section, Table, write_page
from pendio.runs.run import REPORT, Run

__all__ = ["write_report"]

_SHOWN = 64
_BESIDE = 12
_WEIGHED = 256
"""Held-out examples whose log-likelihood is estimated."""

_DRAWS = 64
_PLANE = 15

_CAPTIONS = {
    "samples": "Samples: the means of codes drawn from the prior.",
    "second-stage": "Samples of the second stage: the means of codes drawn from the mixture fitted to the codes.",
    "reconstructions": "Held-out images above their reconstructions from mean codes.",
    "points": "The first two features of training examples, and of as many samples.",
    "plane": "The latent plane, in equal shares of the prior.",
    "dimensions": "What each latent dimension carries, beside what a linear VAE would let it carry.",
    "curves": "Loss, and the bound on the log-likelihood of validation examples; the dotted line marks the evaluation whose "
    "weights were kept.",
}


def write_report(run: Run, task: Vae, data: Data) -> None:
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
    held = spaced(split, _WEIGHED).inputs
    metrics["log_likelihood"] = float(iwae(task, held, _DRAWS, generator=torch.Generator().manual_seed(0)).mean())
    pictures = draw_training(run, "elbo") | _draw(task, data, held, seen)
    run.write_pictures(pictures)
    shown = [Picture(pictures[name], caption) for name, caption in _CAPTIONS.items() if name in pictures]
    text = (
        f"All in nats an example but the mean squared error and the number of latent dimensions in use, of {task.latent[0]}."
        f" The log-likelihood is an importance-weighted estimate of {_DRAWS} codes each, of {len(held)} examples"
        f"{'' if task.is_image else ', in the units of the data'}."
    )
    results = Section("Results", text, tables=[Table(("metric", "held out"), list(metrics.items()))], pictures=shown)
    use = Section("Use it", code=f"pendio sample {run.folder} -n 64\npendio latent interpolate {run.folder} …")
    subtitle = f"{data.name}: bound on the log-likelihood {metrics['elbo']:.4g} nats on {len(split)} held-out examples"
    ending = closing(run, pictures, diagnose=lambda evidence: diagnose_all(evidence, seen))
    sections = [results, use, about_data(data, ", their labels unused"), *ending]
    write_page(run.folder / REPORT, run.folder.name, subtitle, sections)


def _draw(task: Vae, data: Data, held: Tensor, seen: CodeProbe) -> dict[str, bytes]:
    pictures = {"dimensions": draw_dimensions(seen.divergences.tolist(), seen.predicted)}
    generator = torch.Generator().manual_seed(0)
    if not task.is_image:
        real = spaced(data.train, 1024).inputs
        if task.shape[0] > 1:
            pictures["points"] = draw_points(real, task.sample(len(real), generator=generator))
        return pictures
    pictures["samples"] = tiled(task.decode(task.prior_codes(_SHOWN, generator)))
    if task.second_stage is not None:
        pictures["second-stage"] = tiled(task.sample(_SHOWN, generator=generator))
    few = held[:_BESIDE]
    pictures["reconstructions"] = beside(task.prepare(few), task.predict(few))
    if task.latent == (2,):
        pictures["plane"] = tiled(task.decode(plane_codes(_PLANE)), columns=_PLANE)
    return pictures
