"""The report on a diffusion model: what it makes, how it went there, and how well it denoises at each level."""

from pendio.data.examples import Data
from pendio.descent.loop import evaluate
from pendio.descent.report import about_data, closing, draw_training
from pendio.generation.diffusion.diagnosis import diagnose_levels, diagnose_made
from pendio.generation.diffusion.pictures import draw_level_errors, draw_trajectory
from pendio.generation.diffusion.probe import level_errors, made, stages
from pendio.generation.diffusion.task import Diffusion
from pendio.runs.page import Picture, Section, Table, write_page
from pendio.runs.run import REPORT, Run

__all__ = ["write_report"]

_STEPS, _STAGES = 50, 9


def write_report(run: Run, task: Diffusion, data: Data) -> None:
    """Write ``report.html`` and its pictures into the run folder.

    Args:
        run: its folder.
        task: with the weights to report on.
        data: what it was trained on.
    """
    task.to("cpu").eval()
    split = data.split("test")
    metrics = evaluate(task, split)
    errors, samples = level_errors(task, data), made(task, data)
    steps = min(_STEPS, len(task.schedule))
    shown = stages(task, 500, steps, 5) if len(task.shape) == 1 else stages(task, 10, steps, _STAGES)
    pictures = draw_training(run, "explained") | task.pictures()
    pictures |= {"trajectory": draw_trajectory(*shown), "levels-of-noise": draw_level_errors(errors)}
    run.write_pictures(pictures)
    drawn = {name: Picture(pictures[name], caption) for name, caption in _CAPTIONS.items() if name in pictures}
    rows = [*metrics.items(), ("contrast", samples.contrast), (f"shift from {samples.steps} to {2 * samples.steps} steps",
                                                               samples.shift)]  # fmt: skip
    results = Section(
        "What it makes", tables=[Table(("measured", "held out"), rows)],
        pictures=[drawn[name] for name in ("samples", "trajectory") if name in drawn],
    )  # fmt: skip
    found = [*diagnose_levels(errors), *diagnose_made(samples)]
    noise = Section(
        "At each noise level",
        text="" if found else "Nothing to complain of in any level, nor in contrast or number of steps.",
        tables=[Table(("what", "evidence", "what helps", "option"),
                      [(one.sentence, one.evidence, one.fix, one.flag) for one in found])] if found else [],
        pictures=[drawn[name] for name in ("levels-of-noise", "curves") if name in drawn],
    )  # fmt: skip
    use = Section("Use it", code=f"pendio sample {run.folder} -n 64")
    subtitle = f"diffusion on {data.name}: loss {metrics['loss']:.4g} on {len(split)} held-out examples"
    about = about_data(data, "" if task.classes else ", their labels unused")
    sections = [results, noise, use, about, *closing(run, pictures, diagnose=task.diagnose)]
    write_page(run.folder / REPORT, run.folder.name, subtitle, sections)


_CAPTIONS = {
    "samples": "Made in ten steps of the deterministic sampler.",
    "trajectory": "From noise to examples.",
    "levels-of-noise": "Squared error of x̂₀ on validation examples; the dotted line is the posterior mean under a Gaussian "
    "with each place's mean and variance.",
    "curves": "Loss, and how much better x̂₀ is than a guess from mean and variance; the dotted line marks the evaluation "
    "whose weights were kept.",
}
