"""What a denoising network is told beside its input: the noise level, and perhaps the class."""

import torch
from torch import Tensor, nn

__all__ = ["Conditioning"]

_WAVES = 32
_FASTEST = 1000.0


class Conditioning(nn.Module):
    """A vector for a noise level and a class.

    The level enters as 2φ/π in [0, 1], the share of its angle, through sines and cosines of 1 to 1000 radians; so it means
    the same in every schedule, and between levels.

    Args:
        width: of the vector.
        classes: how many there are; one more stands for "not told".
    """

    rates: Tensor

    def __init__(self, width: int, classes: int = 0) -> None:
        super().__init__()
        self.width, self.classes = width, classes
        self.register_buffer("rates", torch.logspace(0, 1, _WAVES // 2, base=_FASTEST), persistent=False)
        self.levels = nn.Sequential(nn.Linear(_WAVES, width), nn.SiLU(), nn.Linear(width, width))
        self.labels = nn.Embedding(classes + 1, width) if classes else None

    def forward(self, angles: Tensor, labels: Tensor | None = None) -> Tensor:
        """Vectors ``(N, width)``.

        Args:
            angles: ``(N,)`` of the levels, in [0, π/2].
            labels: ``(N,)`` class numbers, with the number of classes itself for "not told", as None says for all.
        """
        vectors: Tensor = self.of_levels(angles)
        return vectors if self.labels is None else vectors + self.of_labels(labels)

    def of_levels(self, angles: Tensor) -> Tensor:
        """The levels' part: of all steps at once where a path is known."""
        waves = angles[:, None] * (2 / torch.pi) * self.rates
        out: Tensor = self.levels(torch.cat([waves.sin(), waves.cos()], 1))
        return out

    def of_labels(self, labels: Tensor | None) -> Tensor:
        """The classes' part, ``(N, width)``, or ``(1, width)`` where none is told."""
        assert self.labels is not None
        out: Tensor = self.labels.weight[-1:] if labels is None else self.labels(labels)
        return out
