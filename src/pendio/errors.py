"""What pendio raises when the person who called it can mend the matter."""

import difflib
from collections.abc import Iterable, Sequence

__all__ = ["InputError", "did_you_mean", "excerpt", "listed", "quoted"]


class InputError(Exception):
    """The user's input is wrong. The message says in one line what was given, where, and how to mend it.

    The command line prints the message alone, without a traceback, and exits with 2.
    """


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """End of an error message about an unknown ``name``: the nearest known one, or all of them.

    >>> did_you_mean("resnt", ["cnn", "resnet"])
    "did you mean 'resnet'?"
    >>> did_you_mean("xyz", ["cnn", "resnet"])
    'known: cnn, resnet'
    """
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1)
    return f"did you mean '{near[0]}'?" if near else f"known: {', '.join(names)}"


def excerpt(text: str, most: int = 40) -> str:
    """The beginning of a text on one line, for a message.

    >>> excerpt("a long\\n text", 7)
    'a long…'
    """
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def quoted(names: Sequence[str], most: int = 5) -> str:
    """The first of some names, each in quotes, for a message.

    >>> quoted(["a", "b", "c"], 2)
    "'a', 'b' …"
    """
    return ", ".join(map(repr, names[:most])) + (" …" if len(names) > most else "")


def listed(names: Sequence[object], shown: int = 3) -> str:
    """The first of some names, and how many more there are, for a message.

    >>> listed(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(str(name) for name in names[:shown]) + more
