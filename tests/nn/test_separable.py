import torch

from pendio.nn.separable import SeparableConv2d


def test_it_equals_its_sums_written_out():
    torch.manual_seed(0)
    layer = SeparableConv2d(3, 5, kernel_size=3, stride=2, bias=True).double()
    images = torch.randn(2, 3, 7, 6, dtype=torch.float64)
    padded = torch.zeros(2, 3, 9, 8, dtype=torch.float64)
    padded[:, :, 1:8, 1:7] = images
    expected = torch.zeros(2, 5, 4, 3, dtype=torch.float64)
    depth, point = layer.depthwise, layer.pointwise
    for row in range(4):
        for column in range(3):
            window = padded[:, :, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
            middle = (window * depth.weight[:, 0]).sum((2, 3)) + depth.bias
            expected[:, :, row, column] = middle @ point.weight[:, :, 0, 0].T + point.bias
    torch.testing.assert_close(layer(images), expected)


def test_it_has_the_weights_of_the_formula():
    layer = SeparableConv2d(8, 16, kernel_size=5)
    assert sum(p.numel() for p in layer.parameters()) == 5 * 5 * 8 + 8 * 16
