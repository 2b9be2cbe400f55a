"""Sequences with answers: the data that a training needs."""

from dataclasses import dataclass
from typing import Any, Literal

from pendio.data.examples import Finding, Split
from pendio.data.text.tokenizers import Tokenizer

__all__ = ["LabelledData"]


@dataclass(frozen=True)
class LabelledData:
    """Sequences with answers to learn from, and what a model must know about them.

    A batch is :class:`pendio.data.examples.Examples`. Its inputs are tokens ``(B, T)`` int64, 0 behind the end, or numbers
    ``(B, T, F)`` float32; its targets class numbers ``(B,)``, float32 numbers ``(B,)``, or class numbers ``(B, K)`` at the
    last K positions.

    Attributes:
        name: what the user called it.
        train, val, test: sources of such batches; ``test`` is None where the user names splits and no test.
        kind: "text" where inputs are tokens, "numbers" where they are floats.
        answer: "class" for one class a sequence, "number" for one number, "tokens" for a class at the last positions.
        classes: a name for each class number; empty for numbers.
        tokenizer: of text; None for numbers.
        features: numbers at each position; None for text.
        length: the most positions that a sequence has.
        asked: at how many of the last positions there is an answer; 1 where there is one for the whole sequence.
        texts: those of the test split (of the validation split where there is none) at each position; empty for numbers.
        class_counts: training examples of each class; empty where answers are not one class each.
        findings: what was noticed on opening.
    """

    name: str
    train: Split
    val: Split
    test: Split | None
    kind: Literal["text", "numbers"]
    answer: Literal["class", "number", "tokens"]
    classes: tuple[str, ...]
    tokenizer: Tokenizer | None
    features: int | None
    length: int
    asked: int = 1
    texts: tuple[str, ...] = ()
    class_counts: tuple[int, ...] = ()
    findings: tuple[Finding, ...] = ()

    def split(self, name: str) -> Split:
        """The split called "train", "val" or "test"; where there is no test split, "test" is the validation one."""
        chosen: Split | None = {"train": self.train, "val": self.val, "test": self.test}[name]
        return self.val if chosen is None else chosen

    def describe(self) -> dict[str, Any]:
        """What a run folder must remember about the data to use the model again."""
        splits = (("train", self.train), ("val", self.val), ("test", self.test))
        return {
            "name": self.name,
            "kind": self.kind,
            "answer": self.answer,
            "classes": list(self.classes),
            "tokens": None if self.tokenizer is None else self.tokenizer.size,
            "features": self.features,
            "length": self.length,
            "asked": self.asked,
            "examples": {name: len(split) for name, split in splits if split is not None},
            "findings": [finding.message for finding in self.findings],
        }
