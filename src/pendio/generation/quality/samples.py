"""Drawing from what a generative model learned."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pendio.errors import InputError
from pendio.generation.making import Maker

__all__ = ["Drawn", "check_sampling", "draw"]

_BATCH = 250
"""Examples that are made at once."""


class Drawn(NamedTuple):
    """Some examples ``(N, …)``, and the class numbers ``(N,)`` that were asked for, or None."""

    examples: Tensor
    labels: Tensor | None


@torch.no_grad()
def draw(
    maker: Maker, count: int, *, labels: Tensor | None = None, temperature: float = 1.0, seed: int = 0,
    how: Mapping[str, Any] = MappingProxyType({}),
) -> Iterator[Drawn]:  # fmt: skip
    """Examples in batches; the same seed gives the same ones.

    Args:
        maker: the trained task.
        count: how many.
        labels: ``(count,)`` class numbers to ask for; None leaves them to the maker.
        temperature: see :meth:`Maker.sample`.
        seed: of all randomness.
        how: other arguments that this maker takes, such as steps.

    Raises:
        InputError: an option is out of range, or values that were made are not finite.
    """
    check_sampling(count, temperature, seed)
    generator = torch.Generator().manual_seed(seed)
    for start in range(0, count, _BATCH):
        part = None if labels is None else labels[start : start + _BATCH]
        size = min(_BATCH, count - start)
        made = maker.sample(size, generator=generator, labels=part, temperature=temperature, **how)
        if not made.isfinite().all():
            raise InputError("the model makes values that are not finite: its training diverged; see pendio diagnose")
        yield Drawn(made, part)


def check_sampling(count: int, temperature: float, seed: int) -> None:
    """Whether what is asked of a maker makes sense.

    Raises:
        InputError: it does not; the message names the option.
    """
    if count < 1:
        raise InputError(f"--number must be at least 1, got {count}")
    if not 0 <= temperature < float("inf"):
        raise InputError(f"--temperature must be 0 or more, got {temperature:g}")
    if seed < 0:
        raise InputError(f"--seed must not be negative, got {seed}")
