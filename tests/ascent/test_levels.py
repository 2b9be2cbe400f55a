import pytest
import timm
from torch import nn

from pendio.ascent.levels import check_size, levels
from pendio.ascent.reading import fingerprint
from pendio.errors import InputError
from pendio.nn.network import Network

from .networks import deep, wrapped


def imagenet(name):
    return Network(timm.create_model(name), (3, 64, 64), [0.5] * 3, [0.5] * 3, [str(number) for number in range(1000)])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet18", ["act1", "layer1", "layer2", "layer3", "layer4"]),
        ("tf_efficientnet_lite0", ["bn1", "blocks.1", "blocks.2", "blocks.4", "bn2"]),
    ],
)
def test_one_layer_a_resolution_and_whole_stages(name, expected):
    network = imagenet(name)
    before = fingerprint(network)
    assert levels(network) == expected
    assert fingerprint(network) == before


def test_pooling_ends_a_level_after_its_last_activation():
    module = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(3, 3, 1), nn.Flatten())
    assert levels(wrapped(module, 12, (2, 4, 4))) == ["1", "3"]


def test_a_network_without_maps_says_so():
    with pytest.raises(InputError, match="no layer with a map"):
        levels(wrapped(nn.Sequential(nn.Flatten(), nn.Linear(40, 3)), 3))


def test_images_must_suit_the_network():
    check_size(imagenet("resnet18"), ["layer4", "logits"], (3, 33, 64))
    with pytest.raises(InputError, match=r"an image of 24×64 is smaller than the stride of layer 'layer4', 32 pixels"):
        check_size(imagenet("resnet18"), ["layer4"], (3, 24, 64))
    check_size(imagenet("resnet18"), ["layer1"], (3, 24, 64))
    with pytest.raises(InputError, match="the image has 1 channels; this network takes 3"):
        check_size(imagenet("resnet18"), [], (1, 64, 64))
    with pytest.raises(InputError, match=r"cannot take an input of shape \(2, 6, 4\).*its own size is 5×4"):
        check_size(deep(), [], (2, 6, 4))
    table = Network(nn.Linear(4, 2), (4,), [0.0] * 4, [1.0] * 4, "ab")
    with pytest.raises(InputError, match="takes 4 numbers an example"):
        check_size(table, [], (1, 2, 2))
