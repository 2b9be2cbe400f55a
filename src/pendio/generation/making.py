"""What generative tasks offer each other: making examples, and going to a latent space and back."""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

__all__ = ["Density", "Latent", "Maker"]


@runtime_checkable
class Maker(Protocol):
    """A trained task that makes examples like those it learned from."""

    shape: tuple[int, ...]
    """Of an example: ``(C, H, W)`` for images, ``(F,)`` for rows of numbers."""

    classes: tuple[str, ...]
    """Classes that can be asked for; empty where it cannot be asked for any."""

    def sample(
        self, count: int, *, generator: torch.Generator, labels: Tensor | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Examples ``(count, *shape)``: images in [0, 1], rows in the data's own units.

        Args:
            count: how many.
            generator: of all randomness, on the CPU.
            labels: ``(count,)`` class numbers; only where there are classes. None draws them as often as the data has them.
            temperature: standard deviation of the latent variables, of which 1 is the model as trained; lower is less
                various and more typical.
        """
        ...


@runtime_checkable
class Latent(Protocol):
    """A trained task with a latent space."""

    shape: tuple[int, ...]
    """Of an example."""

    latent: tuple[int, ...]
    """Shape of a latent code: ``(L,)``, or that of an image where no dimension is lost."""

    def encode(self, inputs: Tensor) -> Tensor:
        """Codes ``(N, *latent)`` of examples: images as bytes or in [0, 1], rows in the data's own units."""
        ...

    def decode(self, codes: Tensor) -> Tensor:
        """Examples ``(N, *shape)`` of codes: images in [0, 1], rows in the data's own units."""
        ...


@runtime_checkable
class Density(Protocol):
    """A trained task that says how likely an example is."""

    def log_prob(self, inputs: Tensor) -> Tensor:
        """log p ``(N,)`` in nats, or a bound on it: of images as bytes or in [0, 1], of rows in the data's own units."""
        ...
