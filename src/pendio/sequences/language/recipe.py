"""Training a language model from options, and taking up a trained one again."""

import dataclasses
import math
from pathlib import Path
from typing import NamedTuple

import torch

from pendio.data.text.corpus import Corpus, open_corpus
from pendio.data.text.tokenizers import Tokenizer, read_tokenizer
from pendio.descent.devices import leave_processes
from pendio.descent.loop import fit
from pendio.errors import InputError
from pendio.nn.transformer import Transformer
from pendio.options import saved
from pendio.runs.run import Run, next_folder
from pendio.sequences.architecture import FAMILIES
from pendio.sequences.language.options import LanguageOptions
from pendio.sequences.language.report import write_report
from pendio.sequences.language.task import Language
from pendio.sequences.language.text import Text, windows
from pendio.sequences.models.bodies import build_body
from pendio.sequences.models.forms import form_of
from pendio.sequences.models.language_model import LanguageModel
from pendio.sequences.pretrained.folders import load_tokenizer, read_config
from pendio.sequences.pretrained.gpt2 import load_gpt2

__all__ = ["TOKENIZER", "Opened", "language", "load_language", "open_data", "open_run", "run_options"]

TOKENIZER = "tokenizer.json"

_MOST_TOKENS = 1 << 20


def language(options: LanguageOptions, progress: bool = True) -> Run:
    """Train a language model and write its report.

    Args:
        options: what to train, on what text, and how.
        progress: show how it goes on standard error.

    Raises:
        InputError: an option does not fit the text or the model; the message says which.
    """
    corpus = open_data(options)
    task = Language(_new_model(options, corpus.tokenizer), corpus.tokenizer)
    text = windows(corpus, options.context, task.carries)
    config = {
        "recipe": "language", "options": saved(options), "data": corpus.describe(), "vocabulary": task.model.vocabulary,
        "scale": task.model.scale,
    }  # fmt: skip
    if isinstance(task.model.body, Transformer):
        config["form"] = dataclasses.asdict(task.model.body.form)
    out = Path(options.out) if options.out else next_folder("language", options.data)
    notes = [f"noticed: {finding.message}" for finding in corpus.findings]
    files = {TOKENIZER: corpus.tokenizer.to_json()}
    run = fit(
        task, text, options.plan, out, options.resume, config=config, files=files, notes=notes, progress=progress
    )  # fmt: skip
    if leave_processes():
        write_report(run, task, corpus, text)
    return run


def _new_model(options: LanguageOptions, tokenizer: Tokenizer) -> LanguageModel:
    """The model before training: of a folder, or untrained, when the same seed gives the same weights."""
    if options.model not in FAMILIES:
        return _pretrained(options)
    with torch.random.fork_rng():
        torch.manual_seed(options.plan.seed)
        body = build_body(options, options.width, options.context, options.plan.dropout)
        return LanguageModel(tokenizer.size, body, options.width, options.plan.dropout, math.sqrt(options.width))


def _pretrained(options: LanguageOptions) -> LanguageModel:
    model = load_gpt2(options.model, options.plan.dropout)
    if model.context is not None and options.context > model.context:
        raise InputError(f"--context {options.context} is more than the {model.context} places of '{options.model}'")
    return model


def open_data(options: LanguageOptions, data: str | None = None, known: Tokenizer | None = None) -> Corpus:
    """The text that options name, or ``data``, cut up by a tokenizer that is known, or comes with the weights, or learns.

    Raises:
        InputError: there is no such text, or it cannot be used.
    """
    if known is None and options.model not in FAMILIES:
        known = load_tokenizer(options.model, read_config(options.model, "gpt2").whole("vocab_size", _MOST_TOKENS))
    return open_corpus(
        options.data if data is None else data, tokenizer=options.tokenizer, size=options.vocabulary, known=known
    )


class Opened(NamedTuple):
    """A trained language model, and what it was trained on.

    Attributes:
        task: ready to predict.
        corpus: its text, in its own tokens.
        text: the same in windows.
    """

    task: Language
    corpus: Corpus
    text: Text


def open_run(run: Run) -> Opened:
    """A run's language model with its text.

    Raises:
        InputError: as for :func:`load_language`, or the text is gone.
    """
    task, options = load_language(run), run_options(run)
    corpus = open_data(options, known=task.tokenizer)
    return Opened(task, corpus, windows(corpus, options.context, task.carries))


def run_options(run: Run) -> LanguageOptions:
    """The options a run was trained with; a model that began from a folder is called "transformer" here.

    Raises:
        InputError: its config is not one of ``language``.
    """
    options = run.options("language")
    # The folder that the weights came from may be gone, and is not needed any more.
    return LanguageOptions.of(options if options.get("model") in FAMILIES else options | {"model": "transformer"})


def load_language(run: Run) -> Language:
    """The trained language model of a run, with its best weights, ready to predict.

    Raises:
        InputError: the run's files are missing, damaged or do not fit together.
    """
    options, tokenizer = run_options(run), read_tokenizer(run.text(TOKENIZER), str(run.folder / TOKENIZER))
    said = run.config.get("data")
    if not isinstance(said, dict) or said.get("vocabulary") != tokenizer.size:
        raise InputError(f"'{run.folder / TOKENIZER}' has {tokenizer.size} tokens and does not match the weights: "
                         "it is not the tokenizer that the run was trained with")  # fmt: skip
    vocabulary, scale = run.config.get("vocabulary"), run.config.get("scale")
    if type(vocabulary) is not int or not tokenizer.size <= vocabulary <= _MOST_TOKENS or not isinstance(scale, float):
        raise InputError(f"the config of '{run.folder}' does not say how many tokens its model knows, or their scale")
    if options.model == "transformer":
        try:
            form = form_of(run.config.get("form"))
        except InputError as error:
            raise InputError(f"the config of '{run.folder}' does not describe its transformer: {error}") from error
        model = LanguageModel(vocabulary, Transformer(form, causal=True), form.width, scale=scale)
    else:
        model = LanguageModel(
            vocabulary, build_body(options, options.width, options.context), options.width, scale=scale
        )
    task = Language(model, tokenizer)
    run.fill(task)
    return task.eval().requires_grad_(False)
