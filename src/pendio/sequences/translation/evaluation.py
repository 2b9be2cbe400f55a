"""Measuring a translator by what it writes: BLEU, chrF and exact matches."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from pendio.data.text.pairs import PairData
from pendio.descent.loop import evaluate
from pendio.sequences.translation.prediction import translate_texts
from pendio.sequences.translation.task import Translate

__all__ = ["Evaluation", "Example", "Overlap", "evaluate_translator", "overlap"]


class Overlap(NamedTuple):
    """How much translations have in common with their references.

    Attributes:
        bleu: 0 to 100 (Papineni et al., 2002).
        chrf: 0 to 100 (Popović, 2015).
        bleu_signature, chrf_signature: how they were computed, as sacrebleu says it (Post, 2018).
    """

    bleu: float
    chrf: float
    bleu_signature: str
    chrf_signature: str


@dataclass(frozen=True)
class Example:
    """A text, what it should become, what it became, and the chrF of that, 0 to 100."""

    source: str
    reference: str
    translation: str
    chrf: float


@dataclass(frozen=True)
class Evaluation:
    """What a translator made of a split.

    Attributes:
        split: its name.
        metrics: ``exact``, the share of translations equal to their reference; ``bleu`` and ``chrf``, 0 to 100; ``loss``
            in nats a token and ``accuracy`` of single tokens, both given the true tokens before.
        overlap: BLEU and chrF with their signatures.
        examples: one a text, in the order of the split.
        unknown: texts with something that the vocabulary lacks.
        unfinished: translations that were cut off.
    """

    split: str
    metrics: dict[str, float]
    overlap: Overlap
    examples: tuple[Example, ...]
    unknown: int
    unfinished: int

    def worst(self, count: int) -> list[Example]:
        """Wrong examples before right ones, those of the lowest chrF first."""
        return sorted(self.examples, key=lambda one: (one.translation == one.reference, one.chrf))[:count]

    def to_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "split": self.split, "examples": len(self.examples), **self.metrics,
            "bleu_signature": self.overlap.bleu_signature, "chrf_signature": self.overlap.chrf_signature,
            "unknown": self.unknown, "unfinished": self.unfinished,
        }  # fmt: skip


def overlap(translations: Sequence[str], references: Sequence[str]) -> Overlap:
    """BLEU and chrF of translations, one reference each, by sacrebleu.

    BLEU counts runs of up to four words. Where no pair has runs so long, it would be 0 whatever they are; then the longest
    that there are count, which its signature says (``eff:yes``).
    """
    bleu, chrf = BLEU(), CHRF()
    found = bleu.corpus_score(translations, [references])
    if found.totals[-1] == 0:
        bleu = BLEU(effective_order=True)
        found = bleu.corpus_score(translations, [references])
    characters = chrf.corpus_score(translations, [references])
    return Overlap(found.score, characters.score, str(bleu.get_signature()), str(chrf.get_signature()))


def evaluate_translator(
    task: Translate, data: PairData, split: str = "test", beams: int = 1, penalty: float = 1.0
) -> Evaluation:  # fmt: skip
    """Translate a split, and compare with its references.

    Args:
        task: a trained translator.
        data: opened with its tokenizers.
        split: "train", "val" or "test"; where there is no test split, "test" is the validation one.
        beams, penalty: see :func:`pendio.sequences.translation.prediction.translate_texts`.

    Raises:
        InputError: ``beams`` or ``penalty`` is out of range.
    """
    name = "val" if split == "test" and data.test is None else split
    references = data.targets[name]
    found = translate_texts(task, data.sources[name], beams, penalty, allow_unknown=True)
    translations = [one.translation for one in found]
    forced = evaluate(task, data.split(name))
    common = overlap(translations, references)
    exact = sum(map(str.__eq__, translations, references)) / len(references)
    metrics = {
        "exact": exact, "bleu": common.bleu, "chrf": common.chrf, "loss": forced["loss"], "accuracy": forced["accuracy"],
    }  # fmt: skip
    chrf = CHRF()
    examples = tuple(
        Example(one.source, reference, one.translation, chrf.sentence_score(one.translation, [reference]).score)
        for one, reference in zip(found, references, strict=True)
    )
    unknown, unfinished = sum(bool(one.unknown) for one in found), sum(not one.finished for one in found)
    return Evaluation(name, metrics, common, examples, unknown, unfinished)
