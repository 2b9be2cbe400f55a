"""Truths about normalising flows: determinants, inverses, and densities that sum to 1."""

import math

import torch
from torch import Tensor

from pendio.exact.check import Check
from pendio.generation.flow.autoregressive import Autoregressive
from pendio.generation.flow.models import image_flow, vector_flow
from pendio.generation.flow.pixels import Pixels, bits_per_dimension
from pendio.generation.flow.scalars import Affine
from pendio.generation.flow.task import Flow
from pendio.generation.flow.transforms import Transform

__all__ = ["CHECKS"]


def _noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@torch.no_grad()
def _rough(flow: Transform) -> Transform:
    """In double precision, with weights that are nowhere zero."""
    flow = flow.double().eval()
    for number, parameter in enumerate(flow.parameters()):
        parameter.add_(_noise(*parameter.shape, seed=number), alpha=0.2)
    return flow


def _flows() -> list[tuple[Transform, Tensor]]:
    """Each kind of flow, with examples for it."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made: list[tuple[Transform, Tensor]] = [
            (vector_flow(model, 4, 2, 8, bins=4, bound=2.0), _noise(3, 4))
            for model in ("realnvp", "maf", "nsf", "nsf-ar")
        ]
        made.append((image_flow("glow", (1, 4, 4), 2, 4), _noise(3, 1, 4, 4)))
    return [(_rough(flow), x) for flow, x in made]


def _jacobian(flow: Transform, x: Tensor) -> Tensor:
    slopes: Tensor = torch.autograd.functional.jacobian(lambda value: flow(value[None])[0].flatten(), x)
    return slopes.reshape(x.numel(), x.numel())


def _determinants() -> tuple[float, float]:
    worst = 0.0
    for flow, x in _flows():
        expected = torch.stack([_jacobian(flow, one).slogdet()[1] for one in x])
        worst = max(worst, float((flow(x)[1].detach() - expected).abs().max()))
    return worst, 0


@torch.no_grad()
def _inverses() -> tuple[float, float]:
    return max(float((flow.inverse(flow(x)[0]) - x).abs().max()) for flow, x in _flows()), 0


def _triangular() -> tuple[float, float]:
    flow = _rough(Autoregressive(5, Affine(), 20))
    return float(_jacobian(flow, _noise(5)).triu(1).abs().max()), 0


@torch.no_grad()
def _integral() -> tuple[float, float]:
    """Of a spline flow in the plane, on a grid that reaches to 20 standard deviations."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        flow = vector_flow("nsf", 2, 3, 8, bins=4, bound=3.0)
    task = Flow(flow, (2,), None, [1.0, -2.0], [2.0, 0.5])
    _rough(flow)
    task.double()
    steps = torch.linspace(-20, 20, 241, dtype=torch.float64)
    cells = torch.cartesian_prod(steps, steps) * torch.tensor([2.0, 0.5], dtype=torch.float64)
    cells = cells + torch.tensor([1.0, -2.0], dtype=torch.float64)
    return float(task.log_prob(cells).exp().sum()) * (40 / 240) ** 2, 1


def _uniform() -> tuple[float, float]:
    """A flow that takes pixels to the line and back by the logit has the uniform density, and 8 bits a dimension."""
    pixels = Pixels(256)
    greys = torch.arange(256, dtype=torch.float64).view(4, 1, 8, 8) / 255
    x, log_det = pixels.to_line(pixels.dequantize(greys, 0.25))
    # The density of the logit of a uniform y: the slope of y by x.
    slope = (x.sigmoid() * (1 - x.sigmoid()) / (1 - 2 * pixels.alpha)).log().flatten(1).sum(1)
    return float(bits_per_dimension(slope + log_det, 64).mean()), math.log2(256)


CHECKS = (
    Check("flow-log-determinants", "log-determinants of flows are those of the autograd Jacobian", _determinants, 1e-8),
    Check("flow-inverse", "the inverse of a flow leads back to where it came from", _inverses, 1e-8),
    Check("flow-triangular", "a masked autoregressive flow has a triangular Jacobian", _triangular),
    Check("flow-density", "the density of a spline flow in the plane integrates to 1", _integral, 5e-3),
    Check("flow-uniform", "uniform pixels of 256 greys have exactly 8 bits per dimension", _uniform, 1e-9),
)
