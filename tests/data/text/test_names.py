from collections import Counter

from babel import Locale

from pendio.data.text.names import LANGUAGES, names


def test_names_are_what_their_language_says():
    found = dict(names())
    assert found["Deutschland"] == "German"
    assert found["Allemagne"] == "French"
    assert found["Niemcy"] == "Polish"
    assert found["Almanya"] == "Turkish"
    assert found["Германия"] == "Russian"
    assert found["Γερμανία"] == "Greek"
    assert found["Saksa"] == "Finnish"
    assert "Nordeuropa" not in found, "no country"
    assert "saksa" not in found, "the language is spelt as the country but for the capital"


def test_no_name_comes_twice_and_none_belongs_to_two_languages():
    found = names()
    assert len({text.casefold() for text, _ in found}) == len(found)
    assert "Bhutan" not in dict(found)
    for code, language in LANGUAGES.items():
        locale = Locale.parse(code)
        known = {name.casefold() for name in (*locale.territories.values(), *locale.languages.values())}
        for text, other in found:
            if other == language:
                assert text.casefold() in known
            else:
                assert text.casefold() not in known or text.casefold() in _numbered(locale), text


def _numbered(locale):
    """Parts of the world, which are not among the countries."""
    return {name.casefold() for code, name in locale.territories.items() if not code.isalpha()}


def test_each_language_has_hundreds():
    counts = Counter(language for _, language in names())
    assert set(counts) == set(LANGUAGES.values())
    assert min(counts.values()) > 300
    assert max(counts.values()) < 900


def test_they_are_always_the_same():
    assert names() == names()
