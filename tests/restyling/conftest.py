import pytest
import torch
from torch import nn

import pendio
from pendio.nn.network import Network


def make_eye(channels=3):
    """A tiny network with maps at three resolutions, of random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = nn.Sequential(
            nn.Conv2d(channels, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 6, 3, 2, 1), nn.BatchNorm2d(6), nn.ReLU(),
            nn.Conv2d(6, 8, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2),
        )  # fmt: skip
    return Network(module, (channels, 16, 16), [0.5] * channels, [0.25] * channels, ["a", "b"])


def random_images(count, height=16, width=16, channels=3, seed=0):
    return torch.rand(count, channels, height, width, generator=torch.Generator().manual_seed(seed))


QUICK = {"style": "grass", "size": 32, "style_size": 64, "width": 4, "blocks": 1, "epochs": 4, "batch": 9, "lr": 3e-3}
"""Options of a training that takes seconds."""


@pytest.fixture(scope="session")
def restyle_run(tmp_path_factory):
    """A tiny restyler of grass, trained on the embedded photographs."""
    out = tmp_path_factory.mktemp("session") / "grass"
    return pendio.train("restyle", progress=False, out=str(out), **QUICK)
