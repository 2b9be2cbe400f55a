import pytest
import torch

from pendio.generation.diffusion.options import DiffuseOptions
from pendio.generation.diffusion.recipe import load_diffusion, train_diffusion
from pendio.generation.diffusion.schedules import Schedule
from pendio.generation.diffusion.task import Diffusion
from pendio.generation.diffusion.unet import DenoisingMLP, DenoisingUNet


def seeded(number=0):
    return torch.Generator().manual_seed(number)


def make_task(classes=(), predict="velocity", schedule="cosine", shape=(1, 8, 8), seed=0):
    """A tiny untrained model."""
    torch.manual_seed(seed)
    if len(shape) == 3:
        network = DenoisingUNet(shape[0], (8, 16), classes=len(classes))
    else:
        network = DenoisingMLP(shape[0], 32, 1, len(classes))
    channels = shape[0]
    return Diffusion(
        network, Schedule.named(schedule), predict, shape, [0.4] * channels, [0.3] * channels, classes,
        [1.0] * len(classes),
    ).eval()  # fmt: skip


@pytest.fixture(scope="session")
def moons_run(tmp_path_factory):
    """Moons, each told apart, learned in a few seconds."""
    out = tmp_path_factory.mktemp("session") / "moons"
    options = {"data": "moons", "conditional": True, "width": 8, "epochs": 20, "lr": 4e-3, "batch": 128}
    return train_diffusion(DiffuseOptions.of({**options, "out": str(out)}), progress=False)


@pytest.fixture(scope="session")
def moons(moons_run):
    return load_diffusion(moons_run)


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory):
    """Digits at their own size for two steps: enough to see that everything is there."""
    out = tmp_path_factory.mktemp("session") / "digits"
    options = {"data": "digits", "size": 8, "width": 8, "multipliers": "1,2", "steps": 2, "epochs": 1, "batch": 16}
    return train_diffusion(DiffuseOptions.of({**options, "out": str(out), "conditional": True}), progress=False)
