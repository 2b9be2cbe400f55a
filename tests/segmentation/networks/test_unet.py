import math

import pytest
import torch
from torch import nn

from pendio.errors import InputError
from pendio.segmentation.networks.unet import UNet, margin, output_size, padded_size, valid_size, valid_sizes

DEPTHS = (1, 2, 3, 4, 5)


def unpadded(depth, **settings):
    return UNet(1, 2, width=1, depth=depth, padded=False, norm="none", **settings).eval()


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_published_network():
    assert count(UNet(1, 2, padded=False, norm="none")) == 31_030_658
    assert output_size(572) == 388
    assert margin() == 92
    network = unpadded(4)
    with torch.no_grad():
        assert network(torch.zeros(1, 1, 572, 572)).shape == (1, 2, 388, 388)


def test_the_padded_network_with_batch_normalisation():
    assert count(UNet(3, 1)) == 31_037_633


@pytest.mark.parametrize("depth", DEPTHS)
def test_sizes_by_formula_are_those_of_running_networks(depth):
    network = unpadded(depth)
    largest = 2 * margin(depth) + 3 * 2**depth + 8
    for side in valid_sizes(largest, depth):
        with torch.no_grad():
            shape = network(torch.zeros(1, 1, side, valid_sizes(largest, depth).start)).shape
        assert shape[2] == output_size(side, depth) == side - 2 * margin(depth)


@pytest.mark.parametrize("depth", DEPTHS)
def test_exactly_the_valid_sizes_halve_evenly(depth):
    def halves(side):
        for _ in range(depth):
            side -= 4
            if side < 2 or side % 2:
                return False
            side //= 2
        side -= 4
        for _ in range(depth):
            side = 2 * side - 4
        return side > 0

    assert list(valid_sizes(900, depth)) == [side for side in range(901) if halves(side)]


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("output", [1, 2, 3, 4, 5, 20, 21, 100])
def test_the_smallest_size_that_covers(depth, output):
    side = valid_size(output, depth)
    assert output_size(side, depth) >= output
    before = valid_sizes(side - 1, depth)
    assert not before or output_size(before[-1], depth) < output


def test_a_size_that_is_not_valid_is_refused_with_the_nearest_ones():
    with pytest.raises(InputError, match=r"not 570.*556 or 572"):
        unpadded(4)(torch.zeros(1, 1, 572, 570))
    with pytest.raises(InputError, match=r"not 100.*nearest is 188"):
        unpadded(4)(torch.zeros(1, 1, 100, 572))


@pytest.mark.parametrize(("depth", "crops"), [(4, [4, 16, 40, 88])])
def test_the_way_down_is_cropped_as_published(depth, crops):
    network = unpadded(depth)
    kept, joined = [], []
    for block in network.down[:-1]:
        block.register_forward_hook(lambda module, inputs, output: kept.append(output.shape[2]))
    for block in network.join:
        block.register_forward_hook(lambda module, inputs, output: joined.append(inputs[0].shape[2]))
    with torch.no_grad():
        network(torch.zeros(1, 1, 572, 572))
    assert [(before - after) // 2 for before, after in zip(reversed(kept), joined, strict=True)] == crops


def test_crops_are_from_the_middle():
    network = unpadded(1, dropout=0.0)
    # All that passes is the shortcut: an impulse must come out where it went in, less the margin.
    for parameter in network.parameters():
        nn.init.zeros_(parameter)
    for layer in (network.down[0][0], network.down[0][2], network.join[0][0], network.join[0][2]):
        layer.weight.data[0, 0, 1, 1] = 1
    network.head.weight.data[0, 0] = 1
    image = torch.zeros(1, 1, 24, 28)
    image[0, 0, 11, 13] = 1
    with torch.no_grad():
        assert network(image)[0, 0].nonzero().tolist() == [[11 - margin(1), 13 - margin(1)]]


@pytest.mark.parametrize("size", [(1, 1), (15, 40), (16, 32), (33, 17)])
def test_padded_any_size_is_kept(size):
    network = UNet(2, 3, width=2).eval()
    images = torch.rand(2, 2, *size)
    with torch.no_grad():
        logits = network(images)
        whole = torch.zeros(2, 2, padded_size(size[0]), padded_size(size[1]))
        whole[:, :, : size[0], : size[1]] = images
        torch.testing.assert_close(logits, network(whole)[:, :, : size[0], : size[1]])
    assert logits.shape == (2, 3, *size)


def test_weights_are_drawn_as_published():
    torch.manual_seed(0)
    network = UNet(3, 2, width=32, depth=2, norm="none")
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and layer.weight.numel() > 5000:
            values = layer.in_channels * (9 if isinstance(layer, nn.Conv2d) else 1)
            assert float(layer.weight.detach().std()) == pytest.approx(math.sqrt(2 / values), rel=0.05)
            assert not layer.bias.any()


def test_dropout_falls_on_the_lowest_maps_in_training_alone():
    torch.manual_seed(0)
    network = UNet(1, 2, width=2, depth=1, norm="none", dropout=0.5)
    images = torch.rand(1, 1, 16, 16)
    assert not torch.equal(network(images), network(images))
    network.eval()
    assert torch.equal(network(images), network(images))


def test_it_learns_to_outline_what_noise_hides():
    torch.manual_seed(0)
    network = UNet(1, 2, width=8, depth=1, norm="none")
    classes = torch.zeros(4, 32, 32, dtype=torch.long)
    for number in range(4):
        classes[number, 4 + 4 * number : 14 + 4 * number, 8:20] = 1

    def noisy():
        return classes[:, None] + 0.4 * torch.randn(4, 1, 32, 32)

    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(40):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(noisy()), classes).backward()
        optimizer.step()
    images = noisy()
    with torch.no_grad():
        right = float((network.eval()(images).argmax(1) == classes).float().mean())
    assert right > 0.97 > float(((images[:, 0] > 0.5) == classes).float().mean())
