"""Every attack by its name, and the curve of accuracy against its budget."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from pendio.ascent.attacks.autopgd import AutoPGD
from pendio.ascent.attacks.carlini import CarliniWagner
from pendio.ascent.attacks.deepfool import DeepFool
from pendio.ascent.attacks.evolution import FewPixel, Genetic
from pendio.ascent.attacks.goal import Attack, Attacked, Goal
from pendio.ascent.attacks.gradient import PGD, fgsm, iterative, momentum
from pendio.ascent.reading import Precision
from pendio.errors import InputError, did_you_mean
from pendio.nn.network import Network

__all__ = ["ATTACKS", "attack_in_batches", "make_attack", "robust_accuracy"]

ATTACKS: dict[str, tuple[str, Callable[..., Attack]]] = {
    "fgsm": ("one step by the gradient's sign (2015)", fgsm),
    "iterative": ("small steps by the gradient's sign (2017)", iterative),
    "momentum": ("steps that keep their direction, to fool other networks too (2018)", momentum),
    "pgd": ("projected gradient ascent from random starts (2018)", PGD),
    "autopgd": ("the same with a step size that finds itself (2020)", AutoPGD),
    "carlini": ("the nearest image in L2 that fools, by penalty and search (2017)", CarliniWagner),
    "deepfool": ("the nearest by steps to the linearised boundary (2016)", DeepFool),
    "pixel": ("a few pixels by differential evolution, asking only (2019)", FewPixel),
    "genetic": ("a population within a ball, asking only (2019)", Genetic),
}
"""Name → a line about it, and what makes it."""


def make_attack(name: str, options: Mapping[str, Any]) -> Attack:
    """An attack from the options that were given; what was not keeps its default.

    Raises:
        InputError: there is no such attack, an option is not one of its, or is out of range.
    """
    if name not in ATTACKS:
        raise InputError(f"unknown attack '{name}': {did_you_mean(name, ATTACKS)}")
    make = ATTACKS[name][1]
    known = inspect.signature(make).parameters
    for option in options:
        if option not in known:
            takers = [other for other, (_, made) in ATTACKS.items() if option in inspect.signature(made).parameters]
            raise InputError(f"--{option.replace('_', '-')} is not for {name}; it is for {', '.join(takers)}")
    return make(**options)


def attack_in_batches(
    attack: Attack,
    network: Network,
    images: Tensor,
    goal: Goal,
    *,
    batch: int = 16,
    seed: int = 0,
    precision: Precision = "float32",
    on_batch: Callable[[int, float], None] | None = None,
) -> Attacked:
    """Attack any number of images, ``batch`` at a time; told after each how many are done and what share was reached."""
    parts: list[Attacked] = []
    for number, (some, classes) in enumerate(zip(images.split(batch), goal.classes.split(batch), strict=True)):
        parts.append(attack(network, some, Goal(classes, goal.targeted), seed=seed + number, precision=precision))
        if on_batch is not None:
            reached = torch.cat([part.reached for part in parts])
            on_batch(len(reached), float(reached.float().mean()))
    return Attacked(
        torch.cat([part.originals for part in parts]), torch.cat([part.images for part in parts]),
        torch.cat([part.reached for part in parts]), torch.cat([part.queries for part in parts]),
    )  # fmt: skip


def robust_accuracy(
    name: str,
    options: Mapping[str, Any],
    network: Network,
    images: Tensor,
    labels: Tensor,
    epsilons: Sequence[float],
    *,
    seed: int = 0,
    precision: Precision = "float32",
    on_batch: Callable[[int, float], None] | None = None,
) -> list[float]:
    """Share of images that are still taken for their label after an untargeted attack of each ε.

    ε = 0 is the plain accuracy. An image that a smaller ball has lost is lost in a larger one too, and is not tried again.
    """
    lost = torch.zeros(len(images), dtype=torch.bool)
    curve = []
    for number, epsilon in enumerate(sorted(epsilons), 1):
        left = (~lost).nonzero()[:, 0]
        if len(left):
            attack = make_attack(name, {**options, "epsilon": epsilon})
            made = attack_in_batches(attack, network, images[left], Goal(labels[left]), seed=seed, precision=precision)
            lost[left[made.reached]] = True
        curve.append(float((~lost).float().mean()))
        if on_batch is not None:
            on_batch(number, curve[-1])
    return curve
