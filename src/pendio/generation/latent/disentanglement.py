"""Whether each dimension of a code says one thing: MIG, SAP and DCI, closed and deterministic."""

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Dci", "dci", "mig", "sap"]

_BINS = 20
_TINY = 1e-12


class Dci(NamedTuple):
    """Attributes: disentanglement, completeness and informativeness, each of which is 1 at best."""

    disentanglement: float
    completeness: float
    informativeness: float


def mig(values: Tensor, factors: Tensor, bins: int = _BINS) -> float:
    """Mutual information gap (Chen et al., 2018): mean of (I₁ − I₂)/H over factors; 1 where one dimension alone says each.

    Args:
        values: codes ``(N, D)``, each dimension parted into ``bins`` bins of equal width.
        factors: ``(N, K)`` whole numbers from 0.
        bins: of each dimension.
    """
    low, high = values.amin(0), values.amax(0)
    parts = ((values - low) / (high - low).clamp(min=_TINY) * bins).long().clamp(max=bins - 1)
    gaps = []
    for factor in factors.long().T:
        information = torch.stack([_information(column, factor, bins) for column in parts.T])
        entropy = _entropy(torch.bincount(factor).double() / len(factor))
        gaps.append(_gap(information) / entropy.clamp(min=_TINY))
    return float(torch.stack(gaps).mean())


def _information(first: Tensor, second: Tensor, bins: int) -> Tensor:
    count = int(second.max()) + 1
    joint = torch.bincount(first * count + second, minlength=bins * count).double().reshape(bins, count) / len(first)
    return _entropy(joint.sum(0)) + _entropy(joint.sum(1)) - _entropy(joint.flatten())


def _entropy(chances: Tensor) -> Tensor:
    """In nats, over the last dimension."""
    return -torch.xlogy(chances, chances).sum(-1)


def _gap(scores: Tensor) -> Tensor:
    """The largest less the next; a lone dimension has no rival."""
    ordered = scores.sort(descending=True).values
    return ordered[0] - ordered[1] if len(ordered) > 1 else ordered[0]


def sap(values: Tensor, factors: Tensor) -> float:
    """Separated attribute predictability (Kumar et al., 2018): the gap between a factor's two best dimensions.

    A prediction's score is the share of the dimension's variance that lies between the factor's values (the correlation
    ratio η²), so that nothing has to be trained.

    Args:
        values: codes ``(N, D)``.
        factors: ``(N, K)`` whole numbers from 0.
    """
    centred = values - values.mean(0)
    total = centred.square().sum(0).clamp(min=_TINY)
    gaps = []
    for factor in factors.long().T:
        member = torch.nn.functional.one_hot(factor).to(values.dtype)
        sums, counts = member.T @ centred, member.sum(0).clamp(min=1)[:, None]
        gaps.append(_gap((sums.square() / counts).sum(0) / total))
    return float(torch.stack(gaps).mean())


def dci(values: Tensor, factors: Tensor, penalty: float = 1e-3) -> Dci:
    """Disentanglement, completeness, informativeness (Eastwood and Williams, 2018), by ridge regression.

    A dimension's importance for a factor is the squared weight of the standardised dimension in predicting which value the
    factor has; informativeness is the share of variance explained.

    Args:
        values: codes ``(N, D)``.
        factors: ``(N, K)`` whole numbers from 0.
        penalty: for each example.
    """
    inputs = (values - values.mean(0)) / values.std(0).clamp(min=1e-9)
    system = inputs.T @ inputs + penalty * len(inputs) * torch.eye(inputs.shape[1], dtype=inputs.dtype)
    importance, shares = [], []
    for factor in factors.long().T:
        outputs = torch.nn.functional.one_hot(factor).to(values.dtype)
        outputs = outputs - outputs.mean(0)
        weights = torch.linalg.solve(system, inputs.T @ outputs)
        residual = (outputs - inputs @ weights).square().sum()
        shares.append(1 - residual / outputs.square().sum().clamp(min=_TINY))
        importance.append(weights.square().sum(1))
    table = torch.stack(importance, 1)
    total = table.sum().clamp(min=_TINY)
    return Dci(
        float((_sureness(table) * table.sum(1) / total).sum()),
        float((_sureness(table.T) * table.sum(0) / total).sum()),
        float(torch.stack(shares).mean()),
    )


def _sureness(table: Tensor) -> Tensor:
    """1 − entropy of each row in units of its most: 1 where a row has one entry."""
    if table.shape[1] == 1:
        return table.new_ones(len(table))
    shares = table / table.sum(1, keepdim=True).clamp(min=_TINY)
    most = torch.log(torch.tensor(float(table.shape[1]), dtype=table.dtype))
    return 1 - _entropy(shares) / most
