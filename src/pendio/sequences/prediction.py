"""Asking any run on sequences."""

from collections.abc import Sequence
from typing import Any, Protocol

from pendio.errors import InputError
from pendio.runs.run import Run

__all__ = ["Answer", "predict_run"]

_TOP = 5


class Answer(Protocol):
    """What a run says to an input: printed as a line, or given as a dictionary."""

    def to_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        ...


def predict_run(run: Run, inputs: Sequence[str], top: int | None = None) -> list[Answer]:
    """Ask a run of ``language``, ``translate`` or ``tag``.

    Args:
        run: its folder.
        inputs: texts, or files that a tagger reads.
        top: how many classes or likeliest tokens to name; by default 5.

    Raises:
        InputError: the run is damaged, or an input is none for it.
    """
    if top is not None and top < 1:
        raise InputError(f"--top must be at least 1, got {top}")
    if run.recipe == "translate":
        if top is not None:
            raise InputError("--top is for runs that name classes; this one translates")
        from pendio.sequences.translation.prediction import translate_texts
        from pendio.sequences.translation.recipe import load_translator

        return list(translate_texts(load_translator(run), inputs))
    if run.recipe == "tag":
        from pendio.sequences.tagging.prediction import open_sequences, predict_tags

        return list(predict_tags(open_sequences(run), inputs, top or _TOP))
    from pendio.sequences.language.recipe import load_language
    from pendio.sequences.language.surprise import expected

    task = load_language(run)
    return [expected(task, text, top or _TOP) for text in inputs]
