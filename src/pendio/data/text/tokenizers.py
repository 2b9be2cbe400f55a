"""Tokenizers that learn from the user's text: characters, bytes, words, and byte-pair encoding."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Literal, get_args

import numpy as np
import tokenizers
from numpy.typing import NDArray
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer

from pendio.data.text.kinds import Kind
from pendio.data.text.tokenizer_files import FileTokenizer, from_pretrained_json, parse_json
from pendio.data.text.tokens import END, MARKS, PAD, START, UNKNOWN, Tokenizer, byte_spelling, refuse_surrogates
from pendio.errors import InputError, did_you_mean

__all__ = [
    "END",
    "MARKS",
    "PAD",
    "START",
    "UNKNOWN",
    "BytePairTokenizer",
    "ByteTokenizer",
    "CharacterTokenizer",
    "FileTokenizer",
    "Kind",
    "Tokenizer",
    "WordTokenizer",
    "from_pretrained_json",
    "read_tokenizer",
    "train_tokenizer",
    "unknown_in",
]

_SIZES = {"words": 8192, "bpe": 2048}
"""Default vocabularies, small enough for a model that a laptop trains."""

_MAX_TOKENS = 1 << 20
_MAX_PIECE = 128
"""Longest token of a byte-pair encoding in bytes, so that few merges cannot claim endless memory."""

_WORDS = re.compile(r"\w+|\s+|[^\w\s]")
_CODE_POINTS = 0x110000
_SPELT = byte_spelling()


class CharacterTokenizer(Tokenizer):
    """One token a character (Unicode code point).

    Args:
        characters: those with a token of their own, in order.
        marks: see :class:`Tokenizer`.
    """

    kind = "characters"

    def __init__(self, characters: str, marks: bool = False) -> None:
        super().__init__((character.encode() for character in characters), marks, unknown=True)
        self.characters = characters
        codes = _code_points(characters)
        # One entry more than the highest known code: all that lie beyond are clipped to it, and it is unknown.
        self._lookup = np.full(int(codes.max(initial=0)) + 2, self.unknown, dtype=np.int64)
        self._lookup[codes] = np.arange(self.first, self.size)

    def encode(self, text: str) -> NDArray[np.int64]:
        """See :class:`Tokenizer`."""
        return self._lookup.take(_code_points(text), mode="clip")

    def unknown_in(self, text: str) -> list[str]:
        """See :class:`Tokenizer`."""
        known = set(self.characters)
        return [character for character in dict.fromkeys(text) if character not in known]

    def to_json(self) -> str:
        """See :class:`Tokenizer`."""
        return _json(self, characters=self.characters)


class ByteTokenizer(Tokenizer):
    """One token for each of the 256 bytes of UTF-8: nothing is ever unknown."""

    kind = "bytes"

    def __init__(self, marks: bool = False) -> None:
        super().__init__((bytes([value]) for value in range(256)), marks, unknown=False)

    def encode(self, text: str) -> NDArray[np.int64]:
        """See :class:`Tokenizer`."""
        return np.frombuffer(refuse_surrogates(text), dtype=np.uint8).astype(np.int64) + self.first

    def to_json(self) -> str:
        """See :class:`Tokenizer`."""
        return _json(self)


class WordTokenizer(Tokenizer):
    """One token a word, a run of white space, or a punctuation mark; nothing is lost between them.

    Args:
        words: those with a token of their own, in order.
        marks: see :class:`Tokenizer`.
    """

    kind = "words"

    def __init__(self, words: Sequence[str], marks: bool = False) -> None:
        super().__init__((word.encode() for word in words), marks, unknown=True)
        self.words = tuple(words)
        self._number = {word: number for number, word in enumerate(words, self.first)}

    def encode(self, text: str) -> NDArray[np.int64]:
        """See :class:`Tokenizer`."""
        find, unknown = self._number.get, self.unknown
        return np.array([find(word, unknown) for word in _WORDS.findall(text)], dtype=np.int64)

    def unknown_in(self, text: str) -> list[str]:
        """See :class:`Tokenizer`."""
        return [word for word in dict.fromkeys(_WORDS.findall(text)) if word not in self._number]

    def to_json(self) -> str:
        """See :class:`Tokenizer`."""
        return _json(self, words=self.words)


class BytePairTokenizer(Tokenizer):
    """Byte-pair encoding (Sennrich et al., 2016) of bytes as in GPT-2: pairs merge within words; nothing is unknown.

    Args:
        merges: pairs of token numbers, marks not counted, in the order in which they merge. Tokens 0 to 255 are the
            bytes; each merge that makes a new piece makes the next token.
        marks: see :class:`Tokenizer`.

    Raises:
        ValueError: a number is no token's so far, or a piece grows beyond 128 bytes.
    """

    kind = "bpe"

    def __init__(self, merges: Sequence[tuple[int, int]], marks: bool = False) -> None:
        pieces = [bytes([value]) for value in range(256)]
        number = {piece: index for index, piece in enumerate(pieces)}
        for left, right in merges:
            if not (0 <= left < len(pieces) and 0 <= right < len(pieces)):
                raise ValueError(f"the merge of tokens {left} and {right} comes before both are made")
            made = pieces[left] + pieces[right]
            if len(made) > _MAX_PIECE:
                raise ValueError(f"the merge of tokens {left} and {right} is longer than {_MAX_PIECE} bytes")
            if number.setdefault(made, len(pieces)) == len(pieces):
                pieces.append(made)
        super().__init__(pieces, marks, unknown=False)
        self.merges = tuple(merges)
        spelt = ["".join(_SPELT[value] for value in piece) for piece in pieces]
        vocabulary = {spelling: index for index, spelling in enumerate(spelt)}
        self._fast = tokenizers.Tokenizer(BPE(vocabulary, [(spelt[left], spelt[right]) for left, right in merges]))
        self._fast.pre_tokenizer = ByteLevel(add_prefix_space=False)

    def encode(self, text: str) -> NDArray[np.int64]:
        """See :class:`Tokenizer`."""
        refuse_surrogates(text)
        (encoded,) = self._fast.encode_batch_fast([text], add_special_tokens=False)
        return np.array(encoded.ids, dtype=np.int64) + self.first

    def to_json(self) -> str:
        """See :class:`Tokenizer`."""
        return _json(self, merges=self.merges)


def train_tokenizer(kind: Kind, texts: Iterable[str], size: int | None = None, marks: bool = False) -> Tokenizer:
    """A tokenizer that has learnt its vocabulary from texts.

    Args:
        kind: "characters", "bytes", "words" or "bpe".
        texts: what to learn from, read once.
        size: the most tokens, marks and the unknown one among them; the most frequent are kept. None: all characters,
            8,192 words, 2,048 byte pairs.
        marks: whether tokens 0 to 3 are ``<pad>``, ``<start>``, ``<end>`` and ``<unknown>``.

    Raises:
        InputError: there is no such kind, or ``size`` leaves no room for it.
    """
    if kind not in get_args(Kind):
        raise InputError(f"--tokenizer {kind}: no such tokenizer; {did_you_mean(kind, get_args(Kind))}")
    marked = len(MARKS) if marks else 0
    least = {"bytes": 256 + marked, "bpe": 256 + marked}.get(kind, (marked or 1) + 1)
    if size is not None and not least <= size <= _MAX_TOKENS:
        raise InputError(f"--vocabulary {size}: a vocabulary of {kind} has {least} to {_MAX_TOKENS:,} tokens")
    if kind == "bytes":
        if size not in (None, least):
            raise InputError(f"--vocabulary {size}: bytes always have {least} tokens; leave --vocabulary out")
        return ByteTokenizer(marks)
    if kind == "characters":
        return CharacterTokenizer(_frequent_characters(texts, None if size is None else size - (marked or 1)), marks)
    total = _SIZES[kind] if size is None else size
    if kind == "words":
        return WordTokenizer(_frequent_words(texts, total - (marked or 1)), marks)
    return BytePairTokenizer(_learn_merges(texts, total - marked), marks)


def unknown_in(tokenizer: Tokenizer, text: str) -> list[str]:
    """Which characters or words of a text the tokenizer does not know, each once, in order of appearance."""
    return tokenizer.unknown_in(text)


def _code_points(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)


def _frequent_characters(texts: Iterable[str], most: int | None) -> str:
    counts = np.zeros(_CODE_POINTS, dtype=np.int64)
    for text in texts:
        refuse_surrogates(text)
        found = np.bincount(_code_points(text))
        counts[: len(found)] += found
    ranked = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)][:most]
    return "".join(chr(code) for code in np.sort(ranked))


def _frequent_words(texts: Iterable[str], most: int) -> list[str]:
    counts: Counter[str] = Counter()
    for text in texts:
        refuse_surrogates(text)
        counts.update(_WORDS.findall(text))
    return sorted(counts, key=lambda word: (-counts[word], word))[:most]


def _learn_merges(texts: Iterable[str], size: int) -> list[tuple[int, int]]:
    learner = tokenizers.Tokenizer(BPE())
    learner.pre_tokenizer = ByteLevel(add_prefix_space=False)
    trainer = BpeTrainer(
        vocab_size=size, initial_alphabet=ByteLevel.alphabet(), show_progress=False, max_token_length=_MAX_PIECE
    )
    learner.train_from_iterator((_valid(text) for text in texts), trainer)
    merges = json.loads(learner.to_str())["model"]["merges"]
    number = {spelling: value for value, spelling in enumerate(_SPELT)}
    learnt = []
    for left, right in merges:
        learnt.append((number[left], number[right]))
        number.setdefault(left + right, len(number))
    return learnt


def _valid(text: str) -> str:
    refuse_surrogates(text)
    return text


def _json(tokenizer: Tokenizer, **fields: object) -> str:
    return json.dumps({"kind": tokenizer.kind, "marks": tokenizer.marks, **fields}, ensure_ascii=False)


def read_tokenizer(text: str, name: str) -> Tokenizer:
    """The tokenizer that :meth:`Tokenizer.to_json` wrote.

    Args:
        text: the JSON.
        name: the file that it is from, for the message.

    Raises:
        InputError: it is damaged or too large.
    """
    saved = parse_json(text, name)
    kind, marks = saved.get("kind"), saved.get("marks")
    try:
        if not isinstance(marks, bool):
            raise ValueError("'marks' is not true or false")
        match kind:
            case "characters":
                return CharacterTokenizer(_distinct(saved, "characters", "text"), marks)
            case "bytes":
                return ByteTokenizer(marks)
            case "words":
                return WordTokenizer(_distinct(saved, "words", "list"), marks)
            case "bpe":
                return BytePairTokenizer(_pairs(saved), marks)
            case "file":
                return FileTokenizer(json.dumps(saved.get("tokenizer"), ensure_ascii=False), name)
    except ValueError as error:
        raise InputError(f"'{name}' holds no tokenizer: {error}") from error
    raise InputError(f"'{name}' holds no tokenizer: its kind is {str(kind)[:40]!r}, not one of "
                     f"{', '.join(get_args(Kind))}, file")  # fmt: skip


def _distinct(saved: dict[str, Any], key: str, form: Literal["text", "list"]) -> Any:
    """The texts under a key: a string of single characters, or a list of words; all distinct, none empty."""
    texts = saved.get(key, "")
    fits = isinstance(texts, str if form == "text" else list) and len(texts) > 0
    if not fits or not all(isinstance(text, str) and text for text in texts):
        raise ValueError(f"'{key}' is no {'text' if form == 'text' else 'list of texts'}")
    if len(texts) > _MAX_TOKENS:
        raise ValueError(f"'{key}' has {len(texts):,} entries, more than {_MAX_TOKENS:,}")
    if len(set(texts)) < len(texts):
        raise ValueError(f"'{key}' has a duplicate, {Counter(texts).most_common(1)[0][0][:40]!r}")
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        raise ValueError(f"'{key}' has half a surrogate pair") from None
    return texts


def _pairs(saved: dict[str, Any]) -> list[tuple[int, int]]:
    merges = saved.get("merges")
    if not isinstance(merges, list) or len(merges) > _MAX_TOKENS:
        raise ValueError(f"'merges' is no list of at most {_MAX_TOKENS:,} pairs")
    for pair in merges:
        if not isinstance(pair, list) or len(pair) != 2 or not all(type(number) is int for number in pair):
            raise ValueError(f"'merges' has {str(pair)[:40]}, which is no pair of token numbers")
    return [(left, right) for left, right in merges]
