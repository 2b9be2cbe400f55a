"""How many dimensions data has: fewer than numbers, where these depend on each other."""

import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from pendio.errors import InputError
from pendio.generation.quality.neighbors import neighbor_distances

__all__ = ["Dimension", "dimension", "local_pca", "two_nn"]

_CHUNK = 256
"""Neighbourhoods that are in memory at once, at most."""

_NUMBERS = 1 << 25
"""Numbers of these: a quarter of a gigabyte."""

_KEPT = 0.9
"""Share of the points, those with the smallest ratios, that the line of TwoNN is fitted to; the others are of outliers."""


@dataclass(frozen=True)
class Dimension:
    """Estimates of an intrinsic dimension.

    Attributes:
        points: how many points there are, twins counted once.
        extrinsic: numbers a point has.
        two_nn: of the nearest two neighbours, at maximal likelihood; it sees the finest scale, noise included.
        error: its standard error.
        two_nn_fit: the same by fitting the line of its distribution, in which outliers count less.
        local_pca: mean over neighbourhoods of how many directions carry ``share`` of the variance.
        neighbors, share: of that.
    """

    points: int
    extrinsic: int
    two_nn: float
    error: float
    two_nn_fit: float
    local_pca: float
    neighbors: int
    share: float

    def to_dict(self) -> dict[str, float]:
        """For ``--json``."""
        return asdict(self)


def dimension(features: Tensor, *, neighbors: int = 20, share: float = 0.95, centers: int = 1000) -> Dimension:
    """All estimates of points ``(N, D)``; see :func:`two_nn` and :func:`local_pca`.

    Raises:
        InputError: there are fewer than three different points, or than ``neighbors`` + 1, or a value is not finite.
    """
    if not features.isfinite().all():
        raise InputError("points with values that are not finite have no dimension")
    points = features.double().flatten(1).unique(dim=0)
    likeliest, fitted = two_nn(points)
    count = len(points)
    return Dimension(
        count, points.shape[1], likeliest, likeliest / math.sqrt(count), fitted,
        local_pca(points, neighbors=neighbors, share=share, centers=centers), neighbors, share,
    )  # fmt: skip


def two_nn(points: Tensor) -> tuple[float, float]:
    """The dimension by the ratio of two distances (Facco et al., 2017): at maximal likelihood, and by fitting a line.

    Where density hardly changes from a point to its second neighbour, μ = r₂/r₁ has the distribution F(μ) = 1 − μ^−d,
    whatever that density is. Hence d = (N − 1)/Σ ln μ, without bias; and −ln(1 − F) = d·ln μ is a line through the origin.

    Args:
        points: ``(N, D)``, no two alike.

    Raises:
        InputError: there are fewer than three.
    """
    if len(points) < 3:
        raise InputError(f"{len(points)} different points have no dimension: three are needed at least")
    squares = neighbor_distances(points - points.mean(0), 2)
    logs = (squares[:, 1] / squares[:, 0].clamp(min=1e-300)).log().div(2).sort().values
    likeliest = (len(logs) - 1) / float(logs.sum().clamp(min=1e-300))
    kept = max(2, int(_KEPT * len(logs)))
    shares = torch.arange(1, kept + 1, dtype=logs.dtype) / (len(logs) + 1)
    line = -torch.log1p(-shares)
    fitted = float((line * logs[:kept]).sum() / logs[:kept].square().sum().clamp(min=1e-300))
    return likeliest, fitted


def local_pca(points: Tensor, *, neighbors: int = 20, share: float = 0.95, centers: int = 1000) -> float:
    """The mean over neighbourhoods of how many principal components carry ``share`` of their variance (Fukunaga, 1971).

    Args:
        points: ``(N, D)``.
        neighbors: of each centre; at most as many dimensions can be seen.
        share: of the variance, in (0, 1].
        centers: points, spread evenly over the order of ``points``, whose neighbourhoods are looked at.

    Raises:
        InputError: there are no more points than ``neighbors``, or an argument is out of its range.
    """
    if not 0 < share <= 1:
        raise InputError(f"--share must be in (0, 1], got {share:g}")
    if neighbors < 2 or centers < 1:
        raise InputError(f"--neighbors must be 2 or more, got {neighbors}")
    if len(points) <= neighbors:
        raise InputError(f"neighbourhoods of {neighbors} need {neighbors + 1} points, and there are {len(points)}; "
                         "give fewer --neighbors")  # fmt: skip
    chosen = torch.linspace(0, len(points) - 1, min(centers, len(points))).round().long()
    total = 0
    for part in chosen.split(max(1, min(_CHUNK, _NUMBERS // (neighbors * points.shape[1])))):
        near = torch.cdist(points[part], points, compute_mode="donot_use_mm_for_euclid_dist").topk(
            neighbors + 1, largest=False
        )
        clouds = points[near.indices]
        values = torch.linalg.svdvals(clouds - clouds.mean(1, keepdim=True)).square()
        carried = values.cumsum(1) / values.sum(1, keepdim=True).clamp(min=1e-300)
        # What rounding alone keeps from the whole is no direction.
        total += int((carried < share - 1e-9).sum()) + len(part)
    return total / len(chosen)
