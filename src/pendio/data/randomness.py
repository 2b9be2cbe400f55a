"""Random numbers that depend on (seed, epoch, sample) alone.

A draw is a hash of its counter, not the next number of a stream. So augmentation and order are the same for any number
of workers, for any batch size and after a resume, and nothing needs to be saved.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["order", "uniforms"]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mix(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's output function (Steele, Lea and Flood, 2014): a bijection of 64-bit words that scatters them."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def _hash(*counters: NDArray[np.uint64]) -> NDArray[np.uint64]:
    state = np.zeros(1, dtype=np.uint64)
    for counter in counters:
        state = _mix(state + counter * _GOLDEN + _GOLDEN)
    return state


def _word(value: int) -> NDArray[np.uint64]:
    return np.array([value & 0xFFFFFFFFFFFFFFFF], dtype=np.uint64)


def uniforms(seed: int, epoch: int, samples: Tensor, draws: int) -> Tensor:
    """Independent uniform numbers for each sample.

    Args:
        seed: the plan's seed.
        epoch: which pass over the examples this is.
        samples: ``(N,)`` positions of the examples in their split.
        draws: how many numbers each sample needs.

    Returns:
        ``(N, draws)`` float64 in [0, 1), on the CPU.
    """
    counters = samples.cpu().numpy().astype(np.uint64)[:, None]
    words = _hash(_word(seed), _word(epoch), counters, np.arange(draws, dtype=np.uint64)[None, :])
    return torch.from_numpy((words >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def order(seed: int, epoch: int, count: int) -> Tensor:
    """The order in which an epoch visits ``count`` examples: ``(count,)`` int64, a permutation."""
    key = int(_hash(_word(seed), _word(epoch))[0] >> np.uint64(1))
    return torch.randperm(count, generator=torch.Generator().manual_seed(key))
