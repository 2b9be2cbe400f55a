"""Rows of text files, and the split that each row falls into."""

import csv
import hashlib
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from pendio.data.examples import SPLITS
from pendio.errors import InputError

__all__ = ["Row", "by_text", "key_of", "read_rows", "read_text", "split_of"]

_MAX_BYTES = 1 << 30
_MAX_LINE = 1 << 20
_SHARES = {"test": 0.2, "val": 0.1}


class Row(NamedTuple):
    """A row of a table: the line of the file that it is on (from 1), and its fields, stripped."""

    line: int
    fields: list[str]


def read_text(path: Path) -> str:
    """A text file in UTF-8, with or without a byte order mark.

    Raises:
        InputError: it cannot be read, is larger than 1 GiB, or is no UTF-8; then the message tells the byte.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InputError(f"'{path}' is larger than {_MAX_BYTES >> 30} GiB; give a part of it")
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"'{path}' cannot be read: {error.strerror}") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(f"'{path}' is no text in UTF-8: byte {error.start} on line {line} is "
                         f"0x{content[error.start]:02x}; save it as UTF-8") from error  # fmt: skip


def read_rows(path: Path) -> list[Row]:
    """The rows of a ``.csv`` file, quoted as usual, or of any other with tabs between the fields; empty lines aside.

    Raises:
        InputError: as for :func:`read_text`, a line is longer than a million characters, or there are no rows.
    """
    lines = read_text(path).split("\n")
    for number, line in enumerate(lines, 1):
        if len(line) > _MAX_LINE:
            raise InputError(f"'{path}' line {number} has {len(line):,} characters, more than {_MAX_LINE:,}; "
                             "is it a table with a row a line?")  # fmt: skip
    if path.suffix.lower() == ".csv":
        rows = _quoted(path, lines)
    else:
        rows = [Row(number, line.split("\t")) for number, line in enumerate(lines, 1) if line.strip()]
    if not rows:
        raise InputError(f"'{path}' is empty")
    return [Row(number, [field.strip() for field in fields]) for number, fields in rows]


def _quoted(path: Path, lines: Iterable[str]) -> list[Row]:
    reader = csv.reader((f"{line}\n" for line in lines), strict=True)
    rows, start = [], 1
    try:
        for fields in reader:
            if any(field.strip() for field in fields):
                rows.append(Row(start, fields))
            start = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"'{path}' line {start} cannot be read as CSV: {error}") from error
    return rows


def split_of(path: Path, row: Row, name: str) -> str:
    """The split that a row names.

    Raises:
        InputError: there is none of this name.
    """
    split = SPLITS.get(name.lower())
    if split is None:
        raise InputError(f"'{path}' line {row.line}: unknown split '{name[:40]}'; expected train, val or test")
    return split


def key_of(text: str) -> str:
    """What makes two texts the same: how accents are coded and white space at the ends do not tell them apart."""
    return unicodedata.normalize("NFC", text).strip()


def by_text(texts: Sequence[str], seed: int) -> list[str]:
    """A split for each text: 20 % of the different texts for test, 10 % for validation, the rest for training.

    Equal texts fall into the same split, so that none of the test is known from training. With three different texts or
    more, each split has one.
    """
    ranked = sorted({key_of(text) for text in texts}, key=lambda key: (_digest(key, seed), key))
    chosen, start = dict.fromkeys(ranked, "train"), 0
    for split, share in _SHARES.items():
        count = max(1, round(share * len(ranked)))
        chosen |= dict.fromkeys(ranked[start : start + count], split)
        start += count
    return [chosen[key_of(text)] for text in texts]


def _digest(key: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed}\t{key}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
