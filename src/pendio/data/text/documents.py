"""Documents of text: found, read in pieces, checked to be text, and joined."""

import codecs
import difflib
import importlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pendio.errors import InputError, did_you_mean

__all__ = ["PIECE", "TEXTS", "Document", "find_documents", "in_pieces", "joined", "part"]

PIECE = 1 << 20
"""Characters that are read and encoded at once."""

_ENDINGS = frozenset({
    ".txt", ".text", ".md", ".markdown", ".rst", ".tex", ".org", ".adoc", ".log", ".html", ".htm", ".xml", ".json",
    ".jsonl", ".csv", ".tsv", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".py", ".c", ".h", ".cc", ".cpp", ".hpp", ".rs",
    ".go", ".java", ".js", ".ts", ".css", ".sh", ".rb", ".pl", ".lua", ".sql", ".r", ".jl", ".hs", ".scala", ".kt", ".swift",
    ".cs", ".srt",
})  # fmt: skip
"""Endings of the files of a folder that are read."""


@dataclass(frozen=True)
class Document:
    """One text, in a file or in memory.

    Attributes:
        name: what to call it.
        path: its file; None where ``text`` holds it.
        text: all of it where there is no file.
    """

    name: str
    path: Path | None = None
    text: str = ""

    def read(self) -> Iterator[str]:
        """The text in pieces, line ends as they are, without a byte order mark.

        Raises:
            InputError: the file cannot be read, is no valid UTF-8, or holds a NUL byte.
        """
        if self.path is None:
            if self.text:
                yield self.text
            return
        try:
            with self.path.open("rb") as file:
                yield from _decoded(file, self.name)
        except OSError as error:
            raise InputError(f"'{self.name}' cannot be read: {error.strerror or error}") from error

    def size(self) -> int:
        """Bytes of the file, or characters of the text in memory."""
        try:
            return len(self.text) if self.path is None else self.path.stat().st_size
        except OSError as error:
            raise InputError(f"'{self.name}' cannot be read: {error.strerror or error}") from error

    def resident(self) -> "Document":
        """The same document, held in memory."""
        return Document(self.name, None, "".join(self.read()))


def _decoded(file: BinaryIO, name: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset = 0
    while block := file.read(PIECE):
        if offset == 0 and block.startswith(codecs.BOM_UTF8):
            offset = len(codecs.BOM_UTF8)
            block = block[offset:]
        if (place := block.find(b"\0")) >= 0:
            raise InputError(f"'{name}' is no text: byte {offset + place:,} is NUL; expected text in UTF-8")
        yield _strictly(decoder, block, offset, name)
        offset += len(block)
    _strictly(decoder, b"", offset, name, final=True)


def _strictly(decoder: codecs.IncrementalDecoder, block: bytes, offset: int, name: str, final: bool = False) -> str:
    pending = len(decoder.getstate()[0])
    try:
        return decoder.decode(block, final)
    except UnicodeDecodeError as error:
        place = offset - pending + error.start
        raise InputError(f"'{name}' is no valid UTF-8 at byte {place:,} (0x{error.object[error.start]:02x}): "
                         "save it as UTF-8, or convert it with iconv") from error  # fmt: skip


def _python_topics() -> list[Document]:
    # Imported by name: the module has no types, and half a megabyte that only this set needs.
    topics: dict[str, str] = importlib.import_module("pydoc_data.topics").topics
    return [Document(topic, None, topics[topic]) for topic in sorted(topics)]


TEXTS = {"pydocs": ("the topics of Python's own manual, as installed", _python_topics)}
"""Embedded texts: name → a line about it, and its documents."""


def find_documents(name_or_path: str | Path) -> tuple[list[Document], list[Path]]:
    """The documents of an embedded text, a file or a folder in the order of their paths, and the files left out.

    In a folder, files with the ending of a text are found to its depths; hidden ones are not looked at.

    Raises:
        InputError: there is no such data, or no text in it.
    """
    text = str(name_or_path)
    if text in TEXTS:
        return TEXTS[text][1](), []
    path = Path(text)
    if os.path.isfile(path):
        return [Document(text, path)], []
    if not os.path.isdir(path):
        raise InputError(f"no text '{text}': it is neither a file or folder here, nor an embedded text; "
                         f"{did_you_mean(text, _near(path) or TEXTS)}")  # fmt: skip
    files = sorted(_visible(path), key=lambda file: file.relative_to(path).parts)
    chosen = [file for file in files if file.suffix.lower() in _ENDINGS]
    if not chosen:
        raise InputError(f"folder '{text}' holds no text among its {len(files)} files; expected files ending in .txt, .md, "
                         ".rst, .py, …")  # fmt: skip
    return [Document(str(file), file) for file in chosen], [file for file in files if file not in set(chosen)]


def _near(path: Path) -> list[str]:
    """What stands beside a path that does not exist and is called nearly the same."""
    try:
        beside = [str(path.parent / name) for name in os.listdir(path.parent)]
    except (OSError, ValueError):
        beside = []
    return difflib.get_close_matches(str(path), [*beside, *TEXTS], n=1)


def _visible(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            file = Path(parent, name)
            if not name.startswith(".") and file.is_file():
                yield file


def joined(documents: Iterable[Document]) -> Iterator[tuple[Document | None, str]]:
    """All text in pieces, each with its document; None for the blank line that stands between two documents."""
    last = ""
    for document in documents:
        between = "" if not last else "\n" if last == "\n" else "\n\n"
        for piece in document.read():
            if not piece:
                continue
            if between:
                yield None, between
                between = ""
            last = piece[-1]
            yield document, piece


def in_pieces(texts: Iterable[str], size: int) -> Iterator[str]:
    """The same text in pieces of at most ``size`` characters.

    They end after a line end between two lines that touch it, where no tokenizer joins what stands on either side; only
    where there is none, a token may be cut.
    """
    held = ""
    for text in texts:
        held += text
        start = 0
        while len(held) - start > size:
            stop = _boundary(held, start, start + size)
            yield held[start:stop]
            start = stop
        held = held[start:]
    if held:
        yield held


def _boundary(text: str, start: int, stop: int) -> int:
    place = stop
    while (place := text.rfind("\n", start + 1, place)) > 0:
        if not text[place - 1].isspace() and not text[place + 1].isspace():
            return place + 1
    return stop


def part(texts: Iterable[str], start: int, stop: int) -> Iterator[str]:
    """Characters ``start`` to ``stop`` of texts that are one after another."""
    position = 0
    for text in texts:
        chosen = text[max(0, start - position) : max(0, stop - position)]
        if chosen:
            yield chosen
        position += len(text)
        if position >= stop:
            return
