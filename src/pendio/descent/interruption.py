"""Ctrl-C and SIGTERM as a polite request: finish the step, save, stop."""

import signal
import threading
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

__all__ = ["Interrupted", "Interruption"]


class Interrupted(KeyboardInterrupt):
    """Training was asked to stop, saved everything in ``folder`` and stopped."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"stopped and saved in {folder}")
        self.folder = folder


class Interruption:
    """While entered, the first SIGINT or SIGTERM sets ``requested``; a second one acts as it did before."""

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():  # Python allows handlers only there
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._request)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
