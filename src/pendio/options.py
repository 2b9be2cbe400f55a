"""Options as typed dataclass fields, checked against their own annotations."""

import dataclasses
import types
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from pendio.errors import InputError

__all__ = ["check_types", "flag"]

_WORDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}


def flag(name: str) -> str:
    """A field's name as the command line spells it."""
    return "--" + name.replace("_", "-")


def check_types(options: Any) -> None:
    """Compare the fields of a dataclass of options with their annotations.

    The command line has parsed its words already; config files and callers in Python can hold anything.

    Raises:
        InputError: a value has another type, or is none of the allowed words; the message names the option.
    """
    for name, annotation in get_type_hints(type(options)).items():
        value = getattr(options, name)
        if not dataclasses.is_dataclass(value) and not _fits(value, annotation):
            raise InputError(f"{flag(name)} must be {_describe(annotation)}, got {value!r}")


def _fits(value: object, annotation: Any) -> bool:
    if get_origin(annotation) is Literal:
        return value in get_args(annotation)
    if get_origin(annotation) in (Union, types.UnionType):
        return any(_fits(value, choice) for choice in get_args(annotation))
    if annotation is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if annotation is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, annotation)


def _describe(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        words = [str(word) for word in get_args(annotation)]
        return words[0] if len(words) == 1 else f"one of {', '.join(words)}"
    if get_origin(annotation) in (Union, types.UnionType):
        return " or ".join(_describe(choice) for choice in get_args(annotation) if choice is not types.NoneType)
    return _WORDS[annotation]
