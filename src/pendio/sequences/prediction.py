"""Asking any run on sequences."""

from collections.abc import Sequence
from typing import Any, Protocol

from pendio.errors import InputError
from pendio.runs.run import Run
from pendio.sequences.asking import Asking

__all__ = ["Answer", "predict_run"]

_TOP = 5
_PLAIN = Asking()


class Answer(Protocol):
    """What a run says to an input: printed as a line, or given as a dictionary."""

    def to_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        ...


def predict_run(run: Run, inputs: Sequence[str], asking: Asking = _PLAIN) -> list[Answer]:
    """Ask a run of ``language``, ``translate`` or ``tag``.

    Args:
        run: its folder.
        inputs: texts, or files that a tagger reads.
        asking: what to name, and how to search.

    Raises:
        InputError: the run is damaged, or an input is none for it.
    """
    top, beams, penalty = asking
    if top is not None and top < 1:
        raise InputError(f"--top must be at least 1, got {top}")
    if run.recipe != "translate" and (beams, penalty) != (None, None):
        raise InputError("--beams and --penalty are for runs of 'train translate'; 'pendio sample' has --beams too")
    if run.recipe == "translate":
        if top is not None:
            raise InputError("--top is for runs that name classes; this one translates")
        if penalty is not None and beams in (None, 1):
            raise InputError("--penalty weighs lengths in a beam search: give --beams 2 or more")
        from pendio.sequences.translation.prediction import translate_texts
        from pendio.sequences.translation.recipe import load_translator

        return list(
            translate_texts(
                load_translator(run), inputs, 1 if beams is None else beams, 1.0 if penalty is None else penalty
            )
        )
    if run.recipe == "tag":
        from pendio.sequences.tagging.prediction import open_sequences, predict_tags

        return list(predict_tags(open_sequences(run), inputs, top or _TOP))
    from pendio.sequences.language.recipe import load_language
    from pendio.sequences.language.surprise import expected

    task = load_language(run)
    return [expected(task, text, top or _TOP) for text in inputs]
