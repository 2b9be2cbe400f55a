"""The command line. Each command imports what it needs when it runs: ``pendio --help`` never loads torch."""

import sys
from pathlib import Path
from typing import NoReturn

import cyclopts

import pendio.cli.ascending
import pendio.cli.attacking
import pendio.cli.dreaming
import pendio.cli.editing
import pendio.cli.generating
import pendio.cli.latent
import pendio.cli.looking
import pendio.cli.mapping
import pendio.cli.measuring
import pendio.cli.playing
import pendio.cli.principles
import pendio.cli.sampling
import pendio.cli.solving
import pendio.cli.training  # noqa: F401  (commands register themselves)
from pendio.cli.app import app, train
from pendio.cli.config import take_config
from pendio.errors import InputError

__all__ = ["app", "main"]


def _fail(text: str) -> NoReturn:
    print(f"pendio: {' '.join(text.split())}", file=sys.stderr)
    raise SystemExit(2)


def _recipe(folder: Path) -> str:
    from pendio.runs.run import Run

    return Run.open(folder).recipe


def main(arguments: list[str] | None = None) -> None:
    """Run a command. Exits with 0 when done, 2 when the input is wrong, 130 when interrupted."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        train.config = ()
        if given[:1] == ["train"]:
            given = take_config(given)
        app(given, exit_on_error=False, print_error=False)
    except InputError as error:
        _fail(str(error))
    except cyclopts.CycloptsError as error:
        cause = error.__cause__
        _fail(str(cause) if isinstance(cause, InputError) else str(error))
    except KeyboardInterrupt as stop:
        folder = getattr(stop, "folder", None)
        again = f"; go on with: pendio train {_recipe(folder)} --resume --out {folder}" if folder else ""
        print(f"pendio: interrupted{': saved' if folder else ''}{again}", file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:
        # The reader of our output went away, as `head` does: that is no failure.
        sys.stderr.close()
        raise SystemExit(0) from None
