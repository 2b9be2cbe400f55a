"""The report on a GAN: what it makes, which classes it reaches, and how the game went."""

import torch

from pendio.data.examples import Data
from pendio.descent.loop import evaluate
from pendio.descent.report import about_data, closing, draw_training
from pendio.generation.gan.coverage import GanProbe, probe
from pendio.generation.gan.diagnosis import diagnose_all
from pendio.generation.gan.pictures import draw_game, draw_modes
from pendio.generation.gan.task import Gan
from pendio.generation.pictures import draw_points
from pendio.pictures.tiles import tiled
from pendio.runs.page import Picture, Section, Table, write_page
from pendio.runs.run import REPORT, Run

__all__ = ["write_report"]

_POINTS = 1000
_INVERTED = 8

_CAPTIONS = {
    "samples": "Samples.",
    "points": "The first two features of training examples, and over them of as many that are made.",
    "modes": "Share of each class, in the data and in what is made, by the three nearest training examples.",
    "inverted": "Held-out images above the closest that the generator can make.",
    "game": "How the game went: how well made and held-out examples are told apart, and how various the made are.",
    "curves": "Loss of the discriminator, and kernel distance of what is made to validation examples; the dotted line marks "
    "the evaluation whose weights were kept.",
}


def write_report(run: Run, task: Gan, data: Data) -> None:
    """Write ``report.html`` and its pictures into the run folder.

    Args:
        run: its folder.
        task: with the weights to report on.
        data: what it was trained on.
    """
    task.to("cpu").eval()
    metrics = evaluate(task, data.split("test"))
    seen = probe(task, data)
    pictures = draw_training(run, "kernel") | _draw(run, task, data, seen)
    run.write_pictures(pictures)
    shown = [Picture(pictures[name], caption) for name, caption in _CAPTIONS.items() if name in pictures]
    tables = [Table(("metric", "held out"), list(metrics.items())), _made(seen)]
    results = Section("Results", _ABOUT, tables=tables, pictures=shown)
    use = Section("Use it", code=f"pendio sample {run.folder} -n 64\npendio latent interpolate {run.folder} …")
    reached = f"{len(seen.classes) - len(seen.missing)} of {len(seen.classes)} classes are made" if seen.classes else (
        f"diversity {seen.diversity:.2f} of the data's")  # fmt: skip
    subtitle = f"{data.name}: {reached}; kernel distance {metrics['kernel']:.3g}"
    ending = closing(run, pictures, diagnose=lambda evidence: diagnose_all(evidence, seen, task.restraint))
    labels = "" if task.classes else ", their labels unused in training"
    write_page(run.folder / REPORT, run.folder.name, subtitle, [results, use, about_data(data, labels), *ending])


_ABOUT = (
    "The loss is the discriminator's on held-out and made examples; accuracy is how many of them it tells apart, ½ where it "
    "can only guess. Kernel distance and diversity are of whitened principal components: real examples have 0 and 1."
)


def _made(seen: GanProbe) -> Table:
    rows: list[tuple[object, ...]] = [("diversity", seen.diversity, 1.0)]
    if seen.neighborhoods is not None and seen.unseen is not None:
        rows += [("precision", seen.neighborhoods.precision, seen.unseen.precision),
                 ("recall", seen.neighborhoods.recall, seen.unseen.recall)]  # fmt: skip
    rows += [("distance to the nearest training example", seen.copied, 1.0),
             ("overfitting of the discriminator", seen.overfitting, 0.0)]  # fmt: skip
    if seen.obeyed is not None:
        rows.append(("of the class asked for", seen.obeyed, 1.0))
    return Table(("of what is made", "measured", "held-out examples have"), rows)


def _draw(run: Run, task: Gan, data: Data, seen: GanProbe) -> dict[str, bytes]:
    pictures = {"game": draw_game(run.history())} if run.history() else {}
    if seen.classes:
        pictures["modes"] = draw_modes(seen.classes, seen.real, seen.made)
    if not task.is_image:
        if task.shape[0] > 1:
            real = data.train.take(torch.arange(min(_POINTS, len(data.train)))).inputs
            made = task.sample(len(real), generator=torch.Generator().manual_seed(0))
            pictures["points"] = draw_points(real, made)
        return pictures
    pictures["samples"] = tiled(task.decode(task.shown()))
    split = data.split("test")
    few = split.take(torch.arange(min(_INVERTED, len(split)))).inputs
    pictures["inverted"] = tiled(torch.cat([task.restore(task.prepare(few)), task.predict(few)]), columns=len(few))
    return pictures
