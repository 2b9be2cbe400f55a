"""Deep against shallow: the sawtooth that n layers of two units fold, and one layer must spell out tooth by tooth."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pendio.errors import InputError

__all__ = ["Comparison", "compare", "deep_sawtooth", "sawtooth", "shallow_sawtooth"]


def sawtooth(points: Tensor, folds: int) -> Tensor:
    """The n-fold composition of the triangle 2·min(x, 1 − x) on [0, 1]: 2ⁿ⁻¹ teeth (Telgarsky, 2016)."""
    for _ in range(folds):
        points = 2 * torch.minimum(points, 1 - points)
    return points


def deep_sawtooth(folds: int) -> nn.Sequential:
    """The sawtooth by depth: each layer of two units folds once, 2·relu(x) − 4·relu(x − ½)."""
    _check(folds)
    layers: list[nn.Module] = [_linear([[1.0], [1.0]], [0.0, -0.5])]
    for _ in range(folds - 1):
        layers += [nn.ReLU(), _linear([[2.0, -4.0], [2.0, -4.0]], [0.0, -0.5])]
    return nn.Sequential(*layers, nn.ReLU(), _linear([[2.0, -4.0]], [0.0]))


def shallow_sawtooth(folds: int) -> nn.Sequential:
    """The sawtooth by width: a ReLU network of one hidden layer bends once a unit, and the sawtooth bends 2ⁿ − 1 times.

    A unit more starts the first tooth; none of them can be spared.
    """
    _check(folds)
    corners = torch.arange(2**folds, dtype=torch.float64) / 2**folds
    slope = float(2**folds)
    bends = torch.tensor([slope] + [-2 * slope if number % 2 else 2 * slope for number in range(1, 2**folds)])
    return nn.Sequential(
        _linear([[1.0]] * len(corners), (-corners).tolist()), nn.ReLU(), _linear([bends.tolist()], [0.0])
    )


def _check(folds: int) -> None:
    if not 1 <= folds <= 16:
        raise InputError(f"the sawtooth is folded 1 to 16 times, got {folds}")


def _linear(weight: list[list[float]], bias: list[float]) -> nn.Linear:
    layer = nn.Linear(len(weight[0]), len(weight), dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weight, dtype=torch.float64))
        layer.bias.copy_(torch.tensor(bias, dtype=torch.float64))
    return layer


@dataclass(frozen=True)
class Comparison:
    """Parameters that the same function costs in depth and in width, and the largest error of each network."""

    folds: int
    deep: int
    shallow: int
    deep_error: float
    shallow_error: float


@torch.no_grad()
def compare(folds: int) -> Comparison:
    """Measure both networks of the n-fold sawtooth: on its corners, and thrice between each two of them."""
    _check(folds)
    points = torch.linspace(0, 1, 4 * 2**folds + 1, dtype=torch.float64)[:, None]
    truth = sawtooth(points, folds)
    deep, shallow = deep_sawtooth(folds), shallow_sawtooth(folds)
    return Comparison(
        folds,
        *(sum(parameter.numel() for parameter in network.parameters()) for network in (deep, shallow)),
        *(float((network(points) - truth).abs().max()) for network in (deep, shallow)),
    )
