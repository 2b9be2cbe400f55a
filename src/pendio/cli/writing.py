"""Sequences: training on text, writing it, and asking what was learned."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from cyclopts import Parameter
from rich.table import Table

from pendio.cli.app import Json, app, console, print_json, print_metrics, say, tell_run, train
from pendio.data.text.kinds import Kind
from pendio.errors import InputError
from pendio.sequences.asking import Asking
from pendio.sequences.decoding.options import Sampling
from pendio.sequences.language.options import LanguageOptions
from pendio.sequences.tagging.options import TagOptions
from pendio.sequences.translation.options import TranslateOptions

if TYPE_CHECKING:
    from pendio.runs.run import Run

__all__ = [
    "Looking", "Writing", "count", "evaluate_sequences", "language", "predict_sequences", "sample_texts", "tag", "translate",
]  # fmt: skip


class Looking(NamedTuple):
    """What ``pendio predict --attention`` shall show: of which kind, and a layer and a head by number from 0 on."""

    kind: str | None
    layer: int | None
    head: int | None


@train.command
def language(options: Annotated[LanguageOptions, Parameter(name="*")] = LanguageOptions()) -> None:  # noqa: B008
    """Train a language model on text: pendio sample RUN --prompt "…" then writes on.

    A config file saved by a run can be given with --config; options on the command line override it.
    """
    from pendio.sequences.language.recipe import language as recipe

    tell_run(recipe(options))


@train.command
def translate(options: Annotated[TranslateOptions, Parameter(name="*")] = TranslateOptions()) -> None:  # noqa: B008
    """Train a translator on pairs of texts, one pair a line, parted by a tab: pendio predict RUN "…" then translates.

    A config file saved by a run can be given with --config; options on the command line override it.
    """
    from pendio.sequences.translation.recipe import translate as recipe

    tell_run(recipe(options))


@train.command
def tag(options: Annotated[TagOptions, Parameter(name="*")] = TagOptions()) -> None:  # noqa: B008
    """Train a classifier of texts or of other sequences: pendio predict RUN "…" then names the class.

    Each family has options of its own that suit it; the command line goes before them.
    """
    from pendio.sequences.tagging.recipe import tag as recipe

    tell_run(recipe(options))


@dataclass(frozen=True, kw_only=True)
class Writing:
    """How a language model writes, beside how it chooses tokens."""

    prompt: str = ""
    """How texts begin; by default with a new line."""

    tokens: int = 400
    """Of texts: how many tokens to write at most."""

    beams: int = 1
    """Of texts: write the likeliest that a beam search of this width finds, instead of drawing lots."""

    stop: Annotated[tuple[str, ...], Parameter(negative="")] = ()
    """Of texts: end before this one; may be given several times."""

    weights: Literal["float32", "int8"] = "float32"
    """Of texts: in which numbers to keep the weights while writing; int8 is faster on a CPU, and a little less exact."""


def sample_texts(
    run: "Run", number: int, writing: Writing, sampling: Sampling, out: Path | None, json_: bool
) -> None:  # fmt: skip
    """What ``pendio sample`` does with a run of ``language``."""
    from pendio.runs.files import write_text
    from pendio.sequences.decoding.fast import lightened
    from pendio.sequences.decoding.writing import likeliest, write
    from pendio.sequences.language.recipe import load_language

    if number < 1:
        raise InputError(f"--number must be at least 1, got {number}")
    if writing.tokens < 1:
        raise InputError(f"--tokens must be at least 1, got {writing.tokens}")
    if writing.beams > 1 and sampling != Sampling():
        raise InputError("--beams writes the likeliest text: leave out --temperature, --top-k, --top-p and --seed")
    task, prompt = load_language(run), writing.prompt
    model = lightened(task.model) if writing.weights == "int8" else task.model
    live = number == 1 and writing.beams == 1 and out is None and not json_
    if live:
        print(prompt, end="", flush=True)
        for piece in write(model, task.tokenizer, [prompt], sampling, writing.tokens, writing.stop):
            print(piece.text, end="", flush=True)
        print()
        return
    if writing.beams > 1:
        texts = likeliest(model, task.tokenizer, prompt, writing.beams, writing.tokens, writing.stop)[:number]
    else:
        texts = [""] * number
        for piece in write(model, task.tokenizer, [prompt] * number, sampling, writing.tokens, writing.stop):
            texts[piece.row] += piece.text
    if json_:
        print_json([{"prompt": prompt, "text": text} for text in texts])
    whole = "\n\n".join(f"{prompt}{text}" for text in texts)
    if out is not None:
        write_text(out, whole + "\n")
        say(f"wrote {out}")
    elif not json_:
        print(whole)


@app.command
def count(
    data: str = "pydocs",
    *,
    order: int = 5,
    tokenizer: Kind = "characters",
    json_: Json = False,
) -> None:
    """Predict a text by counting what followed the last few tokens: what a language model must beat.

    Parameters
    ----------
    data
        A text file, a folder of them, or pydocs.
    order
        The longest context in tokens.
    tokenizer
        What the text is cut into: characters, bytes, words or bpe.
    """
    from pendio.data.text.corpus import open_corpus
    from pendio.sequences.language.counts import count_models

    corpus = open_corpus(data, tokenizer=tokenizer)
    found = count_models(corpus.train.tokens, corpus.val.tokens, corpus.tokenizer.size, order)
    if json_:
        print_json([model._asdict() for model in found])
        return
    print(
        f"{data}: {len(corpus.train):,} tokens to count, {len(corpus.val):,} to predict, {corpus.tokenizer.size} kinds"
    )
    table = Table("tokens of context", "α", "nats a token", "bits a token")
    for model in found:
        table.add_row(str(model.order), f"{model.added:g}", f"{model.loss:.4f}", f"{model.bits:.4f}")
    console().print(table)


def evaluate_sequences(run: "Run", data: str | None, split: str | None, json_: bool) -> None:
    """What ``pendio evaluate`` does with a run of ``language``, ``translate`` or ``tag``."""
    from pendio.sequences.evaluation import evaluate_run

    found = evaluate_run(run, data, split)
    if json_:
        print_json(found.to_dict())
        return
    print(f"{run.folder} on {found.data}: {found.split} split, {found.size}")
    print_metrics(found.metrics)
    for line in found.remarks:
        print(line)


def predict_sequences(
    run: "Run", inputs: Sequence[str], asking: Asking, looking: Looking | None, out: Path | None, json_: bool
) -> None:
    """What ``pendio predict`` does with a run of ``language``, ``translate`` or ``tag``."""
    if looking is not None:
        _look(run, inputs, looking, out or Path("looking"), json_)
        return
    if out is not None:
        raise InputError(
            "--out is for --attention, whose pictures go there; answers are printed, with --json for programs"
        )
    from pendio.sequences.prediction import predict_run

    answers = predict_run(run, inputs, asking)
    if json_:
        print_json([answer.to_dict() for answer in answers])
        return
    for answer in answers:
        print(answer)


def _look(run: "Run", inputs: Sequence[str], looking: Looking, out: Path, json_: bool) -> None:
    from pendio.sequences.looking.look import look

    made: list[dict[str, Any]] = []
    for number, text in enumerate(inputs, 1):
        folder = out if len(inputs) == 1 else out / str(number)
        seen = look(run, text, layer=looking.layer, head=looking.head, kind=looking.kind, out=folder)
        made.append(seen.to_dict())
        if not json_:
            print(f"{seen.input}: {seen.answer}")
            for picture in seen.pictures:
                print(f"  wrote {picture.file}: {picture.caption}")
    if json_:
        print_json(made)
