"""Convolutions with every kind of padding, in space and in time."""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["CausalConv1d", "Conv2d"]


class Conv2d(nn.Conv2d):
    """``torch.nn.Conv2d`` whose ``same`` padding also goes with a stride.

    "same" gives maps of ⌈H/stride⌉ × ⌈W/stride⌉ by padding P = max(0, (⌈H/s⌉ − 1)·s + d·(k − 1) + 1 − H) zeros in all, the
    odd one below and right. Torch itself refuses it with a stride, because how much that is depends on the input.

    >>> import torch
    >>> Conv2d(3, 8, 3, stride=2, padding="same")(torch.zeros(1, 3, 7, 8)).shape
    torch.Size([1, 8, 4, 4])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] | Literal["valid", "same"] = "valid",
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        same = padding == "same"
        super().__init__(
            in_channels, out_channels, kernel_size, stride, "valid" if same else padding, dilation, groups, bias
        )
        self.same = same

    def forward(self, images: Tensor) -> Tensor:
        """Maps ``(N, D, H′, W′)`` of images ``(N, C, H, W)``."""
        if self.same:
            vertical, horizontal = (self._total(images.shape[2 + axis], axis) for axis in (0, 1))
            images = F.pad(
                images, (horizontal // 2, horizontal - horizontal // 2, vertical // 2, vertical - vertical // 2)
            )
        return super().forward(images)

    def _total(self, side: int, axis: int) -> int:
        stride, reach = self.stride[axis], self.dilation[axis] * (self.kernel_size[axis] - 1) + 1
        return max(0, (-(-side // stride) - 1) * stride + reach - side)


class CausalConv1d(nn.Conv1d):
    """A convolution over time that sees no future: output t depends on inputs up to t (van den Oord et al., 2016).

    All padding, dilation·(k − 1) zeros, stands before the sequence, so that its length stays.

    >>> import torch
    >>> CausalConv1d(2, 4, kernel_size=3, dilation=2)(torch.zeros(1, 2, 10)).shape
    torch.Size([1, 4, 10])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, dilation=dilation, groups=groups, bias=bias)

    def forward(self, sequences: Tensor) -> Tensor:
        """``(N, D, T)`` of sequences ``(N, C, T)``."""
        return super().forward(F.pad(sequences, (self.dilation[0] * (self.kernel_size[0] - 1), 0)))
