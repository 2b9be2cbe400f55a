"""Why an autoencoder became what it is."""

from typing import TYPE_CHECKING

from pendio.data.examples import Data
from pendio.generation.examples import spaced
from pendio.runs.diagnosis import Diagnosis, Evidence, diagnose
from pendio.runs.run import Run

if TYPE_CHECKING:
    from pendio.generation.autoencoder.task import Autoencoder

__all__ = ["diagnose_autoencoder", "diagnose_codes"]

_LOOKED_AT = 1024
_IDLE = 0.01
"""Variance of a code's dimension, relative to that of the liveliest one, below which it is idle."""

_LEARNED = 0.9
"""Share of the data's variance that may be left before a network counts as one that learned nothing but the mean."""

_SPARE = 0.5


def diagnose_autoencoder(run: Run, task: "Autoencoder", data: Data) -> list[Diagnosis]:
    """What went wrong, in curves, gradients, codes and reconstructions; empty where nothing did."""
    return diagnose(Evidence(run.history(), run.layers())) + diagnose_codes(task, data)


def diagnose_codes(task: "Autoencoder", data: Data) -> list[Diagnosis]:
    """What is wrong with codes and reconstructions of training examples."""
    inputs = spaced(data.train, _LOOKED_AT).inputs.cpu()
    examples = task.prepare(inputs)
    variance = float(examples.var(0, correction=0).mean())
    error = float(task.strangeness(inputs).mean())
    if variance > 0 and error > _LEARNED * variance:
        return [Diagnosis(
            "mean-only",
            "The network has learned little but the mean of the data.",
            f"its error on training examples is {error:.3g}, and that of always answering their mean {variance:.3g}",
            "train longer, or give codes more dimensions",
            "--epochs 200 --latent 32",
        )]  # fmt: skip
    spread = task.encode(inputs).var(0, correction=0)
    idle = int((spread < _IDLE * spread.max()).sum())
    if idle > _SPARE * len(spread):
        return [Diagnosis(
            "idle-codes",
            "Most dimensions of the codes carry nothing.",
            f"{idle} of {len(spread)} vary less than a hundredth as much as the liveliest",
            "fewer dimensions would do as well, and tell strange examples apart more sharply",
            f"--latent {max(1, len(spread) - idle)}",
        )]  # fmt: skip
    return []
