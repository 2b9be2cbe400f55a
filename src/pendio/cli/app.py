"""The command line's root, and what all commands share."""

import json
import sys
from typing import Annotated, Any

from cyclopts import App, Parameter
from rich.console import Console

from pendio import __version__

__all__ = ["Json", "app", "console", "print_json", "say", "train"]

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


def print_json(value: Any) -> None:
    """A result for programs."""
    print(json.dumps(value, indent=2, ensure_ascii=False))
