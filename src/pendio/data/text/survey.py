"""The data doctor for text: what is in it, and what is odd about it; nothing is changed."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pendio.data.examples import Finding
from pendio.data.text.documents import Document, joined
from pendio.errors import listed

__all__ = ["Survey", "diagnose_text", "repeats", "survey"]

_PARAGRAPHS = re.compile(r"\n\s*\n")
_LONG = 80
"""Characters from which a paragraph that stands twice is no coincidence."""

_LEAK = 0.01
_REPEATED = 0.05
_REPLACEMENT = 0xFFFD


@dataclass(frozen=True)
class Survey:
    """What one look at all documents told.

    Attributes:
        counts: how often each Unicode code point occurs, up to the highest.
        lines: line ends.
        windows_lines: those among them that are CR LF.
        places: for each document that holds text, its name, the position of its first character, and a digest.
    """

    counts: NDArray[np.int64]
    lines: int
    windows_lines: int
    places: tuple[tuple[str, int, bytes], ...]

    @property
    def characters(self) -> int:
        """Characters of all documents joined."""
        return int(self.counts.sum())

    @property
    def distinct(self) -> int:
        """Different characters."""
        return int(np.count_nonzero(self.counts))

    @property
    def blank(self) -> bool:
        """Whether there is nothing but white space."""
        return all(chr(code).isspace() for code in np.flatnonzero(self.counts))


def survey(documents: Sequence[Document]) -> Survey:
    """Read all documents once.

    Raises:
        InputError: one of them cannot be read, or is no text.
    """
    counts = np.zeros(0x110000, dtype=np.int64)
    lines = windows_lines = position = 0
    last = ""
    places: dict[str, tuple[int, hashlib._Hash]] = {}
    for document, piece in joined(documents):
        found = np.bincount(np.frombuffer(piece.encode("utf-32-le"), dtype=np.uint32))
        counts[: len(found)] += found
        lines += piece.count("\n")
        windows_lines += piece.count("\r\n") + (last == "\r" and piece[0] == "\n")
        if document is not None:
            _, digest = places.setdefault(document.name, (position, hashlib.sha256()))
            digest.update(piece.encode())
        position += len(piece)
        last = piece[-1]
    used = counts[: int(np.flatnonzero(counts).max(initial=-1)) + 1].copy()
    seen = tuple((name, start, digest.digest()) for name, (start, digest) in places.items())
    return Survey(used, lines, windows_lines, seen)


def diagnose_text(
    surveyed: Survey, documents: Sequence[Document], left_out: Sequence[Path], cut: int, by_character: bool
) -> tuple[Finding, ...]:
    """Findings about documents, the gravest first.

    Args:
        surveyed: what :func:`survey` told of ``documents``.
        documents: all that were found.
        left_out: files that were not taken for text.
        cut: position of the first validation character.
        by_character: whether each character has a token of its own.
    """
    checks = (
        *_copies(surveyed, cut),
        _replaced(surveyed),
        _line_ends(surveyed),
        _rare(surveyed) if by_character else None,
        _empty(surveyed, documents),
        _ignored(left_out),
    )
    return tuple(finding for finding in checks if finding is not None)


def _copies(surveyed: Survey, cut: int) -> Iterator[Finding]:
    groups: dict[bytes, list[tuple[str, int]]] = defaultdict(list)
    for name, start, digest in surveyed.places:
        groups[digest].append((name, start))
    copied = [group for group in groups.values() if len(group) > 1]
    leaks = [group for group in copied if group[0][1] < cut <= group[-1][1]]
    for kind, found, wording in (
        ("leak", leaks, "stand in the training and in the validation part, so that the score flatters"),
        ("duplicate", [group for group in copied if group not in leaks], "stand more than once in one part"),
    ):
        if found:
            examples = listed([" = ".join(name for name, _ in group) for group in found], 2)
            files = tuple(name for group in found for name, _ in group)
            yield Finding(kind, f"{len(found)} documents {wording}: {examples}", files)


def _replaced(surveyed: Survey) -> Finding | None:
    count = int(surveyed.counts[_REPLACEMENT]) if len(surveyed.counts) > _REPLACEMENT else 0
    if not count:
        return None
    return Finding("encoding", f"{count:,} replacement characters (U+FFFD): the text was once read in a wrong encoding")


def _line_ends(surveyed: Survey) -> Finding | None:
    if not surveyed.windows_lines:
        return None
    return Finding("line ends", f"{surveyed.windows_lines:,} of {surveyed.lines:,} lines end in CR LF, two characters "
                                "where one would do; they were left as they are")  # fmt: skip


def _rare(surveyed: Survey) -> Finding | None:
    once = [chr(code) for code in np.flatnonzero(surveyed.counts == 1)]
    if not once:
        return None
    shown = listed([f"{character!r}" for character in once], 5)
    return Finding("rare", f"{len(once)} of {surveyed.distinct} characters occur once, too seldom to learn: {shown}")


def _empty(surveyed: Survey, documents: Sequence[Document]) -> Finding | None:
    held = {name for name, _, _ in surveyed.places}
    empty = tuple(document.name for document in documents if document.name not in held)
    return Finding("empty", f"{len(empty)} documents are empty: {listed(empty)}", empty) if empty else None


def _ignored(files: Sequence[Path]) -> Finding | None:
    if not files:
        return None
    names = tuple(str(path) for path in files)
    return Finding("ignored", f"{len(files)} files without the ending of a text were left out: {listed(names)}", names)


def repeats(train: str, val: str) -> tuple[Finding, ...]:
    """Findings about long paragraphs that stand word for word in both parts, or twice in training."""
    known: set[str] = set()
    repeated = 0
    for paragraph in _paragraphs(train):
        if paragraph in known:
            repeated += len(paragraph)
        known.add(paragraph)
    leaked = sum(len(paragraph) for paragraph in _paragraphs(val) if paragraph in known)
    findings = []
    if leaked > _LEAK * len(val):
        findings.append(Finding("leak", f"{leaked / len(val):.1%} of the validation part stands word for word in the "
                                        "training part, so that the score flatters"))  # fmt: skip
    if repeated > _REPEATED * len(train):
        findings.append(Finding("repeat", f"{repeated / len(train):.1%} of the training part is paragraphs that stand "
                                          "in it before"))  # fmt: skip
    return tuple(findings)


def _paragraphs(text: str) -> Iterator[str]:
    return (paragraph for paragraph in map(str.strip, _PARAGRAPHS.split(text)) if len(paragraph) >= _LONG)
