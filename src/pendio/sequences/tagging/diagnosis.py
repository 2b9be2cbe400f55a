"""Why a tagger became what it is: rules over a run, and over what its weights make of the data."""

import copy
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pendio.data.examples import Split
from pendio.data.text.answers import LabelledData
from pendio.data.text.buckets import Bucketed
from pendio.nn.recurrent import Recurrent
from pendio.nn.temporal import Temporal
from pendio.runs.diagnosis import Diagnosis, Evidence, Probe, diagnose
from pendio.runs.run import Run
from pendio.sequences.diagnosis import (
    STOPPERS,
    adapted,
    exploding_over_time,
    learnt_tokens,
    overfitting,
    padding_waste,
    rare_tokens,
    saturated_states,
    unknown_tokens,
    vanishing_over_time,
)
from pendio.sequences.looking.memory import gradient_over_time, saturation
from pendio.sequences.tagging.network import Reader, present_steps
from pendio.sequences.tagging.recipe import run_options
from pendio.sequences.tagging.task import Tag

__all__ = ["diagnose_tagger", "no_better_than_the_mean", "out_of_sight"]

_LOOKED_AT = 2048
_BATCH = 64
_ROWS = 16


def diagnose_tagger(run: Run, task: Tag, data: LabelledData) -> list[Diagnosis]:
    """Why a run went as it did, the likeliest cause first; empty where nothing went wrong.

    Args:
        run: its folder.
        task: with the weights to look at.
        data: what it was trained on.

    Raises:
        InputError: the run's files are damaged.
    """
    task = copy.deepcopy(task).cpu().eval()
    probe = None if task.answer == "number" else _probe(task, data)
    history = run.history()
    known = adapted(diagnose(Evidence(history, run.layers(), probe)))
    consequences = [one for one in known if one.kind in ("overfitting", "underfitting")]
    causes = [one for one in known if one not in consequences] + _memory(task, data) + _of_data(run, data)
    if any(one.kind in STOPPERS for one in causes):
        return causes
    late = overfitting(history)
    if late is not None and all(one.kind != "overfitting" for one in consequences):
        consequences.append(late)
    if task.answer == "number":
        answers, targets = _columns(task, data.val)
        mean = no_better_than_the_mean(answers, targets)
        consequences += [mean] if mean is not None else []
    return causes + consequences


@torch.no_grad()
def _columns(task: Tag, split: Split) -> tuple[Tensor, Tensor]:
    """Answers ``(N, K)`` or ``(N,)`` to sequences of a split, and what is right ``(N,)``."""
    rows = list(_answers(task, split))
    answers, targets = (torch.cat(column) for column in zip(*rows, strict=True))
    return answers, targets


def _answers(task: Tag, split: Split) -> Iterator[tuple[Tensor, Tensor]]:
    seen = 0
    for batch in split.batches(_BATCH, epoch=0):
        answers = task.predict(batch.inputs)
        yield (answers if task.answer == "number" else answers.flatten(0, -2)), batch.targets.flatten()
        seen += len(batch.targets)
        if seen >= _LOOKED_AT:
            return


def _probe(task: Tag, data: LabelledData) -> Probe:
    known, known_targets = _columns(task, data.train)
    new, targets = _columns(task, data.val)
    sure, guess = new.max(1)
    wrong = guess != targets
    contradicted = (sure > 0.5) & (_of_right(new, targets) < 0.05)
    return Probe(
        chance=float(torch.bincount(targets).max() / len(targets)),
        train_accuracy=float((known.argmax(1) == known_targets).double().mean()),
        train_loss=-float(_of_right(known, known_targets).clamp_min(1e-30).log().mean()),
        val_accuracy=float((~wrong).double().mean()),
        batch_loss=None,
        dead={},
        saturated={},
        named=(len(guess.unique()), len(data.classes)),
        contradicted=float(contradicted[wrong].double().mean()) if wrong.any() else 0.0,
        leaked=_leaked(data),
        errors=int(wrong.sum()),
        held_out=len(targets),
    )


def _of_right(probabilities: Tensor, targets: Tensor) -> Tensor:
    return probabilities[torch.arange(len(targets)), targets]


def _leaked(data: LabelledData) -> float:
    """The share of validation texts that are training texts too; numbers and drawn sequences cannot be."""
    if not (isinstance(data.train, Bucketed) and isinstance(data.val, Bucketed)):
        return 0.0
    seen, held = (
        [part.sequences[0].row(index).numpy().tobytes() for index in range(len(part))]
        for part in (data.train, data.val)
    )
    known = set(seen)
    return sum(text in known for text in held) / max(1, len(held))


def _memory(task: Tag, data: LabelledData) -> list[Diagnosis]:
    """What becomes of gradients and states over time, in the longest of some held-out sequences."""
    reader = task.tagger.encoder
    if not isinstance(reader, Reader):
        return []
    body, blind = reader.body, out_of_sight(reader.reach, data.length)
    found = [] if blind is None else [blind]
    if not isinstance(body, Recurrent | Temporal):
        return found
    inputs, targets = _longest(data.val)
    present = present_steps(inputs)
    lengths = torch.full((len(inputs),), inputs.shape[1]) if present is None else present.sum(1)

    def losses(values: Tensor) -> Tensor:
        answers = task.tagger.answer(values, present)
        if task.answer == "number":
            return (answers[:, 0] - targets) ** 2
        if task.answer == "tokens":
            return F.cross_entropy(answers[:, -1], targets[:, -1], reduction="none")
        return F.cross_entropy(answers, targets, reduction="none")

    norms = gradient_over_time(losses, reader.embed(inputs), lengths)[: reader.reach]
    rules = [vanishing_over_time(norms, _family(body)), exploding_over_time(norms)]
    if isinstance(body, Recurrent):
        with torch.no_grad():
            values = reader.embed(inputs[:, : int(lengths.min())])
            values = reader.first(values) if isinstance(reader.first, nn.Linear) else values
        rules.append(saturated_states(saturation(body, values)))
    return [one for one in rules if one is not None] + found


def _family(body: Recurrent | Temporal) -> str:
    return body.kind if isinstance(body, Recurrent) else "tcn"


def _longest(split: Split) -> tuple[Tensor, Tensor]:
    """The longest of the sequences in a split, as many as are looked at, and what is right."""
    if isinstance(split, Bucketed):
        chosen = torch.from_numpy(split.lengths()[:, 0].argsort(kind="stable")[-_ROWS:].copy())
    else:
        chosen = torch.arange(min(_ROWS, len(split)))
    batch = split.take(chosen)
    return batch.inputs, batch.targets


def out_of_sight(reach: int | None, length: int) -> Diagnosis | None:
    """A network that sees only the end of long sequences.

    Args:
        reach: steps that its last output sees; None where all.
        length: of the longest sequence.
    """
    if reach is None or reach >= length:
        return None
    return Diagnosis(
        "out-of-sight",
        "The network does not see the beginning of long sequences.",
        f"it sees the last {reach} of up to {length} steps",
        "more layers or larger kernels in a tcn, a longer window, or a network with a memory",
        f"--window {length}" if reach < 16 else "--layers 8 --kernel 5",
    )


def no_better_than_the_mean(answers: Tensor, targets: Tensor) -> Diagnosis | None:
    """Of numbers ``(N,)``: answers that explain less than a twentieth of the variance of what is right."""
    error, variance = float(F.mse_loss(answers, targets)), float(targets.var(correction=0))
    if error < 0.95 * variance:
        return None
    return Diagnosis(
        "no-better-than-the-mean",
        "The network has learnt nothing from the sequences: always answering the mean would be as good.",
        f"mean squared error {error:.3g}, variance of what is right {variance:.3g}",
        "a network with a longer memory, more epochs, or another learning rate",
        "--model lstm --epochs 30",
    )


def _of_data(run: Run, data: LabelledData) -> list[Diagnosis]:
    tokenizer = data.tokenizer
    if tokenizer is None or not (isinstance(data.train, Bucketed) and isinstance(data.val, Bucketed)):
        return []
    batch = run_options(run).plan.batch_size(len(data.train))
    counts = torch.bincount(data.train.sequences[0].tokens.long(), minlength=tokenizer.size)
    held = data.val.sequences[0].tokens
    unknown = 0 if tokenizer.unknown is None else int((held == tokenizer.unknown).sum())
    rules = (
        rare_tokens(tokenizer.kind, counts, learnt_tokens(tokenizer)),
        unknown_tokens(tokenizer.kind, unknown, len(held)),
        padding_waste(data.train.waste(batch), batch),
    )
    return [one for one in rules if one is not None]
