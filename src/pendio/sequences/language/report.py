"""The report on a language model: how training went, what it writes, and where it is surprised."""

import torch

from pendio.data.examples import Finding
from pendio.data.text.corpus import Corpus
from pendio.descent.loop import evaluate
from pendio.descent.report import closing, draw_training
from pendio.pictures.surprise import draw_surprise
from pendio.runs.page import Picture, Section, Table, write_page
from pendio.runs.run import REPORT, Run
from pendio.sequences.decoding.options import Sampling
from pendio.sequences.decoding.writing import write
from pendio.sequences.language.counts import count_models
from pendio.sequences.language.surprise import surprise_of
from pendio.sequences.language.task import Language
from pendio.sequences.language.text import Text

__all__ = ["count_rows", "write_report"]

_SHOWN = 320
"""Tokens whose surprise is drawn."""

_WRITTEN = 400
_COUNTED = 5
_MOST_COUNTED = 20_000_000


def write_report(run: Run, task: Language, corpus: Corpus, text: Text) -> None:
    """Write ``report.html`` and its pictures into the run folder.

    Args:
        run: its folder.
        task: with the weights to report on.
        corpus: what it was trained on.
        text: the same in windows.
    """
    task.to("cpu").eval()
    metrics = evaluate(task, text.val, batch=128)
    pictures = draw_training(run, "bits_per_byte") | {"surprise": _surprise(task, corpus)}
    run.write_pictures(pictures)
    shown = {name: Picture(pictures[name], caption) for name, caption in _CAPTIONS.items() if name in pictures}
    rows = [("loss (nats a token)", metrics["loss"]), ("perplexity", metrics["perplexity"]),
            ("bits a byte", metrics["bits_per_byte"]), ("likeliest token came", metrics["accuracy"])]  # fmt: skip
    tables = [Table(("metric", "held out"), rows)]
    counted = count_rows(corpus)
    if counted:
        tables.append(Table(("counting after so many tokens", "α", "nats a token"), counted))
    said = run.config.get("options", {})
    sections = [
        Section("Results", tables=tables, pictures=[shown[name] for name in ("curves", "surprise") if name in shown]),
        Section("What it writes", text="At temperature 0.8, from nothing.", code=_written(task)),
        Section("Use it", code=f'pendio sample {run.folder} --prompt "…" --temperature 0.8'),
        _about(corpus),
        *closing(run, pictures, diagnose=task.diagnose),
    ]
    subtitle = f"{said.get('model', '')} on {corpus.name}: {metrics['bits_per_byte']:.3f} bits a byte of held-out text"
    write_page(run.folder / REPORT, run.folder.name, subtitle, sections)


def count_rows(corpus: Corpus) -> list[tuple[int, float, float]]:
    """What counting reaches on the same text, by tokens of context; empty where there is too much to count."""
    if len(corpus.train) > _MOST_COUNTED or corpus.tokenizer.size > 512:
        return []
    most = min(_COUNTED, len(corpus.val) - 2)
    models = count_models(corpus.train.tokens, corpus.val.tokens, corpus.tokenizer.size, most)
    return [(model.order, model.added, model.loss) for model in models]


def _surprise(task: Language, corpus: Corpus) -> bytes:
    tokens = torch.from_numpy(corpus.val.tokens[: _SHOWN + 1].astype("int64"))
    nats, _ = surprise_of(task, tokens)
    return draw_surprise([corpus.tokenizer.names[token] for token in tokens[1:].tolist()], nats)


def _written(task: Language) -> str:
    return "".join(piece.text for piece in write(task.model, task.tokenizer, [""], Sampling(temperature=0.8), _WRITTEN))


def _about(corpus: Corpus) -> Section:
    said = corpus.describe()
    rows = [(name, said["characters"][name], said["tokens"][name], said["bytes"][name]) for name in ("train", "val")]
    noticed: list[Finding] = list(corpus.findings)
    tables = [Table(("part", "characters", "tokens", "bytes"), rows)]
    if noticed:
        tables.append(Table(("noticed", "what"), [(finding.kind, finding.message) for finding in noticed]))
    return Section("Data", text=f"{corpus.name}: {said['vocabulary']} tokens, by {said['tokenizer']}.", tables=tables)


_CAPTIONS = {
    "curves": "Loss, and bits a byte of the held-out text; the dotted line marks the evaluation whose weights were kept.",
    "surprise": "How the beginning of the held-out text surprised the model, in bits a token: the darker, the more.",
}
