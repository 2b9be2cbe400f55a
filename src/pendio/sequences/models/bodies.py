"""The five families behind one interface: each reads a sequence of vectors and says what it makes of it at each step."""

from typing import Any, Protocol

from torch import Tensor, nn

from pendio.errors import InputError
from pendio.nn.recurrent import Recurrent
from pendio.nn.temporal import Temporal, Window
from pendio.nn.transformer import Form, Transformer
from pendio.sequences.architecture import FAMILIES, Architecture

__all__ = ["FAMILIES", "Architecture", "Body", "build_body"]


class Body(Protocol):
    """A module that reads sequences of vectors.

    Attributes:
        width: of the features it gives.
        reach: how many steps back an output sees, itself included; None where all.
        carries: whether its state is handed on from one part of a training text to the next.
    """

    width: int
    reach: int | None
    carries: bool

    def begin(self, rows: int) -> Any:
        """The :class:`pendio.nn.cache.State` of ``rows`` sequences before their first step."""
        ...

    def __call__(self, values: Tensor, state: Any = None, present: Tensor | None = None) -> tuple[Tensor, Any]:
        """Features ``(N, T, width)`` of vectors ``(N, T, inputs)``, and the state after them.

        Args:
            values: the vectors, or what follows those that ``state`` has seen.
            state: of the steps before; None where there were none.
            present: ``(N, T)`` false where steps are padding.
        """
        ...


def build_body(
    architecture: Architecture, inputs: int, length: int, dropout: float = 0.0, causal: bool = True
) -> nn.Module:  # fmt: skip
    """An untrained :class:`Body`.

    Args:
        architecture: which family, and how large.
        inputs: features of one step; a transformer's are its width.
        length: the most steps that a transformer is given.
        dropout: probability of dropping an activation.
        causal: whether a transformer looks back only; the others always do.

    Raises:
        InputError: there is no such family.
    """
    one = architecture
    match one.model:
        case "window":
            return Window(inputs, one.width, one.window, one.depth, dropout)
        case "rnn" | "lstm":
            return Recurrent(one.model, inputs, one.width, one.depth, dropout, one.initial)
        case "tcn":
            return Temporal(inputs, one.width, one.depth, one.kernel, dropout)
        case "transformer":
            form = Form(
                width=one.width, heads=one.heads, layers=one.depth, length=length, positions=one.positions,
                norm=one.norm, score=one.score, dropout=dropout,
            )  # fmt: skip
            return Transformer(form, causal=causal)
    raise InputError(f"unknown --model '{one.model}': {', '.join(FAMILIES)}")
