"""What a trained diffusion model does at each noise level, and what it makes."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pendio.data.examples import Data
from pendio.generation.examples import spaced

if TYPE_CHECKING:
    from pendio.generation.diffusion.task import Diffusion

__all__ = ["LevelErrors", "MadeOf", "level_errors", "made", "stages"]

_LOOKED_AT = 512
_LEVELS = 12
_MADE = 48


@dataclass(frozen=True)
class LevelErrors:
    """Squared error of x̂₀ at some levels, in units of the data's variance.

    Attributes:
        noise: √(1−α) of each level, rising.
        network: the network's error on held-out examples.
        trivial: that of the posterior mean under a Gaussian with the training data's mean and variance in each place.
    """

    noise: tuple[float, ...]
    network: tuple[float, ...]
    trivial: tuple[float, ...]


@dataclass(frozen=True)
class MadeOf:
    """What is made, beside the data.

    Attributes:
        contrast: mean standard deviation over places of samples, as a share of the data's.
        shift: how far samples move when their steps are doubled: root mean square, in standard deviations of the data.
        steps: that were taken.
        ceiling: the schedule's cleanest signal √α.
    """

    contrast: float
    shift: float
    steps: int
    ceiling: float


@torch.no_grad()
def level_errors(task: "Diffusion", data: Data, levels: int = _LEVELS) -> LevelErrors:
    """Look at some levels, evenly spaced, on up to 512 validation examples."""
    task = copy.deepcopy(task).cpu().eval()
    held_out = spaced(data.val, _LOOKED_AT)
    known = task.standardized(spaced(data.train, _LOOKED_AT).inputs).double()
    variance, mean = torch.var_mean(known, 0, correction=0)
    values = task.standardized(held_out.inputs).double()
    noise_all = task.noise_for(held_out.indices, values.device).double()
    numbers = torch.linspace(0, len(task.schedule) - 1, levels).long()
    noises, network, trivial = [], [], []
    for number in numbers.tolist():
        a, b = task.schedule[number + 1]
        guess = mean + (a * variance) / (a * a * variance + b * b) * (a * values + b * noise_all - a * mean)
        _, errors = task.errors(held_out, torch.full((len(values),), number))
        noises.append(b)
        network.append(float(errors.double().mean()))
        trivial.append(float((guess - values).square().mean()))
    return LevelErrors(tuple(noises), tuple(network), tuple(trivial))


@torch.no_grad()
def made(task: "Diffusion", data: Data, steps: int = 25) -> MadeOf:
    """Make 48 examples in ``steps`` steps and in twice as many, of the same noise."""
    task = copy.deepcopy(task).cpu().eval()
    steps = min(steps, len(task.schedule) // 2)
    known = task.standardized(spaced(data.train, _LOOKED_AT).inputs)
    few, many = (_standard(task, count) for count in (steps, 2 * steps))
    contrast = float(many.std(0).mean() / known.std(0).mean())
    shift = float((few - many).square().mean().sqrt() / known.std())
    return MadeOf(contrast, shift, steps, task.schedule[1].signal)


def _standard(task: "Diffusion", steps: int) -> Tensor:
    return task.standardized(task.sample(_MADE, generator=torch.Generator().manual_seed(1), steps=steps))


def stages(task: "Diffusion", count: int, steps: int, shown: int) -> tuple[Sequence[Tensor], Sequence[str]]:
    """Some stages of a deterministic walk, in the data's range, and their names.

    Args:
        task: the model.
        count: examples, at most as many as the model makes at once.
        steps: of the walk.
        shown: how many stages, the last being the examples.
    """
    seen: list[tuple[Tensor, float]] = []
    labels = torch.arange(count) % len(task.classes) if task.classes else None

    def watch(values: Tensor, level: tuple[float, float]) -> Tensor:
        seen.append((task.restored(values), level[1]))
        return values

    task.sample(count, generator=torch.Generator().manual_seed(2), labels=labels, steps=steps, watch=watch)
    places = torch.linspace(0, len(seen) - 1, min(shown, len(seen))).round().long().unique().tolist()
    return [seen[place][0] for place in places], [f"noise {seen[place][1]:.2f}" for place in places]
