"""The form of a Transformer, as a run's config keeps it."""

from collections.abc import Mapping

from pendio.errors import InputError
from pendio.nn.transformer import Form
from pendio.options import check_types

__all__ = ["form_of"]


def form_of(said: object) -> Form:
    """The form that ``dataclasses.asdict`` made a mapping of.

    Raises:
        InputError: it is none; the message says what is wrong, and not where.
    """
    try:
        if not isinstance(said, Mapping):
            raise TypeError("it is no mapping")
        form = Form(**{str(name): value for name, value in said.items()})
    except TypeError as error:
        raise InputError(str(error)) from error
    check_types(form)
    return form
