"""A text cut into windows: what a language model trains on and is measured on."""

from typing import NamedTuple

from pendio.data.text.corpus import Corpus
from pendio.data.text.windows import TokenWindows

__all__ = ["Text", "windows"]


class Text(NamedTuple):
    """The two parts of a text.

    Attributes:
        train, val: windows of both.
    """

    train: TokenWindows
    val: TokenWindows


def windows(corpus: Corpus, context: int, carried: bool) -> Text:
    """Windows of ``context`` tokens.

    Args:
        corpus: the text.
        context: tokens of a window; a validation part that is shorter makes one window.
        carried: whether each window of a batch goes on where the one in the same row of the batch before ended.

    Raises:
        InputError: the training part is shorter than a window.
    """
    fitting = min(context, len(corpus.val) - 1)
    return Text(
        TokenWindows(corpus.train.tokens, context, carried=carried),
        TokenWindows(corpus.val.tokens, fitting, carried=carried),
    )
