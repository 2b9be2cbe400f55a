"""Dates as twelve languages write them, and as ISO 8601 does: a small translation that has one right answer."""

import datetime

import numpy as np
from babel import Locale
from babel.dates import DateTimePattern

__all__ = ["LANGUAGES", "date_styles", "dates"]

LANGUAGES = ("de", "el", "en", "es", "fi", "fr", "hu", "hy", "ka", "pl", "ru", "tr")
"""ISO 639 codes. Five scripts; the year stands first in Hungarian and in some Armenian dates, else last or nearly so."""

_COUNTS = {"train": 20_000, "val": 1_000, "test": 2_000}
_FIRST = datetime.date(1900, 1, 1).toordinal()
_LAST = datetime.date(2100, 12, 31).toordinal()
_WIDTHS = ("medium", "long", "full")
_SKELETONS = ("yMMMd", "yMMMEd", "yMMMMd", "yMMMMEEEEd", "GyMMMd", "GyMMMEd")


def date_styles(language: str) -> list[DateTimePattern]:
    """The ways in which a language writes a date with the month in words and the year in full.

    Dates in digits alone are left out: 5/3/1987 is in March or in May, according to the language, which it hides.
    """
    locale = Locale.parse(language)
    skeletons = locale.datetime_skeletons
    found = [locale.date_formats[width] for width in _WIDTHS]
    found += [skeletons[name] for name in _SKELETONS if name in skeletons]
    named = {style.pattern: style for style in found if "MMM" in style.pattern}
    return list(named.values())


def dates(seed: int) -> dict[str, list[tuple[str, str]]]:
    """Pairs of a written date and its ``YYYY-MM-DD``: 20,000 for training, 1,000 for validation, 2,000 for test.

    Days are drawn without replacement from 1900 to 2100, so that no day is in two pairs, let alone in two splits. The
    pair at position i of a split is in language i mod 12; its style is drawn from those of the language. How languages
    write dates is from the Unicode Common Locale Data Repository, by Babel.
    """
    rng = np.random.default_rng(seed)
    days = rng.permutation(_LAST - _FIRST + 1) + _FIRST
    choices = rng.integers(0, 1 << 30, len(days))
    locales = [(Locale.parse(language), date_styles(language)) for language in LANGUAGES]
    pairs: dict[str, list[tuple[str, str]]] = {}
    start = 0
    for split, count in _COUNTS.items():
        pairs[split] = []
        for index in range(count):
            locale, styles = locales[index % len(locales)]
            day = datetime.date.fromordinal(int(days[start + index]))
            style = styles[int(choices[start + index]) % len(styles)]
            pairs[split].append((style.apply(day, locale), day.isoformat()))
        start += count
    return pairs
