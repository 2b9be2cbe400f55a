"""Feature visualisation: an image that a unit of a network responds to most (Erhan et al., 2009; Olah et al., 2017)."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from pendio.ascent.audit import Audit, audit, real_photos
from pendio.ascent.canvas import Canvas, Masked, Palette, Pixels, Spectrum
from pendio.ascent.climb import OnStep, climb
from pendio.ascent.constraints import box
from pendio.ascent.levels import check_size
from pendio.ascent.objectives import Objective
from pendio.ascent.reading import Precision
from pendio.ascent.rules import Adam
from pendio.ascent.transforms import Wobble
from pendio.nn.network import Network

__all__ = ["CanvasKind", "Visualization", "make_canvas", "real_images", "visualize"]

CanvasKind = Literal["spectrum", "pixels"]

_RATE: dict[CanvasKind, float] = {"spectrum": 0.1, "pixels": 0.01}
"""Learning rate of Adam on each canvas."""


@dataclass(frozen=True)
class Visualization:
    """Images ``(N, C, H, W)`` in [0, 1], the mean value before each step, and what the audit found."""

    images: Tensor
    history: list[float]
    audit: Audit


def real_images(real: Tensor | None, shape: tuple[int, int, int]) -> Tensor | None:
    """Images of the kind that a network knows: those given, else photographs where it takes colour pictures."""
    if real is not None:
        return real
    return real_photos(min(shape[1:])) if shape[0] == 3 else None


def make_canvas(
    kind: CanvasKind, shape: tuple[int, int, int], real: Tensor | None, count: int, seed: int
) -> tuple[Canvas, Tensor]:
    """A canvas of a kind, and ``count`` random points on it to start from."""
    rows = torch.arange(count)
    if kind == "pixels":
        return Pixels(), Pixels.start(shape, seed, rows)
    neutral = Palette(0.25 * torch.eye(shape[0]), torch.full((shape[0],), 0.5), 1.0)
    spectrum = Spectrum(shape, Palette.of(real) if real is not None else neutral)
    return spectrum, spectrum.start(seed, rows)


def visualize(
    network: Network,
    objective: Objective,
    *,
    count: int = 1,
    size: int | tuple[int, int] | None = None,
    steps: int = 256,
    kind: CanvasKind = "spectrum",
    lr: float | None = None,
    wobble: Wobble | Literal["auto"] | None = "auto",
    real: Tensor | None = None,
    base: Tensor | None = None,
    mask: Tensor | None = None,
    seed: int = 0,
    precision: Precision = "float32",
    on_step: OnStep | None = None,
) -> Visualization:
    """Climb an objective from random starts, all images in one batch.

    Args:
        network: what to look into.
        objective: a number for each image; objectives with a number for each row give every image its own unit.
        count: images to make.
        size: height and width in pixels; by default the network's own.
        steps: of Adam.
        kind: "spectrum", Fourier coefficients with decorrelated colours, or "pixels".
        lr: learning rate; by default one that suits the canvas.
        wobble: random shifts, scales and turns in each step; None for none.
        real: ``(M, C, H, W)`` images of the kind the network knows: the colours and spectrum of the canvas, and what the
            audit compares with; by default the embedded photographs for colour networks.
        base, mask: an image ``(1, C, H, W)`` and the region ``(1, 1, H, W)`` of it that may change.
        seed: of the starts and of ``wobble``.
        precision: number format of the network's passes.
        on_step: told how it goes.

    Raises:
        InputError: a layer is missing, or the network cannot take such images.
    """
    height, width = (size, size) if isinstance(size, int) else size or network.shape[1:]
    shape = (network.shape[0], height, width)
    check_size(network, objective.layers, shape)
    real = real_images(real, shape)
    canvas, start = make_canvas(kind, shape, real, count, seed)
    if base is not None and mask is not None:
        canvas = Masked(canvas, base, mask)
    if wobble == "auto":
        wobble = Wobble.for_side(min(height, width))
    was_training = network.training
    climbed = climb(
        network, objective, canvas, start, rule=Adam(lr or _RATE[kind]), steps=steps,
        project=box if kind == "pixels" else None, wobble=wobble, seed=seed, precision=precision, on_step=on_step,
    )  # fmt: skip
    return Visualization(climbed.images, climbed.history, audit(network, objective, climbed.images, real, was_training))
