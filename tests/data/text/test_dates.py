import datetime
import time
import unicodedata

import pytest
from babel import Locale

from pendio.data.text.dates import LANGUAGES, date_styles, dates


@pytest.fixture(scope="module")
def pairs():
    return dates(0)


def test_there_are_as_many_as_promised_and_all_days_differ(pairs):
    assert {split: len(rows) for split, rows in pairs.items()} == {"train": 20_000, "val": 1_000, "test": 2_000}
    days = [day for rows in pairs.values() for _, day in rows]
    assert len(set(days)) == 23_000, "no day is in two pairs, so that none of the test is known from training"
    years = {day[:4] for day in days}
    assert (min(years), max(years), len(years)) == ("1900", "2100", 201)


def test_answers_are_days_in_iso_8601(pairs):
    for _, day in pairs["test"]:
        assert datetime.date.fromisoformat(day).isoformat() == day


def test_the_language_of_a_pair_follows_from_its_place(pairs):
    assert len(LANGUAGES) == len(set(LANGUAGES)) == 12
    for split, rows in pairs.items():
        for index in range(0, len(rows), 37):
            language = LANGUAGES[index % 12]
            text, iso = rows[index]
            written = {style.apply(datetime.date.fromisoformat(iso), language) for style in date_styles(language)}
            assert text in written, (split, text)


def test_a_text_means_one_day_in_whichever_language_it_is():
    # Of one year: other years differ in the digits of the year, which stand in full in every text.
    meaning = {}
    for language in LANGUAGES:
        locale = Locale.parse(language)
        for style in date_styles(language):
            day = datetime.date(2028, 1, 1)
            while day.year == 2028:
                text = style.apply(day, locale)
                assert "2028" in text
                assert meaning.setdefault(unicodedata.normalize("NFKC", text).casefold(), day) == day, text
                day += datetime.timedelta(1)
    assert len(meaning) > 12 * 3 * 366


def test_every_language_has_several_styles_with_the_month_in_words():
    day = datetime.date(1987, 3, 5)
    for language in LANGUAGES:
        texts = {style.apply(day, language) for style in date_styles(language)}
        assert len(texts) >= 2, language
        for text in texts:
            digits = "".join(c if c.isdigit() else " " for c in text).split()
            assert sorted(int(part) for part in digits) == [5, 1987], text


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "Thursday, March 5, 1987"),
        ("de", "5. März 1987"),
        ("el", "Πέμπτη 5 Μαρτίου 1987"),
        ("fi", "torstai 5. maaliskuuta 1987"),
        ("hu", "1987. március 5., csütörtök"),
        ("tr", "5 Mart 1987 Perşembe"),
    ],
)
def test_languages_write_as_their_speakers_do(language, text):
    assert text in [style.apply(datetime.date(1987, 3, 5), language) for style in date_styles(language)]


def test_the_seed_decides(pairs):
    start = time.perf_counter()
    assert dates(0) == pairs
    assert time.perf_counter() - start < 3
    assert dates(1)["test"] != pairs["test"]
