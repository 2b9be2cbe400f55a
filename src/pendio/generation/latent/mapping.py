"""From the latent space of one trained model to that of another: how well, and from how few examples."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from pendio.data.examples import Data
from pendio.errors import InputError
from pendio.generation.latent.codes import Codes, decoded, encoded
from pendio.generation.latent.directions import principal_directions
from pendio.generation.latent.maps import LinearMap, MapMethod, d_optimal, procrustes, random_support, ridge
from pendio.generation.making import Latent

__all__ = ["Choice", "MapError", "Mapping", "check_same_data", "study_map"]

Choice = Literal["random", "d-optimal"]

_NOTHING = 1e-5
"""Share of the examples' variance below which an error is one of rounding: to 256 greys, digits lose about as much."""

_MUCH = 1.5
"""Times the target's own error, in as many dimensions, that a mapped reconstruction may have."""


@dataclass(frozen=True)
class MapError:
    """Held-out errors of a map, means of squares: of latents in units of the target codes' variance.

    Attributes:
        support: examples it was fitted on.
        source: R, of the source's own reconstruction; 0 where that differs by rounding alone.
        latent: L, of the mapped codes: 0 is exact, 1 as good as the mean.
        mapped: M, of what the target makes of mapped codes.
        own: of the target's own reconstruction; 0 as above.
        cut: of the target's own, of codes cut to as many principal components as the source has dimensions. What a linear
            map reaches of the target's space has no more: so M is fairly measured where the target's codes are wider, and
            where it loses nothing by itself.
    """

    support: int
    source: float
    latent: float
    mapped: float
    own: float
    cut: float

    @property
    def ratio(self) -> float | None:
        """M over the target's own error; None where the target loses nothing, as a flow does."""
        return self.mapped / self.own if self.own else None

    @property
    def cut_ratio(self) -> float | None:
        """M over the target's own error within the source's dimensions; None where nothing is lost there."""
        return self.mapped / self.cut if self.cut else None

    def to_dict(self) -> dict[str, Any]:
        """By name."""
        return {**asdict(self), "ratio": self.ratio, "cut_ratio": self.cut_ratio}


@dataclass(frozen=True)
class Mapping:
    """Maps from growing supports.

    Attributes:
        errors: one for each support size, growing; the last is that of ``map``.
        map: the last.
        inputs: held-out examples ``(N, *shape)``.
        source: the source's reconstructions of them.
        mapped: what the target makes of the mapped codes.
        own: the target's own reconstructions.
        warning: that the support was too small; empty where it was not.
    """

    errors: tuple[MapError, ...]
    map: LinearMap
    inputs: Tensor
    source: Tensor
    mapped: Tensor
    own: Tensor
    warning: str


def check_same_data(source: Data, target: Data) -> None:
    """Raises:
    InputError: two runs learned from different data, which has no map.
    """
    if source.name != target.name or tuple(source.shape) != tuple(target.shape):
        first, second = (f"'{data.name}' of shape {'×'.join(map(str, data.shape))}" for data in (source, target))
        raise InputError(f"a map is between runs of the same data, got {first} and {second}; train both with the same "
                         "--data and --size")  # fmt: skip
    # What was learned from has another mean where it was split in another way.
    if tuple(source.mean) != tuple(target.mean):
        raise InputError(f"both runs learned from '{source.name}', but from other examples of it; train both with the same "
                         "--split-seed, and the same --normal if any")  # fmt: skip


def study_map(
    source: Latent, target: Latent, data: Data, *, sizes: Sequence[int] | None = None, method: MapMethod = "ridge",
    choice: Choice = "d-optimal", seed: int = 0, most: int = 2000,
) -> Mapping:  # fmt: skip
    """Fit maps on supports of training examples, and measure them on validation examples.

    Args:
        source: where codes come from.
        target: whose codes they become.
        data: of both.
        sizes: of the supports; by default ½, 1, 2 and 4 times the dimensions of the source.
        method: ``ridge`` or ``procrustes``.
        choice: of the support.
        seed: of a random support.
        most: examples of a split to use.

    Raises:
        InputError: a support is of less than two or of more examples than there are.
    """
    seen = encoded(source, data, "train", most=most)
    count, width = seen.values.shape
    wanted = sorted(set(sizes or (min(max(2, width * k // 2), count) for k in (1, 2, 4, 8))))
    if wanted[0] < 2 or wanted[-1] > count:
        raise InputError(f"--support must be 2 to {count}, the training examples of '{data.name}', got "
                         f"{wanted[0] if wanted[0] < 2 else wanted[-1]}")  # fmt: skip
    held = encoded(source, data, "val", most=most)
    aim, held_aim = _codes(target, seen), _codes(target, held)
    own, source_made = decoded(target, held_aim), decoded(source, held.values)
    own_error, cut_error = (_lost(made, held.inputs) for made in (own, decoded(target, _cut(aim, held_aim, width))))
    spread = (held_aim - held_aim.mean(0)).square().mean()
    errors = []
    for size in wanted:
        chosen = random_support(count, size, seed) if choice == "random" else d_optimal(seen.values, size)
        fit = (ridge if method == "ridge" else procrustes)(seen.values[chosen], aim[chosen])
        codes = fit(held.values)
        mapped = decoded(target, codes)
        errors.append(MapError(
            size, _lost(source_made, held.inputs), float((codes - held_aim).square().mean() / spread.clamp(min=1e-12)),
            _error(mapped, held.inputs), own_error, cut_error,
        ))  # fmt: skip
    return Mapping(tuple(errors), fit, held.inputs, source_made, mapped, own, _warning(errors[-1], width))


def _codes(task: Latent, codes: Codes) -> Tensor:
    with torch.no_grad():
        return torch.cat([task.encode(part).flatten(1).cpu().double() for part in codes.inputs.split(256)])


def _cut(known: Tensor, codes: Tensor, dimensions: int) -> Tensor:
    """Codes ``(N, E)`` as their first principal components say them, of those of the ``known`` ones."""
    if dimensions >= codes.shape[1]:
        return codes
    ways, _ = principal_directions(known, dimensions)
    mean = known.mean(0)
    return mean + (codes - mean) @ ways.T @ ways


def _error(made: Tensor, real: Tensor) -> float:
    return float((made - real).square().mean())


def _lost(made: Tensor, real: Tensor) -> float:
    """The error, without that of rounding."""
    error = _error(made, real)
    return error if error > _NOTHING * float(real.var()) else 0.0


def _warning(last: MapError, width: int) -> str:
    if last.support <= width:
        return (f"the support of {last.support} examples is too small to tell all {width} dimensions of the source "
                f"apart; take --support {4 * width}")  # fmt: skip
    if last.cut_ratio is not None and last.cut_ratio > _MUCH and last.support < 4 * width:
        return (f"mapped reconstructions have {last.cut_ratio:.2f} times the target's own error in {width} dimensions: the "
                f"support of {last.support} may be too small; take --support {4 * width}")  # fmt: skip
    return ""
