import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pendio.segmentation.networks.encoded import EncodedUNet, Joining


class Pooled(nn.Module):
    """An encoder whose maps are convolutions of the mean of each cell."""

    def __init__(self, strides):
        super().__init__()
        self.strides, self.channels = strides, tuple(range(3, 3 + len(strides)))
        self.layers = nn.ModuleList(nn.Conv2d(3, channels, 1) for channels in self.channels)

    def forward(self, images):
        return [layer(F.avg_pool2d(images, stride)) for layer, stride in zip(self.layers, self.strides, strict=True)]


def plain(joining, maps, finer):
    """Repeat values, put maps side by side, convolve."""
    kernel = joining.kernel.transpose(0, 1).flip(2, 3)
    maps = F.interpolate(maps, scale_factor=2, mode="nearest")
    if finer is not None:
        kernel, maps = torch.cat([kernel, joining.skip.weight], 1), torch.cat([maps, finer], 1)
    return F.conv2d(maps, kernel, padding=1)


@pytest.mark.parametrize("skip", [0, 5])
def test_joining_is_repeating_concatenating_and_convolving(skip):
    torch.manual_seed(0)
    joining = Joining(7, skip, 4).double()
    maps = torch.randn(2, 7, 5, 6, dtype=torch.double, requires_grad=True)
    finer = torch.randn(2, skip, 10, 12, dtype=torch.double, requires_grad=True) if skip else None
    inputs = [maps, joining.kernel, *([finer, joining.skip.weight] if skip else [])]
    results = joining(maps, finer), plain(joining, maps, finer)
    torch.testing.assert_close(*results, rtol=0, atol=1e-12)
    pull = torch.randn_like(results[0])
    for one, other in zip(*(torch.autograd.grad(result, inputs, pull) for result in results), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_joining_keeps_the_variance_that_relu_halves():
    torch.manual_seed(0)
    out = Joining(96, 32, 64)(torch.randn(4, 96, 16, 16), torch.randn(4, 32, 32, 32))[:, :, 2:-2, 2:-2]
    assert float(out.detach().var()) == pytest.approx(2, rel=0.1)


@pytest.mark.parametrize("strides", [(2, 4, 8, 16, 32), (4, 8, 16, 32), (1, 2, 4), (8,)])
@pytest.mark.parametrize("size", [(64, 96), (33, 70), (1, 5)])
def test_logits_have_the_size_of_the_image(strides, size):
    network = EncodedUNet(Pooled(strides), 5, width=2).eval()
    with torch.no_grad():
        assert network(torch.rand(2, 3, *size)).shape == (2, 5, *size)


def test_every_map_of_the_encoder_matters():
    network = EncodedUNet(Pooled((1, 4, 8)), 2, width=2)
    network(torch.rand(2, 3, 16, 16)).square().sum().backward()
    assert all(float(layer.weight.grad.abs().sum()) > 0 for layer in network.encoder.layers)


def test_an_image_moved_by_the_stride_moves_its_logits():
    torch.manual_seed(0)
    network = EncodedUNet(Pooled((1, 2, 4, 8)), 1, width=4).eval().double()
    image = torch.rand(1, 3, 96, 96, dtype=torch.double)
    with torch.no_grad():
        moved, still = network(image.roll((8, -16), (2, 3))), network(image).roll((8, -16), (2, 3))
    torch.testing.assert_close(moved[:, :, 40:64, 32:48], still[:, :, 40:64, 32:48], rtol=0, atol=1e-12)
