"""Everything that is measured of what a generative model makes, in one go."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from pendio.data.examples import Data, Split
from pendio.errors import InputError
from pendio.generation.making import Maker
from pendio.generation.quality.features import Features, check_fit
from pendio.generation.quality.frechet import Moments, frechet_distance
from pendio.generation.quality.judge import Judge, Verdict
from pendio.generation.quality.kernel import kernel_distance
from pendio.generation.quality.neighbors import neighborhoods
from pendio.generation.quality.samples import Drawn, draw
from pendio.nn.network import Network

__all__ = ["Distances", "Gathered", "Quality", "distances", "gather", "measure_quality"]

KEPT = 50_000
"""Most features that are kept to be compared one by one; the mean and covariance are always those of all examples."""

_BATCH = 250


@dataclass(frozen=True)
class Gathered:
    """Features of a set of examples: the moments of all, and ``(N, D)`` of at most ``KEPT`` of them."""

    moments: Moments
    features: Tensor


@dataclass(frozen=True)
class Distances:
    """How far a set of examples is from the training data, and how the two lie in each other.

    ``frechet`` and ``kernel`` are squared distances, lower is better; the others are shares, see
    :class:`pendio.generation.quality.neighbors.Neighborhoods`.
    """

    examples: int
    frechet: float
    kernel: float
    kernel_error: float
    precision: float
    recall: float
    density: float
    coverage: float


@dataclass(frozen=True)
class Quality:
    """What was measured.

    Attributes:
        features: by which examples were compared.
        dimensions: of the features.
        reference: how many training examples all are compared with.
        made: of what the model made.
        real: of held-out real examples, which no model needs to beat.
        judged: what the judge sees in what was made; None without a judge.
        judged_real: the same of held-out real examples.
        missing: classes with less than a third of the share that they have among these.
        remarks: what to know when reading the numbers.
    """

    features: str
    dimensions: int
    reference: int
    made: Distances
    real: Distances
    judged: Verdict | None
    judged_real: Verdict | None
    missing: list[str]
    remarks: list[str]

    def to_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)


def gather(examples: Iterable[Drawn], features: Features, count: int, judge: Judge | None = None) -> Gathered:
    """Features of examples that come in batches, of which a judge may see the same.

    Args:
        examples: in batches.
        features: computes them.
        count: how many examples there will be; of more than ``KEPT``, evenly spread ones are kept.
        judge: takes in the examples, and their labels where they have some.
    """
    moments, kept, seen = Moments(), [], 0
    for inputs, labels in examples:
        found = features(inputs).cpu()
        moments.update(found)
        if judge is not None:
            judge.update(inputs, labels)
        places = torch.arange(seen, seen + len(found))
        # Place i is kept where i·KEPT/count passes a whole number.
        kept.append(found[(places + 1) * KEPT // count > places * KEPT // count] if count > KEPT else found)
        seen += len(found)
    if not kept:
        raise InputError("there are no examples to compare")
    return Gathered(moments, torch.cat(kept))


def distances(real: Gathered, made: Gathered) -> Distances:
    """All distances of one set to another.

    Raises:
        InputError: a set has fewer than six examples, or their features do not belong together.
    """
    kernel = kernel_distance(real.features, made.features)
    near = neighborhoods(real.features, made.features)
    frechet = frechet_distance(real.moments, made.moments)
    return Distances(
        made.moments.count, frechet, kernel.value, kernel.error,
        near.precision, near.recall, near.density, near.coverage,
    )  # fmt: skip


def measure_quality(
    maker: Maker, data: Data, features: Features, *, judge: Network | None = None, count: int | None = None,
    temperature: float = 1.0, seed: int = 0, how: Mapping[str, Any] = MappingProxyType({}),
) -> Quality:  # fmt: skip
    """Compare what a maker makes, and held-out real examples beside it, with the training examples.

    Args:
        maker: the trained task.
        data: what it learned from.
        features: by which examples are compared.
        judge: a classifier trained on the same classes, and apart.
        count: examples to make; by default as many as are held out, so that both are measured alike.
        temperature, seed, how: as for :func:`pendio.generation.quality.samples.draw`.

    Raises:
        InputError: the data is of another form than what is made, there are too few examples, or all are alike.
    """
    if tuple(data.shape) != tuple(maker.shape):
        shapes = ["×".join(map(str, shape)) for shape in (maker.shape, data.shape)]
        raise InputError(f"this run makes examples of {shapes[0]}, and those of '{data.name}' are {shapes[1]}; "
                         "give it data of its own size with --data")  # fmt: skip
    held_out = data.split("test")
    count = min(len(held_out), KEPT) if count is None else count
    drawn = draw(maker, count, labels=_labels(maker, data, count), temperature=temperature, seed=seed, how=how)
    seat, seat_real = _seats(maker, data, judge)
    reference = gather(_examples(data.train), features, len(data.train))
    if not reference.moments.variance:
        raise InputError(f"all examples of '{data.name}' have the same features: nothing can be compared")
    fresh = gather(_examples(held_out), features, len(held_out), seat_real)
    made = gather(drawn, features, count, seat)
    verdict = None if seat is None else seat.verdict()
    verdict_real = None if seat_real is None else seat_real.verdict()
    missing = verdict.missing(verdict_real.shares) if verdict is not None and verdict_real is not None else []
    return Quality(
        features.name, reference.moments.width, reference.moments.count, distances(reference, made),
        distances(reference, fresh), verdict, verdict_real, missing, _remarks(made.moments, fresh.moments),
    )  # fmt: skip


def _seats(maker: Maker, data: Data, network: Network | None) -> tuple[Judge | None, Judge | None]:
    """A judge for what is made, and one for what is real."""
    if network is None:
        return None, None
    check_fit("--judge", network, data)
    known = set(data.classes) <= set(network.classes)
    return Judge(network, maker.classes), Judge(network, data.classes if known else ())


def _labels(maker: Maker, data: Data, count: int) -> Tensor | None:
    """Classes to ask for: each as often as the data has it, as closely as whole numbers allow."""
    if not maker.classes:
        return None
    shares = torch.ones(len(maker.classes), dtype=torch.float64)
    if tuple(data.classes) == tuple(maker.classes) and any(data.class_counts):
        shares = torch.tensor(data.class_counts, dtype=torch.float64)
    ends = (shares / shares.sum()).cumsum(0)
    return torch.searchsorted(ends, (torch.arange(count, dtype=torch.float64) + 0.5) / count).clamp(max=len(ends) - 1)


def _examples(split: Split) -> Iterable[Drawn]:
    for batch in split.batches(_BATCH):
        if len(batch.inputs):
            yield Drawn(batch.inputs, batch.targets)


def _remarks(made: Moments, fresh: Moments) -> list[str]:
    remarks = []
    if made.count != fresh.count:
        remarks.append(f"{made.count:,} were made and {fresh.count:,} real ones held out: Fréchet distances compare only "
                       "between equally many")  # fmt: skip
    if min(made.count, fresh.count) <= made.width:
        remarks.append(f"with fewer examples than the features' {made.width:,} dimensions the Fréchet distance is too large "
                       "for both alike; the kernel distance is not")  # fmt: skip
    if not made.variance:
        remarks.append("all that was made has the same features: the model collapsed")
    return remarks
