import numpy as np
import pytest
import torch

from pendio.generation.flow.options import FlowOptions
from pendio.generation.flow.recipe import train_flow

QUICK = {"layers": 2, "width": 8, "epochs": 2, "batch": 20}
"""Options of a training that takes a second."""


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@torch.no_grad()
def roughened(flow):
    """The flow in double precision, with weights that are nowhere zero."""
    flow = flow.double().eval()
    generator = torch.Generator().manual_seed(2)
    for parameter in flow.parameters():
        parameter += 0.2 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return flow


def jacobian(flow, x, context):
    """∂z/∂x ``(D, D)`` of one example."""
    slopes = torch.autograd.functional.jacobian(lambda value: flow(value[None], context)[0].flatten(), x)
    return slopes.reshape(x.numel(), x.numel())


@pytest.fixture(scope="session")
def archive(tmp_path_factory):
    """Sixty images of 8 × 8 pixels in two classes: bars that lie, and bars that stand."""
    rng = np.random.default_rng(0)
    images = np.zeros((60, 8, 8), np.uint8)
    for number, image in enumerate(images):
        image[rng.integers(1, 7)] = 255
        images[number] = image.T if number % 2 else image
    path = tmp_path_factory.mktemp("session") / "bars.npz"
    np.savez(path, x=images, y=np.arange(60) % 2)
    return str(path)


@pytest.fixture(scope="session")
def bars_run(archive, tmp_path_factory):
    """A conditional flow of bars after two epochs."""
    out = tmp_path_factory.mktemp("session") / "bars"
    return train_flow(FlowOptions.of({**QUICK, "data": archive, "out": str(out), "conditional": True}), progress=False)


@pytest.fixture(scope="session")
def moons_run(tmp_path_factory):
    """A flow of two moons after two epochs."""
    out = tmp_path_factory.mktemp("session") / "moons"
    return train_flow(FlowOptions.of({**QUICK, "data": "moons", "out": str(out), "batch": 250}), progress=False)
