"""A trained network as a denoiser: what it predicts as x̂₀, its classes, and guidance."""

import copy
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from pendio.generation.diffusion.options import Predict
from pendio.generation.diffusion.schedules import Level
from pendio.generation.diffusion.unet import DenoisingMLP, DenoisingUNet
from pendio.nn.fusion import packed

__all__ = ["NetworkDenoiser", "denoised", "quantity"]

Precision = Literal["float32", "bf16"]


def quantity(predict: Predict, values: Tensor, noise: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """What the network shall predict at x = a·x₀ + b·ε: ε, x₀, or v = a·ε − b·x₀ (Salimans and Ho, 2022).

    Args:
        predict: which of them.
        values: x₀.
        noise: ε.
        a, b: signal and noise, to be broadcast.
    """
    match predict:
        case "noise":
            return noise
        case "image":
            return values
        case "velocity":
            return a * noise - b * values


def denoised(predict: Predict, noised: Tensor, output: Tensor, a: Tensor | float, b: Tensor | float) -> Tensor:
    """x̂₀ as the output means it: (x − b·ε̂)/a, itself, or a·x − b·v̂, for a² + b² = 1."""
    match predict:
        case "noise":
            return (noised - b * output) / a
        case "image":
            return output
        case "velocity":
            return a * noised - b * output


class NetworkDenoiser:
    """Denoises with a network; see :data:`pendio.generation.diffusion.samplers.Denoiser`.

    The vectors of all levels are computed at once. Guidance is D∅ + w·(D_c − D∅), of the class and of none, both in one
    batch of twice the size; at w = 1 the second is not computed, for it does not count (Ho and Salimans, 2022).

    Args:
        network: in evaluation mode.
        predict: what its output means.
        path: the levels at which it will be asked.
        labels: ``(N,)`` of the values it will be given; None where no class is asked for.
        guidance: w.
        precision: number format of the network.
        ready: lay its kernels out for values of this form, where that is worth its while; None leaves the network as it is.
    """

    def __init__(
        self, network: DenoisingUNet | DenoisingMLP, predict: Predict, path: Sequence[Level],
        labels: Tensor | None = None, guidance: float = 1.0, precision: Precision = "float32", ready: Tensor | None = None,
    ) -> None:  # fmt: skip
        self.predict, self.guidance = predict, guidance
        self.doubles = labels is not None and guidance != 1
        device = next(network.parameters()).device
        levels = list(dict.fromkeys(level for level in path if level.noise))
        angles = torch.tensor([level.angle for level in levels], device=device)
        vectors = network.conditioning.of_levels(angles)
        if network.conditioning.classes:
            classes = network.conditioning.of_labels(labels)
            if self.doubles:
                classes = torch.cat([classes, network.conditioning.of_labels(None).expand_as(classes)])
            self.vectors = {level: vector + classes for level, vector in zip(levels, vectors, strict=True)}
        else:
            self.vectors = {level: vector[None] for level, vector in zip(levels, vectors, strict=True)}
        self.dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        self.network: nn.Module = network
        if precision == "bf16":
            self.network = copy.deepcopy(network).to(torch.bfloat16)
        if ready is not None and ready.ndim == 4:
            self.network = self._laid_out(self.network, ready)

    def _laid_out(self, network: nn.Module, example: Tensor) -> nn.Module:
        values = torch.cat([example, example]) if self.doubles else example
        return packed(
            _Told(network, next(iter(self.vectors.values())).to(self.dtype)).eval(), values.to(self.dtype)
        ).network

    def __call__(self, values: Tensor, level: Level) -> Tensor:
        """x̂₀ of values at a level of the path."""
        given = torch.cat([values, values]) if self.doubles else values
        if given.ndim == 4:
            given = given.to(self.dtype, memory_format=torch.channels_last)
        output = self.network(given.to(self.dtype), self.vectors[level].to(self.dtype)).to(values.dtype)
        if self.doubles:
            told, untold = output.chunk(2)
            output = torch.lerp(untold, told, self.guidance)
        return denoised(self.predict, values, output, level.signal, level.noise)


class _Told(nn.Module):
    """A network with its second argument filled in."""

    def __init__(self, network: nn.Module, vectors: Tensor) -> None:
        super().__init__()
        self.network, self.vectors = network, vectors

    def forward(self, values: Tensor) -> Tensor:
        out: Tensor = self.network(values, self.vectors)
        return out
