import torch

from pendio.nn.squeeze import SqueezeExcitation


def test_gains_follow_the_formula():
    torch.manual_seed(0)
    layer = SqueezeExcitation(32, reduction=8).double()
    images = torch.randn(3, 32, 4, 5, dtype=torch.float64)
    means = images.mean((2, 3))
    hidden = torch.relu(means @ layer.squeeze.weight[:, :, 0, 0].T + layer.squeeze.bias)
    gains = 1 / (1 + torch.exp(-(hidden @ layer.excite.weight[:, :, 0, 0].T + layer.excite.bias)))
    assert hidden.shape == (3, 4)
    torch.testing.assert_close(layer(images), images * gains[:, :, None, None])


def test_narrow_layers_keep_at_least_four_units():
    assert SqueezeExcitation(16).squeeze.out_channels == 4
    assert SqueezeExcitation(256).squeeze.out_channels == 16
