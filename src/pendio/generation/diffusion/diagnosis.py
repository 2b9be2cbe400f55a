"""Why a diffusion model became what it is: rules over its curves, its noise levels and what it makes."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pendio.data.examples import Data
from pendio.generation.diffusion.probe import LevelErrors, MadeOf, level_errors, made
from pendio.runs.diagnosis import STUCK, Diagnosis, Evidence, diagnose_curves
from pendio.runs.run import Run

if TYPE_CHECKING:
    from pendio.generation.diffusion.task import Diffusion

__all__ = ["diagnose_curves_of_diffusion", "diagnose_diffusion", "diagnose_levels", "diagnose_made"]

_FITTING = {"vanishing-gradients": "--lr 1e-3", "lr-too-low": "--lr 2e-3"}
"""Kind of a finding of all tasks → the options that diffusion has for it."""

_HARDLY_BETTER = 0.95
_LITTLE_NOISE, _NOISE_ALONE = 0.1, 0.98
"""Below and above, no guess can be much better than the trivial one."""

_FAINT, _STARK = 0.9, 1.1
_MOVES = 0.15


def diagnose_curves_of_diffusion(evidence: Evidence) -> list[Diagnosis]:
    """What a run's curves and gradients tell, before or after its end; empty where nothing went wrong."""
    return diagnose_curves(evidence, _FITTING, (_memorised,))


def _memorised(history: Sequence[Mapping[str, Any]]) -> Diagnosis | None:
    losses = [float(record["val_loss"]) for record in history if "val_loss" in record]
    if len(losses) < 5 or losses[-1] < 1.15 * min(losses) or history[-1]["loss"] > 0.9 * losses[-1]:
        return None
    return Diagnosis(
        "memorised",
        "The network learns its training examples by heart: it denoises new ones worse and worse.",
        f"validation loss {min(losses):.3g} in epoch {losses.index(min(losses)) + 1}, {losses[-1]:.3g} at the end; "
        f"training loss {history[-1]['loss']:.3g}",
        "more data or augmentation, a smaller network, early stopping, dropout",
        "--patience 10 --dropout 0.1",
    )


def diagnose_diffusion(run: Run, task: "Diffusion", data: Data) -> list[Diagnosis]:
    """Why a run went as it did, the likeliest cause first; empty where nothing went wrong.

    Args:
        run: its folder.
        task: with the weights to look at.
        data: what it was trained on.

    Raises:
        InputError: the run's files are damaged.
    """
    found = diagnose_curves_of_diffusion(Evidence(run.history(), run.layers()))
    if any(one.kind in STUCK for one in found):
        return found
    return found + diagnose_levels(level_errors(task, data)) + diagnose_made(made(task, data))


def diagnose_levels(errors: LevelErrors) -> list[Diagnosis]:
    """What the errors of each noise level tell."""
    rows = [row for row in zip(errors.noise, errors.network, errors.trivial, strict=True)
            if _LITTLE_NOISE < row[0] < _NOISE_ALONE]  # fmt: skip
    untrained = [(noise, network / trivial) for noise, network, trivial in rows if network > _HARDLY_BETTER * trivial]
    if not untrained:
        return []
    everywhere = len(untrained) == len(rows)
    noise, ratio = max(untrained, key=lambda row: row[1])
    return [Diagnosis(
        "untrained" if everywhere else "untrained-levels",
        "The network denoises no better than a guess that knows each place's mean and variance alone"
        + (": it has not learned what the data look like." if everywhere else ", at some noise levels."),
        f"at noise {noise:.2f} its squared error is {ratio:.2f} of that guess's; so it is at {len(untrained)} of "
        f"{len(rows)} levels",
        "train longer, or with a larger network"
        if everywhere else "predict the velocity, which suits every level; train longer",
        "--epochs 100 --width 64" if everywhere else "--predict velocity --epochs 100",
    )]  # fmt: skip


def diagnose_made(made: MadeOf) -> list[Diagnosis]:
    """What samples tell."""
    found = []
    if made.contrast < _FAINT or made.contrast > _STARK:
        capped = made.contrast < _FAINT and made.ceiling < 0.98
        found.append(Diagnosis(
            "contrast",
            "Samples have too little contrast." if made.contrast < _FAINT else "Samples vary too much.",
            f"their standard deviation is {made.contrast:.2f} of the data's"
            + (f"; at the schedule's cleanest level the signal is {made.ceiling:.3f} and not 1" if capped else ""),
            "take a schedule that ends clean" if capped else "train longer; at sampling, take guidance nearer to 1",
            "--noise-schedule cosine" if capped else "--epochs 100",
        ))  # fmt: skip
    if made.shift > _MOVES:
        found.append(Diagnosis(
            "few-steps",
            "Samples depend on the number of steps: there are too few of them.",
            f"from {made.steps} to {2 * made.steps} steps they move by {made.shift:.2f} standard deviations",
            "sample in more steps, or with the second-order sampler",
            f"--sampler heun --steps {made.steps}",
        ))  # fmt: skip
    return found
