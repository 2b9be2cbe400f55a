import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pendio.ascent.reading import fingerprint
from pendio.classification import models
from pendio.errors import InputError
from pendio.nn.network import Network
from pendio.segmentation.convolutional import convolutionalize, dense_layers
from pendio.segmentation.surgery import ChannelNorm


def random(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def classifier(name):
    """A published network with random weights, spread so that its logits tell images apart."""
    torch.manual_seed(0)
    form = models.preprocessing(name)
    module = models._create(name, pretrained=False) if not name.startswith("torchvision:vgg") else vgg(name)
    classes = [str(number) for number in range(1000)]
    return Network(module, (3, form.size, form.size), form.mean, form.std, classes, resizes=True).eval()


def vgg(name):
    """Torchvision draws more than a hundred million numbers one by one; these take a tenth of the time."""
    import torchvision.models

    with torch.device("meta"):
        module = torchvision.models.get_model(name.partition(":")[2], weights=None)
    module = module.to_empty(device="cpu")
    for parameter in module.parameters():
        fan = parameter[0].numel() if parameter.ndim > 1 else 1000
        parameter.data.uniform_(-1, 1).mul_((6 / fan) ** 0.5)
    return module


def gap(one, two):
    assert one.shape == two.shape
    return float((one - two).abs().max() / one.abs().max())


@torch.no_grad()
def check(network, larger=True):
    """At the native size the classifier's logits, in one cell; a larger image gives more cells."""
    made = convolutionalize(network)
    image = random(1, *network.shape)
    cells = made(image)
    assert gap(network(image)[:, :, None, None], cells) < 1e-5
    if larger:
        height, width = network.shape[1] + 2 * made.stride[0], network.shape[2] + made.stride[1]
        assert made(random(1, network.shape[0], height, width)).shape[2:] == (3, 2)
    return made


FLAT = [pytest.param("torchvision:vgg16", marks=pytest.mark.slow), "torchvision:alexnet"]
POOLED = [
    "efficientnet-lite0", "torchvision:resnet18", "torchvision:mobilenet_v3_small", "torchvision:squeezenet1_1",
    "torchvision:shufflenet_v2_x0_5", "timm:resnet18", "timm:mobilenetv3_small_100",
    "timm:convnext_atto",
]  # fmt: skip


@pytest.mark.parametrize("name", FLAT + POOLED)
def test_the_map_at_the_native_size_is_what_the_classifier_answers(name):
    made = check(classifier(name), larger=name != "torchvision:vgg16")
    assert made.stride == ((16, 16) if "squeezenet" in name else (32, 32))
    assert made.window == (224, 224)
    assert made.start == (112, 112)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["torchvision:convnext_tiny", "timm:seresnet18", "torchvision:vgg11",
             "torchvision:densenet121", "torchvision:googlenet", "torchvision:inception_v3",
             "torchvision:regnet_y_400mf", "timm:vgg11", "timm:densenet121", "timm:mobilenetv4_conv_small", "timm:dpn68"]
)  # fmt: skip
def test_many_more_networks(name):
    check(classifier(name))


@pytest.mark.parametrize("name", list(models.MODELS))
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 64, 64)])
def test_own_networks(name, shape):
    torch.manual_seed(0)
    network = models.build(name, shape, [0.4] * shape[0], [0.3] * shape[0], "abcde").eval()
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.uniform_(-0.5, 0.5)
    check(network, larger=False)
    bigger = torch.rand(1, shape[0], 97, 130)
    assert min(convolutionalize(network)(bigger).shape[2:]) > 1


def toy(*head, side=20, body=None):
    """Without padding, so that what a cell says cannot depend on what is around its window."""
    torch.manual_seed(0)
    body = body or [nn.Conv2d(3, 6, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3, stride=2), nn.ReLU()]
    return Network(nn.Sequential(*body, *head), (3, side, side), [0.4] * 3, [0.3] * 3, "abcde").double().eval()


def linear():
    return nn.Flatten(), nn.Linear(8, 5)


class Functional(nn.Module):
    """Pools and flattens as many networks do: without layers for it."""

    def __init__(self, keepdim):
        super().__init__()
        self.linear, self.keepdim = nn.Linear(8, 5), keepdim

    def forward(self, maps):
        rows = maps.mean((2, 3), keepdim=True).view(maps.size(0), -1) if self.keepdim else maps.mean([2, 3])
        return self.linear(F.relu(rows))


HEADS = {
    "flattened": lambda: (nn.Flatten(), nn.Linear(128, 12), nn.ReLU(), nn.Dropout(), nn.Linear(12, 5)),
    "mean": lambda: (nn.AdaptiveAvgPool2d(1), *linear()),
    "maximum": lambda: (nn.AdaptiveMaxPool2d(1), *linear()),
    "grid as large as the map": lambda: (nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(128, 5)),
    "grid of halves": lambda: (nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(), nn.Linear(32, 5)),
    "grid of unequal parts": lambda: (nn.AdaptiveAvgPool2d((3, 2)), nn.Flatten(), nn.Linear(48, 5)),
    "normalised rows": lambda: (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 5)),
    "batch norm of rows": lambda: (nn.AdaptiveAvgPool2d(1), nn.Flatten(), trained_norm(), nn.Linear(8, 5)),
    "convolution last": lambda: (nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 5, 1), nn.Flatten()),
    "functional": lambda: (Functional(keepdim=False),),
    "functional, kept": lambda: (Functional(keepdim=True),),
    "no bias": lambda: (nn.Flatten(), nn.Linear(128, 5, bias=False)),
}


def trained_norm():
    norm = nn.BatchNorm1d(8)
    norm.running_mean.uniform_(0, 0.2)
    norm.running_var.uniform_(0.5, 2)
    nn.init.uniform_(norm.weight, 0.5, 2)
    return norm


@pytest.mark.parametrize("head", HEADS)
@torch.no_grad()
def test_without_padding_each_cell_is_what_the_classifier_says_of_its_window(head):
    network = toy(*HEADS[head]())
    made = convolutionalize(network)
    assert made.stride == (4, 4)
    image = random(2, 3, 20 + 8, 20 + 13).double()
    cells = made(image)
    assert cells.shape == (2, 5, 3, 4)
    for row in range(3):
        for column in range(4):
            window = image[:, :, 4 * row : 4 * row + 20, 4 * column : 4 * column + 20]
            torch.testing.assert_close(cells[:, :, row, column], network(window), rtol=0, atol=1e-12)


@torch.no_grad()
def test_the_classifier_shares_its_weights_and_is_left_as_it_was():
    network = toy(*HEADS["flattened"]()).train()
    before = fingerprint(network)
    made = convolutionalize(network)
    assert fingerprint(network) == before
    image = random(1, 3, 20, 20).double()
    network.eval()
    network.module[-1].weight.mul_(2)
    torch.testing.assert_close(made(image).flatten(1), network(image))


@torch.no_grad()
def test_it_takes_bytes_and_can_be_copied():
    made = convolutionalize(toy(*HEADS["mean"]()).float())
    image = torch.randint(0, 256, (1, 3, 31, 24), dtype=torch.uint8)
    torch.testing.assert_close(copy.deepcopy(made)(image), made(image / 255), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["efficientnet-lite0", "torchvision:resnet18", "torchvision:squeezenet1_1"])
@torch.no_grad()
def test_places_contribute_the_logits(name):
    network = classifier(name)
    made = convolutionalize(network, pooled=False)
    image = random(1, 3, 224, 224)
    cells = made(image)
    assert cells.shape[2] > 1
    assert gap(network(image), cells.mean((2, 3))) < 1e-5
    middle = (made.start[0] + made.start[0] + (cells.shape[2] - 1) * made.stride[0]) / 2
    assert middle == 112, "the places lie evenly about the middle of the window"


def test_what_follows_a_mean_must_be_linear_to_leave_it_out():
    for name in ("timm:convnext_atto", "timm:mobilenetv3_small_100", "torchvision:mobilenet_v3_small"):
        with pytest.raises(InputError, match="mean cannot be left out"):
            convolutionalize(classifier(name), pooled=False)
    for head in ("normalised rows", "functional"):
        with pytest.raises(InputError, match="mean cannot be left out"):
            convolutionalize(toy(*HEADS[head]()), pooled=False)
    with pytest.raises(InputError, match="no global mean to leave out"):
        convolutionalize(toy(*HEADS["flattened"]()), pooled=False)


class FixedWithin(nn.Module):
    def forward(self, images):
        return F.interpolate(images, (20, 20))


def test_others_are_refused_in_a_line():
    with pytest.raises(InputError, match=r"turns \[1, 192, 14, 14\] into \[1, 192, 196\]"):
        convolutionalize(classifier("timm:vit_tiny_patch16_224"))
    with pytest.raises(InputError, match="takes 4 numbers"):
        convolutionalize(Network(nn.Linear(4, 2), (4,), [0.0] * 4, [1.0] * 4, "ab"))
    with pytest.raises(InputError, match="to the same size within"):
        convolutionalize(toy(*HEADS["mean"](), body=[FixedWithin(), nn.Conv2d(3, 8, 3)]))
    with pytest.raises(InputError, match="LayerNorm of a flattened map"):
        convolutionalize(toy(nn.Flatten(), nn.LayerNorm(128), nn.Linear(128, 5)))
    with pytest.raises(InputError, match="ReLU stands between the mean over a grid"):
        convolutionalize(toy(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.ReLU(), nn.Linear(32, 5)))
    with pytest.raises(InputError, match="maximum over parts"):
        convolutionalize(toy(nn.AdaptiveMaxPool2d(2), nn.Flatten(), nn.Linear(32, 5)))


@torch.no_grad()
def test_dense_layers_keep_the_size_of_a_map():
    network = toy(nn.Flatten(), nn.Linear(8 * 9, 12), nn.ReLU(), nn.Dropout(), nn.Linear(12, 7), nn.ReLU(),
                  nn.Linear(7, 5), side=16)  # fmt: skip
    layers = dense_layers(convolutionalize(network))
    assert [type(layer).__name__ for layer in layers] == ["Conv2d", "ReLU", "Dropout", "Conv2d", "ReLU"]
    maps = random(1, 8, 3, 3).double()
    assert layers(maps).shape == (1, 7, 3, 3)
    rows = network.module[5:-1](maps)
    torch.testing.assert_close(layers(maps)[:, :, 1, 1], rows)
    with pytest.raises(InputError, match="no dense layers"):
        dense_layers(convolutionalize(toy(*HEADS["mean"]())))
    with pytest.raises(InputError, match="4×4 have no middle"):
        dense_layers(convolutionalize(toy(*HEADS["flattened"]())))


def test_a_channel_norm_is_a_layer_norm_at_each_place():
    norm = nn.LayerNorm(4)
    nn.init.normal_(norm.weight)
    maps = random(2, 4, 3, 5)
    torch.testing.assert_close(ChannelNorm(norm)(maps)[:, :, 1, 2], norm(maps[:, :, 1, 2]))
