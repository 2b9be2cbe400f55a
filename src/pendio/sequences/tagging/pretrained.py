"""A pretrained encoder of BERT's kind in a tagger."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from pendio.data.text.tokenizer_files import FileTokenizer
from pendio.errors import InputError
from pendio.nn.transformer import Form
from pendio.sequences.models.forms import form_of
from pendio.sequences.pretrained.bert import Encoder, load_bert
from pendio.sequences.pretrained.folders import load_tokenizer, read_config

__all__ = ["Framed", "Origin", "known_tokenizer", "places"]

_MOST_TOKENS = 1 << 20
_MARKS = 2


class Framed(nn.Module):
    """An encoder that reads each text between the marks it was trained with, ``[CLS]`` and ``[SEP]``.

    Args:
        encoder: reads ``[CLS] text [SEP]``.
        start, end: numbers of the two marks.
    """

    def __init__(self, encoder: Encoder, start: int, end: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.width = encoder.width
        self.start, self.end = start, end

    @property
    def most(self) -> int:
        """Tokens of a text that there is room for beside the marks."""
        return self.encoder.length - _MARKS

    def embed(self, inputs: Tensor) -> Tensor:
        """A vector for each token: ``(N, T, F)`` of ``(N, T)``."""
        vectors: Tensor = self.encoder.embedding(inputs)
        return vectors

    def read(self, values: Tensor, present: Tensor | None) -> Tensor:
        """Features ``(N, T, width)`` of the text's tokens; those of the marks are left out."""
        features, _ = self.encoder.body(*self.framed(values, present))
        inner: Tensor = features[:, 1:-1]
        return inner

    def framed(self, values: Tensor, present: Tensor | None) -> tuple[Tensor, None, Tensor]:
        """What the encoder's body reads: the vectors ``(N, T + 2, F)``, no state, and which are no padding."""
        rows, steps = values.shape[:2]
        if present is None:
            present = torch.ones(rows, steps, dtype=torch.bool, device=values.device)
        marks = self.encoder.embedding(torch.tensor([self.start, self.end], device=values.device))
        framed = torch.cat([marks[0].expand(rows, 1, -1), values, values.new_zeros(rows, 1, values.shape[2])], 1)
        # The end stands behind the last token of each text, where padding would begin.
        last = present.sum(1) + 1
        places = torch.arange(steps + 2, device=values.device)
        framed = torch.where((places == last[:, None])[:, :, None], marks[1], framed)
        return framed, None, places <= last[:, None]


@dataclass(frozen=True)
class Origin:
    """What a run must remember of the pretrained encoder it began from, to be built again without it.

    Attributes:
        form: of its Transformer.
        vocabulary: how many tokens it has.
        start, end: numbers of its marks.
    """

    form: Form
    vocabulary: int
    start: int
    end: int

    def blank(self, dropout: float) -> Framed:
        """The encoder without its weights."""
        return Framed(Encoder(self.vocabulary, replace(self.form, dropout=dropout)), self.start, self.end)

    def describe(self) -> dict[str, Any]:
        """For a run's config."""
        return {"form": asdict(self.form), "vocabulary": self.vocabulary, "start": self.start, "end": self.end}

    @classmethod
    def of(cls, said: object, folder: Path) -> Self:
        """What :meth:`describe` gave.

        Raises:
            InputError: it is damaged.
        """
        try:
            if not isinstance(said, Mapping):
                raise TypeError("it is no mapping")
            found = cls(form_of(said["form"]), said["vocabulary"], said["start"], said["end"])
            if not all(
                type(one) is int and 0 <= one < _MOST_TOKENS for one in (found.vocabulary, found.start, found.end)
            ):
                raise ValueError("its numbers are out of range")
        except (TypeError, KeyError, ValueError, InputError) as error:
            raise InputError(f"the config of '{folder}' does not describe its pretrained encoder: {error}") from error
        return found

    @classmethod
    def load(cls, folder: str, dropout: float) -> tuple[Self, Framed]:
        """A folder's encoder with its weights, and what to remember of it.

        Raises:
            InputError: the folder or what is in it is missing, damaged, or of another model.
        """
        encoder, tokenizer = load_bert(folder, dropout).train(), known_tokenizer(folder)
        found = cls(
            encoder.body.form, encoder.vocabulary, tokenizer.number("[CLS]"), tokenizer.number("[SEP]")
        )  # fmt: skip
        return found, Framed(encoder, found.start, found.end)


def known_tokenizer(folder: str) -> FileTokenizer:
    """The tokenizer that a folder's weights were trained with.

    Raises:
        InputError: there is none, or it does not belong to the weights.
    """
    return load_tokenizer(folder, read_config(folder, "bert").whole("vocab_size", _MOST_TOKENS))


def places(folder: str) -> int:
    """Tokens of a text that a folder's encoder has room for beside the marks.

    Raises:
        InputError: as for :func:`known_tokenizer`.
    """
    return read_config(folder, "bert").whole("max_position_embeddings", _MOST_TOKENS) - _MARKS
