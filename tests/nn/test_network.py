import pytest
import torch
from torch import nn

from pendio.nn.network import Network


def network(shape=(3, 8, 8), **options):
    channels = shape[0]
    mean, std = [0.1 * (c + 1) for c in range(channels)], [0.5 + c for c in range(channels)]
    return Network(nn.Flatten(), shape, mean, std, ["a", "b"], **options)


def test_floats_are_normalised_by_channel():
    images = torch.rand(2, 3, 8, 8)
    expected = torch.stack([(images[:, c] - 0.1 * (c + 1)) / (0.5 + c) for c in range(3)], 1)
    torch.testing.assert_close(network().prepare(images), expected)
    assert torch.equal(network()(images), network().prepare(images).flatten(1))


def test_bytes_and_floats_are_the_same_picture():
    images = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    torch.testing.assert_close(network().prepare(images), network().prepare(images / 255))


def test_grey_becomes_colour_but_colour_never_grey():
    grey = torch.rand(1, 1, 8, 8)
    torch.testing.assert_close(network().prepare(grey), network().prepare(grey.expand(-1, 3, -1, -1)))
    with pytest.raises(ValueError, match="images with 3 channels; this network takes 1"):
        network((1, 8, 8)).prepare(torch.rand(1, 3, 8, 8))


def test_sizes_are_changed_only_where_the_network_asks():
    images = torch.rand(1, 3, 16, 12)
    assert network(resizes=True).prepare(images).shape == (1, 3, 8, 8)
    assert network().prepare(images).shape == (1, 3, 16, 12)
    flat = torch.full((1, 3, 16, 12), 0.3)
    torch.testing.assert_close(network(resizes=True).prepare(flat), network().prepare(flat)[:, :, :8, :8])


def test_tables_keep_their_units():
    table = network((2,))
    torch.testing.assert_close(table.prepare(torch.tensor([[0.6, 1.7]])), torch.tensor([[1.0, 1.0]]))
