"""The report on a translator: how training went, what it writes, and where it looks."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from pendio.data.text.pairs import PairData
from pendio.data.text.tokens import START
from pendio.descent.report import closing, draw_training
from pendio.errors import InputError
from pendio.pictures.attention import draw_attention, draw_heads
from pendio.runs.page import Picture, Section, Table, write_page
from pendio.runs.run import REPORT, Run
from pendio.sequences.translation.evaluation import Evaluation, evaluate_translator
from pendio.sequences.translation.task import Translate

__all__ = ["Look", "draw_look", "look", "sharpest_head", "write_report"]

_SHOWN = 20
_MAPS = 3
_LONGEST = 60
"""Tokens of a text whose attention is drawn unasked: longer maps cannot be read."""


class Look(NamedTuple):
    """Where a translator looked while it wrote.

    Attributes:
        weights: ``(heads, T, S)`` of a layer of the decoder, each row of sum 1.
        rows: names of the T tokens written, END among them.
        columns: names of the S source tokens.
    """

    weights: Tensor
    rows: list[str]
    columns: list[str]


@torch.no_grad()
def look(task: Translate, text: str, layer: int = -1) -> Look:
    """Where the translator looks in a text while it translates it.

    Args:
        task: a trained translator.
        text: what to translate; what the vocabulary lacks is read as the unknown token.
        layer: of the decoder, from 0 on; negative ones count from the last.

    Raises:
        InputError: there is no such layer, or the text is empty or too long.
    """
    layers = task.network.form.layers
    if not -layers <= layer < layers:
        raise InputError(f"there is no layer {layer}: the decoder has {layers}, counted from 0")
    task.eval()
    device = next(task.parameters()).device
    tokens = task.encode([text], allow_unknown=True).row(0).to(device)[None]
    written = task.network.greedy(tokens, task.longest)
    before = torch.cat([torch.full_like(written[:, :1], START), written[:, :-1]], 1)
    weights = task.network.attention(tokens, before, layer)[0].cpu()
    rows = [task.target.names[token] for token in written[0].tolist()]
    return Look(weights, rows, [task.source.names[token] for token in tokens[0].tolist()])


def sharpest_head(weights: Tensor) -> int:
    """The head of ``(heads, T, S)`` whose looks are of the lowest mean entropy, from 0."""
    return int(torch.special.entr(weights).sum(2).mean(1).argmin())


def draw_look(seen: Look, head: int | Literal["mean", "all"] = "mean") -> bytes:
    """A picture of one head (counted from 0), of the mean over heads, or of all of them side by side.

    Raises:
        InputError: there is no such head.
    """
    if head == "all":
        return draw_heads(seen.weights, seen.rows, seen.columns)
    if head == "mean":
        return draw_attention(seen.weights.mean(0), seen.rows, seen.columns, "mean over heads")
    if not 0 <= head < len(seen.weights):
        raise InputError(f"there is no head {head}: attention has {len(seen.weights)}, counted from 0")
    return draw_attention(seen.weights[head], seen.rows, seen.columns, f"head {head}")


def write_report(run: Run, task: Translate, data: PairData) -> None:
    """Write ``report.html`` and its pictures into the run folder.

    Args:
        run: its folder.
        task: with the weights to report on.
        data: what it was trained on.
    """
    task.to("cpu").eval()
    found = evaluate_translator(task, data)
    pictures = draw_training(run, "exact")
    maps = _draw_maps(task, found)
    run.write_pictures(pictures | {name: picture.png for name, picture in maps.items()})
    curves = [Picture(pictures["curves"], _CURVES)] if "curves" in pictures else []
    sections = [
        Section("Results", text=_remarks(found), tables=[_results(found)], pictures=curves),
        Section("Where it looks", text=_LOOKS if maps else "", pictures=list(maps.values())),
        Section("Translations", tables=[_translations(found)]),
        Section("Use it", code=f'pendio predict {run.folder} "TEXT" … --beams 4'),
        _about(data),
        *closing(run, pictures, diagnose=task.diagnose),
    ]
    exact = found.metrics["exact"]
    subtitle = f"{data.name}: {exact:.1%} of {len(found.examples)} {_SPLITS[found.split]} texts translated exactly"
    write_page(run.folder / REPORT, run.folder.name, subtitle, sections)


def _results(found: Evaluation) -> Table:
    how = {"bleu": found.overlap.bleu_signature, "chrf": found.overlap.chrf_signature, **_MEANINGS}
    rows = [(name, value, how[name]) for name, value in found.metrics.items()]
    return Table(("metric", _SPLITS[found.split], "how"), rows)


def _remarks(found: Evaluation) -> str:
    remarks = []
    if found.unknown:
        remarks.append(f"{found.unknown} texts have something that the vocabulary lacks.")
    if found.unfinished:
        remarks.append(f"{found.unfinished} translations came to no end and were cut off.")
    return " ".join(remarks)


def _translations(found: Evaluation) -> Table:
    """The worst, wrong ones first."""
    rows = [
        ("" if one.translation == one.reference else "wrong", one.source, one.reference, one.translation)
        for one in found.worst(_SHOWN)
    ]
    return Table(("", "source", "reference", "translation"), rows)


def _draw_maps(task: Translate, found: Evaluation) -> dict[str, Picture]:
    """Of the first held-out texts that can be read in a picture."""
    chosen = [one for one in found.examples if max(len(one.source), len(one.translation)) <= _LONGEST][:_MAPS]
    maps = {}
    for number, one in enumerate(chosen, 1):
        seen = look(task, one.source)
        best = sharpest_head(seen.weights)
        both = torch.stack([seen.weights.mean(0), seen.weights[best]])
        png = draw_heads(both, seen.rows, seen.columns, ["mean over heads", f"head {best}, the sharpest"])
        maps[f"attention-{number}"] = Picture(png, f"{one.source} → {one.translation}")
    return maps


def _about(data: PairData) -> Section:
    about = data.describe()
    counts = ", ".join(f"{count} {name}" for name, count in about["examples"].items())
    text = (f"{data.name}: {counts} pairs; {data.source.kind} as tokens, {data.source.size} of the source and "
            f"{data.target.size} of the target, marks included.")  # fmt: skip
    findings = [(finding.kind, finding.message) for finding in data.findings]
    return Section("Data", text=text, tables=[Table(("noticed", "what"), findings)] if findings else [])


_SPLITS = {"train": "training", "val": "validation", "test": "held-out"}
_MEANINGS = {
    "exact": "share of translations equal to their reference",
    "loss": "nats a token, given the true tokens before",
    "accuracy": "share of tokens that are the likeliest, given the true tokens before",
}
_CURVES = (
    "Loss, with labels smoothed in training alone, and the share of validation texts that are translated exactly; the "
    "dotted line marks the evaluation whose weights were kept."
)
_LOOKS = (
    "Attention of the decoder's last layer: each row is a token as it is written, each column a token of the source."
)
