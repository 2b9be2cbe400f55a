"""Options as typed dataclass fields, checked against their own annotations."""

import dataclasses
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from pendio.errors import InputError, did_you_mean

__all__ = ["check_types", "flag", "from_flat", "own", "saved"]

Recipe = TypeVar("Recipe")
"""A dataclass of a recipe's options, whose field ``plan`` is another of how to train."""

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


def from_flat(kind: type[Recipe], options: Mapping[str, Any]) -> Recipe:
    """A recipe's options from flat names and values, those of its plan among them, as in a config file.

    Raises:
        InputError: a name is unknown, one that is needed is missing, or a value is out of range.
    """
    plan_kind: Any = get_type_hints(kind)["plan"]
    fields: dict[str, Any] = {item.name: item for item in dataclasses.fields(kind)}  # type: ignore[arg-type]
    mine = set(fields) - {"plan"}
    of_plan = {item.name for item in dataclasses.fields(plan_kind)}
    for name in options:
        if name not in mine | of_plan:
            raise InputError(f"unknown option '{name}': {did_you_mean(name, mine | of_plan)}")
    for name in mine - set(options):
        if fields[name].default is dataclasses.MISSING:
            raise InputError(f"{flag(name)} is missing: it has no default")
    values = {name: str(value) if isinstance(value, Path) else value for name, value in options.items()}
    plan = plan_kind(**{name: value for name, value in values.items() if name in of_plan})
    return kind(**{name: value for name, value in values.items() if name in mine} | {"plan": plan})


def own(options: Any) -> dict[str, Any]:
    """A recipe's options by name, without those of its plan."""
    return {item.name: getattr(options, item.name) for item in dataclasses.fields(options) if item.name != "plan"}


def saved(options: Any) -> dict[str, Any]:
    """A recipe's own options as a run's config keeps them: all but how this one start was made."""
    return {name: value for name, value in own(options).items() if name not in ("out", "resume")}
