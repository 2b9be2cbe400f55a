import pytest
import torch
from torch import nn

from pendio.generation.vae.likelihoods import Gaussian
from pendio.generation.vae.objective import Objective
from pendio.generation.vae.options import VaeOptions
from pendio.generation.vae.recipe import train_vae
from pendio.generation.vae.task import Vae

QUICK = {"width": 4, "latent": 2, "epochs": 2, "batch": 128, "lr": 0.01}
"""Options of a training that takes seconds."""

BOUND = Objective()


def train(out, **options):
    return train_vae(VaeOptions.of({**QUICK, "out": str(out), **options}), progress=False)


def make_vae(likelihood=None, features=4, latent=2, objective=BOUND, **more):
    """A VAE of linear layers for rows of numbers, of random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder, decoder = nn.Linear(features, 2 * latent), nn.Linear(latent, features)
    return Vae(encoder, decoder, likelihood or Gaussian(0.5, bounded=False), latent, (features,), objective,
               **{"mean": [0.0] * features, "std": [1.0] * features, **more})  # fmt: skip


def make_image_vae(likelihood, size=8, latent=3):
    """A VAE of linear layers for grey images, of random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = nn.Sequential(nn.Flatten(), nn.Linear(size * size, 2 * latent))
        decoder = nn.Sequential(nn.Linear(latent, size * size), nn.Unflatten(1, (1, size, size)))
    return Vae(encoder, decoder, likelihood, latent, (1, size, size))


def rows(count, features=4, seed=0):
    return torch.randn(count, features, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="session")
def vae_run(tmp_path_factory):
    """A tiny VAE of digits with a plane of codes and a second stage."""
    out = tmp_path_factory.mktemp("session") / "vae"
    return train(out, components=4)


@pytest.fixture(scope="session")
def points_run(tmp_path_factory):
    """A small VAE of points in the plane."""
    return train(tmp_path_factory.mktemp("session") / "points", data="moons", epochs=4)
