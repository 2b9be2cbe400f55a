"""Tokenizers that others trained: any ``tokenizer.json`` of the ``tokenizers`` package, and BERT's ``vocab.txt``."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tokenizers
from numpy.typing import NDArray
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from pendio.data.text.tokens import Tokenizer, byte_spelling, refuse_surrogates
from pendio.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["FileTokenizer", "from_pretrained_json", "parse_json"]

_MAX_TEXT = 64 << 20
"""Largest tokenizer file in characters; those of the largest multilingual models have half of it."""

_MAX_TOKENS = 1 << 20
_UNKNOWN_NAMES = ("[UNK]", "<unk>")
_BERT_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


class FileTokenizer(Tokenizer):
    """A tokenizer of the ``tokenizers`` package, as its JSON says; text is never cut, padded or given special tokens.

    Args:
        content: the JSON of ``tokenizers.Tokenizer``.
        name: the file that it is from, for the message.

    Attributes:
        special: number of each special token by its name, such as ``[CLS]`` or ``<|endoftext|>``.

    Raises:
        InputError: it is damaged or too large.
    """

    kind = "file"

    def __init__(self, content: str, name: str) -> None:
        self._fast = _parsed(content, name)
        vocabulary = self._fast.get_vocab(with_added_tokens=True)
        size = 1 + max(vocabulary.values(), default=-1)
        if not 0 < size <= _MAX_TOKENS:
            raise InputError(f"'{name}' has tokens up to number {size - 1:,}; expected 1 to {_MAX_TOKENS:,} tokens")
        spelt = [""] * size
        for token, number in vocabulary.items():
            spelt[number] = token
        added = self._fast.get_added_tokens_decoder()
        self.special = {token.content: number for number, token in sorted(added.items()) if token.special}
        unknown = next((vocabulary[token] for token in _UNKNOWN_NAMES if token in vocabulary), None)
        pieces = _pieces(self._fast, spelt)
        for number in (*self.special.values(), *(() if unknown is None else (unknown,))):
            pieces[number] = b""
        super().__init__(pieces, marks=False, unknown=False)
        self.names = tuple(spelt)
        self.unknown = unknown

    def encode(self, text: str) -> NDArray[np.int64]:
        """See :class:`Tokenizer`. A special token's name in the text is text like any other."""
        refuse_surrogates(text)
        (encoded,) = self._fast.encode_batch_fast([text], add_special_tokens=False)
        return np.array(encoded.ids, dtype=np.int64)

    def decode(self, tokens: "Sequence[int] | NDArray[Any] | Tensor") -> str:
        """See :class:`Tokenizer`; what the vocabulary does not keep, such as case and spacing in BERT's, is lost."""
        numbers = self._numbers(tokens)
        return self._fast.decode(numbers, skip_special_tokens=True)

    def number(self, name: str) -> int:
        """The number of a token by its name, such as ``[CLS]``.

        Raises:
            InputError: there is no such token.
        """
        number = self._fast.token_to_id(name)
        if number is None:
            raise InputError(f"the tokenizer has no token {name}; {did_you_mean(name, self.special)}")
        return number

    def unknown_in(self, text: str) -> list[str]:
        """See :class:`Tokenizer`."""
        refuse_surrogates(text)
        encoded = self._fast.encode(text, add_special_tokens=False)
        places = [place for number, place in zip(encoded.ids, encoded.offsets, strict=True) if number == self.unknown]
        return list(dict.fromkeys(text[start:stop] for start, stop in places))

    def to_json(self) -> str:
        """See :class:`Tokenizer`."""
        inner = json.loads(self._fast.to_str())
        return json.dumps({"kind": self.kind, "marks": False, "tokenizer": inner}, ensure_ascii=False)


def from_pretrained_json(path: Path) -> FileTokenizer:
    """The tokenizer in a ``tokenizer.json``, or in BERT's ``vocab.txt`` (lower-case WordPiece, a token a line).

    Raises:
        InputError: the file cannot be read, is damaged or too large, or a vocabulary lacks one of BERT's special tokens.
    """
    try:
        if path.stat().st_size > _MAX_TEXT:
            raise InputError(f"'{path}' is larger than {_MAX_TEXT >> 20} MiB, too large for a tokenizer")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"'{path}' cannot be read as a tokenizer in UTF-8: {error}") from error
    return FileTokenizer(_word_pieces(text, path) if path.suffix == ".txt" else text, str(path))


def _word_pieces(text: str, path: Path) -> str:
    """The JSON of the tokenizer that BERT uses with such a vocabulary (Devlin et al., 2019)."""
    tokens = text.removesuffix("\n").split("\n")
    tokens = [token.removesuffix("\r") for token in tokens]
    number = {token: line for line, token in enumerate(tokens)}
    for line, token in enumerate(tokens):
        if number[token] != line:
            raise InputError(f"'{path}' line {line + 1}: the token {token[:40]!r} stands twice")
    for name in _BERT_SPECIAL[:4]:
        if name not in number:
            raise InputError(f"'{path}' is no vocabulary of BERT: it has no line {name}")
    fast = tokenizers.Tokenizer(WordPiece(number, unk_token="[UNK]"))
    fast.normalizer = BertNormalizer(lowercase=True)
    fast.pre_tokenizer = BertPreTokenizer()
    fast.decoder = tokenizers.decoders.WordPiece()
    fast.add_special_tokens([name for name in _BERT_SPECIAL if name in number])
    return fast.to_str()


def parse_json(text: str, name: str) -> dict[str, Any]:
    """The object in a tokenizer's JSON.

    Raises:
        InputError: it is no JSON object, or too large.
    """
    if len(text) > _MAX_TEXT:
        raise InputError(f"'{name}' is larger than {_MAX_TEXT >> 20} MiB, too large for a tokenizer")
    try:
        saved = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"'{name}' holds no tokenizer: it is no JSON ({error})") from error
    if not isinstance(saved, dict):
        raise InputError(f"'{name}' holds no tokenizer: expected an object, not {type(saved).__name__}")
    return saved


def _parsed(content: str, name: str) -> tokenizers.Tokenizer:
    saved = parse_json(content, name)
    # What is saved may cut at 128 tokens or fill up to them; a model's own context decides that here.
    saved |= {"truncation": None, "padding": None}
    try:
        fast = tokenizers.Tokenizer.from_str(json.dumps(saved, ensure_ascii=False))
    except BaseException as error:  # a panic of the package is no Exception
        if isinstance(error, KeyboardInterrupt | SystemExit | MemoryError):
            raise
        raise InputError(f"'{name}' holds no tokenizer of the tokenizers package: {str(error)[:200]}") from error
    fast.encode_special_tokens = True
    return fast


def _pieces(fast: tokenizers.Tokenizer, spelt: list[str]) -> list[bytes]:
    """The bytes of UTF-8 that each token stands for, as far as its kind of vocabulary tells."""
    if isinstance(fast.decoder, tokenizers.decoders.ByteLevel):
        alphabet = {spelling: bytes([value]) for value, spelling in enumerate(byte_spelling())}
        return [b"".join(alphabet.get(letter, letter.encode()) for letter in token) for token in spelt]
    if isinstance(fast.model, WordPiece):
        prefix = fast.model.continuing_subword_prefix
        return [token.removeprefix(prefix).encode() for token in spelt]
    return [token.replace("▁", " ").encode() for token in spelt]
