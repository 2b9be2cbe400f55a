import pytest
import torch

from pendio.classification.models import MODELS
from pendio.classification.networks.plain import CNN, MLP, LeNet
from pendio.classification.networks.resnet import ResNet
from pendio.classification.networks.separable import Separable

SHAPES = [(1, 8, 8), (3, 32, 32), (3, 64, 48), (1, 28, 28), (3, 9, 7), (1, 4, 4)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", MODELS)
def test_every_body_gives_the_features_it_announces_and_learns_with_all_of_itself(name, shape):
    torch.manual_seed(0)
    body = MODELS[name][1](shape)
    features = body(torch.rand(4, *shape))
    assert features.shape == (4, body.num_features)
    (features * torch.randn_like(features)).sum().backward()
    for parameter_name, parameter in body.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all()
    gradients = [bool(parameter.grad.abs().sum() > 0) for parameter in body.parameters()]
    assert sum(gradients) >= 0.9 * len(gradients)


def test_resnet20_has_the_layers_of_the_paper():
    def convolution(inside, out, size=3):
        return inside * out * size**2 + 2 * out  # with the scale and shift of its normalisation

    stages = [(16, 16), (16, 32), (32, 64)]
    expected = convolution(3, 16)
    for inside, out in stages:
        expected += convolution(inside, out) + 5 * convolution(out, out)
        expected += convolution(inside, out, 1) if inside != out else 0
    body = ResNet((3, 32, 32))
    assert sum(p.numel() for p in body.parameters()) == expected
    weighted = [m for m in body.modules() if isinstance(m, torch.nn.Conv2d) and m.kernel_size == (3, 3)]
    assert len(weighted) == 19, "and the linear head makes 20"


def test_squeeze_and_excitation_is_in_every_block():
    from pendio.nn.squeeze import SqueezeExcitation

    assert sum(isinstance(m, SqueezeExcitation) for m in ResNet((3, 32, 32), squeeze=True).modules()) == 9
    assert not any(isinstance(m, SqueezeExcitation) for m in ResNet((3, 32, 32)).modules())


def test_lenet_has_the_maps_of_the_paper_on_its_own_size():
    body = LeNet((1, 32, 32))
    features = body.features(torch.zeros(1, 1, 32, 32))
    assert features.shape[1] == 16
    assert body.pool(features).shape == (1, 16, 5, 5)
    assert sum(p.numel() for p in body.units.parameters()) == (400 * 120 + 120) + (120 * 84 + 84)


def test_mlp_takes_points_and_images():
    assert MLP((2,))(torch.zeros(3, 2)).shape == (3, 128)
    assert sum(p.numel() for p in MLP((2,), hidden=(5,)).parameters()) == 2 * 5 + 5


def test_features_do_not_depend_on_the_other_examples_when_evaluated():
    for body in (CNN((3, 32, 32)), Separable((3, 32, 32)), ResNet((3, 32, 32), squeeze=True)):
        body.eval()
        images = torch.rand(5, 3, 32, 32)
        torch.testing.assert_close(body(images)[2:3], body(images[2:3]), rtol=1e-4, atol=1e-5)
