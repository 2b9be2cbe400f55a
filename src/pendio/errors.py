"""What pendio raises when the person who called it can mend the matter."""

import difflib
from collections.abc import Iterable

__all__ = ["InputError", "did_you_mean"]


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
