"""Training a tagger from options, and taking up a trained one again."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from pendio.data.text.answers import LabelledData
from pendio.data.text.labelled import open_labelled
from pendio.data.text.memory import MEMORY
from pendio.data.text.tokenizers import Tokenizer, read_tokenizer
from pendio.descent.classes import balanced_weights
from pendio.descent.devices import leave_processes
from pendio.descent.loop import fit
from pendio.errors import InputError
from pendio.options import saved
from pendio.runs.run import Run, next_folder
from pendio.sequences.tagging.network import Reader, Tagger
from pendio.sequences.tagging.options import TagOptions
from pendio.sequences.tagging.pretrained import Framed, Origin, known_tokenizer, places
from pendio.sequences.tagging.report import write_report
from pendio.sequences.tagging.task import Tag

__all__ = [
    "TOKENIZER",
    "load_tagger",
    "new_task",
    "open_data",
    "out_of_reach",
    "run_data",
    "run_facts",
    "run_options",
    "run_tokenizer",
    "tag",
]

TOKENIZER = "tokenizer.json"
"""The file of a run that holds its tokenizer, where it reads text."""


def tag(options: TagOptions, progress: bool = True) -> Run:
    """Train a network that answers sequences, and write its report.

    Args:
        options: what to train, on what, and how.
        progress: show how it goes on standard error.

    Raises:
        InputError: an option does not fit the data or the model; the message says which.
    """
    data = open_data(options)
    dropout = 0.0 if options.freeze else options.plan.dropout
    origin, encoder = Origin.load(options.model, dropout) if options.pretrained else (None, None)
    weights = balanced_weights(data.class_counts) if options.class_weights == "balanced" else None
    task = new_task(options, data.describe(), weights, encoder)
    config = {"recipe": "tag", "options": saved(options), "data": data.describe()}
    if origin is not None:
        config["origin"] = origin.describe()
    out = Path(options.out) if options.out else next_folder("tag", options.data)
    if options.resume and out.exists() and run_tokenizer(Run.open(out)) != data.tokenizer:
        raise InputError(f"'{options.data}' has changed since the training in '{out}' began: its text makes other tokens; "
                         "bring it back, or start anew with another --out")  # fmt: skip
    files = {} if data.tokenizer is None else {TOKENIZER: data.tokenizer.to_json()}
    notes = [f"noticed: {finding.message}" for finding in data.findings] + out_of_reach(task, data)
    run = fit(
        task, data, options.plan, out, options.resume, config=config, files=files, notes=notes, progress=progress
    )  # fmt: skip
    if leave_processes():
        write_report(run, task, data)
    return run


def new_task(
    options: TagOptions,
    facts: Mapping[str, Any],
    class_weights: list[float] | None = None,
    pretrained: Framed | None = None,
) -> Tag:
    """The untrained task for data of which ``facts`` tell; the same seed gives the same weights.

    Args:
        options: which network.
        facts: see :meth:`LabelledData.describe`.
        class_weights: see :class:`Tag`.
        pretrained: an encoder to put in place of a new one.
    """
    with torch.random.fork_rng():
        torch.manual_seed(options.plan.seed)
        dropout, answer = options.plan.dropout, facts["answer"]
        outputs = 1 if answer == "number" else len(facts["classes"])
        asked = facts["asked"] if answer == "tokens" else None
        if pretrained is not None:
            tagger = Tagger(pretrained.requires_grad_(not options.freeze), outputs, "mean", asked, dropout)
        else:
            reader = Reader(
                options, facts["length"], tokens=facts["tokens"], features=facts["features"], dropout=dropout
            )  # fmt: skip
            tagger = Tagger(reader, outputs, reader.pooling, asked, dropout)
    smoothing = options.label_smoothing
    return Tag(tagger, answer, facts["classes"], label_smoothing=smoothing, class_weights=class_weights)


def open_data(options: TagOptions) -> LabelledData:
    """The data that options name.

    Raises:
        InputError: there is no such data, it cannot be used, or an option does not fit it.
    """
    known = known_tokenizer(options.model) if options.pretrained else None
    room = places(options.model) if options.pretrained else None
    opened = open_labelled(
        options.data, tokenizer=options.tokenizer, size=options.vocabulary, known=known, target=options.target,
        seed=options.split_seed, length=options.length if room is None else min(room, options.length or room),
    )  # fmt: skip
    if opened.answer != "class" and options.class_weights != "none":
        raise InputError(
            f"--class-weights {options.class_weights}: the answers of '{opened.name}' are not one class each"
        )
    if opened.answer == "number" and options.label_smoothing:
        raise InputError(f"--label-smoothing is for classes, and the answers of '{opened.name}' are numbers")
    return opened


def run_data(run: Run, data: str | None = None) -> LabelledData:
    """The data that a run was trained on, or ``data`` brought to the same form: its tokens, and texts cut at its length.

    Raises:
        InputError: there is no such data, or it is of another form.
    """
    options, facts, tokenizer = run_options(run), run_facts(run), run_tokenizer(run)
    name = options.data if data is None else data
    made = name in MEMORY
    opened = open_labelled(
        name, known=None if made else tokenizer, target=options.target if Path(name).is_file() else None,
        seed=options.split_seed, length=options.length if made else facts["length"],
    )  # fmt: skip
    if opened.tokenizer != tokenizer or opened.features != facts["features"]:
        raise InputError(f"data '{name}' has {_form(opened.describe())}, and the run reads {_form(facts)}")
    return opened


def _form(facts: Mapping[str, Any]) -> str:
    return f"{facts['features']} numbers a step" if facts["tokens"] is None else f"text of {facts['tokens']} tokens"


def out_of_reach(task: Tag, data: LabelledData) -> list[str]:
    """A note where the model cannot see all of the longest sequences."""
    reader = task.tagger.encoder
    if not isinstance(reader, Reader) or reader.reach is None or reader.reach >= data.length:
        return []
    return [f"noticed: the model sees the last {reader.reach} steps of up to {data.length}; "
            "a window sees more with --window, a tcn with --layers"]  # fmt: skip


def run_options(run: Run) -> TagOptions:
    """The options a run was trained with.

    Raises:
        InputError: its config is not one of ``tag``.
    """
    options = run.options("tag")
    if "origin" in run.config:
        # The folder that the weights came from may be gone, and is not needed any more.
        options |= {"model": "transformer", "freeze": False}
    return TagOptions.of(options)


def run_tokenizer(run: Run) -> Tokenizer | None:
    """The tokenizer of a run; None where it reads numbers.

    Raises:
        InputError: it is missing, damaged or another run's.
    """
    tokens = run_facts(run)["tokens"]
    if tokens is None:
        return None
    tokenizer = read_tokenizer(run.text(TOKENIZER), str(run.folder / TOKENIZER))
    if tokenizer.size != tokens:
        raise InputError(f"'{run.folder / TOKENIZER}' has {tokenizer.size} tokens, and the run was trained with {tokens}: "
                         "it is another run's")  # fmt: skip
    return tokenizer


def load_tagger(run: Run) -> Tag:
    """The trained tagger of a run, with its best weights, ready to predict.

    Raises:
        InputError: the run's files are missing, damaged or do not fit together.
    """
    options, origin = run_options(run), run.config.get("origin")
    pretrained = None if origin is None else Origin.of(origin, run.folder).blank(options.plan.dropout)
    task = new_task(options, run_facts(run), None, pretrained)
    run.fill(task)
    return task.eval().requires_grad_(False)


_MOST = 1 << 20
"""Largest size that a config is believed."""


def run_facts(run: Run) -> dict[str, Any]:
    """What a run's config tells of its data, as :meth:`LabelledData.describe` does.

    Raises:
        InputError: it is damaged.
    """
    facts = run.config.get("data")
    try:
        assert isinstance(facts, dict)
        answer, classes = facts["answer"], facts["classes"]
        sizes = [facts[name] for name in ("length", "asked")]
        sizes += [facts[name] for name in ("tokens", "features") if facts[name] is not None]
        sound = (
            answer in ("class", "number", "tokens")
            and isinstance(classes, list) and all(isinstance(name, str) for name in classes)
            and (answer == "number" or len(classes) > 1)
            and (facts["tokens"] is None) != (facts["features"] is None)
            and all(type(size) is int and 0 < size <= _MOST for size in sizes)
        )  # fmt: skip
    except (AssertionError, KeyError) as error:
        raise InputError(f"the config of '{run.folder}' does not describe its data: {error or 'no data'}") from error
    if not sound:
        raise InputError(f"the config of '{run.folder}' does not describe its data: sizes or classes are damaged")
    return dict(facts)
