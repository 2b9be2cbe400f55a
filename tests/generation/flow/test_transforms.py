import pytest
import torch

from pendio.generation.flow.autoregressive import Autoregressive
from pendio.generation.flow.coupling import conv_coupling, dense_coupling
from pendio.generation.flow.models import image_flow, vector_flow
from pendio.generation.flow.scalars import Affine, Spline
from pendio.generation.flow.transforms import ActNorm, InvertibleLinear, Squeeze, initialize

from .conftest import jacobian, noise, roughened

VECTORS = {
    "realnvp": lambda: vector_flow("realnvp", 5, 3, 8, 2),
    "maf": lambda: vector_flow("maf", 5, 3, 8, 2),
    "nsf": lambda: vector_flow("nsf", 5, 3, 8, 2, bins=4, bound=2.0),
    "nsf-ar": lambda: vector_flow("nsf-ar", 5, 3, 8, 2, bins=4, bound=2.0),
    "coupling": lambda: dense_coupling(5, Affine(), 8, 2),
    "linear": lambda: InvertibleLinear(5),
    "actnorm": lambda: ActNorm(5),
    "maf narrower than its features": lambda: Autoregressive(5, Affine(), 3, 2),
}
IMAGES = {
    "glow": lambda: image_flow("glow", (1, 8, 8), 2, 4, 2),
    "realnvp": lambda: image_flow("realnvp", (3, 4, 4), 2, 4, 2),
    "maf": lambda: image_flow("maf", (1, 4, 4), 2, 16, 2),
    "coupling": lambda: conv_coupling(4, Affine(), 4, 2),
    "squeeze": lambda: Squeeze(),
    "linear": lambda: InvertibleLinear(3),
    "actnorm": lambda: ActNorm(3),
}
SHAPES = {"glow": (1, 8, 8), "realnvp": (3, 4, 4), "maf": (1, 4, 4), "coupling": (4, 2, 2), "squeeze": (1, 4, 4),
          "linear": (3, 2, 2), "actnorm": (3, 2, 2)}  # fmt: skip
ALL = [(make, (5,)) for make in VECTORS.values()] + [(make, SHAPES[name]) for name, make in IMAGES.items()]
NAMES = [*VECTORS, *(f"{name} of images" for name in IMAGES)]


@pytest.mark.parametrize(("make", "shape"), ALL, ids=NAMES)
def test_log_determinants_are_those_of_the_autograd_jacobian(make, shape):
    flow, x, context = roughened(make()), noise(3, *shape), noise(3, 2, seed=1)
    expected = torch.stack([jacobian(flow, x[k], context[k : k + 1]).slogdet()[1] for k in range(3)])
    assert torch.allclose(flow(x, context)[1], expected, atol=1e-8, rtol=0)


@pytest.mark.parametrize(("make", "shape"), ALL, ids=NAMES)
@torch.no_grad()
def test_the_inverse_leads_back(make, shape):
    flow, x, context = roughened(make()), noise(50, *shape), noise(50, 2, seed=1)
    assert float((flow.inverse(flow(x, context)[0], context) - x).abs().max()) < 1e-8


def test_a_masked_transform_has_a_triangular_jacobian_and_uses_all_it_may_see():
    flow = roughened(Autoregressive(5, Affine(), 20))
    slopes = jacobian(flow, noise(1, 5)[0], None)
    assert torch.equal(slopes.triu(1), torch.zeros(5, 5, dtype=torch.float64))
    assert bool((slopes[torch.tril_indices(5, 5).unbind()] != 0).all())


@torch.no_grad()
def test_sampling_a_masked_transform_agrees_with_a_full_pass_for_each_feature():
    flow, z = roughened(Autoregressive(7, Affine(), 24, 2)), noise(4, 7)
    context, x = noise(4, 2, seed=1), torch.zeros(4, 7, dtype=torch.float64)
    for feature in range(7):
        x[:, feature] = flow.scalar.inverse(z, flow.parameters_of(x, context))[:, feature]
    assert torch.allclose(flow.inverse(z, context), x, atol=1e-12)


@torch.no_grad()
def test_cached_masked_weights_follow_the_weights():
    flow, x = roughened(Autoregressive(4, Affine(), 8)), noise(3, 4)
    before = flow(x)[0]
    flow.last.weight.mul_(2)
    changed = flow(x)[0]
    assert not torch.allclose(before, changed)
    assert torch.allclose(flow.inverse(changed), x, atol=1e-8)
    flow.float()
    assert flow(x.float())[0].dtype == torch.float32


def test_splines_are_the_identity_outside_and_at_zero_parameters():
    spline, x = Spline(6, 2.0), torch.linspace(-5, 5, 101, dtype=torch.float64)
    z, log_slopes = spline.forward(x, torch.zeros(101, spline.count, dtype=torch.float64))
    assert torch.allclose(z, x, atol=1e-12)
    assert torch.allclose(log_slopes, torch.zeros_like(x), atol=1e-12)
    z, log_slopes = spline.forward(x, 3 * noise(101, spline.count))
    outside = x.abs() > 2
    assert torch.equal(z[outside], x[outside])
    assert not log_slopes[outside].any()


def test_splines_rise_and_join_without_a_kink():
    spline, x = Spline(5, 2.0), torch.linspace(-3, 3, 20001, dtype=torch.float64)
    raw = 0.5 * noise(1, spline.count).expand(20001, -1)
    z, log_slopes = spline.forward(x, raw)
    assert bool((z.diff() > 0).all())
    between = z.diff() / x.diff()
    middle = (log_slopes.exp()[1:] + log_slopes.exp()[:-1]) / 2
    assert float((between - middle).abs().max()) < 5e-3


def test_what_lies_far_outside_poisons_no_gradient():
    spline = Spline(4, 1.0)
    for values in ([-1e30, -1.0, 0.0, 1.0, 1e30],):
        x = torch.tensor(values, requires_grad=True)
        raw = (5 * noise(5, spline.count)).float().requires_grad_()
        z, log_slopes = spline.forward(x, raw)
        (z.sum() + log_slopes.sum()).backward()
        assert bool(x.grad.isfinite().all() and raw.grad.isfinite().all())
        assert bool(spline.inverse(x, raw).isfinite().all())


def test_actnorm_starts_with_mean_zero_and_variance_one():
    norm, x = ActNorm(3), 5 + 2 * noise(40, 3, 4, 4).float()
    initialize(norm, x)
    z = norm(x)[0].transpose(0, 1).flatten(1)
    assert torch.allclose(z.mean(1), torch.zeros(3), atol=1e-5)
    assert torch.allclose(z.std(1), torch.ones(3), atol=1e-3)
    assert not norm.fitting


def test_a_context_matters():
    for name in ("realnvp", "maf", "nsf", "nsf-ar"):
        flow, x = roughened(VECTORS[name]()), noise(3, 5)
        first, second = (flow(x, torch.eye(2, dtype=torch.float64)[k].expand(3, 2))[0] for k in (0, 1))
        assert not torch.allclose(first, second)


def test_sides_that_are_odd_have_no_scales():
    with pytest.raises(ValueError, match="not even"):
        image_flow("glow", (1, 5, 5))


def test_after_a_fused_step_the_density_is_that_of_the_new_weights():
    flow, x = roughened(vector_flow("maf", 5, 3, 8)).float(), noise(4, 5).float()
    with torch.no_grad():
        flow(x)
    optimizer = torch.optim.AdamW(flow.parameters(), 0.1, fused=True)
    flow(x)[0].square().sum().backward()
    optimizer.step()
    expected = flow(x)[0].detach()
    with torch.no_grad():
        torch.testing.assert_close(flow(x)[0], expected)


def test_normalisation_leaves_what_never_changes_as_it_is():
    norm, x = ActNorm(3), torch.tensor([[1.0, 5.0, -2.0], [3.0, 5.0, -4.0]])
    initialize(norm, x)
    z, log_det = norm(x)
    torch.testing.assert_close(z, torch.tensor([[-1.0, 0.0, 1.0], [1.0, 0.0, -1.0]]))
    torch.testing.assert_close(log_det, torch.zeros(2))
