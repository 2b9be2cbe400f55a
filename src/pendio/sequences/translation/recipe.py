"""Training a translator from options, and taking up a trained one again."""

import hashlib
from pathlib import Path

import torch

from pendio.data.text.pairs import PairData, open_pairs
from pendio.data.text.tokenizers import Tokenizer, read_tokenizer
from pendio.descent.devices import leave_processes
from pendio.descent.loop import fit
from pendio.errors import InputError
from pendio.nn.transformer import Form
from pendio.options import saved
from pendio.runs.run import Run, next_folder
from pendio.sequences.translation.network import Translator
from pendio.sequences.translation.options import TranslateOptions
from pendio.sequences.translation.report import write_report
from pendio.sequences.translation.task import Translate

__all__ = ["load_translator", "open_data", "run_options", "translate"]

_FILES = ("source.json", "target.json")


def translate(options: TranslateOptions, progress: bool = True) -> Run:
    """Train a translator, and write its report.

    Args:
        options: on what, and how.
        progress: show how it goes on standard error.

    Raises:
        InputError: an option does not fit the data; the message says which.
    """
    out = Path(options.out) if options.out else next_folder("translate", options.data)
    # What goes on has learnt the numbers of its own tokens.
    known = _tokenizers(Run.open(out)) if options.resume and out.exists() else None
    data = _opened(options, options.data, known)
    task = _new_task(options, data.source, data.target, _has_unknown(data), _longest(data))
    files = dict(zip(_FILES, (data.source.to_json(), data.target.to_json()), strict=True))
    config = {
        "recipe": "translate", "options": saved(options), "data": data.describe(),
        "tokenizers": {name: _digest(text) for name, text in files.items()}, "knows_unknown": task.knows_unknown,
        "longest": task.longest,
    }  # fmt: skip
    notes = [f"noticed: {finding.message}" for finding in data.findings]
    run = fit(task, data, options.plan, out, options.resume, config=config, files=files, notes=notes, progress=progress)
    if leave_processes():
        write_report(run, task, data)
    return run


def _new_task(
    options: TranslateOptions, source: Tokenizer, target: Tokenizer, knows_unknown: bool, longest: int
) -> Translate:
    """The untrained task; the same seed gives the same weights."""
    form = Form(
        width=options.width, heads=options.heads, layers=options.layers, length=options.length,
        positions=options.positions, norm=options.norm, score=options.score, dropout=options.plan.dropout,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(options.plan.seed)
        network = Translator(source.size, target.size, form)
    return Translate(network, source, target, options.label_smoothing, knows_unknown, longest)


def _has_unknown(data: PairData) -> bool:
    unknown = data.source.unknown
    return unknown is not None and bool((data.train.sequences[0].tokens == unknown).any())


def _longest(data: PairData) -> int:
    """Tokens of the longest target seen while training, without START."""
    return max(int(split.sequences[1].lengths.max()) for split in (data.train, data.val)) - 1


def open_data(options: TranslateOptions, data: str | None = None, run: Run | None = None) -> PairData:
    """The pairs that options name, or ``data`` in their place.

    Args:
        options: of the run.
        data: a name or path; by default that of the options.
        run: whose tokenizers are used; by default new ones are learnt.

    Raises:
        InputError: there is no such data, or it cannot be used.
    """
    return _opened(options, options.data if data is None else data, None if run is None else _tokenizers(run))


def _opened(options: TranslateOptions, data: str, known: tuple[Tokenizer, Tokenizer] | None) -> PairData:
    return open_pairs(
        data, tokenizer=options.tokenizer, size=options.vocabulary, known=known, seed=options.split_seed,
        length=options.length,
    )  # fmt: skip


def run_options(run: Run) -> TranslateOptions:
    """The options a run was trained with.

    Raises:
        InputError: its config is not one of ``translate``.
    """
    return TranslateOptions.of(run.options("translate"))


def load_translator(run: Run) -> Translate:
    """The trained translator of a run, with its best weights, ready to predict.

    Raises:
        InputError: the run's files are missing, damaged or do not fit together.
    """
    options, longest = run_options(run), run.config.get("longest")
    if type(longest) is not int or not 1 <= longest <= options.length:
        raise InputError(f"the config of '{run.folder}' does not say how long its longest translation may be")
    task = _new_task(options, *_tokenizers(run), run.config.get("knows_unknown") is True, longest)
    run.fill(task)
    return task.eval().requires_grad_(False)


def _tokenizers(run: Run) -> tuple[Tokenizer, Tokenizer]:
    """The tokenizers of the source and of the target that a run was trained with."""
    digests = run.config.get("tokenizers")
    if not isinstance(digests, dict):
        raise InputError(f"the config of '{run.folder}' does not say what its tokenizers were")
    source, target = (_tokenizer(run, name, digests.get(name)) for name in _FILES)
    return source, target


def _tokenizer(run: Run, name: str, digest: object) -> Tokenizer:
    # Another tokenizer may have as many tokens: only their numbers would mean something else, and nothing would fail.
    text, path = run.text(name), str(run.folder / name)
    tokenizer = read_tokenizer(text, path)
    if _digest(text) != digest:
        raise InputError(f"'{path}' is not the tokenizer that the weights beside it were trained with; "
                         "put the one of this run back")  # fmt: skip
    return tokenizer


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
