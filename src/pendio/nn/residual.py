"""Residual connections."""

import torch
from torch import Tensor, nn

__all__ = ["Concatenation", "Residual"]


class Residual(nn.Module):
    """Adds a branch to its input: x ↦ shortcut(x) + branch(x) (He et al., 2016).

    Args:
        branch: any module that keeps the shape, or changes it as ``shortcut`` does.
        shortcut: what the input passes on the direct way; by default nothing changes it.
    """

    def __init__(self, branch: nn.Module, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut or nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        """The sum of both ways."""
        out: Tensor = self.shortcut(images) + self.branch(images)
        return out


class Concatenation(nn.Module):
    """Puts a branch beside its input: x ↦ [x, branch(x)] along the channels (Huang et al., 2017).

    Args:
        branch: any module that keeps all but the number of channels.
    """

    def __init__(self, branch: nn.Module) -> None:
        super().__init__()
        self.branch = branch

    def forward(self, images: Tensor) -> Tensor:
        """Both, one after the other."""
        return torch.cat([images, self.branch(images)], 1)
