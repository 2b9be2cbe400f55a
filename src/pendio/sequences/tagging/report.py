"""The report on a tagger: how training went, what came out, and the worst answers."""

from pendio.data.text.answers import LabelledData
from pendio.descent.classes import per_class
from pendio.descent.report import closing, draw_training
from pendio.pictures.confusion import draw_confusion
from pendio.pictures.lines import draw_lines
from pendio.runs.page import Picture, Section, Table, write_page
from pendio.runs.run import REPORT, Run
from pendio.sequences.tagging.evaluation import Evaluation, evaluate_tagger
from pendio.sequences.tagging.task import Tag

__all__ = ["write_report"]

_SHOWN = 16
_LONGEST = 120


def write_report(run: Run, task: Tag, data: LabelledData) -> None:
    """Write ``report.html`` and its pictures into the run folder.

    Args:
        run: its folder.
        task: with the weights to report on.
        data: what it was trained on.
    """
    task.to("cpu").eval()
    evaluation = evaluate_tagger(task, data, [data.split("test")])
    numbers = task.answer == "number"
    pictures = draw_training(run, "mse" if numbers else "accuracy")
    pictures["answers" if numbers else "confusion"] = (
        _draw_numbers(evaluation) if numbers else draw_confusion(evaluation.confusion, task.classes)
    )
    run.write_pictures(pictures)
    shown = {name: Picture(pictures[name], caption) for name, caption in _CAPTIONS.items() if name in pictures}
    curves = [shown[name] for name in ("curves", "answers") if name in shown]
    sections = [
        Section("Results", tables=[Table(("metric", "test"), list(evaluation.metrics.items()))], pictures=curves),
        _examples(data, evaluation),
    ]
    if not numbers:
        sections.append(_classes(evaluation, shown["confusion"]))
        sections.append(Section("Use it", code=f"pendio predict {run.folder} {_hint(data)}"))
    sections.append(_about(data))
    model = run.config.get("options", {}).get("model", "model")
    subtitle = f"{model} on {data.name}: {_headline(evaluation)}"
    write_page(
        run.folder / REPORT, run.folder.name, subtitle, [*sections, *closing(run, pictures, diagnose=task.diagnose)]
    )


_CAPTIONS = {
    "curves": "Loss, and accuracy or squared error on the validation sequences; the dotted line marks the evaluation whose "
    "weights were kept.",
    "answers": "Answers over what is right, of the test sequences; on the line they are the same.",
    "confusion": "Counts of true against predicted classes on the test sequences.",
}


def _headline(evaluation: Evaluation) -> str:
    count = len(evaluation.targets)
    if not evaluation.classes:
        return f"mean squared error {evaluation.metrics['mse']:.4g} on {count} test sequences"
    if "exact" in evaluation.metrics:
        exact = evaluation.metrics["exact"]
        return f"{evaluation.metrics['accuracy']:.2%} of the answers right, all of a sequence in {exact:.2%} of {count}"
    return f"{evaluation.metrics['accuracy']:.2%} of {count} test sequences right"


def _draw_numbers(evaluation: Evaluation) -> bytes:
    order = evaluation.targets.argsort()
    right, given = evaluation.targets[order].tolist(), evaluation.answers[order].tolist()
    return draw_lines({"answer": (right, given), "right": (right, right)}, "what is right", "answer")


def _examples(data: LabelledData, evaluation: Evaluation) -> Section:
    """The worst answers and the best, in words."""
    ranked = evaluation.ranked()
    header = ("sequence", "answer", "right")
    worst = [_row(data, evaluation, row) for row in ranked[:_SHOWN].tolist()]
    best = [_row(data, evaluation, row) for row in ranked.flip(0)[: _SHOWN // 2].tolist()]
    text = "The worst answers of the test sequences, then the best."
    return Section("Answers", text=text, tables=[Table(header, worst), Table(header, best)])


def _row(data: LabelledData, evaluation: Evaluation, row: int) -> tuple[str, str, str]:
    number = int(evaluation.indices[row])
    name = data.texts[number] if data.texts else f"test sequence {number}"
    name = name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
    answer, target = evaluation.answers[row], evaluation.targets[row]
    if not evaluation.classes:
        return name, f"{float(answer):.4f}", f"{float(target):.4f}"
    if answer.ndim == 2:
        said, right = (" ".join(evaluation.classes[one] for one in steps) for steps in (answer.argmax(-1), target))
        return name, said, right
    guess = int(answer.argmax())
    likelihood = f"{evaluation.classes[int(target)]} ({float(answer[int(target)]):.1%})"
    return name, f"{evaluation.classes[guess]} ({float(answer[guess]):.1%})", likelihood


def _classes(evaluation: Evaluation, confusion: Picture) -> Section:
    rows = [
        (name, row["precision"], row["recall"], row["f1"], int(row["examples"]))
        for name, row in zip(evaluation.classes, per_class(evaluation.confusion), strict=True)
    ]
    table = Table(("class", "precision", "recall", "F1", "answers"), rows)
    return Section("Classes", tables=[table], pictures=[confusion])


def _about(data: LabelledData) -> Section:
    counts = ", ".join(f"{count} {name}" for name, count in data.describe()["examples"].items())
    if data.tokenizer is not None:
        form = f"up to {data.length} tokens, of a vocabulary of {data.tokenizer.size} ({data.tokenizer.kind})"
    else:
        form = f"{data.length} steps of {data.features} numbers" if data.features != 1 else f"{data.length} numbers"
    classes = f", in {len(data.classes)} classes" if data.classes else ""
    findings = [(finding.kind, finding.message) for finding in data.findings]
    tables = [Table(("noticed", "what"), findings)] if findings else []
    return Section("Data", text=f"{data.name}: {counts} sequences of {form}{classes}.", tables=tables)


def _hint(data: LabelledData) -> str:
    if data.tokenizer is None:
        return "IMAGE …"
    return f"{data.texts[0][:40]!r}" if data.texts else "TEXT_OR_FILE …"
