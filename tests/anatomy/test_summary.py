import pytest
import timm
import torch
from torch import nn

from pendio.anatomy.summary import summarize
from pendio.classification.models import MODELS


class Recorder:
    """Output shapes of a real forward pass, layer by layer."""

    def __init__(self, module, shape):
        self.shapes = []
        handles = [
            layer.register_forward_hook(lambda layer, inputs, output: self.shapes.append(tuple(output.shape[1:])))
            for layer in module.modules()
            if not list(layer.children())
        ]
        module.eval()(torch.zeros(1, *shape))
        for handle in handles:
            handle.remove()


@pytest.mark.parametrize("name", [*MODELS, "timm:resnet18", "timm:mobilenetv3_small_100"])
def test_shapes_equal_those_of_a_real_forward_pass(name):
    module = timm.create_model(name[5:]) if name.startswith("timm:") else MODELS[name][1]((3, 32, 32))
    counted = summarize(module, (3, 32, 32))
    assert [layer.output for layer in counted.layers] == Recorder(module, (3, 32, 32)).shapes
    assert counted.parameters == sum(p.numel() for p in module.parameters())


def test_counts_follow_the_formulas():
    layers = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 6 * 5, 7))
    counted = summarize(layers, (3, 6, 5))
    convolution, _, _, linear = counted.layers
    assert (convolution.parameters, convolution.multiply_adds) == (3 * 3 * 3 * 8 + 8, 3 * 3 * 3 * 8 * 6 * 5)
    assert (linear.parameters, linear.multiply_adds) == (240 * 7 + 7, 240 * 7)
    assert counted.multiply_adds == convolution.multiply_adds + linear.multiply_adds


def test_a_layer_used_twice_counts_its_parameters_once_and_its_work_twice():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x):
            return self.layer(self.layer(x))

    counted = summarize(Twice(), (4,))
    assert [layer.parameters for layer in counted.layers] == [20, 0]
    assert (counted.parameters, counted.multiply_adds) == (20, 32)


def test_the_network_is_left_as_it_was_and_nothing_is_allocated():
    module = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 2)).train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    summarize(module, (4,))
    assert module.training
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    with torch.device("meta"):
        huge = nn.Sequential(*[nn.Linear(40_000, 40_000) for _ in range(4)])  # 25 GB if it had values
    assert summarize(huge, (40_000,)).parameters == 4 * (40_000**2 + 40_000)


def test_an_input_that_does_not_fit_is_named():
    with pytest.raises(ValueError, match=r"cannot take an input of shape \(3, 8, 8\)"):
        summarize(nn.Linear(5, 2), (3, 8, 8))
