from types import SimpleNamespace

import pytest
import torch
from torch import nn

import pendio
import pendio.data
from pendio.ascent.attacks.goal import Goal
from pendio.nn.network import Network


class Linear:
    """A linear network on 1×4×4 images in float64, with images in the middle of [0, 1] and the classes it gives them.

    The weights are as the images meet them, the normalisation included. Logits are far below zero, as none may assume
    that they are not.
    """

    def __init__(self, classes, images=None, count=6, seed=0):
        generator = torch.Generator().manual_seed(seed)
        layer = nn.Linear(16, classes)
        layer.weight.data = torch.randn(classes, 16, generator=generator)
        layer.bias.data = torch.randn(classes, generator=generator) - 40
        names = [str(n) for n in range(classes)]
        self.network = Network(nn.Sequential(nn.Flatten(), layer), (1, 4, 4), [0.3], [0.5], names).double()
        self.weights = layer.weight.data / 0.5
        if images is None:
            images = 0.35 + 0.3 * torch.rand(count, 1, 4, 4, generator=generator)
        self.images = images.double()
        self.classes = self.logits(self.images).argmax(1)
        self.goal = Goal(self.classes)

    def logits(self, images):
        with torch.no_grad():
            return self.network(images)

    def margins(self, images):
        """``(N, K)`` of each class over the one to leave, which itself is left out by infinity."""
        logits = self.logits(images)
        own = logits.gather(1, self.classes[:, None])
        return (logits - own).scatter(1, self.classes[:, None], -torch.inf)

    def margin(self, images):
        return self.margins(images).amax(1)

    def slopes(self):
        """``(N, K, 16)`` the gradients of the margins."""
        return self.weights[None] - self.weights[self.classes][:, None]


@pytest.fixture
def linear():
    return Linear


@pytest.fixture
def corners():
    """Images whose pixels are all black or white."""
    return (torch.rand(6, 1, 4, 4, generator=torch.Generator().manual_seed(5)) < 0.5).double()


@pytest.fixture
def digits(digits_run):
    """A trained CNN in float64, and images that it takes for what they are."""
    network = pendio.load(digits_run.folder).network.double()
    split = pendio.data.open("digits").val
    images, labels = split.inputs[:24].double(), split.targets[:24]
    with torch.no_grad():
        right = network(images).argmax(1) == labels
    images, labels = images[right][:16], labels[right][:16]
    return SimpleNamespace(
        network=network,
        images=images,
        goal=Goal(labels),
        goal_of=lambda count: Goal(labels[:count]),
        target=Goal((labels + 1) % 10, targeted=True),
    )


@pytest.fixture
def dropping():
    """A network left in training mode, with dropout and batch normalisation that would show it."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(16, 4)]
    return Network(nn.Sequential(*layers), (1, 4, 4), [0.5], [0.5], list("abcd")).train()


class Logarithm(nn.Module):
    def forward(self, inputs):
        return inputs.flatten(1).log()[:, :4]


@pytest.fixture
def overflowing():
    """A network that is not finite on black pixels."""
    return Network(Logarithm(), (1, 4, 4), [0.0], [1.0], list("abcd"))
