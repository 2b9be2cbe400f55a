"""Invertible transforms of vectors and images, each with the logarithm of its Jacobian's determinant."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["ActNorm", "Chain", "Flatten", "InvertibleLinear", "MultiScale", "Permutation", "Squeeze", "Transform",
           "initialize"]  # fmt: skip


class Transform(nn.Module, ABC):
    """A bijection x ↔ z, which may depend on a context ``(N, K)``."""

    @abstractmethod
    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """z, and log|det ∂z/∂x| ``(N,)``."""

    @abstractmethod
    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """The x whose z this is."""


class Chain(Transform):
    """One transform after another; their log-determinants add up."""

    def __init__(self, transforms: Sequence[Transform]) -> None:
        super().__init__()
        self.transforms = nn.ModuleList(transforms)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See :class:`Transform`."""
        total = x.new_zeros(len(x))
        for transform in self.transforms:
            x, log_det = transform(x, context)
            total = total + log_det
        return x, total

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """See :class:`Transform`."""
        for transform in reversed(self.transforms):
            assert isinstance(transform, Transform)
            z = transform.inverse(z, context)
        return z


class Permutation(Transform):
    """Features or channels in another order."""

    order: Tensor
    back: Tensor

    def __init__(self, order: Tensor) -> None:
        super().__init__()
        self.register_buffer("order", order)
        self.register_buffer("back", order.argsort())

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See :class:`Transform`."""
        return x[:, self.order], x.new_zeros(len(x))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """See :class:`Transform`."""
        return z[:, self.back]


_LEAST_SPREAD = 1e-3


class ActNorm(Transform):
    """A shift and a scale of each feature or channel, learned from where a first batch has mean 0 and variance 1.

    Kingma and Dhariwal, 2018. See :func:`initialize`.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(features))
        self.log_scale = nn.Parameter(torch.zeros(features))
        self.fitting = False

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See :class:`Transform`."""
        if self.fitting:
            self._fit(x)
        cells = x[0, 0].numel()
        log_det = (cells * self.log_scale.sum()).expand(len(x))
        return (x - self._shaped(self.shift, x)) * self._shaped(self.log_scale, x).exp(), log_det

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """See :class:`Transform`."""
        return z * self._shaped(-self.log_scale, z).exp() + self._shaped(self.shift, z)

    @staticmethod
    def _shaped(values: Tensor, like: Tensor) -> Tensor:
        return values.view(-1, *[1] * (like.ndim - 2))

    @torch.no_grad()
    def _fit(self, x: Tensor) -> None:
        values = x.transpose(0, 1).flatten(1)
        self.shift.copy_(values.mean(1))
        spread = values.std(1, correction=0)
        # What never changes has nothing to be divided by.
        self.log_scale.copy_(-torch.where(spread > _LEAST_SPREAD, spread, 1.0).log())


@torch.no_grad()
def initialize(flow: nn.Module, x: Tensor, context: Tensor | None = None) -> None:
    """Let every :class:`ActNorm` of a flow take its first values from a batch."""
    norms = [module for module in flow.modules() if isinstance(module, ActNorm)]
    for norm in norms:
        norm.fitting = True
    try:
        flow(x, context)
    finally:
        for norm in norms:
            norm.fitting = False


class InvertibleLinear(Transform):
    """z = P·L·(U + diag(s))·x over features, or over the channels at each place: a learned permutation.

    P is a fixed permutation, L lower triangular with ones, U strictly upper triangular, so that the log-determinant is
    Σ log|s| (Kingma and Dhariwal, 2018). It starts as a random rotation.
    """

    permutation: Tensor
    sign: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        rotation = torch.linalg.qr(torch.randn(features, features))[0]
        permutation, lower, upper = torch.linalg.lu(rotation)
        self.register_buffer("permutation", permutation)
        self.register_buffer("sign", upper.diagonal().sign())
        self.lower = nn.Parameter(lower.tril(-1))
        self.upper = nn.Parameter(upper.triu(1))
        self.log_scale = nn.Parameter(upper.diagonal().abs().log())

    def _factors(self) -> tuple[Tensor, Tensor]:
        lower = self.lower.tril(-1) + torch.eye(len(self.sign)).to(self.lower)
        return lower, self.upper.triu(1) + torch.diag(self.sign * self.log_scale.exp())

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See :class:`Transform`."""
        lower, upper = self._factors()
        z = torch.matmul(self.permutation @ lower @ upper, x.flatten(2) if x.ndim > 2 else x[:, :, None])
        return z.view_as(x), (x[0, 0].numel() * self.log_scale.sum()).expand(len(x))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """See :class:`Transform`."""
        lower, upper = self._factors()
        values = torch.linalg.solve_triangular(lower, self.permutation.T, upper=False, unitriangular=True)
        back = torch.linalg.solve_triangular(upper, values, upper=True)
        x: Tensor = torch.matmul(back, z.flatten(2) if z.ndim > 2 else z[:, :, None])
        return x.view_as(z)


class Squeeze(Transform):
    """Images ``(N, C, H, W)`` ↔ ``(N, 4C, H/2, W/2)``: blocks of 2 × 2 pixels become channels."""

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See :class:`Transform`."""
        return nn.functional.pixel_unshuffle(x, 2), x.new_zeros(len(x))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """See :class:`Transform`."""
        return nn.functional.pixel_shuffle(z, 2)


class Flatten(Transform):
    """Examples of any ``shape`` ↔ vectors ``(N, D)``."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape = tuple(shape)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See :class:`Transform`."""
        return x.flatten(1), x.new_zeros(len(x))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """See :class:`Transform`."""
        return z.view(-1, *self.shape)


class MultiScale(Transform):
    """Images ``(N, C, H, W)`` ↔ vectors ``(N, C·H·W)``: after each scale but the last, half of the channels are done.

    Dinh, Sohl-Dickstein and Bengio, 2017.

    Args:
        scales: what happens at each scale, squeezing included.
        shapes: of what comes out of each, ``(C, H, W)``, before half of it leaves.
    """

    def __init__(self, scales: Sequence[Transform], shapes: Sequence[tuple[int, int, int]]) -> None:
        super().__init__()
        self.scales = nn.ModuleList(scales)
        done = [(channels // 2, height, width) for channels, height, width in shapes[:-1]]
        self.shapes = [*done, shapes[-1]]
        self.sizes = [channels * height * width for channels, height, width in self.shapes]

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See :class:`Transform`."""
        total, codes = x.new_zeros(len(x)), []
        for number, scale in enumerate(self.scales):
            x, log_det = scale(x, context)
            total = total + log_det
            if number < len(self.scales) - 1:
                code, x = x.chunk(2, 1)
                codes.append(code.flatten(1))
        return torch.cat([*codes, x.flatten(1)], 1), total

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """See :class:`Transform`."""
        codes = [part.reshape(-1, *shape) for part, shape in zip(z.split(self.sizes, 1), self.shapes, strict=True)]
        x: Tensor = codes[-1]
        for number in reversed(range(len(self.scales))):
            scale = self.scales[number]
            assert isinstance(scale, Transform)
            x = scale.inverse(x if number == len(self.scales) - 1 else torch.cat([codes[number], x], 1), context)
        return x
