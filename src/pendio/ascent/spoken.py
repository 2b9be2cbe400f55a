"""Objectives as people write them: ``blocks.2.0:12``, ``class:espresso``, ``blocks.2.0:12 + 0.5*class:967``."""

import re
from dataclasses import dataclass

import torch

from pendio.ascent.objectives import Objective, channel, logit, neuron, sum_of, whole
from pendio.ascent.reading import Reader, channels_first, frozen
from pendio.errors import InputError, did_you_mean
from pendio.nn.network import Network

__all__ = ["Spoken", "class_number", "parse_objective"]

MOST = 1024
"""Units that one picture grid may hold."""


@dataclass(frozen=True)
class Spoken:
    """An objective and how many images it is for.

    Attributes:
        objective: what to climb; where a whole layer's channels were asked for, each image has its own.
        names: what each image shows.
    """

    objective: Objective
    names: tuple[str, ...]


def class_number(network: Network, text: str) -> int:
    """The number of a class that is named or numbered.

    Raises:
        InputError: there is none of this name or number.
    """
    if text.isdigit():
        if int(text) >= len(network.classes):
            raise InputError(f"there is no class {text}: they are numbered 0 to {len(network.classes) - 1}")
        return int(text)
    lowered = [name.lower() for name in network.classes]
    if text.lower() not in lowered:
        known = did_you_mean(text.lower(), lowered)
        raise InputError(f"there is no class '{text}'; {known if len(known) < 200 else 'give its number'}")
    return lowered.index(text.lower())


def parse_objective(network: Network, text: str, shape: tuple[int, ...]) -> Spoken:
    """An objective from a sum of terms, each ``[weight*]LAYER[:UNIT]``.

    LAYER is a name of ``pendio summary``, or "class" for the network's output. UNIT is a class' name or number, a channel,
    a channel at a place ``12@3,4`` (``12@`` for the middle of its map), channels ``3-8``, or ``all`` of them: the last two
    make one image a channel. Without a UNIT the whole layer is meant.

    Raises:
        InputError: it does not read so, or names what is not there.
    """
    parts = re.split(r"\s*\+\s*(?=\S)", text.strip())
    made = [_term(network, part, shape) for part in parts]
    counts = {len(names) for _, names in made if len(names) > 1}
    if len(counts) > 1:
        raise InputError(f"'{text}' asks for {' and '.join(map(str, sorted(counts)))} images at once; give one range")
    count = max(counts, default=1)
    columns = [names * count if len(names) == 1 else names for _, names in made]
    return Spoken(
        sum_of([objective for objective, _ in made]), tuple(" + ".join(row) for row in zip(*columns, strict=True))
    )


def _term(network: Network, text: str, shape: tuple[int, ...]) -> tuple[Objective, tuple[str, ...]]:
    weight, rest = _weight(text)
    layer, _, unit = rest.partition(":")
    if layer == "class":
        if not unit:
            raise InputError(f"'{text}' names no class; write class:NAME or class:NUMBER")
        if unit != "all":
            number = class_number(network, unit)
            return weight * logit(number), (_prefix(weight) + network.classes[number],)
        numbers = torch.arange(min(MOST, len(network.classes)))
        return weight * logit(numbers), tuple(_prefix(weight) + network.classes[number] for number in numbers)
    if not unit:
        return weight * whole(layer), (_prefix(weight) + layer,)
    place = re.fullmatch(r"(\d+)@(?:(\d+),(\d+))?", unit)
    if place:
        number, where = int(place[1]), (int(place[2]), int(place[3])) if place[2] else None
        return weight * neuron(layer, number, where), (_prefix(weight) + rest,)
    span = re.fullmatch(r"(\d+)(?:-(\d+))?|all", unit)
    if not span:
        raise InputError(f"'{text}' names no unit: write LAYER:12, LAYER:3-8, LAYER:all, LAYER:12@ or LAYER:12@y,x")
    if unit == "all":
        first, last = 0, _channels(network, layer, shape) - 1
    else:
        first, last = int(span[1]), int(span[2] or span[1])
    if not first <= last < first + MOST:
        raise InputError(f"'{text}' asks for {last - first + 1} channels; a grid holds 1 to {MOST}")
    names = tuple(f"{_prefix(weight)}{layer}:{number}" for number in range(first, last + 1))
    return weight * channel(layer, first if first == last else torch.arange(first, last + 1)), names


def _weight(text: str) -> tuple[float, str]:
    factor, star, rest = text.partition("*")
    if not star:
        return 1.0, text.strip()
    try:
        return float(factor), rest.strip()
    except ValueError as error:
        raise InputError(f"'{factor}' in '{text}' is no weight; write it as in 0.5*LAYER:UNIT") from error


def _prefix(weight: float) -> str:
    return "" if weight == 1.0 else f"{weight:g}*"


@torch.no_grad()
def _channels(network: Network, layer: str, shape: tuple[int, ...]) -> int:
    with frozen(network):
        output = Reader(network, [layer])(torch.zeros(1, *shape, device=network.mean.device))[layer]
    return channels_first(output).shape[1]
