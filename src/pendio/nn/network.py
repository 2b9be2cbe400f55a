"""A network with what it needs to be used and looked into."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Network", "unit_range"]


def unit_range(images: Tensor) -> Tensor:
    """Images as floats in [0, 1]: bytes divided by 255, floats as they are."""
    return images.float() / 255 if images.dtype == torch.uint8 else images


class Network(nn.Module):
    """A network that takes inputs as they are, and knows its classes.

    Images go in as uint8 or as floats in [0, 1] and of any size: bringing them to the network's channels, size, mean and
    standard deviation is part of the network, so that no caller can forget it or do it twice. Tables and points go in
    in their own units.

    Args:
        module: maps normalised inputs to logits ``(N, K)``.
        shape: of one input: ``(C, H, W)`` or ``(F,)``.
        mean, std: a number for each channel or feature.
        classes: the name of each logit.
        resizes: whether images of another size are resized; otherwise the network takes any size as it is.
        crop: share of an image file's shorter side that the network expects to see.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        module: nn.Module,
        shape: Sequence[int],
        mean: Sequence[float],
        std: Sequence[float],
        classes: Sequence[str],
        *,
        resizes: bool = False,
        crop: float = 1.0,
    ) -> None:
        super().__init__()
        self.module = module
        self.shape = tuple(shape)
        self.classes = tuple(classes)
        self.resizes = resizes
        self.crop = crop
        form = (1, -1, 1, 1) if len(self.shape) == 3 else (1, -1)
        self.register_buffer("mean", torch.tensor(list(mean)).view(form))
        self.register_buffer("std", torch.tensor(list(std)).view(form))

    def prepare(self, inputs: Tensor) -> Tensor:
        """Inputs as ``module`` wants them: float, of its channels and size, normalised."""
        if inputs.dtype == torch.uint8:
            # Most images arrive as bytes, and memory is what normalising them costs: one copy, changed in place.
            values = self.fit(inputs.float(), 255.0)
            return values.sub_(self.mean * 255).div_(self.std * 255)
        return self.normalize(self.fit(inputs, 1.0))

    def normalize(self, values: Tensor) -> Tensor:
        """(x − mean)/std of floats that have the network's channels already; images keep their size."""
        return (values - self.mean) / self.std

    def fit(self, values: Tensor, white: float = 1.0) -> Tensor:
        """Floats up to ``white`` in the network's channels and size; others than images as they are."""
        if values.ndim != 4:
            return values
        channels, *size = self.shape
        if values.shape[1] != channels:
            if values.shape[1] != 1:
                raise ValueError(f"images with {values.shape[1]} channels; this network takes {channels}")
            values = values.repeat(1, channels, 1, 1)
        if self.resizes and list(values.shape[2:]) != size:
            values = F.interpolate(values, size, mode="bicubic", antialias=True).clamp(0, white)
        return values

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits ``(N, K)``."""
        logits: Tensor = self.module(self.prepare(inputs))
        return logits
