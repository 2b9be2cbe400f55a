import pytest
import torch
from torch import nn

from pendio.anatomy.matrix import convolution_matrix, tied_entries


def test_a_kernel_of_two_on_a_row_of_three_is_written_out():
    layer = nn.Conv2d(1, 1, (1, 2), bias=False)
    layer.weight = nn.Parameter(torch.tensor([[[[2.0, 5.0]]]]))
    assert convolution_matrix(layer, (1, 3)).to_dense().tolist() == [[2, 5, 0], [0, 2, 5]]
    rows, columns, index = tied_entries(layer, (1, 3))
    assert sorted(zip(rows.tolist(), columns.tolist(), index.tolist(), strict=True)) == [
        (0, 0, 0), (0, 1, 1), (1, 1, 0), (1, 2, 1),
    ]  # fmt: skip


@pytest.mark.parametrize("padding", ["same", "valid", 1])
def test_all_paddings_and_biases_are_taken(padding):
    torch.manual_seed(0)
    layer = nn.Conv2d(2, 3, 3, padding=padding)
    images = torch.randn(1, 2, 5, 6)
    product = convolution_matrix(layer, (5, 6)) @ images.flatten(1).T
    expected = (layer(images) - layer.bias.view(1, 3, 1, 1)).flatten(1).T
    torch.testing.assert_close(product, expected, rtol=1e-4, atol=1e-5)


def test_what_cannot_be_such_a_matrix_is_refused():
    with pytest.raises(ValueError, match="only zeros are"):
        convolution_matrix(nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect"), (5, 5))
    with pytest.raises(ValueError, match="entries, more than 50,000,000"):
        convolution_matrix(nn.Conv2d(64, 64, 7), (224, 224))
