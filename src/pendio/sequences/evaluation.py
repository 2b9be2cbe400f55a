"""Measuring any run on sequences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from pendio.data.text.windows import TokenWindows
from pendio.descent.loop import evaluate
from pendio.errors import InputError
from pendio.runs.run import Run

__all__ = ["Measured", "evaluate_run"]

Part = Literal["train", "val", "test"]


@dataclass(frozen=True)
class Measured:
    """What a run reaches on a part of some data.

    Attributes:
        run: its folder.
        data: what it was measured on.
        split: which part of that.
        size: how much that is, in words.
        metrics: by name.
        remarks: what else a person should know, a line each.
        details: what else a program may want.
    """

    run: str
    data: str
    split: str
    size: str
    metrics: Mapping[str, float]
    remarks: Sequence[str] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {"run": self.run, "data": self.data, "split": self.split, **self.metrics, **self.details}


def evaluate_run(run: Run, data: str | None = None, split: str | None = None) -> Measured:
    """Measure a run of ``language``, ``translate`` or ``tag``.

    Args:
        run: its folder.
        data: other data of the same form; by default what it was trained on.
        split: "train", "val" or "test"; by default "test", which is "val" where the data has none.

    Raises:
        InputError: the run is damaged, the data does not fit it, or there is no such part.
    """
    if split not in (None, "train", "val", "test"):
        raise InputError(f"--split {split}: runs on sequences are measured on train, val or test")
    measure = {"language": _language, "translate": _translation, "tag": _tagging}[run.recipe]
    return measure(run, data, cast(Part, split or "test"))


def _language(run: Run, data: str | None, split: Part) -> Measured:
    from pendio.sequences.language.recipe import load_language, open_data, run_options

    task, options = load_language(run), run_options(run)
    corpus = open_data(options, data, task.tokenizer)
    text = corpus.split(split)
    context = min(options.context, len(text) - 1)
    metrics = evaluate(task, TokenWindows(text.tokens, context, carried=task.carries), batch=64)
    which = "val" if split == "test" else split
    size = f"{text.characters:,} characters, {len(text):,} tokens"
    unknown = f"{text.unknown:,} tokens are unknown to the run's tokenizer" if text.unknown else ""
    return Measured(str(run.folder), corpus.name, which, size, metrics, [unknown] if unknown else [],
                    {"characters": text.characters, "bytes": text.bytes, "tokens": len(text)})  # fmt: skip


def _translation(run: Run, data: str | None, split: Part) -> Measured:
    from pendio.sequences.translation.evaluation import evaluate_translator
    from pendio.sequences.translation.recipe import load_translator, open_data, run_options

    pairs = open_data(run_options(run), data, run)
    found = evaluate_translator(load_translator(run), pairs, split)
    worst = [one for one in found.worst(5) if one.translation != one.reference]
    remarks = [f"{one.source} → {one.translation}, expected {one.reference}" for one in worst]
    remarks += [f"BLEU {found.overlap.bleu_signature}", f"chrF {found.overlap.chrf_signature}"]
    details = {name: value for name, value in found.to_dict().items() if name not in found.metrics and name != "split"}
    size = f"{len(found.examples):,} pairs"
    return Measured(str(run.folder), pairs.name, found.split, size, found.metrics, remarks, details)


def _tagging(run: Run, data: str | None, split: Part) -> Measured:
    from pendio.sequences.tagging.evaluation import evaluate_tagger
    from pendio.sequences.tagging.recipe import load_tagger, run_data

    labelled = run_data(run, data)
    found = evaluate_tagger(load_tagger(run), labelled, [labelled.split(split)])
    result = found.to_dict()
    remarks = [
        f"{name}: precision {row['precision']:.3f}, recall {row['recall']:.3f}, F1 {row['f1']:.3f} of {row['examples']}"
        for name, row in result.get("classes", {}).items()
    ]
    details = {name: value for name, value in result.items() if name not in found.metrics}
    return Measured(str(run.folder), labelled.name, split, f"{len(found.targets):,} sequences", found.metrics,
                    remarks, details)  # fmt: skip
