"""The command line's root, and what all commands share."""

import contextlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table

from pendio import __version__
from pendio.errors import InputError

if TYPE_CHECKING:
    from pendio.runs.run import Run

__all__ = [
    "Json",
    "app",
    "climbing",
    "console",
    "print_json",
    "print_metrics",
    "say",
    "tell_results",
    "tell_run",
    "tell_skipped",
    "train",
]

app = App(
    name="pendio",
    help="Train neural networks, look into them, and check them.",
    version=__version__,
    help_on_error=False,
    suppress_keyboard_interrupt=False,  # main() says how to go on
)
train = App(name="train", help="Train a network on your data.")
app.command(train)

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print the result as JSON.")]


def console() -> Console:
    """Where tables go: as wide as the terminal, and as they need in a file or a pipe."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 200)


def say(text: str) -> None:
    """A line for people, beside the result."""
    print(text, file=sys.stderr)


def tell_run(run: "Run") -> None:
    """Where a training left what it made."""
    say(f"run folder: {run.folder}   report: {run.folder}/report.html")


def tell_results(results: Iterable[Any], said: Callable[[Any], str], as_json: bool) -> None:
    """Results that come one by one, a line each or together as JSON, and at the end the inputs that could not be read.

    Args:
        results: each knows its ``input`` and ``to_dict``, or is the error that stands in its place.
        said: what the line says after the name of the input.
        as_json: print JSON instead of lines.

    Raises:
        InputError: no input could be read.
    """
    made: list[Any] = []
    failures: list[InputError] = []
    for result in results:
        if isinstance(result, InputError):
            failures.append(result)
            continue
        made.append(result)
        if not as_json:
            print(f"{result.input}: {said(result)}")
    if as_json:
        print_json([result.to_dict() for result in made])
    tell_skipped(failures, bool(made))


def tell_skipped(failures: Sequence[InputError], some: bool) -> None:
    """Say which inputs could not be read.

    Raises:
        InputError: there are no ``some`` that could.
    """
    for failure in failures:
        say(f"skipped: {failure}")
    if failures and not some:
        raise InputError(f"none of {len(failures)} images could be read")


def print_json(value: Any) -> None:
    """A result for programs."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_metrics(metrics: Mapping[str, float]) -> None:
    """Numbers by name, as a table."""
    table = Table()
    table.add_column("metric")
    table.add_column("value", justify="right")
    for name, value in metrics.items():
        table.add_row(name, f"{value:.4f}")
    console().print(table)


@contextlib.contextmanager
def climbing(label: str, total: int) -> Iterator[Callable[[int, float], None]]:
    """A bar on standard error while an input moves: to be told how many steps are done, and the value reached.

    Off a terminal it says nothing: the result is printed at the end.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn(label),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[value]} ·"),
        TimeRemainingColumn(compact=True),
    )
    with Progress(
        *columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()
    ) as progress:  # fmt: skip
        task = progress.add_task(label, total=total, value="–")
        yield lambda step, value: progress.update(task, completed=step, value=f"{value:.4g}")
