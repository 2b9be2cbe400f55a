"""Whole flows by name."""

from collections.abc import Sequence

import torch

from pendio.generation.flow.autoregressive import Autoregressive
from pendio.generation.flow.coupling import conv_coupling, dense_coupling
from pendio.generation.flow.scalars import Affine, Scalar, Spline
from pendio.generation.flow.transforms import (
    ActNorm,
    Chain,
    Flatten,
    InvertibleLinear,
    MultiScale,
    Permutation,
    Squeeze,
    Transform,
)

__all__ = ["image_flow", "vector_flow"]


def vector_flow(
    model: str, features: int, layers: int = 6, width: int = 64, context: int = 0, bins: int = 8, bound: float = 5.0
) -> Chain:
    """A flow of vectors ``(N, features)``.

    Args:
        model: realnvp, maf, nsf or nsf-ar.
        features: two at least for realnvp and nsf.
        layers: transforms; features are mixed or turned round between them.
        width: units of hidden layers.
        context: size of the context, 0 for none.
        bins, bound: of splines.
    """
    scalar: Scalar = Spline(bins, bound) if model.startswith("nsf") else Affine()
    parts: list[Transform] = []
    for number in range(layers):
        if model in ("maf", "nsf-ar"):
            # Splines act on a fixed range, so that all features are brought to it again.
            parts += [ActNorm(features), Autoregressive(features, scalar, width, context)]
        else:
            parts += [ActNorm(features), dense_coupling(features, scalar, width, context)]
        if number < layers - 1:
            parts.append(InvertibleLinear(features) if model == "nsf" else _reversal(features))
    return Chain([*parts, ActNorm(features)])


def image_flow(
    model: str, shape: Sequence[int], layers: int = 6, width: int = 64, context: int = 0, bins: int = 8, bound: float = 5.0
) -> Transform:  # fmt: skip
    """A flow of images ``(N, C, H, W)`` to vectors ``(N, C·H·W)``.

    glow and realnvp work at several scales, halving the sides as long as they are even and 4 or more, with invertible 1×1
    convolutions (Kingma and Dhariwal, 2018) or reversed channels between couplings; the others take pixels as a vector.

    Raises:
        ValueError: a side is odd, where there are scales.
    """
    channels, height, side = shape
    if model not in ("glow", "realnvp"):
        features = channels * height * side
        return Chain([Flatten(shape), vector_flow(model, features, layers, width, context, bins, bound)])
    scales: list[Transform] = []
    shapes: list[tuple[int, int, int]] = []
    while not (height % 2 or side % 2) and (not scales or min(height, side) >= 4):
        channels, height, side = 4 * channels, height // 2, side // 2
        steps: list[Transform] = [Squeeze()]
        for _ in range(layers):
            mixing = InvertibleLinear(channels) if model == "glow" else _reversal(channels)
            steps += [ActNorm(channels), mixing, conv_coupling(channels, Affine(), width, context)]
        scales.append(Chain(steps))
        shapes.append((channels, height, side))
        channels //= 2
    if not scales:
        raise ValueError(f"sides of {height} and {side} pixels are not even")
    return MultiScale(scales, shapes)


def _reversal(features: int) -> Permutation:
    return Permutation(torch.arange(features).flip(0))
