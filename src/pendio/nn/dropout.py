"""Dropout whose random numbers cost little."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Dropout"]

_LEVELS = 1 << 16


class Dropout(nn.Module):
    """Sets an activation to 0 with probability p while training, and divides the others by 1 − p (Srivastava et al., 2014).

    On a CPU torch draws one Bernoulli number after another on a single thread, which takes as long as half of a
    Transformer's training step. Here 16 random bits decide on an activation, drawn by SFC64 from a seed of torch's
    generator: p is rounded to a multiple of 2⁻¹⁶.

    Args:
        p: in [0, 1).
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"the probability of dropping must be in [0, 1), got {p}")
        self.p = p

    def forward(self, values: Tensor) -> Tensor:
        """Values of any shape, some of them dropped."""
        if not self.training or self.p == 0:
            return values
        if values.device.type != "cpu" or torch.compiler.is_compiling():
            return F.dropout(values, self.p)
        dropped = min(round(self.p * _LEVELS), _LEVELS - 1)
        chance = np.random.Generator(np.random.SFC64(int(torch.randint(2**62, ()))))
        bits = torch.frombuffer(bytearray(chance.bytes(2 * values.numel())), dtype=torch.int16).view(values.shape)
        kept = (bits >= dropped - _LEVELS // 2).to(values.dtype)
        return values * kept.mul_(_LEVELS / (_LEVELS - dropped))

    def extra_repr(self) -> str:
        """As torch prints it."""
        return f"p={self.p}"
