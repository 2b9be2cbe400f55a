"""Noise schedules: how much of the signal and how much noise each level has."""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pendio.errors import InputError
from pendio.generation.diffusion.options import ScheduleName

__all__ = ["CLEAN", "Level", "Schedule"]

_OFFSET = 0.008
_FAINTEST = 0.01
"""Signal at the cosine's last level. At zero, an image could not be told from a predicted noise at all."""

_RHO = 7.0


class Level(NamedTuple):
    """x = signal·x₀ + noise·ε, where signal² + noise² = 1; as plain numbers, so that no step waits for a device.

    Attributes:
        signal: √α.
        noise: √(1−α).
    """

    signal: float
    noise: float

    @property
    def angle(self) -> float:
        """arctan(noise/signal): 0 is clean, π/2 is noise alone."""
        return math.atan2(self.noise, self.signal)

    @staticmethod
    def at(angle: float) -> "Level":
        """The level of an angle."""
        return Level(math.cos(angle), math.sin(angle))


CLEAN = Level(1.0, 0.0)


class Schedule:
    """The levels 1 … T that a network learns, from the cleanest to the noisiest.

    Args:
        angles: ``(T,)`` float64, rising, in (0, π/2): signal is their cosine and noise their sine.
    """

    def __init__(self, angles: Tensor) -> None:
        self.angles = angles.double()
        self._levels = [Level.at(angle) for angle in self.angles.tolist()]

    @staticmethod
    def named(name: ScheduleName, levels: int = 1000) -> "Schedule":
        """A schedule of the field.

        - ``linear``: βₖ rises linearly, with α = Π(1−β) (Ho, Jain and Abbeel, 2020): 1e-4 to .02 for 1000 levels, and in
          proportion for more or fewer.
        - ``cosine``: √α = cos φ/cos φ₀, where φ rises linearly from φ₀ = .008/1.008·π/2 (Nichol and Dhariwal, 2021), until
          √α = .01 and not 0, from where no step could begin.
        - ``signal-rate``: the angle rises linearly from acos .95 to acos .02, as in the example of Keras (Béres, 2022).
          At its cleanest level a twentieth of the signal is missing, so that samples have too little contrast.
        """
        part = torch.arange(1, levels + 1, dtype=torch.float64) / levels
        if name == "linear":
            betas = torch.linspace(1e-4, 0.02, levels, dtype=torch.float64) * (1000 / levels)
            return Schedule(torch.cumprod(1 - betas, 0).sqrt().acos())
        if name == "cosine":
            first = _OFFSET / (1 + _OFFSET) * math.pi / 2
            last = math.acos(_FAINTEST * math.cos(first))
            return Schedule(((first + part * (last - first)).cos() / math.cos(first)).acos())
        return Schedule(math.acos(0.95) + part * (math.acos(0.02) - math.acos(0.95)))

    def __len__(self) -> int:
        return len(self._levels)

    def __getitem__(self, number: int) -> Level:
        """Level ``number`` of 1 … T; 0 is clean."""
        return CLEAN if number == 0 else self._levels[number - 1]

    def path(self, steps: int | Sequence[int]) -> list[Level]:
        """The levels a sampler visits, from noise to clean: one more than its steps, each step going to the next entry.

        Args:
            steps: how many, evenly spaced from level T on; or the numbers of the levels themselves, falling, however spaced.

        Raises:
            InputError: there are more steps than levels, none, or they do not fall.
        """
        if isinstance(steps, int):
            self.check(steps)
            numbers = [round(len(self) * left / steps) for left in range(steps, 0, -1)]
        else:
            numbers = list(steps)
        falling = all(first > second for first, second in itertools.pairwise(numbers))
        if not numbers or not falling or numbers[0] > len(self) or numbers[-1] < 1:
            raise InputError(f"--steps: levels must fall, from {len(self)} at most to 1 at least; got {numbers}")
        return [self[number] for number in numbers] + [CLEAN]

    def curved_path(self, steps: int) -> list[Level]:
        """Levels whose σ = noise/signal has evenly spaced seventh roots (Karras et al., 2022, eq. 5), then clean.

        Raises:
            InputError: there are more steps than levels, or none.
        """
        self.check(steps)
        first, last = (math.tan(self[number].angle) ** (1 / _RHO) for number in (len(self), 1))
        parts = [place / max(1, steps - 1) for place in range(steps)]
        return [Level.at(math.atan((first + part * (last - first)) ** _RHO)) for part in parts] + [CLEAN]

    def check(self, steps: int) -> None:
        """Whether so many steps can be taken.

        Raises:
            InputError: they cannot.
        """
        if not 1 <= steps <= len(self):
            raise InputError(f"--steps {steps}: the schedule has {len(self)} noise levels; give 1 to {len(self)} steps, "
                             "or train with more --levels")  # fmt: skip
