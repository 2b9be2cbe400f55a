import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pendio.classification.backbones import Backbone, backbone
from pendio.errors import InputError
from pendio.segmentation.networks.fcn import FCN, Upsampling, bilinear_kernel, fcn


class Halving(nn.Module):
    """Maps that are means over their cells: what an FCN makes of them is known."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, images):
        return [self.scale * F.avg_pool2d(images, stride) for stride in (8, 16, 32)]


def tiny(stride=32, classes=4):
    torch.manual_seed(0)
    network = FCN(Backbone("means", Halving(), (8, 16, 32), (3, 3, 3), (0,) * 3, (1,) * 3), classes, stride)
    nn.init.normal_(network.score.weight)
    nn.init.normal_(network.score.bias)
    return network.eval()


def trained(network):
    """Skips that are no longer zero."""
    for skip in network.skips.values():
        nn.init.normal_(skip.weight)
    return network


def images(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("factor", [2, 3, 4, 8])
@torch.no_grad()
def test_an_upsampling_starts_out_bilinear_up_to_the_border(factor):
    maps = images(2, 5, 4, 7)
    expected = F.interpolate(maps, scale_factor=factor, mode="bilinear")
    torch.testing.assert_close(Upsampling(5, factor)(maps), expected, rtol=0, atol=3e-6)
    torch.testing.assert_close(bilinear_kernel(factor).sum(), torch.tensor(float(factor**2)))


@pytest.mark.parametrize("stride", [8, 16, 32])
@pytest.mark.parametrize("size", [(64, 96), (50, 71), (1, 33), (5, 5)])
@torch.no_grad()
def test_the_output_has_the_size_of_any_image(stride, size):
    assert trained(tiny(stride))(images(2, 3, *size)).shape == (2, 4, *size)


@pytest.mark.parametrize("stride", [8, 16, 32])
@torch.no_grad()
def test_an_image_shifted_by_a_cell_shifts_the_output(stride):
    network, image = trained(tiny(stride)), images(1, 3, 160, 160)
    shifted = network(image.roll((32, 32), (2, 3)))
    inside = slice(64, 128)
    there = slice(32, 96)
    torch.testing.assert_close(shifted[:, :, inside, inside], network(image)[:, :, there, there], rtol=0, atol=1e-5)


@torch.no_grad()
def test_scores_lie_over_their_cells():
    """Of maps that rise evenly, so do the scores, and in step with the image's own pixels."""
    network = tiny(32, classes=3)
    network.score.weight.copy_(torch.eye(3)[:, :, None, None])
    network.score.bias.zero_()
    ramp = torch.arange(160.0).expand(1, 3, 160, 160)
    torch.testing.assert_close(network(ramp)[..., 16:-16, 16:-16], ramp[..., 16:-16, 16:-16])


@torch.no_grad()
def test_a_finer_stage_begins_as_the_coarser_one():
    coarse, image = tiny(32), images(1, 3, 96, 128)
    fine = coarse.upgraded(16)
    finest = fine.upgraded(8)
    twice = F.interpolate(coarse.scores(image), scale_factor=2, mode="bilinear")
    torch.testing.assert_close(fine.scores(image), twice)
    torch.testing.assert_close(finest.scores(image), F.interpolate(twice, scale_factor=2, mode="bilinear"))
    coarse.score.weight.zero_()
    assert fine.score.weight.abs().sum() > 0, "it has weights of its own"


@torch.no_grad()
def test_a_stage_keeps_what_the_one_before_learned():
    fine = trained(tiny(16))
    finest, image = FCN(tiny().backbone, 4, 8), images(1, 3, 64, 64)
    finest.load_stage(fine.state_dict())
    assert torch.equal(finest.skips["16"].weight, fine.skips["16"].weight)
    torch.testing.assert_close(finest.scores(image), F.interpolate(fine.scores(image), scale_factor=2, mode="bilinear"))


def test_finer_maps_add_what_they_see():
    network, image = trained(tiny(8)), images(1, 3, 64, 64)
    network(image).sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in network.parameters())


def test_all_weights_of_a_real_backbone_learn():
    network = fcn("efficientnet-lite0", 3, 8)
    network(torch.rand(2, 3, 64, 64)).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_the_size_of_the_published_network():
    """Its last layer is counted as published: dense between classes, where all but one in 21 weights are zero."""
    with torch.device("meta"):
        body = backbone("torchvision:vgg16", pretrained=False)
        dense = nn.Sequential(nn.Conv2d(512, 4096, 7, padding=3), nn.ReLU(), nn.Conv2d(4096, 4096, 1), nn.ReLU())
        network = FCN(body, 21, 32, dense)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == 134_346_581
    assert count + 64 * 64 * 21 * 21 == 136_152_917
    assert bilinear_kernel(32).shape == (64, 64)


def test_errors():
    with pytest.raises(InputError, match="no FCN-4s"):
        tiny(4)
    with pytest.raises(InputError, match="can become a finer one, not an FCN-32s"):
        tiny(16).upgraded(32)
    with pytest.raises(InputError, match="strides 8, 16 and 32; 'cnn' gives"):
        FCN(backbone("cnn", strides=(2, 4, 8)), 3)
    with pytest.raises(InputError, match="no earlier stage of this FCN-16s: 'score.weight' is"):
        tiny(16).load_stage(tiny(32, classes=5).state_dict())
    with pytest.raises(InputError, match="no earlier stage of this FCN-32s: 'skips.16.weight'"):
        tiny(32).load_stage(tiny(16).state_dict())
    with pytest.raises(InputError, match="no dense layers"):
        fcn("timm:resnet18", 3, pretrained=False, dense=True)
