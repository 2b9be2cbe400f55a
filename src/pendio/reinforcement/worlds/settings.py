"""Keyword arguments for environments, as the command line gives them."""

import re
from typing import Any

import yaml

from pendio.errors import InputError

__all__ = ["parse_settings"]

_BETWEEN = re.compile(r",(?![^\[]*\])")
"""A comma that is not within brackets."""


def parse_settings(text: str) -> dict[str, Any]:
    """Keyword arguments from comma-separated ``name=value``: numbers, truth values, words, or lists of them in brackets.

    >>> parse_settings("is_slippery=false,map_name=8x8,desc=[SF, FG]")
    {'is_slippery': False, 'map_name': '8x8', 'desc': ['SF', 'FG']}

    Raises:
        InputError: a part is no name=value, or a name is given twice.
    """
    settings: dict[str, Any] = {}
    for part in filter(None, (piece.strip() for piece in _BETWEEN.split(text))):
        name, equals, value = (word.strip() for word in part.partition("="))
        if not equals or not name.isidentifier():
            raise InputError(f"--settings '{part}': expected name=value, separated by commas")
        if name in settings:
            raise InputError(f"--settings gives '{name}' twice")
        inner = value[1:-1].split(",") if value.startswith("[") and value.endswith("]") else None
        settings[name] = _value(value) if inner is None else [_value(item.strip()) for item in inner if item.strip()]
    return settings


def _value(text: str) -> bool | int | float | str:
    try:
        plain = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):  # YAML takes 2020-99-99 for a date, and then finds it is none
        plain = None
    if isinstance(plain, bool | int | float):
        return plain
    try:
        return float(text) if text[:1] in "+-.0123456789" else text.strip("'\"")
    except ValueError:
        return text
