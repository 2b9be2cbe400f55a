import torch
from torch import nn

from pendio.descent.backpropagation import ACTIVATIONS, backpropagate, backpropagate_convolution


def test_one_neuron_by_hand():
    """y = σ(2·3 − 5) = σ(1); δ = (y − 0)·y(1 − y); ∂w = 3δ."""
    gradients = backpropagate(
        torch.tensor([[3.0]]), [torch.tensor([[2.0]])], [torch.tensor([-5.0])], [ACTIVATIONS["sigmoid"]], lambda y: y
    )
    y = torch.sigmoid(torch.tensor(1.0))
    delta = y * y * (1 - y)
    torch.testing.assert_close(gradients.deltas[0], delta.view(1, 1))
    torch.testing.assert_close(gradients.weights[0], 3 * delta.view(1, 1))
    torch.testing.assert_close(gradients.biases[0], delta.view(1))


def test_deltas_are_the_gradients_of_the_sums():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()
    inputs = torch.randn(5, 4, dtype=torch.float64)
    sums = network[0](inputs)
    sums.retain_grad()
    outputs = network[2](network[1](sums))
    (outputs**3).sum().backward()
    ours = backpropagate(
        inputs, [network[0].weight, network[2].weight], [network[0].bias, network[2].bias],
        [ACTIVATIONS["tanh"], ACTIVATIONS["identity"]], lambda y: 3 * y**2,
    )  # fmt: skip
    torch.testing.assert_close(ours.deltas[0], sums.grad)
    torch.testing.assert_close(ours.outputs, outputs.detach())


def test_slopes_are_those_of_finite_differences():
    z = torch.linspace(-3, 3, 13, dtype=torch.float64) + 0.01
    for name, activation in ACTIVATIONS.items():
        numeric = (activation.value(z + 1e-6) - activation.value(z - 1e-6)) / 2e-6
        torch.testing.assert_close(activation.slope(z), numeric, rtol=0, atol=1e-8, msg=name)


def test_a_convolutions_gradients_with_dilation_and_padding():
    torch.manual_seed(0)
    layer = nn.Conv2d(2, 3, (3, 2), dilation=(2, 1), padding="same", bias=False).double()
    images = torch.randn(2, 2, 6, 5, dtype=torch.float64, requires_grad=True)
    outputs = layer(images)
    delta = torch.randn_like(outputs)
    outputs.backward(delta)
    kernel, below = backpropagate_convolution(layer, images.detach(), delta)
    torch.testing.assert_close(kernel, layer.weight.grad)
    torch.testing.assert_close(below, images.grad)
