import torch
from torch import nn

from pendio.nn.normalization import AXES, BatchNorm, normalize


def test_normalised_values_have_mean_0_and_variance_1_over_their_axes():
    values = torch.randn(6, 5, 4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3 + 2
    for axes in AXES.values():
        normal = normalize(values, axes, epsilon=0)
        assert normal.mean(axes).abs().max() < 1e-12
        assert (normal.var(axes, correction=0) - 1).abs().max() < 1e-12


def test_gradients_and_inference_are_torchs():
    torch.manual_seed(0)
    ours, theirs = BatchNorm(3).double(), nn.BatchNorm2d(3).double()
    images = torch.randn(4, 3, 5, 5, dtype=torch.float64)
    gradients = []
    for layer in (ours, theirs):
        given = images.clone().requires_grad_()
        (layer(given) ** 3).sum().backward()
        gradients.append((given.grad, layer.weight.grad, layer.bias.grad))
    for mine, his in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, his)


def test_in_inference_examples_do_not_depend_on_each_other():
    layer = BatchNorm(2).eval()
    images = torch.randn(3, 2, 2, 2)
    assert torch.equal(layer(images)[:1], layer(images[:1]))
