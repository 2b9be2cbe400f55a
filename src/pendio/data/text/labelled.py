"""Sequences with answers: texts with labels from tables and folders, and the embedded sets."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from pendio.data.arrays import split_by_class
from pendio.data.examples import SPLITS, Examples, Finding
from pendio.data.text.answers import LabelledData
from pendio.data.text.buckets import Bucketed, Ragged
from pendio.data.text.memory import MEMORY
from pendio.data.text.names import names
from pendio.data.text.tables import key_of, read_rows, read_text, split_of
from pendio.data.text.tokenizers import Kind, Tokenizer, train_tokenizer
from pendio.errors import InputError, did_you_mean

__all__ = ["LABELLED", "LabelledData", "open_labelled"]

LABELLED = {"names": "names of countries and languages; which of 12 languages they are in"} | {
    name: line for name, (line, _) in MEMORY.items()
}
"""Name of an embedded set → a line about it."""

_LENGTH = 512


@dataclass(frozen=True)
class _Example:
    """A text, its label, the split that it is given (empty where none is) and where it is from."""

    text: str
    label: str
    split: str
    where: str


def open_labelled(
    name_or_path: str | Path,
    *,
    tokenizer: Kind = "characters",
    size: int | None = None,
    known: Tokenizer | None = None,
    target: str | None = None,
    seed: int = 0,
    length: int | None = None,
) -> LabelledData:
    """Open sequences with answers.

    A table is a ``.csv`` file, or any other with tabs between columns; its first line is a header. A column ``label``
    (or ``target``) holds the labels, a column ``text`` (or the only other one) the texts. A folder has a subfolder of
    ``.txt`` files for each class, or ``train/`` and maybe ``val/`` and ``test/`` that do. A column ``split``, or such
    folders, are followed; else 20 % of each class are for test and 10 % for validation. A text that is given twice is
    used once; one with two labels has no right answer and is left out.

    Args:
        name_or_path: "names", "adding", "copying", "pixels", a table or a folder.
        tokenizer: its kind; learnt from the training texts.
        size: the most tokens of its vocabulary.
        known: a tokenizer to use in place of a new one; no text may hold its token 0, which is padding.
        target: the column of the labels.
        seed: of the split, and of the examples of ``adding`` and ``copying``.
        length: the most tokens of a text (512), of which longer ones keep the beginning; in ``adding`` (200) and
            ``copying`` (100) how far the memory has to reach.

    Raises:
        InputError: there is no such data, or it cannot be used; the message says why.
    """
    name = str(name_or_path)
    if target is not None and (name in LABELLED or Path(name).is_dir()):
        raise InputError(f"--target {target} is the column of a table, and '{name}' is none; leave it out")
    if name in MEMORY:
        data = MEMORY[name][1](length, seed)
        if (tokenizer, size) != ("characters", None) or known not in (None, data.tokenizer):
            raise InputError(f"'{name}' has inputs of its own; leave --tokenizer and --vocabulary out")
        return data
    if length is not None and length < 1:
        raise InputError(f"--length {length}: a text needs a token at least")
    given, unread = _read(name, target)
    examples, findings = _doctor(name, given)
    findings = [*unread, *findings]
    classes = _classes(name, examples)
    examples = _assign_splits(name, examples, classes, seed)
    parts = {split: [example for example in examples if example.split == split] for split in ("train", "val", "test")}
    used = known or train_tokenizer(tokenizer, (example.text for example in parts["train"]), size, marks=True)
    if used.byte_lengths()[0] != 0:
        raise InputError(f"'{name}': token 0 of the tokenizer is {used.names[0]!r}, not padding; texts with labels "
                         "need a tokenizer whose token 0 is padding")  # fmt: skip
    most = _LENGTH if length is None else length
    sources = {split: _encoded(part, classes, used, most) for split, part in parts.items() if part}
    cut = sum(long for _, long in sources.values())
    if cut:
        message = f"{cut} texts are longer than {most} tokens; the first {most} are used (see --length)"
        findings.append(Finding("long", message))
    counts = Counter(example.label for example in parts["train"])
    return LabelledData(
        name, sources["train"][0], sources["val"][0], sources["test"][0] if parts["test"] else None,
        "text", "class", classes, used, None, int(max(source.lengths().max() for source, _ in sources.values())),
        texts=tuple(example.text for example in parts["test"] or parts["val"]),
        class_counts=tuple(counts[label] for label in classes), findings=tuple(findings),
    )  # fmt: skip


def _encoded(
    examples: Sequence[_Example], classes: tuple[str, ...], tokenizer: Tokenizer, length: int
) -> tuple[Bucketed, int]:
    """The examples in tokens, and how many of them were cut."""
    sequences, long = [], 0
    for example in examples:
        tokens = tokenizer.encode(example.text)
        if not len(tokens):
            raise InputError(f"{example.where}: the tokenizer finds no token in the text {example.text[:40]!r}")
        long += len(tokens) > length
        sequences.append(tokens[:length])
    number = {label: index for index, label in enumerate(classes)}
    targets = torch.tensor([number[example.label] for example in examples])
    return Bucketed((Ragged.of(sequences),), (targets,), Examples), long


def _read(name: str, target: str | None) -> tuple[list[_Example], list[Finding]]:
    if name == "names":
        return [_Example(text, language, "", name) for text, language in names()], []
    path = Path(name)
    if path.is_dir():
        return _from_folder(path)
    if not path.is_file():
        raise InputError(f"no data '{name}': it is neither a file or folder here, nor an embedded set; "
                         f"{did_you_mean(name, LABELLED)}")  # fmt: skip
    return _from_table(path, target), []


def _from_table(path: Path, target: str | None) -> list[_Example]:
    header, *rows = read_rows(path)
    columns = header.fields
    label = target or "label"
    if label not in columns:
        hint = did_you_mean(label, columns) if target else f"say with --target which it is ({', '.join(columns)})"
        raise InputError(f"'{path}' has no column '{label}' in its header; {hint}")
    others = [column for column in columns if column not in (label, "split")]
    text = "text" if "text" in others else others[0] if len(others) == 1 else None
    if text is None:
        raise InputError(f"'{path}' has no column 'text' in its header, only {', '.join(columns)}; "
                         "name the column of the texts so")  # fmt: skip
    if not rows:
        raise InputError(f"'{path}' has no rows below its header")
    examples = []
    for row in rows:
        where = f"'{path}' line {row.line}"
        if len(row.fields) != len(columns):
            raise InputError(f"{where}: {len(row.fields)} fields; expected {len(columns)} as in the header")
        values = dict(zip(columns, row.fields, strict=True))
        for column in (text, label):
            if not values[column]:
                raise InputError(f"{where}: the column '{column}' is empty; fill it or remove the line")
        split = split_of(path, row, values["split"]) if "split" in columns else ""
        examples.append(_Example(values[text], values[label], split, where))
    return examples


def _from_folder(folder: Path) -> tuple[list[_Example], list[Finding]]:
    splits = {child: SPLITS[child.name.lower()] for child in _folders(folder) if child.name.lower() in SPLITS}
    roots = list(splits.items()) if "train" in splits.values() else [(folder, "")]
    examples, others = [], []
    for root, split in roots:
        for label in _folders(root):
            for path in sorted(path for path in label.rglob("*") if path.is_file()):
                if path.suffix.lower() != ".txt":
                    others.append(str(path))
                    continue
                text = read_text(path).strip()
                if not text:
                    raise InputError(f"'{path}' is empty; fill it or remove it")
                examples.append(_Example(text, label.name, split, f"'{path}'"))
    if not examples:
        raise InputError(f"data folder '{folder}' has no .txt files in subfolders, one subfolder a class")
    message = f"{len(others)} files do not end in .txt and are not read"
    return examples, [Finding("other files", message, tuple(others))] if others else []


def _folders(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))


def _doctor(name: str, examples: Sequence[_Example]) -> tuple[list[_Example], list[Finding]]:
    """Each text once in a split and with one label, and what was noticed."""
    labels: dict[str, set[str]] = {}
    for example in examples:
        labels.setdefault(key_of(example.text), set()).add(example.label)
    kept: dict[tuple[str, str], _Example] = {}
    for example in examples:
        if len(labels[key_of(example.text)]) == 1:
            kept.setdefault((key_of(example.text), example.split), example)
    findings = []
    torn = [text for text, found in labels.items() if len(found) > 1]
    if torn:
        message = f"{len(torn)} texts have two labels or more and are left out, such as {torn[0][:40]!r}"
        findings.append(Finding("contradictory", message))
    twice = sum(len(labels[key_of(example.text)]) == 1 for example in examples) - len(kept)
    if twice:
        findings.append(Finding("duplicates", f"{twice} texts are given more than once; each is used once"))
    trained = {key for key, split in kept if split == "train"}
    for held in ("val", "test"):
        leaked = sum(key in trained for key, split in kept if split == held)
        if leaked:
            message = f"{leaked} texts of the {held} split are among those of training"
            findings.append(Finding("leak", message))
    if not kept:
        raise InputError(f"'{name}': every text has two labels or more; none is left to learn from")
    return list(kept.values()), findings


def _classes(name: str, examples: Sequence[_Example]) -> tuple[str, ...]:
    counts = Counter(example.label for example in examples)
    classes = tuple(sorted(counts))
    if len(classes) < 2:
        raise InputError(f"'{name}' has one class only, '{classes[0]}'; a classifier needs two or more")
    rarest = min(classes, key=lambda label: counts[label])
    if counts[rarest] < 2:
        raise InputError(f"'{name}' has a single text of class '{rarest}'; each class needs two, to learn and to test")
    return classes


def _assign_splits(name: str, examples: Sequence[_Example], classes: tuple[str, ...], seed: int) -> list[_Example]:
    """The examples with their splits filled in where the user gave none."""
    targets = torch.tensor([classes.index(example.label) for example in examples])
    splits = [example.split for example in examples]
    given = set(splits)
    if given == {""}:
        for split, members in zip(("train", "val", "test"), split_by_class(targets, seed, (0.1, 0.2)), strict=True):
            for index in members.tolist():
                splits[index] = split
    elif "train" not in given:
        raise InputError(f"'{name}' has no texts for training, only for {', '.join(sorted(given))}")
    elif "val" not in given:
        train = torch.tensor([index for index, split in enumerate(splits) if split == "train"])
        for index in train[split_by_class(targets[train], seed, (0.1,))[1]].tolist():
            splits[index] = "val"
    placed = [replace(example, split=split) for example, split in zip(examples, splits, strict=True)]
    trained = {example.label for example in placed if example.split == "train"}
    missing = [label for label in classes if label not in trained]
    if missing:
        raise InputError(f"'{name}' has no text of class '{missing[0]}' for training, only for validation or test")
    if "val" not in splits:
        raise InputError(f"'{name}' has too few texts for training, {len(splits)}, to hold any back for validation")
    return placed
