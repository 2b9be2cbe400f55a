import numpy as np
import pytest
import torch

from pendio.data.examples import Examples
from pendio.generation.gan.networks import conv_discriminator, conv_generator
from pendio.generation.gan.options import GanOptions
from pendio.generation.gan.recipe import train_gan
from pendio.generation.gan.task import Gan, Rules

QUICK = {"latent": 4, "width": 2, "epochs": 2, "batch": 10}
"""Options of a training that takes a second."""


def make_gan(classes=0, channels=1, size=8, **rules):
    """An untrained GAN of tiny networks."""
    shape = (channels, size, size)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        networks = conv_generator(4, shape, 2, classes), conv_discriminator(shape, 2, classes)
    return Gan(*networks, 4, shape, Rules(**rules), [f"class {k}" for k in range(classes)])


def make_batch(count=6, channels=1, size=8, classes=2):
    images = torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(0))
    return Examples(images, torch.arange(count) % classes, torch.arange(count))


@pytest.fixture(scope="session")
def archive(tmp_path_factory):
    """Sixty images of 8 × 8 pixels in two classes: bars that lie, and bars that stand."""
    rng = np.random.default_rng(0)
    images = np.zeros((60, 8, 8), np.uint8)
    for number, image in enumerate(images):
        place = rng.integers(1, 7)
        image[place] = 255
        images[number] = image.T if number % 2 else image
    path = tmp_path_factory.mktemp("session") / "bars.npz"
    np.savez(path, x=images, y=np.arange(60) % 2)
    return str(path)


@pytest.fixture(scope="session")
def gan_run(archive, tmp_path_factory):
    """A conditional GAN of bars after two epochs."""
    out = tmp_path_factory.mktemp("session") / "bars"
    return train_gan(GanOptions.of({**QUICK, "data": archive, "out": str(out), "conditional": True}), progress=False)


@pytest.fixture(scope="session")
def points_run(tmp_path_factory):
    """A GAN of two moons after two epochs."""
    out = tmp_path_factory.mktemp("session") / "moons"
    return train_gan(GanOptions.of({**QUICK, "data": "moons", "out": str(out), "batch": 250}), progress=False)
