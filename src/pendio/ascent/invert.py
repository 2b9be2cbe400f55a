"""Inversion: rebuild an image from what a layer made of it (Mahendran and Vedaldi, 2015)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pendio.ascent.canvas import Palette, Spectrum
from pendio.ascent.climb import OnStep, climb
from pendio.ascent.levels import check_size
from pendio.ascent.objectives import matching, total_variation
from pendio.ascent.reading import LOGITS, Precision, Reader, frozen
from pendio.ascent.rules import Adam
from pendio.nn.network import Network

__all__ = ["Inversion", "correlation", "invert"]


@dataclass(frozen=True)
class Inversion:
    """An image rebuilt from a layer.

    Attributes:
        layer: its name.
        image: ``(1, C, H, W)`` in [0, 1].
        distance: ‖Θ(x) − Θ(x̂)‖²/‖Θ(x)‖² at the layer.
        correlation: of its pixels with the original's.
        probability: of the original's likeliest class, in the original and in the rebuilt image; None where the network
            has no classes.
        history: distance and penalty before each step, with a minus sign.
    """

    layer: str
    image: Tensor
    distance: float
    correlation: float
    probability: tuple[float, float] | None
    history: list[float]


def invert(
    network: Network,
    image: Tensor,
    layers: Sequence[str],
    *,
    steps: int = 256,
    lr: float = 0.1,
    smooth: float = 0.05,
    seed: int = 0,
    precision: Precision = "float32",
    on_step: OnStep | None = None,
) -> list[Inversion]:
    """Minimise ‖Θ(x) − Θ(x̂)‖²/‖Θ(x)‖² + λ·TV(x̂) over images x̂, for each layer Θ, from noise.

    Args:
        network: what is looked into.
        image: x, ``(1, C, H, W)`` in [0, 1].
        layers: their names.
        steps: of Adam, on a Fourier spectrum with the image's own colours.
        lr: learning rate.
        smooth: λ, the weight of the total variation.
        seed: of the noise.
        precision: number format of the network's passes.
        on_step: told how it goes, for each layer anew.

    Raises:
        InputError: a layer is missing, or the network cannot take such an image.
    """
    check_size(network, layers, tuple(image.shape[1:]))
    with frozen(network), torch.no_grad():
        wanted = Reader(network, layers)(image)
        logits = network.module(network.normalize(image))
    channels, height, width = image.shape[1:]
    made = []
    for layer in layers:
        canvas = Spectrum((channels, height, width), Palette.of(image))
        climbed = climb(
            network, matching(layer, wanted[layer]) - smooth * total_variation(), canvas,
            canvas.start(seed, torch.zeros(1, dtype=torch.long)), rule=Adam(lr), steps=steps, precision=precision,
            on_step=on_step,
        )  # fmt: skip
        with frozen(network), torch.no_grad():
            readings = Reader(network, [layer, LOGITS])(climbed.images)
        distance = -float(matching(layer, wanted[layer])(readings)[0])
        certainty = _probabilities(logits, readings[LOGITS])
        likeness = correlation(image, climbed.images)
        made.append(Inversion(layer, climbed.images, distance, likeness, certainty, climbed.history))
    return made


def correlation(first: Tensor, second: Tensor) -> float:
    """Pearson's correlation of two images' values, in [−1, 1]."""
    pair = torch.stack([first.flatten(), second.flatten()]).double()
    return float(torch.corrcoef(pair)[0, 1])


def _probabilities(before: Tensor, after: Tensor) -> tuple[float, float] | None:
    if before.ndim != 2:
        return None
    likeliest = int(before[0].argmax())
    return float(before.softmax(1)[0, likeliest]), float(after.softmax(1)[0, likeliest])
