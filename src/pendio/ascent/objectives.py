"""Objectives: what a climb makes as large as it can, one number for each image. They add and scale.

>>> objective = channel("stages.1", 3) + 0.5 * logit(7) - 0.1 * total_variation()
>>> sorted(objective.layers)
['logits', 'stages.1']
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
import torchvision.transforms.v2.functional as V
from torch import Tensor

from pendio.ascent.reading import LOGITS, Readings, channels_first, wide
from pendio.errors import InputError

__all__ = [
    "Objective", "blur", "channel", "contrast", "direction", "diversity", "gram", "likelihood", "logit", "matching",
    "neuron", "style", "sum_of", "total_variation", "whole",
]  # fmt: skip


@dataclass(frozen=True)
class Objective:
    """A number for each image that shall become as large as possible.

    Attributes:
        layers: whose outputs it needs.
        value: ``(N,)`` from what was read.
    """

    layers: frozenset[str]
    value: Callable[[Readings], Tensor]

    def __call__(self, readings: Readings) -> Tensor:
        """``(N,)``, in float32 at least."""
        return wide(self.value(readings))

    def __add__(self, other: "Objective") -> "Objective":
        return Objective(self.layers | other.layers, lambda readings: self(readings) + other(readings))

    def __sub__(self, other: "Objective") -> "Objective":
        return self + -1.0 * other

    def __mul__(self, factor: float) -> "Objective":
        return Objective(self.layers, lambda readings: factor * self(readings))

    __rmul__ = __mul__


def _of(layer: str, value: Callable[[Readings, Tensor], Tensor]) -> Objective:
    return Objective(frozenset([layer]), lambda readings: value(readings, readings[layer]))


def _chosen(numbers: int | Tensor, readings: Readings, count: int, what: str) -> Tensor:
    """``(N,)`` which channel or class each image is for."""
    rows = readings.rows
    chosen = torch.full((len(rows),), numbers) if isinstance(numbers, int) else numbers.to(rows.device)[rows]
    if len(chosen) and not 0 <= int(chosen.min()) <= int(chosen.max()) < count:
        bad = int(chosen.max()) if int(chosen.max()) >= count else int(chosen.min())
        raise InputError(f"there is no {what} {bad}: they are numbered 0 to {count - 1}")
    return chosen.to(readings.images.device)


def channel(layer: str, numbers: int | Tensor) -> Objective:
    """The mean of one channel of a layer over its map. ``numbers``: one for all images, or ``(N,)`` one for each."""

    def value(readings: Readings, output: Tensor) -> Tensor:
        maps = channels_first(output)
        chosen = _chosen(numbers, readings, maps.shape[1], f"channel of '{layer}'")
        return maps[torch.arange(len(maps)), chosen].mean(1)

    return _of(layer, value)


def neuron(layer: str, numbers: int | Tensor, place: tuple[int, int] | None = None) -> Objective:
    """One neuron: a channel at one place (y, x) of the map; by default at its middle."""

    def value(readings: Readings, output: Tensor) -> Tensor:
        if output.ndim != 4:
            raise InputError(f"layer '{layer}' has no map but gives {tuple(output.shape[1:])}: ask for a channel of it")
        chosen = _chosen(numbers, readings, output.shape[1], f"channel of '{layer}'")
        height, width = output.shape[2:]
        y, x = place or (height // 2, width // 2)
        if not (0 <= y < height and 0 <= x < width):
            raise InputError(f"layer '{layer}' has no place {y},{x}: its map is {height}×{width}")
        return output[torch.arange(len(output)), chosen, y, x]

    return _of(layer, value)


def whole(layer: str) -> Objective:
    """A whole layer: half the mean square of all it puts out, whose gradient strengthens what it already sees."""
    return _of(layer, lambda readings, output: output.flatten(1).square().mean(1) / 2)


def direction(layer: str, vector: Tensor, cosine_power: float = 0.0) -> Objective:
    """A direction in a layer's channels: the mean over places of ⟨a, v⟩/‖v‖ · max(cos(a, v), 0.1)^power.

    Args:
        layer: whose channels.
        vector: ``(channels,)``.
        cosine_power: above 0, places that also respond in other directions count less.
    """
    unit = vector / vector.norm()

    def value(readings: Readings, output: Tensor) -> Tensor:
        maps = channels_first(output)
        if maps.shape[1] != len(unit):
            raise InputError(f"the direction has {len(unit)} numbers, and layer '{layer}' {maps.shape[1]} channels")
        along: Tensor = (maps * unit.to(maps).view(1, -1, 1)).sum(1)
        if cosine_power:
            cosine = along / maps.norm(dim=1).clamp(min=1e-12)
            along = along * cosine.clamp(min=0.1).pow(cosine_power)
        return along.mean(1)

    return _of(layer, value)


def logit(numbers: int | Tensor) -> Objective:
    """A class before the softmax."""

    def value(readings: Readings, output: Tensor) -> Tensor:
        return output[torch.arange(len(output)), _chosen(numbers, readings, output.shape[1], "class")]

    return _of(LOGITS, value)


def likelihood(numbers: int | Tensor) -> Objective:
    """The logarithm of a class' probability."""

    def value(readings: Readings, output: Tensor) -> Tensor:
        chosen = _chosen(numbers, readings, output.shape[1], "class")
        return wide(output).log_softmax(1)[torch.arange(len(output)), chosen]

    return _of(LOGITS, value)


def matching(layer: str, target: Tensor) -> Objective:
    """−‖a − t‖²/‖t‖²: how near a layer's output comes to ``target``, ``(1, …)`` for all images or ``(N, …)``."""

    def value(readings: Readings, output: Tensor) -> Tensor:
        wanted = target.to(output.device)
        wanted = wanted if len(wanted) == 1 else wanted[readings.rows]
        if output.shape[1:] != wanted.shape[1:]:
            shapes = f"{tuple(output.shape[1:])} instead of {tuple(wanted.shape[1:])}"
            raise InputError(f"layer '{layer}' gives {shapes}: the image to match must have the canvas' size")
        size = wide(wanted).flatten(1).square().sum(1).clamp(min=1e-12)
        return -(wide(output) - wide(wanted)).flatten(1).square().sum(1) / size

    return _of(layer, value)


def gram(output: Tensor, mask: Tensor | None = None) -> Tensor:
    """Gram matrices ``(N, C, C)`` of maps ``(N, C, H, W)``: G_ij = Σ_p a_ip a_jp / places (Gatys et al., 2016).

    Args:
        output: of a layer.
        mask: ``(1, 1, h, w)`` weight of each place in [0, 1], brought to the map's size; the places are then its sum.
    """
    maps = channels_first(output)
    if mask is None:
        return maps @ maps.transpose(1, 2) / maps.shape[2]
    weights = F.interpolate(mask.to(output), output.shape[2:], mode="area").flatten(2)
    return (maps * weights) @ maps.transpose(1, 2) / weights.sum().clamp(min=1e-12)


def style(grams: Mapping[str, Tensor], weights: Mapping[str, float], mask: Tensor | None = None) -> Objective:
    """−Σ_l γ_l ‖G_l − Ĝ_l‖²/‖Ĝ_l‖² over layers: how near an image's Gram matrices come to those of a style.

    Divided by the style's own size, layers of any width and depth weigh as γ_l says.

    Args:
        grams: layer → ``(1, C, C)`` of the style.
        weights: layer → γ_l.
        mask: the region of the image that shall take the style on; see :func:`gram`.
    """

    def value(readings: Readings) -> Tensor:
        total = torch.zeros(len(readings.images), device=readings.images.device, dtype=readings.images.dtype)
        for layer, wanted in grams.items():
            found = gram(wide(readings[layer]), mask)
            apart = (found - wanted.to(found)).flatten(1).square().sum(1)
            total = total - weights[layer] * apart / wanted.to(found).square().sum().clamp(min=1e-12)
        return total

    return Objective(frozenset(grams), value)


def diversity(layer: str) -> Objective:
    """How unlike each image is to the others of the batch: minus the mean cosine of their Gram matrices at a layer.

    The one objective that ties the images of a batch together (Olah et al., 2017).
    """

    def value(readings: Readings, output: Tensor) -> Tensor:
        vectors = F.normalize(gram(wide(output)).flatten(1))
        others = (len(vectors) - 1) or 1
        return -((vectors @ vectors.T).sum(1) - 1) / others

    return _of(layer, value)


def _of_images(value: Callable[[Tensor], Tensor]) -> Objective:
    return Objective(frozenset(), lambda readings: value(readings.images))


def total_variation() -> Objective:
    """The mean over pixels of |right neighbour − pixel| + |lower neighbour − pixel|: to be subtracted."""

    def value(images: Tensor) -> Tensor:
        size = images[0].numel()
        across = images.diff(dim=3).abs().flatten(1).sum(1)
        return (across + images.diff(dim=2).abs().flatten(1).sum(1)) / size

    return _of_images(value)


def contrast() -> Objective:
    """The mean square distance from middle grey, ‖x − ½‖²/pixels: the L2 penalty, to be subtracted."""
    return _of_images(lambda images: (images - 0.5).flatten(1).square().mean(1))


def blur(sigma: float = 1.0) -> Objective:
    """The mean square distance from the own Gaussian blur: a penalty on what is sharp, to be subtracted."""

    def value(images: Tensor) -> Tensor:
        reach = min(2 * round(2 * sigma) + 1, 2 * min(images.shape[2:]) - 1)
        smooth: Tensor = V.gaussian_blur(images, [reach, reach], [sigma, sigma])
        return (images - smooth).flatten(1).square().mean(1)

    return _of_images(value)


def sum_of(objectives: Sequence[Objective]) -> Objective:
    """All of them added up."""
    total = objectives[0]
    for objective in objectives[1:]:
        total = total + objective
    return total
