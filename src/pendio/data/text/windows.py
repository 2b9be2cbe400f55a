"""A long text in windows: shuffled, or side by side so that a model can carry its state from one to the next."""

from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from torch import Tensor

from pendio.data.examples import Failure, positions, step_count
from pendio.data.randomness import uniforms
from pendio.errors import InputError

__all__ = ["TokenWindows", "Windows"]

_LEAST_LANE = 8
"""Windows that a lane of an evaluation has at least: each lane starts without knowing what stood before it."""


class Windows(NamedTuple):
    """A batch of windows.

    Attributes:
        inputs: ``(B, T)`` int64 token numbers.
        targets: ``(B, T)`` int64, the token that follows each.
        fresh: ``(B,)`` bool: nothing was read before these; what a model carried is void.
    """

    inputs: Tensor
    targets: Tensor
    fresh: Tensor


class _Gather(NamedTuple):
    """Windows of one length, by the position of their first input."""

    starts: Tensor
    length: int
    fresh: bool


class TokenWindows:
    """The windows of a text as a source of batches (see :class:`pendio.data.examples.Split`).

    While training, windows begin at a phase that changes with the epoch, so that their borders do not stay where they
    are. An evaluation gives every token but the first as a target exactly once.

    Args:
        tokens: ``(N,)`` token numbers; a memory-mapped array stays on its disk, others are resident.
        length: T, inputs of a window.
        carried: whether batch k+1 continues batch k row by row (truncated backpropagation through time; Williams and
            Peng, 1990): as many lanes as a batch has rows run side by side through the text. Otherwise windows come in
            a shuffled order, and each stands for itself.

    Raises:
        InputError: the text is shorter than a window and the token that follows it.
    """

    def __init__(self, tokens: NDArray[Any] | Tensor, length: int, *, carried: bool) -> None:
        if length < 1:
            raise InputError(f"--context {length}: a window holds at least 1 token")
        if len(tokens) < 2:
            raise InputError(f"the text has {len(tokens)} tokens; predicting one from another takes 2")
        if len(tokens) <= length:
            raise InputError(f"--context {length} does not fit a text of {len(tokens)} tokens, which must hold a window and "
                             f"the token that follows it: at most --context {len(tokens) - 1}")  # fmt: skip
        self.tokens = tokens if isinstance(tokens, Tensor | np.memmap) else torch.from_numpy(_gatherable(tokens))
        self.length = length
        self.carried = carried
        # One window fewer than would fit, so that every phase leaves room for the same number.
        self._count = max(1, (len(tokens) - length) // length)

    def __len__(self) -> int:
        """Windows of a training epoch."""
        return self._count

    def steps(self, size: int, world: int = 1) -> int:
        """Training batches of ``size`` windows in an epoch, for ``world`` processes; the same in every epoch.

        0 where some process would have no window.
        """
        if not self.carried:
            return step_count(self._count, size, world)
        lanes = min(size, self._count)
        return self._count // lanes if lanes >= world else 0

    def batches(
        self,
        size: int,
        *,
        seed: int = 0,
        epoch: int | None = None,
        start: int = 0,
        rank: int = 0,
        world: int = 1,
        workers: int = 0,
    ) -> Iterator[Windows]:
        """Batches of one epoch, from step ``start`` on; without an epoch all in order, shorter ones last.

        With an epoch, the windows of a batch are all of T tokens. ``workers`` changes nothing here.
        """
        if epoch is None:
            plan = self._evaluation(size)
        elif self.carried:
            plan = self._lanes(size, seed, epoch)
        else:
            plan = self._shuffled(size, seed, epoch, world)
        for starts, length, fresh in islice(plan, start, None):
            yield self._read(starts[rank::world], length, fresh)

    def to(self, device: torch.device) -> "TokenWindows":
        """The same windows, of tokens resident on ``device``; memory-mapped ones stay where they are."""
        if not isinstance(self.tokens, Tensor):
            return self
        return TokenWindows(self.tokens.to(device), self.length, carried=self.carried)

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Always empty: what is resident has been read."""
        return ()

    def _phase(self, windows: int, seed: int, epoch: int) -> int:
        spare = len(self.tokens) - 1 - windows * self.length
        return int(uniforms(seed, epoch, torch.zeros(1), 1) * (spare + 1))

    def _shuffled(self, size: int, seed: int, epoch: int, world: int) -> Iterator[_Gather]:
        phase = self._phase(self._count, seed, epoch)
        batches = positions(self._count, size, seed=seed, epoch=epoch)
        for batch in islice(batches, step_count(self._count, size, world)):
            yield _Gather(phase + batch * self.length, self.length, True)

    def _lanes(self, size: int, seed: int, epoch: int) -> Iterator[_Gather]:
        lanes = min(size, self._count)
        steps = self._count // lanes
        phase = self._phase(lanes * steps, seed, epoch)
        return self._side_by_side(phase, lanes, steps)

    def _side_by_side(self, phase: int, lanes: int, steps: int) -> Iterator[_Gather]:
        first = phase + torch.arange(lanes) * (steps * self.length)
        for step in range(steps):
            yield _Gather(first + step * self.length, self.length, step == 0)

    def _evaluation(self, size: int) -> Iterator[_Gather]:
        """Every target once: whole windows, then what is left of the text as a window of its own."""
        whole, rest = divmod(len(self.tokens) - 1, self.length)
        read = 0
        if self.carried:
            lanes = max(1, min(size, whole // _LEAST_LANE))
            yield from self._side_by_side(0, lanes, whole // lanes)
            read = whole // lanes * lanes
        for batch in torch.arange(read, whole).split(size):
            if len(batch):
                yield _Gather(batch * self.length, self.length, True)
        if rest:
            yield _Gather(torch.tensor([whole * self.length]), rest, True)

    def _read(self, starts: Tensor, length: int, fresh: bool) -> Windows:
        if isinstance(self.tokens, Tensor):
            rows = self.tokens.unfold(0, length + 1, 1)[starts.to(self.tokens.device, non_blocking=True)].long()
        else:
            rows = torch.from_numpy(sliding_window_view(self.tokens, length + 1)[starts.numpy()].astype(np.int64))
        return Windows(
            rows[:, :-1].contiguous(),
            rows[:, 1:].contiguous(),
            torch.full((len(rows),), fresh, device=rows.device),
        )


def _gatherable(tokens: NDArray[Any]) -> NDArray[Any]:
    """The tokens in a type that ``torch`` gathers on every device, and no larger than they need."""
    return tokens.astype(np.int32) if tokens.dtype in (np.uint16, np.uint32, np.int64) else tokens
