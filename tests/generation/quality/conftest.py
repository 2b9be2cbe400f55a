import pytest
import torch
from torch import nn

from pendio.generation.examples import open_examples


class Blur:
    """A maker of digits: the mean of a class, and noise in every pixel."""

    def __init__(self, data, noise=0.2, classes=None):
        self.shape = tuple(data.shape)
        self.classes = data.classes if classes is None else classes
        inputs, targets = data.train.inputs, data.train.targets
        self.means = torch.stack([inputs[targets == k].mean(0) for k in range(len(data.classes))])
        self.noise = noise

    def sample(self, count, *, generator, labels=None, temperature=1.0):
        drawn = torch.randint(len(self.means), (count,), generator=generator)
        noise = torch.randn(count, *self.shape, generator=generator)
        return (self.means[drawn if labels is None else labels] + temperature * self.noise * noise).clamp(0, 1)


@pytest.fixture(scope="session")
def digits():
    return open_examples("digits")


@pytest.fixture
def maker(digits):
    return Blur(digits)


@pytest.fixture(scope="session")
def judge(digits_run):
    from pendio.classification.recipe import trained_network

    return trained_network(digits_run.folder)


class Flat(nn.Module):
    """Logits of two classes from the mean of an image: dark or light."""

    def forward(self, images):
        light = images.flatten(1).mean(1) - 0.5
        return 100 * torch.stack([-light, light], 1)
