"""``open_corpus``: one name or path in, the tokens of a training and a validation part out."""

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pendio.data.examples import Finding
from pendio.data.text.documents import PIECE, Document, find_documents, in_pieces, joined, part
from pendio.data.text.survey import diagnose_text, repeats, survey
from pendio.data.text.tokenizers import Kind, Tokenizer, train_tokenizer
from pendio.errors import InputError

__all__ = ["Corpus", "TokenText", "open_corpus"]

_RESIDENT = 256 << 20
"""Largest text in bytes that is held in memory; its tokens are too."""

_TRAIN_SHARE = 0.9
_LEAST_TOKENS = 2


@dataclass(frozen=True)
class TokenText:
    """A stretch of text as tokens.

    Attributes:
        tokens: ``(N,)`` uint16, or uint32 where the vocabulary is larger; memory-mapped where the text is large.
        characters: how many characters they stand for.
        bytes: how many bytes of UTF-8.
        unknown: how many of the tokens are the unknown one.
    """

    tokens: NDArray[Any]
    characters: int
    bytes: int
    unknown: int

    def __len__(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True)
class Corpus:
    """A text to learn a language from.

    Attributes:
        name: what the user called it.
        train, val: the first 90 % of its characters and the last 10 %.
        tokenizer: what turned it into tokens.
        findings: what the data doctor noticed on opening.
    """

    name: str
    train: TokenText
    val: TokenText
    tokenizer: Tokenizer
    findings: tuple[Finding, ...] = ()

    def split(self, name: str) -> TokenText:
        """The part called "train" or "val"; "test" is the validation one, for there is no other."""
        return {"train": self.train, "val": self.val, "test": self.val}[name]

    def describe(self) -> dict[str, Any]:
        """What a run folder must remember about the text."""
        parts = {"train": self.train, "val": self.val}
        return {
            "name": self.name,
            "kind": "text",
            "tokenizer": self.tokenizer.kind,
            "vocabulary": self.tokenizer.size,
            "characters": {name: text.characters for name, text in parts.items()},
            "tokens": {name: len(text) for name, text in parts.items()},
            "bytes": {name: text.bytes for name, text in parts.items()},
            "findings": [finding.message for finding in self.findings],
        }


def open_corpus(
    name_or_path: str | Path,
    *,
    tokenizer: Kind = "characters",
    size: int | None = None,
    known: Tokenizer | None = None,
    resident: int = _RESIDENT,
) -> Corpus:
    """Open a text.

    Args:
        name_or_path: ``pydocs``, a text file in UTF-8, or a folder whose text files, to its depths and in the order of
            their paths, are joined by blank lines.
        tokenizer: what kind to train on the training part.
        size: the most tokens of its vocabulary (see :func:`pendio.data.text.tokenizers.train_tokenizer`).
        known: use this tokenizer as it is and train none, whatever ``tokenizer`` and ``size`` say.
        resident: a text of more bytes is never held in memory: it is read in pieces, and its tokens are memory-mapped.

    Raises:
        InputError: there is no such text, or it cannot be used; the message says why.
    """
    documents, left_out = find_documents(name_or_path)
    name = str(name_or_path)
    fits = sum(document.size() for document in documents) <= resident
    if fits:
        documents = [document.resident() for document in documents]
    surveyed = survey(documents)
    if surveyed.blank:
        raise InputError(
            f"'{name}' is {'only white space' if surveyed.characters else 'empty'}; expected text to learn from"
        )
    if surveyed.distinct == 1:
        character = chr(int(np.flatnonzero(surveyed.counts)[0]))
        raise InputError(
            f"'{name}' is the character {character!r} {surveyed.characters:,} times; there is nothing to learn"
        )
    cut = int(_TRAIN_SHARE * surveyed.characters)
    parts = _Parts(documents, cut, surveyed.characters)
    chosen = known or train_tokenizer(tokenizer, parts.train(), size)
    train = _encoded(parts.train(), chosen, mapped=not fits)
    val = _encoded(parts.val(), chosen, mapped=not fits)
    if min(len(train), len(val)) < _LEAST_TOKENS:
        raise InputError(f"'{name}' is too short: its {surveyed.characters} characters make {len(train)} tokens to train on "
                         f"and {len(val)} to validate with; each part needs at least {_LEAST_TOKENS}")  # fmt: skip
    findings = (
        *_unknown(train, "training", parts.train(), chosen),
        *_unknown(val, "validation", parts.val(), chosen),
        *(repeats("".join(parts.train()), "".join(parts.val())) if fits else ()),
        *diagnose_text(surveyed, documents, left_out, cut, chosen.kind == "characters"),
    )
    return Corpus(name, train, val, chosen, findings)


@dataclass(frozen=True)
class _Parts:
    """The two parts of joined documents, each readable as often as needed, in pieces."""

    documents: list[Document]
    cut: int
    characters: int

    def train(self) -> Iterator[str]:
        return self._pieces(0, self.cut)

    def val(self) -> Iterator[str]:
        return self._pieces(self.cut, self.characters)

    def _pieces(self, start: int, stop: int) -> Iterator[str]:
        return in_pieces(part((text for _, text in joined(self.documents)), start, stop), PIECE)


def _encoded(pieces: Iterable[str], tokenizer: Tokenizer, mapped: bool) -> TokenText:
    """The tokens of a part: in memory, or in a file that vanishes when they are no longer used."""
    form = np.uint16 if tokenizer.size <= 1 << 16 else np.uint32
    counts = {"characters": 0, "bytes": 0, "unknown": 0}
    made = _counted(pieces, tokenizer, counts)
    if mapped:
        tokens = _mapped((piece.astype(form) for piece in made), form)
    else:
        tokens = np.concatenate([np.empty(0, form), *(piece.astype(form) for piece in made)])
    return TokenText(tokens, **counts)


def _counted(pieces: Iterable[str], tokenizer: Tokenizer, counts: dict[str, int]) -> Iterator[NDArray[np.int64]]:
    for piece in pieces:
        tokens = tokenizer.encode(piece)
        counts["characters"] += len(piece)
        counts["bytes"] += len(piece.encode())
        if tokenizer.unknown is not None:
            counts["unknown"] += int(np.count_nonzero(tokens == tokenizer.unknown))
        yield tokens


def _mapped(pieces: Iterable[NDArray[Any]], form: type[np.unsignedinteger[Any]]) -> NDArray[Any]:
    try:
        with tempfile.TemporaryFile() as file:
            for piece in pieces:
                file.write(piece.tobytes())
            file.flush()
            if file.tell() == 0:
                return np.empty(0, form)
            return np.memmap(file, dtype=form, mode="r")
    except OSError as error:
        raise InputError(f"no room for the tokens of the text in '{tempfile.gettempdir()}': {error.strerror or error}; "
                         "name another folder in the environment variable TMPDIR") from error  # fmt: skip


def _unknown(text: TokenText, where: str, pieces: Iterable[str], tokenizer: Tokenizer) -> Iterator[Finding]:
    if not text.unknown:
        return
    names = list(dict.fromkeys(name for piece in pieces for name in tokenizer.unknown_in(piece)))
    shown = ", ".join(repr(name) for name in names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    yield Finding("unknown", f"{text.unknown:,} of the {len(text):,} {where} tokens ({text.unknown / len(text):.2%}) are "
                             f"unknown to the tokenizer: {shown}")  # fmt: skip
