import pytest
import torch

from pendio.generation.diffusion.unet import DenoisingMLP, DenoisingUNet


@pytest.mark.parametrize("size", [(8, 8), (9, 13), (5, 4), (16, 7)])
def test_images_of_any_size_keep_it(size):
    torch.manual_seed(0)
    network = DenoisingUNet(2, (8, 16, 16)).eval()
    assert network(torch.randn(2, 2, *size), network.conditioning(torch.ones(2))).shape == (2, 2, *size)


@pytest.mark.parametrize("rows", [False, True])
@torch.no_grad()
def test_each_example_is_answered_as_if_alone_and_hears_its_own_level_and_class(rows):
    torch.manual_seed(0)
    network = (DenoisingMLP(5, 16, 2, classes=3) if rows else DenoisingUNet(1, (8, 16), classes=3)).eval().double()
    values = torch.randn(1, 5).double() if rows else torch.randn(1, 1, 8, 8).double()
    every = values.expand(4, *values.shape[1:])
    angles, labels = torch.tensor([0.3, 0.3, 1.2, 1.2]).double(), torch.tensor([0, 1, 1, 3])
    together = network(every, network.conditioning(angles, labels))
    for number in range(4):
        vector = network.conditioning(angles[number : number + 1], labels[number : number + 1])
        torch.testing.assert_close(network(values, vector)[0], together[number])
        for other in range(number):
            assert float((together[number] - together[other]).abs().max()) > 1e-4


def test_not_told_is_a_class_of_its_own():
    network = DenoisingMLP(2, 8, 1, classes=3)
    told = network.conditioning(torch.ones(2), torch.tensor([3, 3]))
    torch.testing.assert_close(network.conditioning(torch.ones(2)), told)


def test_every_weight_learns():
    torch.manual_seed(0)
    network = DenoisingUNet(1, (8, 16), depth=2, classes=2)
    network(
        torch.randn(3, 1, 8, 8), network.conditioning(torch.rand(3), torch.tensor([0, 1, 2]))
    ).square().sum().backward()
    assert [name for name, weight in network.named_parameters() if not weight.grad.abs().sum() > 0] == []
