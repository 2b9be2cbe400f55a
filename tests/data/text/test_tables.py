import pytest
from hypothesis import given
from hypothesis import strategies as st

from pendio.data.text.tables import by_text, key_of, read_rows
from pendio.errors import InputError


@given(st.lists(st.sampled_from([f"text {number}" for number in range(30)]), min_size=1), st.integers(0, 3))
def test_equal_texts_share_a_split_and_three_different_ones_fill_all(texts, seed):
    splits = by_text(texts, seed)
    assert len({(text, split) for text, split in zip(texts, splits, strict=True)}) == len(set(texts))
    if len(set(texts)) >= 3:
        assert set(splits) == {"train", "val", "test"}


def test_shares_are_of_different_texts():
    texts = [f"{number}" for number in range(1000)] + ["7"] * 500
    splits = by_text(texts, 0)[:1000]
    assert {split: splits.count(split) for split in ("train", "val", "test")} == {"train": 700, "val": 100, "test": 200}
    assert by_text(texts, 0) == by_text(texts, 0)
    assert by_text(texts, 0) != by_text(texts, 1)
    assert by_text(texts[::-1], 0) == by_text(texts, 0)[::-1], "the order of lines does not matter"


def test_coding_of_accents_and_outer_space_do_not_make_another_text():
    assert key_of(" caf\u0065\u0301 ") == key_of("caf\u00e9")
    assert key_of("Go") != key_of("go")


def test_fields_may_be_quoted_in_csv_and_hold_lines(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes('\ufefftext,label\r\n"one, ""two""\nthree",a\r\n\r\nfour,b\r\n'.encode())
    assert read_rows(path) == [(1, ["text", "label"]), (2, ['one, "two"\nthree', "a"]), (5, ["four", "b"])]


def test_tabs_separate_anything_else_and_quotes_are_text(tmp_path):
    path = tmp_path / "table.tsv"
    path.write_text('"a\t b \n\n \t \nc, d\u2028e\t"f"\n', encoding="utf-8")
    assert read_rows(path) == [(1, ['"a', "b"]), (4, ["c, d\u2028e", '"f"'])]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tsv", b"", "is empty"),
        ("a.csv", b"\n\n", "is empty"),
        ("a.tsv", b"one\ttwo\nthr\xffee\tfour\n", r"byte 11 on line 2 is 0xff"),
        ("a.csv", b'text,label\n"one,two\n', "line 2 cannot be read as CSV"),
        ("a.tsv", b"x" * (1 << 20) + b"y\n", "line 1 has 1,048,577 characters"),
        ("a.csv", b"a,b\n" + b"x" * 200_000 + b",1\n", "line 2 cannot be read as CSV: field larger"),
    ],
)
def test_what_is_no_table_is_told_in_a_line(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_rows(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_rows(tmp_path / "a.tsv")
