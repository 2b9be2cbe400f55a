"""Three measures of long memory: adding two far numbers, copying across a gap, and digits read pixel by pixel."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from pendio.data.embedded import digits
from pendio.data.examples import Examples, Resident, positions, step_count
from pendio.data.randomness import uniforms
from pendio.data.text.answers import LabelledData
from pendio.data.text.tokenizers import CharacterTokenizer
from pendio.errors import InputError

__all__ = ["MEMORY", "Drawn", "adding", "copying", "pixels"]

_EXAMPLES = {"train": 6_400, "val": 1_000, "test": 2_000}
_EPOCHS = {"train": -1, "val": -2, "test": -3}
"""Counters of the draws that stay: those of training epochs are 0 and up."""

_SYMBOLS = "abcdefgh"
_BLANK, _RECALL = ".", "?"
_REMEMBERED = 8
_MAX_LENGTH = 10_000

Draw = Callable[[int, Tensor], tuple[Tensor, Tensor]]
"""From an epoch and positions ``(B,)`` to inputs and targets of these examples, always the same for the same."""


@dataclass(frozen=True)
class Drawn:
    """A source (see :class:`pendio.data.examples.Split`) that draws other examples in each epoch.

    So none can be learnt by heart. An example depends on the epoch and its position alone, not on batches, processes or
    a resume. Without an epoch, and in :meth:`take`, the examples are a set of their own that stays.
    """

    count: int
    draw: Draw

    def __len__(self) -> int:
        return self.count

    def steps(self, size: int, world: int = 1) -> int:
        """See :class:`pendio.data.examples.Split`."""
        return step_count(self.count, size, world)

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
    ) -> Iterator[Examples]:
        """See :class:`pendio.data.examples.Split`. ``workers`` changes nothing here: there is nothing to read."""
        drawn = _EPOCHS["train"] if epoch is None else epoch
        for share in positions(self.count, size, seed=seed, epoch=epoch, start=start, rank=rank, world=world):
            yield Examples(*self.draw(drawn, share), share)

    def take(self, indices: Tensor) -> Examples:
        """See :class:`pendio.data.examples.Split`."""
        return Examples(*self.draw(_EPOCHS["train"], indices), indices)

    def to(self, device: torch.device) -> "Drawn":
        """The same: examples are drawn on the CPU wherever they go."""
        return self

    @property
    def failures(self) -> tuple[()]:
        """Always empty: nothing was read."""
        return ()


def adding(length: int | None, seed: int) -> LabelledData:
    """The adding problem (Hochreiter and Schmidhuber, 1997): the sum of two marked numbers among many.

    Inputs ``(N, T, 2)``: T = ``length`` (200) numbers in [0, 1], and beside them zeros but for two ones, one in each
    half. Who always answers 1 has a mean squared error of 1/6, the variance of the sum.

    Raises:
        InputError: ``length`` is out of range.
    """
    steps = _checked("adding", 200 if length is None else length)
    half = steps // 2

    def draw(epoch: int, samples: Tensor) -> tuple[Tensor, Tensor]:
        values = uniforms(seed, epoch, samples, steps + 2)
        early = (values[:, steps] * half).long()
        late = half + (values[:, steps + 1] * (steps - half)).long()
        marked = torch.stack([early, late], 1)
        inputs = torch.zeros(len(samples), steps, 2)
        inputs[:, :, 0] = values[:, :steps]
        inputs[:, :, 1].scatter_(1, marked, 1.0)
        return inputs, inputs[:, :, 0].gather(1, marked).sum(1)

    train, val, test = _drawn(draw)
    return LabelledData("adding", train, val, test, "numbers", "number", (), None, 2, steps)


def copying(length: int | None, seed: int) -> LabelledData:
    """The copying problem (Hochreiter and Schmidhuber, 1997; Arjovsky et al., 2016): symbols recalled after a gap.

    Inputs ``(N, T + 16)``: 8 symbols from a to h, T − 1 blanks with T = ``length`` (100), the sign to recall, 8 blanks.
    Targets ``(N, 8)``: the symbols, in order, at the last 8 positions. Who remembers nothing has a cross-entropy of
    ln 8 = 2.079 a symbol. There are 8⁸ = 16.8 million examples: one of the test that training sees is a rare chance.

    Raises:
        InputError: ``length`` is out of range.
    """
    gap = _checked("copying", 100 if length is None else length)
    tokenizer = CharacterTokenizer(_BLANK + _RECALL + _SYMBOLS, marks=True)
    frame = torch.from_numpy(tokenizer.encode(_BLANK * (_REMEMBERED + gap - 1) + _RECALL + _BLANK * _REMEMBERED))
    symbols = torch.from_numpy(tokenizer.encode(_SYMBOLS))

    def draw(epoch: int, samples: Tensor) -> tuple[Tensor, Tensor]:
        targets = (uniforms(seed, epoch, samples, _REMEMBERED) * len(_SYMBOLS)).long()
        inputs = frame.repeat(len(samples), 1)
        inputs[:, :_REMEMBERED] = symbols[targets]
        return inputs, targets

    train, val, test = _drawn(draw)
    texts = tuple(tokenizer.decode(row) for row in test.inputs)
    return LabelledData(
        "copying", train, val, test, "text", "tokens", tuple(_SYMBOLS), tokenizer, None, len(frame),
        asked=_REMEMBERED, texts=texts,
    )  # fmt: skip


def pixels(length: int | None, seed: int) -> LabelledData:
    """Handwritten digits as series ``(N, 64, 1)`` of grey values in [0, 1], row by row (Le et al., 2015).

    The splits are those of the embedded set ``digits``.

    Raises:
        InputError: a ``length`` is given.
    """
    if length is not None:
        raise InputError(f"--length {length}: a digit has 64 pixels; leave --length out")
    images = digits(seed, ())

    def series(name: str) -> Resident:
        split = images.split(name)
        assert isinstance(split, Resident)
        return Resident(split.inputs.flatten(1)[:, :, None], split.targets)

    return LabelledData(
        "pixels", series("train"), series("val"), series("test"), "numbers", "class", images.classes, None, 1, 64,
        class_counts=images.class_counts,
    )  # fmt: skip


MEMORY: dict[str, tuple[str, Callable[[int | None, int], LabelledData]]] = {
    "adding": ("sequences of 200 numbers; the sum of the two marked ones", adding),
    "copying": ("8 symbols to be repeated after 100 blanks", copying),
    "pixels": ("the digits, read pixel by pixel", pixels),
}
"""Name → a line about it, and what opens it given a length and a seed."""


def _checked(name: str, length: int) -> int:
    if not 2 <= length <= _MAX_LENGTH:
        raise InputError(f"--length {length}: '{name}' takes lengths from 2 to {_MAX_LENGTH:,}")
    return length


def _drawn(draw: Draw) -> tuple[Drawn, Resident, Resident]:
    """Fresh examples for training, and sets for validation and test that are drawn once."""
    val, test = (Resident(*draw(_EPOCHS[name], torch.arange(_EXAMPLES[name]))) for name in ("val", "test"))
    return Drawn(_EXAMPLES["train"], draw), val, test
