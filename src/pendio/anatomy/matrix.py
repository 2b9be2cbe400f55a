"""Convolutions as the sparse matrices they are."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["convolution_matrix", "tied_entries"]

_MAX_ENTRIES = 50_000_000
"""Largest number of entries that is written out."""


def convolution_matrix(layer: nn.Conv2d | nn.ConvTranspose2d, size: Sequence[int]) -> Tensor:
    """The matrix M of a convolution without its bias: flattened output = M · flattened input.

    A transposed convolution's is the transpose of the matrix of the convolution it belongs to.

    Args:
        layer: with zero padding, given in numbers, "valid" or "same".
        size: height and width of an input.

    Returns:
        Sparse ``(D·H′·W′, C·H·W)`` in the layer's type.

    Raises:
        ValueError: the padding is not of zeros, or the matrix would have more than 50 million entries.
    """
    rows, columns, index = tied_entries(layer, size)
    height, width = _output_size(layer, size)
    shape = (layer.out_channels * height * width, layer.in_channels * size[0] * size[1])
    values = layer.weight.detach().flatten()[index]
    return torch.sparse_coo_tensor(torch.stack([rows, columns]), values, shape, check_invariants=False).coalesce()


def tied_entries(layer: nn.Conv2d | nn.ConvTranspose2d, size: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Where the kernel's weights stand in the matrix.

    Returns:
        Row, column and position in the flattened kernel of each entry, ``(E,)`` each. A weight stands in many entries:
        they are tied.
    """
    if layer.padding_mode != "zeros":
        raise ValueError(f"padding of '{layer.padding_mode}' is no linear map of these entries; only zeros are")
    if isinstance(layer, nn.ConvTranspose2d):
        large = _output_size(layer, size)
        columns, rows, index = _entries(layer, large, size, layer.out_channels, layer.in_channels)
        return rows, columns, index
    return _entries(layer, size, _output_size(layer, size), layer.in_channels, layer.out_channels)


def _pads(layer: nn.Conv2d | nn.ConvTranspose2d) -> tuple[int, int]:
    """Zeros above and left of the input. "same" puts the odd one below and right."""
    if layer.padding == "valid":
        return 0, 0
    if layer.padding == "same":
        top, left = (d * (k - 1) // 2 for d, k in zip(layer.dilation, layer.kernel_size, strict=True))
        return top, left
    top, left = (int(pad) for pad in layer.padding)
    return top, left


def _output_size(layer: nn.Conv2d | nn.ConvTranspose2d, size: Sequence[int]) -> tuple[int, int]:
    if layer.padding == "same":
        return size[0], size[1]
    pads = _pads(layer)
    sides = []
    for axis in (0, 1):
        reach, stride = layer.dilation[axis] * (layer.kernel_size[axis] - 1) + 1, layer.stride[axis]
        if isinstance(layer, nn.ConvTranspose2d):
            sides.append((size[axis] - 1) * stride - 2 * pads[axis] + reach + int(layer.output_padding[axis]))
        else:
            sides.append((size[axis] + 2 * pads[axis] - reach) // stride + 1)
    return sides[0], sides[1]


def _entries(
    layer: nn.Conv2d | nn.ConvTranspose2d, size: Sequence[int], output: Sequence[int], channels: int, outputs: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Entries of the convolution from ``channels`` maps of ``size`` to ``outputs`` maps of size ``output``.

    Output (d, y, x) takes input (c, y·stride + i·dilation − pad, …) times the kernel's (d, c, i, j), for each c of d's
    group. A transposed convolution stores its kernel for the convolution that runs the other way, so that this serves
    both.
    """
    kernel_rows, kernel_columns = layer.kernel_size
    group_in, group_out = channels // layer.groups, outputs // layer.groups
    grid = (outputs, group_in, kernel_rows, kernel_columns, *output)
    count = 1
    for side in grid:
        count *= side
    if count > _MAX_ENTRIES:
        raise ValueError(f"this matrix would have {count:,} entries, more than {_MAX_ENTRIES:,}; take a smaller input")
    d, c, i, j, y, x = torch.meshgrid(*(torch.arange(side) for side in grid), indexing="ij")
    top, left = _pads(layer)
    row = y * layer.stride[0] + i * layer.dilation[0] - top
    column = x * layer.stride[1] + j * layer.dilation[1] - left
    inside = (row >= 0) & (row < size[0]) & (column >= 0) & (column < size[1])
    channel = torch.div(d, group_out, rounding_mode="floor") * group_in + c
    to = ((d * output[0] + y) * output[1] + x)[inside]
    given = ((channel * size[0] + row) * size[1] + column)[inside]
    weight = (((d * group_in + c) * kernel_rows + i) * kernel_columns + j)[inside]
    return to, given, weight
