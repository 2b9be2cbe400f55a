"""Why a GAN became what it is: rules over its curves, its players' gradients and what it makes.

The rules of all tasks are not asked: losses of a game do not fall, for each player's success is the other's failure.
"""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from pendio.data.examples import Data
from pendio.generation.gan.coverage import GanProbe, probe
from pendio.generation.gan.options import usual_changes, usual_r1
from pendio.runs.diagnosis import Diagnosis, Evidence, LayerStep
from pendio.runs.run import Run

if TYPE_CHECKING:
    from pendio.generation.gan.task import Gan

__all__ = ["Restraint", "diagnose_all", "diagnose_gan", "diagnose_gan_curves", "diagnose_made"]

_LATE = 5
"""Evaluations at the end that are looked at."""

_COLLAPSED = 0.5
_SURE = 0.98
_NEARLY_SURE = 0.9
_FADED = 0.05
_WORSE = 3.0
_YOUNG = 10
"""Epochs in which a game is so young that one better than those after it may be chance."""

_SINCE = 15
"""Epochs since such a best after which it is no chance any more."""

_LEARNT = 0.7
_COPIED = 0.5
_OBEYED = 0.8


class Restraint(NamedTuple):
    """What holds the discriminator back.

    Attributes:
        r1: γ of the penalty at real examples.
        changes: of differentiable augmentation.
        channels: of the images; 0 of rows.
    """

    r1: float
    changes: tuple[str, ...]
    channels: int

    @property
    def more(self) -> str:
        """Options that hold it back more: augmentation that suits the data and is missing, and a larger penalty."""
        usual = usual_changes(self.channels)
        augment = f"--diff-augment {','.join(usual)} " if {*usual} - {*self.changes} else ""
        return f"{augment}--r1 {5 * self.r1 if self.r1 else usual_r1(self.channels > 0):g}"


def diagnose_gan(run: Run, task: "Gan", data: Data) -> list[Diagnosis]:
    """What went wrong, by a run's curves and by what its best weights make; empty where nothing did."""
    return diagnose_all(Evidence(run.history(), run.layers()), probe(task, data), task.restraint)


def diagnose_all(evidence: Evidence, seen: GanProbe, restraint: Restraint) -> list[Diagnosis]:
    """What curves and examples tell; what both tell is told once."""
    found = diagnose_gan_curves(evidence, restraint)
    told = {one.kind for one in found}
    return found + [one for one in diagnose_made(seen, restraint) if one.kind not in told]


def diagnose_gan_curves(evidence: Evidence, restraint: Restraint) -> list[Diagnosis]:
    """What a run's curves and gradients tell, while it goes on or after its end; empty where nothing went wrong."""
    history = [record for record in evidence.history if "val_diversity" in record]
    if len(history) < _LATE:
        return []
    causes = (
        _overpowering(history, evidence.layers, restraint), _collapse(history), _past_its_best(history, restraint)
    )  # fmt: skip
    return [one for one in causes if one is not None]


def _late(history: Sequence[Mapping[str, Any]], name: str) -> float:
    return median(float(record[name]) for record in history[-_LATE:])


def _overpowering(
    history: Sequence[Mapping[str, Any]], layers: Sequence[Mapping[str, LayerStep]], restraint: Restraint
) -> Diagnosis | None:  # fmt: skip
    accuracy = _late(history, "val_accuracy")
    gradients = [value for value in map(_gradient, layers) if value > 0]
    faded = median(gradients[-_LATE:]) / max(gradients) if len(gradients) >= _LATE else 1.0
    if accuracy < (_SURE if faded > _FADED else _NEARLY_SURE):
        return None
    return Diagnosis(
        "overpowering",
        "The discriminator overpowers the generator: it is sure of every example, and what it says no longer helps.",
        f"it tells {accuracy:.1%} of made and held-out examples apart; the generator's gradient is {faded:.2g} of its "
        "largest",
        "a loss that does not saturate, a smoother, slower or calmer discriminator",
        f"--loss non-saturating --spectral-norm --discriminator-lr 0.5 {restraint.more}",
    )


def _gradient(steps: Mapping[str, LayerStep]) -> float:
    return max((step.gradient for name, step in steps.items() if name.startswith("generator.")), default=0.0)


def _collapse(history: Sequence[Mapping[str, Any]]) -> Diagnosis | None:
    diversity = _late(history, "val_diversity")
    if diversity > _COLLAPSED:
        return None
    peak = max(history, key=lambda record: float(record["val_diversity"]))
    return Diagnosis(
        "mode-collapse",
        "The generator collapses: what it makes is much more alike than the data.",
        f"two made examples are {diversity:.0%} as far apart as two real ones; at best it was "
        f"{peak['val_diversity']:.0%}, after {peak['epoch']} epochs",
        "a game with a gradient everywhere, larger batches, a lower rate",
        "--loss wasserstein --critic-steps 3 --batch 128 --lr 2e-4",
    )


def _past_its_best(history: Sequence[Mapping[str, Any]], restraint: Restraint) -> Diagnosis | None:
    best = min(history, key=lambda record: float(record["val_kernel"]))
    first, last, least = float(history[0]["val_kernel"]), _late(history, "val_kernel"), float(best["val_kernel"])
    # Near its best the distance is mostly the chance of which examples were held out.
    if last < _WORSE * max(least, 0.02 * first):
        return None
    if best["epoch"] <= _YOUNG and history[-1]["epoch"] - best["epoch"] < _SINCE:
        return None
    return Diagnosis(
        "past-its-best",
        "What is made got worse again while training went on; the weights that were best are kept.",
        f"the kernel distance was {least:.3g} after {best['epoch']} epochs and {last:.3g} at the end",
        "a lower rate that falls, an averaged generator, a calmer discriminator",
        f"--lr 5e-4 --schedule linear --average ema {restraint.more}",
    )


def diagnose_made(seen: GanProbe, restraint: Restraint) -> list[Diagnosis]:
    """What the examples that the best weights make tell, and what the discriminator says of them."""
    causes = (_missing(seen), _alike(seen), _by_heart(seen, restraint), _copies(seen, restraint), _disobedient(seen))
    return [one for one in causes if one is not None]


def _missing(seen: GanProbe) -> Diagnosis | None:
    if not seen.missing:
        return None
    shares = dict(zip(seen.classes, zip(seen.real, seen.made, strict=True), strict=True))
    named = ", ".join(f"{name} ({shares[name][1]:.1%} instead of {shares[name][0]:.1%})" for name in seen.missing[:8])
    more = f" and {len(seen.missing) - 8} more" if len(seen.missing) > 8 else ""
    return Diagnosis(
        "missing-modes",
        f"{len(seen.missing)} of {len(seen.classes)} classes are hardly ever made.",
        f"{named}{more}, by the nearest training examples",
        "learn each class by name, larger batches, longer training",
        "--conditional --batch 128 --epochs 400",
    )


def _alike(seen: GanProbe) -> Diagnosis | None:
    if seen.diversity > _COLLAPSED:
        return None
    return Diagnosis(
        "mode-collapse",
        "The generator collapses: what it makes is much more alike than the data.",
        f"two made examples are {seen.diversity:.0%} as far apart as two real ones",
        "a game with a gradient everywhere, larger batches, a lower rate",
        "--loss wasserstein --critic-steps 3 --batch 128 --lr 2e-4",
    )


def _by_heart(seen: GanProbe, restraint: Restraint) -> Diagnosis | None:
    if seen.overfitting < _LEARNT or seen.accuracy < 0.6:
        return None
    return Diagnosis(
        "discriminator-overfitting",
        "The discriminator knows its training examples by heart, and takes new ones for made.",
        f"held-out examples lie {seen.overfitting:.0%} of the way from training examples to made ones in its mean logits",
        "more data, or a calmer discriminator",
        restraint.more,
    )


def _copies(seen: GanProbe, restraint: Restraint) -> Diagnosis | None:
    if seen.copied > _COPIED:
        return None
    return Diagnosis(
        "copies",
        "The generator copies training examples instead of making new ones.",
        f"what is made lies {seen.copied:.0%} as far from its nearest training example as held-out examples do",
        "more data, a smaller generator, a calmer discriminator",
        f"--width 8 {restraint.more}",
    )


def _disobedient(seen: GanProbe) -> Diagnosis | None:
    if seen.obeyed is None or seen.obeyed > _OBEYED:
        return None
    return Diagnosis(
        "classes-ignored",
        "What is made is often not of the class that was asked for.",
        f"{seen.obeyed:.0%} of it is, by the nearest training examples",
        "longer training, a wider discriminator",
        "--epochs 400 --width 32",
    )
