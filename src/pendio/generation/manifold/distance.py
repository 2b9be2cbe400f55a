"""How far inputs lie from what a model has learned: natural ones, noisy ones, and such that were made to fool.

Data fills little of the space that it lies in. Two yardsticks say how far an input is from there:

- ``reconstruction``: ‖x − d(e(x))‖ / √D, the way to what a smaller code can say; of images in units of their range, of rows
  in standard deviations;
- ``density``: −log p(x) / D, nats a dimension, where a model knows a density or a bound on it.

What fools a classifier is near a natural example in pixels. Whether it has left the data is told by comparison with a change
of the same size and no purpose: here the same change with its signs drawn by lot.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from pendio.ascent.attacks.goal import Goal
from pendio.ascent.attacks.gradient import PGD
from pendio.ascent.attacks.named import attack_in_batches
from pendio.data.examples import Data
from pendio.errors import InputError
from pendio.generation.examples import spaced
from pendio.generation.given import Given
from pendio.generation.making import Density, Latent
from pendio.generation.separation import separation
from pendio.nn.network import Network, unit_range

__all__ = [
    "NATURAL",
    "RECONSTRUCTION",
    "Distances",
    "Group",
    "Mark",
    "Yardstick",
    "fooling",
    "mark",
    "measure",
    "natural",
    "noisy",
    "way",
    "yardsticks",
]

NATURAL = "natural"

RECONSTRUCTION = "reconstruction"
"""The yardstick that is a way to something made."""

Yardstick = Callable[[Tensor], Tensor]
"""Inputs, images in [0, 1] or rows in the data's own units → ``(N,)`` distances."""


class Group(NamedTuple):
    """Inputs of a kind: its name, and images ``(N, C, H, W)`` in [0, 1] or rows ``(N, F)``."""

    name: str
    inputs: Tensor


class Distances(NamedTuple):
    """How far a group lies, by one yardstick.

    Attributes:
        group: its name.
        yardstick: its name.
        values: ``(N,)``.
        auroc: the probability that one of the group lies farther than a natural one: at ½ they cannot be told apart. None
            for natural ones themselves.
    """

    group: str
    yardstick: str
    values: Tensor
    auroc: float | None

    def to_dict(self) -> dict[str, object]:
        """For ``--json``."""
        median = float(self.values.median())
        return {"group": self.group, "yardstick": self.yardstick, "median": median, "auroc": self.auroc}


class Mark(NamedTuple):
    """A single input: its name, how far it lies by each yardstick, and the share of natural examples that lie nearer."""

    name: str
    values: dict[str, float]
    farther: dict[str, float]

    def to_dict(self) -> dict[str, object]:
        """For ``--json``."""
        return self._asdict()


def yardsticks(task: Any) -> dict[str, Yardstick]:
    """What a trained model can measure by.

    Raises:
        InputError: its codes are as large as examples, and it knows no density.
    """
    found: dict[str, Yardstick] = {}
    if isinstance(task, Latent) and torch.Size(task.latent).numel() < torch.Size(task.shape).numel():
        found[RECONSTRUCTION] = lambda inputs: way(task, inputs, task.decode(task.encode(inputs)))
    if isinstance(task, Density):
        found["density"] = lambda inputs: -task.log_prob(inputs) / inputs[0].numel()
    if not found:
        raise InputError("this model has neither a code smaller than an example nor a density; give a run of train "
                         "autoencode, vae, gan or flow")  # fmt: skip
    return found


def way(task: Any, inputs: Tensor, made: Tensor) -> Tensor:
    """``(N,)`` root mean squares from inputs to what a model made of them; of rows in units of its standardisation."""
    scale: Tensor = torch.ones(()) if len(task.shape) == 3 else task.standard.scale.cpu()
    return ((made - inputs) / scale).square().flatten(1).mean(1).sqrt()


def natural(data: Data, count: int) -> Group:
    """Held-out examples: of the test split, or the validation split where there is none.

    Raises:
        InputError: fewer than two are asked for.
    """
    if count < 2:
        raise InputError(f"--number must be 2 or more, got {count}")
    inputs = spaced(data.split("test"), count).inputs
    return Group(NATURAL, unit_range(inputs).float() if len(data.shape) == 3 else inputs.float())


def noisy(examples: Tensor, data: Data, level: float, generator: torch.Generator) -> Group:
    """Examples with Gaussian noise: of images cut off at black and white, of rows in standard deviations of each feature.

    Raises:
        InputError: the level is not above 0.
    """
    if not 0 < level < float("inf"):
        raise InputError(f"--noise must be above 0, got {level:g}")
    drawn = level * torch.randn(examples.shape, generator=generator)
    if len(data.shape) == 3:
        return Group(f"noise {level:g}", (examples + drawn).clamp(0, 1))
    return Group(f"noise {level:g}", examples + drawn * torch.tensor(data.std))


def fooling(
    examples: Tensor, network: Network, epsilon: float, *, generator: torch.Generator, seed: int = 0,
    on_batch: Callable[[int, float], None] | None = None,
) -> tuple[list[Group], float]:  # fmt: skip
    """Images that a classifier takes for something else, and the same changes with their signs drawn by lot.

    Args:
        examples: ``(N, C, H, W)`` in [0, 1].
        network: the classifier; images are brought to its size.
        epsilon: the largest change of a pixel (projected gradient ascent: Madry et al., 2018).
        generator: of the signs.
        seed: of the attack's random starts.
        on_batch: told how many are done and what share was fooled.

    Returns:
        Both groups, of images that were fooled alone, and their share.

    Raises:
        InputError: ε is out of range, or nothing was fooled.
    """
    channels = examples.shape[1]
    seeing = Network(_Seeing(network), examples.shape[1:], [0.0] * channels, [1.0] * channels, network.classes).eval()
    with torch.no_grad():
        goal = Goal(torch.cat([seeing(part).argmax(1) for part in examples.split(64)]))
    made = attack_in_batches(PGD(epsilon=epsilon), seeing, examples, goal, batch=64, seed=seed, on_batch=on_batch)
    if not made.reached.any():
        raise InputError(f"--epsilon {epsilon:g}: none of {len(examples)} images fooled the classifier; allow more")
    originals, fooled = made.originals[made.reached], made.images[made.reached]
    change = fooled - originals
    signs = torch.randint(0, 2, change.shape, generator=generator) * 2 - 1
    groups = [
        Group("adversarial", fooled),
        Group("same change, random signs", (originals + signs * change).clamp(0, 1)),
    ]
    return groups, float(made.reached.float().mean())


class _Seeing(nn.Module):
    """A classifier that brings images to its own size as a part of itself, so that what is changed are the images given."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images)
        return logits


def measure(sticks: dict[str, Yardstick], groups: Sequence[Group]) -> list[Distances]:
    """How far each group lies by each yardstick; the first group is natural."""
    found = []
    for name, stick in sticks.items():
        near = stick(groups[0].inputs).cpu()
        found.append(Distances(groups[0].name, name, near, None))
        for group in groups[1:]:
            far = stick(group.inputs).cpu()
            anomalous = torch.cat([torch.zeros(len(near)), torch.ones(len(far))])
            found.append(Distances(group.name, name, far, separation(torch.cat([near, far]), anomalous)["auroc"]))
    return found


def mark(own: Given, sticks: dict[str, Yardstick], found: Sequence[Distances]) -> list[Mark]:
    """Inputs of the user's own beside the natural ones of :func:`measure`."""
    near = {part.yardstick: part.values.sort().values for part in found if part.auroc is None}
    values = {name: stick(own.inputs).cpu() for name, stick in sticks.items()}
    shares = {name: torch.searchsorted(near[name], part).double() / len(near[name]) for name, part in values.items()}
    return [
        Mark(name, {stick: float(part[row]) for stick, part in values.items()},
             {stick: float(part[row]) for stick, part in shares.items()})
        for row, name in enumerate(own.names)
    ]  # fmt: skip
