"""Whether a normalising flow still is what it must be, and where it misses the data."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pendio.data.examples import Data
from pendio.generation.examples import spaced
from pendio.generation.flow.task import Flow
from pendio.runs.diagnosis import Diagnosis, Evidence
from pendio.runs.run import Run

__all__ = ["FlowProbe", "diagnose_flow", "diagnose_probe", "probe"]

_LOOKED_AT = 512
_INVERSE = 1e-2
_STRETCH = 1e4
_DRIFT = 1e-3
_GAP = 0.1
_MISSING = 0.5


@dataclass(frozen=True)
class FlowProbe:
    """What the best weights make of the data.

    Attributes:
        inverse_error: largest |f⁻¹(f(x)) − x| of held-out examples, on the real line.
        stretch: largest ‖f(x + δ) − f(x)‖/‖δ‖ and its inverse's, for small δ: lower bounds of the Lipschitz constants.
        drift: largest difference, in nats a dimension, of log-determinants in single and in double precision.
        gap: log p of training examples less that of held-out ones, in nats a dimension.
        modes: class → its share of samples, by the nearest training example, over its share of the data; only of points.
    """

    inverse_error: float
    stretch: float
    drift: float
    gap: float
    modes: Mapping[str, float]


@torch.no_grad()
def probe(task: Flow, data: Data) -> FlowProbe:
    """Look at a flow on the processor, with at most 512 examples of the training and of the validation split."""
    train, held = (spaced(split, _LOOKED_AT) for split in (data.train, data.val))
    context = task.context_of(held.targets if task.classes else None)
    x = task.prepare(held.inputs)[0]
    codes, log_det = task.transform(x, context)
    precise = copy.deepcopy(task.transform).double()
    wide = None if context is None else context.double()
    exact_codes, exact = precise(x.double(), wide)
    generator = torch.Generator().manual_seed(0)
    nudge = 1e-4 * torch.randn(codes.shape, generator=generator).double()
    ahead = _stretch(precise(x.double() + nudge.view_as(x), wide)[0] - exact_codes, nudge)
    moved = precise.inverse(exact_codes + nudge, wide) - precise.inverse(exact_codes, wide)
    labels = [part.targets if task.classes else None for part in (train, held)]
    means = [float(task.log_prob(part.inputs, label).mean()) for part, label in zip((train, held), labels, strict=True)]
    return FlowProbe(
        float((task.transform.inverse(codes, context) - x).abs().max()), max(ahead, _stretch(moved, nudge)),
        float((log_det - exact).abs().max()) / task.dimensions, (means[0] - means[1]) / task.dimensions,
        _modes(task, data, train),
    )  # fmt: skip


def _stretch(change: Tensor, nudge: Tensor) -> float:
    return float((change.flatten(1).norm(dim=1) / nudge.norm(dim=1)).max())


def _modes(task: Flow, data: Data, train: Any) -> dict[str, float]:
    if task.pixels is not None or task.dimensions != 2 or len(data.classes) < 2:
        return {}
    made = task.sample(2048, generator=torch.Generator().manual_seed(0))
    nearest = train.targets[torch.cdist(made, train.inputs).argmin(1)]
    counts = [torch.bincount(labels, minlength=len(data.classes)) for labels in (nearest, train.targets)]
    shares = [count / count.sum() for count in counts]
    return {name: float(got / had) for name, got, had in zip(data.classes, *shares, strict=True) if had > 0}


def diagnose_probe(seen: FlowProbe) -> list[Diagnosis]:
    """What is wrong with a flow; empty where nothing is."""
    found = []
    if not seen.inverse_error <= _INVERSE:
        found.append(Diagnosis(
            "inverse-error", "The inverse does not lead back: codes and samples are not what the density says.",
            f"up to {seen.inverse_error:.3g} off, on the line", "fewer layers or a lower rate", "--layers 4 --lr 3e-4",
        ))  # fmt: skip
    if not seen.stretch <= _STRETCH:
        found.append(Diagnosis(
            "exploding-scale", "Some small step becomes a huge one: the flow's Lipschitz constant explodes.",
            f"a step grows {seen.stretch:.3g} times", "decay the weights, clip, or squeeze pixels more",
            "--weight-decay 0.01 --clip 1 --alpha 0.1",
        ))  # fmt: skip
    if not seen.drift <= _DRIFT:
        found.append(Diagnosis(
            "log-det-drift", "Rounding changes the log-determinant: likelihoods are not exact.",
            f"{seen.drift:.3g} nats a dimension off double precision", "fewer layers, or less bound", "--layers 4",
        ))  # fmt: skip
    if seen.gap > _GAP:
        found.append(Diagnosis(
            "overfitting", "Training examples are likelier than held-out ones.",
            f"by {seen.gap:.3g} nats a dimension", "a smaller flow, averaged weights, or more data",
            "--width 32 --layers 4 --average ema",
        ))  # fmt: skip
    missing = [name for name, share in seen.modes.items() if share < _MISSING]
    if missing:
        found.append(Diagnosis(
            "missing-modes", "Samples of some classes are rare.",
            ", ".join(f"'{name}' is made {seen.modes[name]:.2f} times as often as the data has it" for name in missing),
            "splines bend where affine maps cannot; train longer", "--model nsf --epochs 300",
        ))  # fmt: skip
    return found


def diagnose_flow(run: Run, task: Flow, data: Data) -> list[Diagnosis]:
    """What the curves of a run and the looks of its flow tell."""
    task.to("cpu").eval()
    return [*task.diagnose(Evidence(run.history(), run.layers())), *diagnose_probe(probe(task, data))]
