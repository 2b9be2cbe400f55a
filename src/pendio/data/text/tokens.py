"""What every tokenizer is: pieces of text with numbers, and the marks that stand for no text."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pendio.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["END", "MARKS", "PAD", "START", "UNKNOWN", "Tokenizer", "byte_spelling", "printable", "refuse_surrogates"]

PAD, START, END, UNKNOWN = 0, 1, 2, 3
MARKS = ("<pad>", "<start>", "<end>", "<unknown>")
"""Names of the first tokens of a tokenizer made with ``marks=True``."""

_REPLACEMENT = "\ufffd".encode()


class Tokenizer(ABC):
    """Turns text into token numbers and back.

    Attributes:
        kind: "characters", "bytes", "words", "bpe" or "file".
        marks: whether tokens 0 to 3 are :data:`MARKS`.
        pieces: the bytes that each token stands for in UTF-8; empty for marks and the unknown token.
        names: what each token stands for, printable: ``\\n`` for a line end, ``␣`` for a space.
        size: the number of tokens.
        unknown: the token of what is not in the vocabulary; None where everything is.
    """

    kind: str

    def __init__(self, own: Iterable[bytes], marks: bool, unknown: bool) -> None:
        ahead = MARKS if marks else MARKS[UNKNOWN:] if unknown else ()
        own = tuple(own)
        self.marks = marks
        self.first = len(ahead)
        self.pieces = (b"",) * len(ahead) + own
        self.names: tuple[str, ...] = (*ahead, *(printable(piece) for piece in own))
        self.unknown = ahead.index(MARKS[UNKNOWN]) if unknown else None

    @property
    def size(self) -> int:
        """The number of tokens."""
        return len(self.pieces)

    @abstractmethod
    def encode(self, text: str) -> NDArray[np.int64]:
        """The tokens of a text ``(N,)``, never a mark among them.

        Raises:
            InputError: the text holds half a surrogate pair, which is no character.
        """

    @abstractmethod
    def to_json(self) -> str:
        """All there is to know of the tokenizer, for :func:`pendio.data.text.tokenizers.read_tokenizer`."""

    def decode(self, tokens: "Sequence[int] | NDArray[Any] | Tensor") -> str:
        """The text of tokens; marks are left out, and what is unknown or no whole character becomes U+FFFD.

        Raises:
            ValueError: a number is not a token's.
        """
        numbers = self._numbers(tokens)
        pieces = self.pieces
        if self.unknown is None:
            return b"".join([pieces[number] for number in numbers]).decode("utf-8", "replace")
        shown = (*pieces[: self.unknown], _REPLACEMENT, *pieces[self.unknown + 1 :])
        return b"".join([shown[number] for number in numbers]).decode("utf-8", "replace")

    def byte_lengths(self) -> NDArray[np.int64]:
        """How many bytes of UTF-8 each token stands for: ``(size,)``, 0 for marks and the unknown token."""
        return np.array([len(piece) for piece in self.pieces], dtype=np.int64)

    def unknown_in(self, text: str) -> list[str]:
        """Which characters or words of a text are unknown, each once, in order of appearance."""
        return []

    def _numbers(self, tokens: "Sequence[int] | NDArray[Any] | Tensor") -> list[int]:
        numbers: list[int] = list(tokens) if isinstance(tokens, Sequence) else tokens.tolist()
        if numbers and not 0 <= min(numbers) <= max(numbers) < self.size:
            raise ValueError(f"tokens range over {min(numbers)}…{max(numbers)}; this tokenizer has 0…{self.size - 1}")
        return numbers

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tokenizer) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash((self.kind, self.pieces))


def printable(piece: bytes) -> str:
    """A piece of text as it can be shown in one line: ``␣`` for a space, an escape for what has no picture."""
    shown = []
    for character in piece.decode("utf-8", "surrogateescape"):
        if character == " ":
            shown.append("␣")
        elif character.isprintable():
            shown.append(character)
        elif 0xDC80 <= ord(character) <= 0xDCFF:
            shown.append(f"\\x{ord(character) - 0xDC00:02x}")
        else:
            shown.append(character.encode("unicode_escape").decode())
    return "".join(shown)


def refuse_surrogates(text: str) -> bytes:
    """The text in UTF-8.

    Raises:
        InputError: it holds half a surrogate pair, as an argument in another encoding than the terminal's does.
    """
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"the text is no valid Unicode: character {error.start + 1} is the half surrogate "
                         f"U+{ord(text[error.start]):04X}; give it in UTF-8") from error  # fmt: skip


def byte_spelling() -> tuple[str, ...]:
    """The printable character by which byte-level encodings spell each of the 256 bytes (Radford et al., 2019).

    Bytes that Latin-1 shows stand for themselves, the others for U+0100 and on.
    """
    shown = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden = [value for value in range(256) if value not in shown]
    return tuple(chr(value if value in shown else 0x100 + hidden.index(value)) for value in range(256))
