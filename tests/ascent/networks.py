"""Small networks to look into."""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from pendio.nn.network import Network

SHAPE = (2, 5, 4)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def wrapped(module: nn.Module, classes: int = 4, shape: tuple[int, ...] = SHAPE) -> Network:
    """A network in float64 with weights that are the same each time."""
    for number, parameter in enumerate(module.parameters()):
        parameter.data = 0.5 * random(*parameter.shape, seed=number)
    channels = shape[0]
    names = [f"class {number}" for number in range(classes)]
    return Network(module.double(), shape, [0.0] * channels, [1.0] * channels, names).double()


def deep(classes: int = 4) -> Network:
    """Two convolutions with in-place ReLUs, dropout and a head."""
    parts = OrderedDict(
        first=nn.Conv2d(2, 3, 3, padding=1),
        bend=nn.ReLU(inplace=True),
        second=nn.Conv2d(3, 5, 3, padding=1),
        again=nn.ReLU(inplace=True),
        flat=nn.Flatten(),
        drop=nn.Dropout(0.5),
        head=nn.Linear(100, classes),
    )
    return wrapped(nn.Sequential(parts), classes)
