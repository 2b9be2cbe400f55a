"""Depth-wise separable convolution."""

from torch import Tensor, nn

__all__ = ["SeparableConv2d"]


class SeparableConv2d(nn.Module):
    """Convolves each channel on its own, then mixes the channels point by point (Chollet, 2017).

    Needs k²·C_in + C_in·C_out weights where a full convolution needs k²·C_in·C_out. Shapes: ``(N, C_in, H, W)`` →
    ``(N, C_out, ⌈H/stride⌉, ⌈W/stride⌉)`` for an odd kernel.

    >>> import torch
    >>> SeparableConv2d(8, 16, kernel_size=3, stride=2)(torch.zeros(1, 8, 32, 32)).shape
    torch.Size([1, 16, 16, 16])
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, bias: bool = False
    ) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(
            in_channels, in_channels, kernel_size, stride, kernel_size // 2, groups=in_channels, bias=bias
        )
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1, bias=bias)

    def forward(self, images: Tensor) -> Tensor:
        """Apply both convolutions."""
        out: Tensor = self.pointwise(self.depthwise(images))
        return out
