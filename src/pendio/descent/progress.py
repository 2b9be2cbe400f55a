"""What a person sees while training: a live bar on a terminal, a line an epoch elsewhere."""

import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

__all__ = ["Bar"]

_REFRESH_SECONDS = 0.2


class Bar:
    """Shows loss, speed and time left on standard error; says nothing when not ``shown``."""

    def __init__(self, shown: bool, total_steps: int, epochs: int) -> None:
        self._shown = shown
        self._live = shown and sys.stderr.isatty()
        self._epochs = epochs
        self._console = Console(stderr=True, highlight=False, soft_wrap=not self._live)
        self._progress = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]} · {task.fields[speed]} examples/s ·"),
            TimeRemainingColumn(compact=True),
            console=self._console,
            auto_refresh=False,
            transient=True,
        )
        self._task = self._progress.add_task("train", total=total_steps, epoch=f"1/{epochs}", loss="–", speed="–")
        self._due = 0.0

    def __enter__(self) -> "Bar":
        if self._live:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._progress.stop()

    def step(self, step: int, epoch: int, sums: Tensor, speed: float) -> None:
        """Show the state after a step, a few times a second.

        Only then is the device asked for ``sums``, the loss' total and weight.
        """
        if not self._live or (now := time.monotonic()) < self._due:
            return
        self._due = now + _REFRESH_SECONDS
        total, count = sums.tolist()
        loss = total / max(count, 1e-12)
        self._progress.update(
            self._task, completed=step, epoch=f"{epoch + 1}/{self._epochs}", loss=f"{loss:.4f}", speed=f"{speed:,.0f}"
        )
        self._progress.refresh()

    def epoch(self, record: Mapping[str, Any]) -> None:
        """Leave a line about an evaluation."""
        if self._shown:
            # A task lists its most telling metrics first; the others are in the report.
            shown = ["loss", *[name for name in record if name.startswith("val_")][:2]]
            numbers = "  ".join(f"{name} {record[name]:.4f}" for name in shown)
            star = " *" if record.get("best") else ""
            self._console.print(f"epoch {record['epoch']:>{len(str(self._epochs))}}/{self._epochs}  {numbers}{star}")

    def note(self, text: str) -> None:
        """Leave a line about something else."""
        if self._shown:
            self._console.print(text)
