from dataclasses import dataclass

import pytest
import torch
from torch import nn

from pendio.data.examples import Resident
from pendio.descent.task import Loss, Task


class Regression(Task):
    """Least squares with any network, measured by its mean squared error."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network
        self.squares: list[float] = []

    def loss(self, batch):
        return Loss((self.network(batch.inputs) - batch.targets).square().sum(), len(batch.inputs))

    def measure(self, batch):
        self.squares += (self.network(batch.inputs) - batch.targets).square().sum(1).tolist()

    def metrics(self):
        mean = sum(self.squares) / len(self.squares)
        self.squares = []
        return {"mse": mean}

    def score(self, metrics):
        return (-metrics["mse"],)

    def predict(self, inputs):
        return self.network(inputs)


@dataclass
class Pair:
    train: Resident
    val: Resident


def make_regression(examples=48, features=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(examples, features, generator=generator)
    targets = torch.sin(inputs.sum(1, keepdim=True)) + 0.1 * torch.randn(examples, 1, generator=generator)
    return Pair(Resident(inputs, targets), Resident(inputs[:16], targets[:16]))


def make_network(seed=0, dropout=0.0, norm=False):
    torch.manual_seed(seed)
    layers = [nn.Linear(5, 16), nn.BatchNorm1d(16) if norm else nn.Identity(), nn.ReLU(), nn.Dropout(dropout)]
    return Regression(nn.Sequential(*layers, nn.Linear(16, 1)))


@pytest.fixture
def data():
    return make_regression()
