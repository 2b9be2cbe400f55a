"""Who may look where: boolean masks that broadcast to ``(N, heads, queries, keys)``, true where looking is allowed."""

import torch
from torch import Tensor

__all__ = ["causal_mask", "packed_mask", "padding_mask"]


def causal_mask(queries: int, keys: int, device: torch.device | None = None) -> Tensor:
    """``(queries, keys)``: each query sees the keys up to its own place, the last query being at the last key.

    Aligned at the end, because queries that follow a cache stand behind its keys.

    >>> causal_mask(2, 3).int().tolist()
    [[1, 1, 0], [1, 1, 1]]
    """
    return torch.ones(queries, keys, dtype=torch.bool, device=device).tril(keys - queries)


def padding_mask(present: Tensor) -> Tensor:
    """``(N, 1, 1, T)`` of ``present (N, T)``: no query sees keys that are padding."""
    return present[:, None, None, :]


def packed_mask(documents: Tensor) -> Tensor:
    """``(N, 1, T, T)``: sequences packed into one row see only themselves.

    Args:
        documents: ``(N, T)`` the number of the sequence that each position belongs to.
    """
    return (documents[:, :, None] == documents[:, None, :])[:, None]
