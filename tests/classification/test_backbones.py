import copy

import pytest
import torch

from pendio.classification.backbones import OWN, backbone
from pendio.classification.models import build, pretrained
from pendio.errors import InputError


def sides(body, height, width):
    with torch.no_grad():
        return [tuple(maps.shape[2:]) for maps in body.eval()(torch.rand(1, 3, height, width))]


@pytest.mark.parametrize(
    "name", ["efficientnet-lite0", "timm:resnet18", "timm:regnety_002", "torchvision:resnet18",
             "torchvision:mobilenet_v3_small"]
)  # fmt: skip
def test_maps_have_the_sides_and_channels_that_are_announced(name):
    body = backbone(name, pretrained=False, strides=(32, 8, 16))
    assert body.strides == (8, 16, 32)
    assert sides(body, 96, 160) == [(12, 20), (6, 10), (3, 5)]
    assert tuple(maps.shape[1] for maps in body(torch.rand(2, 3, 64, 64))) == body.channels
    assert sides(copy.deepcopy(body), 50, 70) == [(7, 9), (4, 5), (2, 3)], "a side that is left over has a cell"


def test_own_networks_have_the_strides_that_they_have():
    for name, strides in {
        "cnn": (2, 4, 8, 16),
        "resnet": (1, 2, 4),
        "se-resnet": (2, 4),
        "separable": (2, 4, 8),
    }.items():
        body = backbone(name, strides=strides)
        assert sides(body, 32, 48) == [(32 // stride, 48 // stride) for stride in strides]
        assert body.mean == body.std == (0.5, 0.5, 0.5)
    assert set(OWN) == {"cnn", "resnet", "se-resnet", "separable"}


@torch.no_grad()
def test_lite0_comes_with_the_weights_of_its_classifier():
    body, network = backbone("efficientnet-lite0").eval(), pretrained("efficientnet-lite0")
    assert body.mean == pytest.approx((127 / 255,) * 3)
    images = torch.rand(1, 3, 64, 96)
    stages = network.module.blocks(network.module.bn1(network.module.conv_stem(images)))
    torch.testing.assert_close(body(images)[-1], stages)


@torch.no_grad()
def test_the_last_map_of_a_traced_network_is_what_its_head_sees():
    torch.manual_seed(0)
    network = build("resnet", (3, 256, 256), [0.5] * 3, [0.5] * 3, "ab")
    body = backbone("resnet", strides=(4,))
    body.body.load_state_dict(network.module.body.state_dict())
    images = torch.rand(1, 3, 40, 40)
    torch.testing.assert_close(body.eval()(images)[0].mean((2, 3)), network.module.body.eval()(images))


@pytest.mark.parametrize("name", ["timm:convnext_atto", "torchvision:resnet18"])
def test_weights_of_a_classifier_go_into_its_backbone(name, tmp_path):
    from safetensors.torch import save_file

    torch.manual_seed(0)
    whole = build(name, (3, 224, 224), [0.5] * 3, [0.5] * 3, "ab", pretrained=False)
    save_file(whole.module.body.state_dict(), tmp_path / "body.safetensors")
    torch.manual_seed(1)
    body = backbone(name, weights=str(tmp_path / "body.safetensors"))
    first = next(value for value in whole.module.body.parameters() if value.ndim == 4)
    assert torch.equal(next(value for value in body.parameters() if value.ndim == 4), first)


def test_all_its_weights_are_used():
    for name in ("torchvision:resnet18", "timm:resnet18", "cnn"):
        body = backbone(name, pretrained=False, strides=(4, 8))
        sum(maps.sum() for maps in body(torch.rand(2, 3, 64, 64))).backward()
        assert all(parameter.grad is not None for parameter in body.parameters()), "layers behind the last map are left"


def test_errors_say_what_there_is():
    with pytest.raises(InputError, match="'separable' has no feature map at stride 32; it has them at 1, 2, 4, 8"):
        backbone("separable", strides=(8, 32))
    with pytest.raises(
        InputError, match="'timm:resnet18' has no feature map at stride 64; it has them at 2, 4, 8, 16, 32"
    ):
        backbone("timm:resnet18", strides=(64,))
    with pytest.raises(InputError, match="'mlp' has no maps at several strides; choose cnn"):
        backbone("mlp")
    with pytest.raises(InputError, match="did you mean 'resnet'"):
        backbone("resnt")
    with pytest.raises(InputError, match="choose a convolutional network"):
        backbone("torchvision:vit_b_16", pretrained=False)
    with pytest.raises(InputError, match="does not take images of any size"):
        backbone("timm:vit_tiny_patch16_224", pretrained=False, strides=(16,))
