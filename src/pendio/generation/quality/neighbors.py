"""Nearest neighbours: how likely what was made is, and how much of what is real it reaches."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from pendio.errors import InputError
from pendio.generation.quality.kernel import check_pair

__all__ = ["Neighborhoods", "neighbor_distances", "neighborhoods"]

_CHUNK = 4096
"""Rows and columns of the matrix of distances that are in memory at once."""


@dataclass(frozen=True)
class Neighborhoods:
    """How two sets lie in each other's neighbourhoods. The ball of an example reaches to its k-th nearest of its own set.

    Attributes:
        precision: share of the made that lie in the ball of a real one: what is made looks real.
        recall: share of the real that lie in the ball of a made one: what is real can be made.
        density: real balls that a made example lies in, over k; about 1 where both are alike, and can exceed it.
        coverage: share of real balls in which a made example lies.
    """

    precision: float
    recall: float
    density: float
    coverage: float


@torch.no_grad()
def neighborhoods(real: Tensor, made: Tensor, *, k: int = 3, k_density: int = 5) -> Neighborhoods:
    """Precision and recall (Kynkäänniemi et al., 2019), density and coverage (Naeem et al., 2020).

    Distances are computed in blocks and none is kept, so memory grows with the number of examples alone.

    Args:
        real, made: features ``(N, D)`` and ``(M, D)``.
        k: nearest neighbour at which the balls of precision and recall end.
        k_density: the same for those of density and coverage.

    Raises:
        InputError: a set has no k neighbours, dimensions differ, or values are not finite.
    """
    if min(k, k_density) < 1:
        raise InputError(f"k must be at least 1, got {min(k, k_density)}")
    most = max(k, k_density)
    check_pair(real, made, most + 1)
    # Of two long vectors close together the difference of squares forgets the digits that count.
    center = real.mean(0)
    real, made = real - center, made - center
    real_radii, made_radii = neighbor_distances(real, most), neighbor_distances(made, k)[:, -1]
    narrow, wide = real_radii[:, k - 1], real_radii[:, k_density - 1]
    inside = made.new_zeros(len(made), dtype=torch.bool)
    balls = made.new_zeros(len(made), dtype=torch.long)
    reached, covered = real.new_zeros(len(real), dtype=torch.bool), real.new_zeros(len(real), dtype=torch.bool)
    for rows, columns, squares in _blocks(real, made):
        inside[columns] |= (squares <= narrow[rows, None]).any(0)
        reached[rows] |= (squares <= made_radii[columns]).any(1)
        within = squares <= wide[rows, None]
        balls[columns] += within.sum(0)
        covered[rows] |= within.any(1)
    shares = [float(which.double().mean()) for which in (inside, reached, covered)]
    return Neighborhoods(shares[0], shares[1], float(balls.double().mean()) / k_density, shares[2])


def neighbor_distances(features: Tensor, k: int) -> Tensor:
    """Squared distances ``(N, k)`` of each example ``(N, D)`` to its k nearest others, the nearest first."""
    nearest = features.new_full((len(features), k), float("inf"))
    for rows, columns, squares in _blocks(features, features):
        if rows.start == columns.start:
            squares.fill_diagonal_(float("inf"))
        candidates = squares.topk(min(k, squares.shape[1]), 1, largest=False).values
        nearest[rows] = torch.cat([nearest[rows], candidates], 1).topk(k, 1, largest=False).values
    return nearest


def _blocks(left: Tensor, right: Tensor) -> Iterator[tuple[slice, slice, Tensor]]:
    """Rows, columns and squared distances of each block of a matrix of distances."""
    left_squares, right_squares = left.square().sum(1), right.square().sum(1)
    for top in range(0, len(left), _CHUNK):
        rows = slice(top, min(top + _CHUNK, len(left)))
        for start in range(0, len(right), _CHUNK):
            columns = slice(start, min(start + _CHUNK, len(right)))
            sums = left_squares[rows, None] + right_squares[columns]
            yield rows, columns, sums.addmm_(left[rows], right[columns].T, alpha=-2).clamp_(min=0)
