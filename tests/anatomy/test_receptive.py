import pytest
import torch
from torch import nn

from pendio.anatomy.receptive import WHOLE
from pendio.anatomy.summary import summarize
from pendio.classification.networks.plain import CNN
from pendio.classification.networks.resnet import ResNet
from pendio.nn.convolution import Conv2d
from pendio.nn.residual import Residual


def measured(module, shape, row, column):
    """First and last pixel, down and across, that output value (row, column) depends on, by its gradient."""
    for parameter in module.parameters():
        nn.init.uniform_(parameter, 0.5, 1.0)  # all positive, so that nothing cancels and no ReLU closes
    images = torch.rand(1, *shape, requires_grad=True)
    module.eval()(images)[0, :, row, column].sum().backward()
    seen = images.grad[0].abs().sum(0) > 0
    down, across = seen.any(1).nonzero()[:, 0], seen.any(0).nonzero()[:, 0]
    return (int(down.min()), int(down.max())), (int(across.min()), int(across.max()))


class Smooth(nn.Module):
    """Max pooling's kernel without its choice: the gradient of a maximum shows one of its pixels only."""

    @staticmethod
    def of(module):
        for parent in module.modules():
            for name, child in parent.named_children():
                if isinstance(child, nn.MaxPool2d):
                    setattr(parent, name, nn.AvgPool2d(child.kernel_size, child.stride, child.padding))
        return module


STACKS = {
    "one": nn.Sequential(nn.Conv2d(3, 2, 3, padding=1)),
    "dilated": nn.Sequential(
        nn.Conv2d(3, 2, 3, padding=2, dilation=2), nn.ReLU(), nn.Conv2d(2, 2, (5, 3), (2, 1), (2, 1))
    ),
    "strided": nn.Sequential(
        nn.Conv2d(3, 4, 7, 2, 3), nn.MaxPool2d(3, 2, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 3, 2, 1)
    ),
    "residual": nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        Residual(nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 5, padding=2))),
    ),
    "padded": nn.Sequential(
        nn.ZeroPad2d((2, 1, 0, 3)), nn.Conv2d(3, 4, 3, 2), nn.ReflectionPad2d(1), nn.Conv2d(4, 2, 3)
    ),
    "same": nn.Sequential(Conv2d(3, 4, 3, 2, "same"), Conv2d(4, 2, 4, padding="same")),
    "resnet": nn.Sequential(*list(ResNet((3, 64, 64), 1).children())[:2]),
    "cnn": CNN((3, 64, 64)).stages[:3],
}


@pytest.mark.parametrize("name", STACKS)
def test_the_field_is_what_the_gradient_sees(name):
    module, side = Smooth.of(STACKS[name]), 96
    *_, last = summarize(module, (3, side, side)).layers
    rows, columns = last.output[1] // 2, last.output[2] // 2
    seen = measured(module, (3, side, side), rows, columns)
    for axis, place, (first, final) in zip(last.field.axes, (rows, columns), seen, strict=True):
        assert (axis.first + place * axis.stride, axis.last + place * axis.stride) == (first, final)
        assert axis.size == final - first + 1


def test_resnet18_sees_what_its_publications_say():
    import timm

    layers = {layer.name: layer for layer in summarize(timm.create_model("resnet18"), (3, 224, 224)).layers}
    assert layers["conv1"].field.axes[0].size == 7
    assert layers["layer1.1.bn2"].field.axes[0].size == 43
    assert layers["layer4.1.bn2"].field.axes[0].size == 435
    assert layers["layer4.1.bn2"].field.axes[0].stride == 32
    assert layers["fc"].field == WHOLE


def test_what_is_pooled_or_gated_globally_sees_everything():
    pooled = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 2, 1))
    assert [layer.field == WHOLE for layer in summarize(pooled, (3, 9, 9)).layers] == [False, True, True]
    gated = ResNet((3, 32, 32), 1, squeeze=True)
    names = {layer.name: layer for layer in summarize(gated, (3, 32, 32)).layers}
    assert names["stages.0.1"].field == WHOLE


def test_points_and_tables_have_no_field():
    assert summarize(nn.Linear(4, 2), (4,)).layers[0].field is None
