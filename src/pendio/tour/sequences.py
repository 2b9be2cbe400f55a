"""Networks that read and write sequences."""

from pathlib import Path

from pendio.recipes import load, train
from pendio.runs.page import Picture, Section, Table
from pendio.runs.run import Run
from pendio.sequences.decoding.options import Sampling
from pendio.sequences.decoding.writing import write
from pendio.sequences.evaluation import evaluate_run
from pendio.sequences.looking.look import look
from pendio.tour.stop import picture

__all__ = ["sequences"]

_DATE = "3 de noviembre de 2026"


def sequences(out: Path) -> Section:
    """A window and an LSTM learn from Python's reference, and a translator reads dates."""
    window = train("language", model="window", width=128, epochs=2, progress=False, out=str(out / "pydocs-window"))
    lstm = train("language", model="lstm", width=192, layers=1, lr=5e-3, epochs=2, dropout=0.0, progress=False,
                 out=str(out / "pydocs-lstm"))  # fmt: skip
    dates = train("translate", data="dates", epochs=3, progress=False, out=str(out / "dates"))
    exact = evaluate_run(dates).metrics["exact"]
    seen = look(dates, _DATE, head=0, out=out / "looking").pictures[0]
    return Section(
        "Read and write",
        text="After two looks at Python's own reference, a network that sees eight characters and one that remembers"
        " guess what comes next, and write on. A translator reads dates as twelve languages write them: after three rounds "
        f"{exact:.1%} of those it never saw come out right to the last digit, and its attention shows where it looked.",
        code="pendio train language --data pydocs --model lstm\npendio sample tour/pydocs-lstm --prompt \"The \"\n"
        f"pendio train translate --data dates\npendio predict tour/dates \"{_DATE}\" --attention",
        tables=[Table(("network", "bits a byte", "what it writes"), [_row("window", window), _row("lstm", lstm)])],
        pictures=[
            picture(lstm, "surprise", "Text the LSTM had not seen: the darker, the more it was surprised."),
            Picture(seen.file.read_bytes(), seen.caption),
        ],
    )  # fmt: skip


def _row(name: str, run: Run) -> tuple[str, float, str]:
    task = load(run.folder)
    written = "".join(
        piece.text for piece in write(task.model, task.tokenizer, ["The "], Sampling(temperature=0.6), 120)
    )
    return name, min(record["val_bits_per_byte"] for record in run.history()), " ".join(f"The {written}".split())
