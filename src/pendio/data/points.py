"""2-D point sets on which a decision boundary can be drawn."""

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from pendio.data.arrays import Arrays, assemble
from pendio.data.examples import Data

__all__ = ["POINTS", "points"]

_COUNT = 1500

_Sample = tuple[NDArray[np.float64], NDArray[np.int64]]


def _moons(rng: np.random.Generator) -> _Sample:
    """Two interleaved half circles of radius 1 with Gaussian noise 0.1."""
    which = np.arange(_COUNT) % 2
    angle = rng.uniform(0, math.pi, _COUNT)
    x = np.where(which == 0, np.cos(angle), 1 - np.cos(angle))
    y = np.where(which == 0, np.sin(angle), 0.5 - np.sin(angle))
    return np.stack([x, y], 1) + rng.normal(0, 0.1, (_COUNT, 2)), which


def _rings(rng: np.random.Generator) -> _Sample:
    """Circles of radius 0.5, 1 and 1.5 with Gaussian noise 0.06."""
    which = np.arange(_COUNT) % 3
    angle = rng.uniform(0, 2 * math.pi, _COUNT)
    radius = 0.5 * (which + 1) + rng.normal(0, 0.06, _COUNT)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1), which


def _gaussians(rng: np.random.Generator) -> _Sample:
    """Eight Gaussians of standard deviation 0.15 on a circle of radius 2."""
    which = np.arange(_COUNT) % 8
    centre = 2 * np.stack([np.cos(which * math.pi / 4), np.sin(which * math.pi / 4)], 1)
    return centre + rng.normal(0, 0.15, (_COUNT, 2)), which


def _checkerboard(rng: np.random.Generator) -> _Sample:
    """Uniform in [−2, 2)², the class being the colour of a 4×4 board."""
    place = rng.uniform(-2, 2, (_COUNT, 2))
    return place, (np.floor(place).astype(np.int64).sum(1)) % 2


def _spirals(rng: np.random.Generator) -> _Sample:
    """Two arms of an Archimedean spiral over one and a half turns with Gaussian noise 0.04."""
    which = np.arange(_COUNT) % 2
    turn = np.sqrt(rng.uniform(0.02, 1, _COUNT))
    angle = 3 * math.pi * turn + math.pi * which
    place = 2 * turn[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    return place + rng.normal(0, 0.04, (_COUNT, 2)), which


POINTS: dict[str, tuple[str, Callable[[np.random.Generator], _Sample]]] = {
    "moons": ("two interleaved half circles", _moons),
    "rings": ("three concentric circles", _rings),
    "gaussians": ("eight Gaussians on a circle", _gaussians),
    "checkerboard": ("a 4×4 board in two colours", _checkerboard),
    "spirals": ("two spiral arms", _spirals),
}
"""Name → a line about it, and its sampler."""


def points(name: str, seed: int) -> Data:
    """1,500 points of the named set, split 70:10:20 into training, validation and test."""
    place, which = POINTS[name][1](np.random.default_rng(seed))
    arrays = Arrays(torch.from_numpy(place).float(), torch.from_numpy(which.astype(np.int64)))
    classes = tuple(str(number) for number in range(int(which.max()) + 1))
    return assemble(name, arrays, classes, seed, (), kind="points")
