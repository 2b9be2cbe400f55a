import pytest
import torch
import torch.nn.functional as F

from pendio.neurons.vanishing import gradient_by_layer, stack


def shares(kind):
    """The first layer's gradient as a share of the last's."""
    torch.manual_seed(0)
    inputs, targets = torch.randn(64, 16), torch.randint(0, 5, (64,))
    gradients = gradient_by_layer(stack(kind, 16, 5), lambda out: F.cross_entropy(out, targets), inputs)
    assert len(gradients) == 22
    return gradients[0] / gradients[-1]


def test_sigmoids_lose_the_gradient_and_residual_normalised_layers_keep_it():
    assert shares("sigmoid") < 1e-10
    assert 0.01 < shares("residual") < 100


def test_a_sigmoid_layer_keeps_at_most_a_quarter_of_what_its_weights_pass_on():
    """σ′ ≤ 1/4: with orthogonal weights the gradient of the input shrinks by four a layer or more."""
    network = stack("sigmoid", 64, 64, depth=8)
    for module in network.modules():
        if isinstance(module, torch.nn.Linear):
            torch.nn.init.orthogonal_(module.weight)
    inputs = torch.randn(1, 64, requires_grad=True)
    outputs = network(inputs)
    direction = torch.randn_like(outputs)
    (gradient,) = torch.autograd.grad(outputs, inputs, direction)
    assert gradient.norm() <= direction.norm() * 0.25**8 * (1 + 1e-5)


def test_gradients_are_those_of_autograd():
    network = stack("relu", 3, 2, depth=1, width=4)
    inputs = torch.randn(5, 3)
    gradients = gradient_by_layer(network, lambda out: out.square().sum(), inputs)
    network(inputs).square().sum().backward()
    expected = [module.weight.grad.square().mean().sqrt() for module in network.modules() if hasattr(module, "weight")]
    assert gradients == pytest.approx([float(value) for value in expected])
