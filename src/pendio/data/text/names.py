"""Names of countries and languages in twelve languages: which language is a name in?"""

import unicodedata
from collections import defaultdict

from babel import Locale

__all__ = ["LANGUAGES", "names"]

LANGUAGES = {
    "de": "German", "el": "Greek", "en": "English", "es": "Spanish", "fi": "Finnish", "fr": "French",
    "it": "Italian", "nl": "Dutch", "pl": "Polish", "pt": "Portuguese", "ru": "Russian", "tr": "Turkish",
}  # fmt: skip
"""ISO 639 codes, and the classes that they make."""


def names() -> list[tuple[str, str]]:
    """What each language calls countries and languages, and the language's English name: about 6,000 pairs.

    A name that two of the languages share, capitals aside, such as "Bhutan", has no right answer and is left out; so no
    name comes twice. The names are from the Unicode Common Locale Data Repository, by Babel. Greek and Russian have
    scripts to themselves; the ten others share one.
    """
    written: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for code, language in LANGUAGES.items():
        locale = Locale.parse(code)
        # Territories with numbers for codes are parts of the world, most with the same name as a country.
        countries = [name for territory, name in locale.territories.items() if territory.isalpha()]
        for name in (*countries, *locale.languages.values()):
            text = unicodedata.normalize("NFC", name.strip())
            written[text.casefold()].setdefault(language, text)
    return sorted(
        (text, language)
        for spellings in written.values()
        if len(spellings) == 1
        for language, text in spellings.items()
    )
