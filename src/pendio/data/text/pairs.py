"""Pairs of texts to translate from one to the other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from pendio.data.examples import SPLITS, Finding
from pendio.data.text.buckets import Bucketed, Ragged
from pendio.data.text.dates import dates
from pendio.data.text.tables import Row, by_text, key_of, read_rows, split_of
from pendio.data.text.tokenizers import END, START, Kind, Tokenizer, train_tokenizer
from pendio.errors import InputError, did_you_mean

__all__ = ["PAIRS", "PairData", "Pairs", "open_pairs"]

PAIRS = {"dates": ("23,000 dates written in 12 languages, and in ISO 8601", dates)}
"""Name of an embedded set → a line about it, and its pairs by split, given a seed."""

_Texts = Mapping[str, Sequence[tuple[str, str]]]


class Pairs(NamedTuple):
    """A batch of pairs.

    Attributes:
        inputs: ``(B, S)`` int64 source tokens, 0 behind the end.
        targets: ``(B, T)`` int64: START, target tokens, END, then 0.
        indices: ``(B,)`` positions in the split.
    """

    inputs: Tensor
    targets: Tensor
    indices: Tensor


@dataclass(frozen=True)
class PairData:
    """Pairs to learn from, and what a translator must know about them.

    Attributes:
        name: what the user called it.
        train, val, test: sources of :class:`Pairs`; ``test`` is None where the file names splits and no test.
        source, target: tokenizers, with marks.
        sources, targets: by the name of the split, the texts at each position.
        length: the most tokens of a side, marks included.
        findings: what was noticed on opening.
    """

    name: str
    train: Bucketed
    val: Bucketed
    test: Bucketed | None
    source: Tokenizer
    target: Tokenizer
    sources: Mapping[str, tuple[str, ...]]
    targets: Mapping[str, tuple[str, ...]]
    length: int
    findings: tuple[Finding, ...] = ()

    def split(self, name: str) -> Bucketed:
        """The split called "train", "val" or "test"; where there is no test split, "test" is the validation one."""
        chosen = {"train": self.train, "val": self.val, "test": self.test}[name]
        return self.val if chosen is None else chosen

    def describe(self) -> dict[str, Any]:
        """What a run folder must remember about the data."""
        return {
            "name": self.name,
            "kind": "pairs",
            "examples": {name: len(texts) for name, texts in self.sources.items()},
            "tokens": {"source": self.source.size, "target": self.target.size},
            "length": self.length,
            "findings": [finding.message for finding in self.findings],
        }


def open_pairs(
    name_or_path: str | Path,
    *,
    tokenizer: Kind = "characters",
    size: int | None = None,
    known: tuple[Tokenizer, Tokenizer] | None = None,
    seed: int = 0,
    length: int = 256,
) -> PairData:
    """Open pairs: ``dates``, or a file with a source text, a tab and its target text on each line.

    A first line of the words ``source`` and ``target``, in any order and beside other columns, is a header and says
    which column is which. Without it these are the first two columns, and a third counts if it holds splits alone. Where
    a column (``split`` in a header) says train, val or test, it is followed; else 20 % of the different source texts
    are for test and 10 % for validation. Empty lines are skipped; white space around a text is dropped.

    Args:
        name_or_path: "dates", or the file.
        tokenizer: its kind, for both sides; learnt from the training pairs.
        size: the most tokens of a vocabulary.
        known: source and target tokenizers to use in place of new ones.
        seed: of the split, and of the pairs of ``dates``.
        length: the most tokens on either side, the marks of the target included; longer pairs are left out.

    Raises:
        InputError: there is no such data, or it cannot be used; the message says why.
    """
    name = str(name_or_path)
    if length < 3:
        raise InputError(f"--length {length}: a target of one token between its marks needs 3")
    findings: list[Finding] = []
    if name in PAIRS:
        texts = PAIRS[name][1](seed)
    else:
        if not Path(name).is_file():
            raise InputError(f"no pairs '{name}': it is neither a file here nor an embedded set; "
                             f"{did_you_mean(name, PAIRS)}")  # fmt: skip
        texts, findings = _read(Path(name), seed)
    source, target = known or (
        train_tokenizer(tokenizer, (pair[0] for pair in texts["train"]), size, marks=True),
        train_tokenizer(tokenizer, (pair[1] for pair in texts["train"]), size, marks=True),
    )
    if not (source.marks and target.marks):
        raise InputError(f"'{name}': translation needs tokenizers with marks for padding, start and end of a text")
    splits = {split: _encoded(pairs, source, target, length) for split, pairs in texts.items()}
    long = sum(len(pairs) - len(splits[split][0]) for split, pairs in texts.items())
    if long:
        findings.append(Finding("long", f"{long} pairs are longer than {length} tokens and left out (see --length)"))
    for split, (kept, _) in splits.items():
        if not kept:
            raise InputError(f"'{name}': all {len(texts[split])} pairs of the {split} split are longer than {length} "
                             "tokens; raise --length")  # fmt: skip
    sources = {split: examples for split, (_, examples) in splits.items()}
    return PairData(
        name, sources["train"], sources["val"], sources.get("test"), source, target,
        {split: tuple(pair[0] for pair in kept) for split, (kept, _) in splits.items()},
        {split: tuple(pair[1] for pair in kept) for split, (kept, _) in splits.items()},
        length, tuple(findings),
    )  # fmt: skip


def _encoded(
    pairs: Sequence[tuple[str, str]], source: Tokenizer, target: Tokenizer, length: int
) -> tuple[list[tuple[str, str]], Bucketed]:
    """The pairs that are not too long, and the same in tokens."""
    kept, inputs, targets = [], [], []
    for pair in pairs:
        read, written = source.encode(pair[0]), target.encode(pair[1])
        if len(read) <= length and len(written) + 2 <= length:
            kept.append(pair)
            inputs.append(read)
            targets.append(np.concatenate([[START], written, [END]]))
    return kept, Bucketed((Ragged.of(inputs), Ragged.of(targets)), (), Pairs)


def _read(path: Path, seed: int) -> tuple[dict[str, list[tuple[str, str]]], list[Finding]]:
    """The pairs of a file by split, each once, and what was noticed."""
    rows = read_rows(path)
    if all(len(row.fields) == 1 for row in rows):
        raise InputError(
            f"'{path}' has no tab character: expected a source text, a tab and its target text on each line"
        )
    rows, (source, target, split), findings = _columns(path, rows)
    needed = max(source, target, -1 if split is None else split)
    for row in rows:
        if len(row.fields) <= needed:
            raise InputError(f"'{path}' line {row.line}: {len(row.fields)} columns; expected {needed + 1}, "
                             "with a tab between a source text and its target text")  # fmt: skip
        for side, column in (("source", source), ("target", target)):
            if not row.fields[column]:
                raise InputError(f"'{path}' line {row.line}: the {side} text is empty; fill it or remove the line")
    if split is None:
        splits = by_text([row.fields[source] for row in rows], seed)
    else:
        splits = [split_of(path, row, row.fields[split]) for row in rows]
    parts: dict[str, dict[tuple[str, str], None]] = {"train": {}, "val": {}, "test": {}}
    for row, chosen in zip(rows, splits, strict=True):
        parts[chosen][row.fields[source], row.fields[target]] = None
    texts = {name: list(pairs) for name, pairs in parts.items() if pairs}
    different = len({key_of(row.fields[source]) for row in rows})
    for name in ("train", "val") if split is not None else ("train", "val", "test"):
        if name not in texts:
            raise InputError(
                f"'{path}' has no pairs in its {name} split" if split is not None
                else f"'{path}' has only {different} different source texts; it takes 3 for training, validation and test"
            )  # fmt: skip
    return texts, [*findings, *_doctor(len(rows), texts)]


def _columns(path: Path, rows: list[Row]) -> tuple[list[Row], tuple[int, int, int | None], list[Finding]]:
    """The rows below a header, the columns of source, target and split, and what was noticed."""
    header = [field.lower() for field in rows[0].fields]
    if {"source", "target"} <= set(header):
        if len(rows) == 1:
            raise InputError(f"'{path}' has no pairs below its header")
        split = header.index("split") if "split" in header else None
        return rows[1:], (header.index("source"), header.index("target"), split), []
    thirds = [row.fields[2].lower() for row in rows if len(row.fields) > 2]
    if len(thirds) == len(rows) and set(thirds) <= set(SPLITS):
        return rows, (0, 1, 2), []
    message = f"{len(thirds)} lines have more than two columns; those from the third on are not read"
    return rows, (0, 1, None), [Finding("columns", message)] if thirds else []


def _doctor(count: int, texts: _Texts) -> list[Finding]:
    """Pairs that were given twice, and sources that the user's own splits share."""
    findings = []
    twice = count - sum(len(pairs) for pairs in texts.values())
    if twice:
        findings.append(Finding("duplicates", f"{twice} pairs are on more than one line; each is used once"))
    trained = {key_of(source) for source, _ in texts["train"]}
    for split in ("val", "test"):
        leaked = sum(key_of(source) in trained for source, _ in texts.get(split, ()))
        if leaked:
            findings.append(Finding("leak", f"{leaked} of {len(texts[split])} source texts of the {split} split are "
                                            "among those of training"))  # fmt: skip
    return findings
