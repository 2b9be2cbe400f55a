import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pendio.data.text.corpus import open_corpus
from pendio.data.text.documents import Document, in_pieces, joined, part
from pendio.data.text.survey import Survey, diagnose_text
from pendio.data.text.tokenizers import train_tokenizer
from pendio.errors import InputError

KINDS = ("characters", "bytes", "words", "bpe")


@pytest.fixture
def write(tmp_path):
    def written(name, content):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return written


def text_of(corpus):
    return corpus.tokenizer.decode(corpus.train.tokens) + corpus.tokenizer.decode(corpus.val.tokens)


def kinds(corpus):
    return [finding.kind for finding in corpus.findings]


def mistake(*arguments, **options):
    with pytest.raises(InputError) as caught:
        open_corpus(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


SENTENCES = "".join(f"Line {number} tells of {number % 7} foxes and {number % 11} hens.\n" for number in range(400))


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_is_cut_at_nine_tenths_of_its_characters(write, kind):
    corpus = open_corpus(write("foxes.txt", "é" + SENTENCES), tokenizer=kind, size={"words": 600}.get(kind))
    cut = int(0.9 * (len(SENTENCES) + 1))
    assert corpus.train.characters == cut
    assert corpus.train.characters + corpus.val.characters == len(SENTENCES) + 1
    assert corpus.train.bytes == cut + 1
    assert corpus.val.bytes == corpus.val.characters
    assert corpus.train.tokens.dtype == np.uint16
    if kind != "words":
        assert text_of(corpus) == "é" + SENTENCES
    assert corpus.tokenizer.kind == kind


def test_the_split_is_that_of_tiny_shakespeare():
    length = 1_115_394
    assert (int(0.9 * length), length - int(0.9 * length)) == (1_003_854, 111_540)


def test_the_tokenizer_learns_from_the_training_part_alone(write):
    path = write("a.txt", "ab" * 45 + "abcdefabΩΩ")
    corpus = open_corpus(path)
    assert corpus.tokenizer.names == ("<unknown>", "a", "b")
    assert (corpus.train.unknown, corpus.val.unknown) == (0, 6)
    (finding,) = [finding for finding in corpus.findings if finding.kind == "unknown"]
    assert finding.message == ("6 of the 10 validation tokens (60.00%) are unknown to the tokenizer: "
                               "'c', 'd', 'e', 'f', 'Ω'")  # fmt: skip


def test_a_known_tokenizer_is_used_as_it_is(write):
    known = train_tokenizer("characters", ["abc "])
    corpus = open_corpus(write("a.txt", "abd " * 50), known=known, tokenizer="bytes")
    assert corpus.tokenizer is known
    assert corpus.train.unknown == 45
    assert kinds(corpus)[:2] == ["unknown", "unknown"]
    assert "of the 180 training tokens (25.00%) are unknown to the tokenizer: 'd'" in corpus.findings[0].message


def test_pydocs_are_the_sorted_topics_of_the_manual():
    from pydoc_data.topics import topics

    corpus = open_corpus("pydocs")
    text = text_of(corpus)
    first, second = sorted(topics)[:2]
    assert text.startswith(topics[first].rstrip("\n") + "\n\n" + topics[second])
    assert len(text) > 400_000
    assert corpus.name == "pydocs"
    assert open_corpus("pydocs").train.tokens.tolist() == corpus.train.tokens.tolist()


def test_a_folder_is_joined_in_the_order_of_its_paths_by_blank_lines(write, tmp_path):
    write("b.md", "second")
    write("a/z.txt", "first\n")
    write("c.PY", "third\n\n")
    write("d.rst", "")
    write("e.txt", "fourth")
    write("picture.png", b"\x89PNG\0")
    write(".git/config.txt", "hidden")
    write("a/.secret.txt", "hidden")
    corpus = open_corpus(tmp_path)
    assert text_of(corpus) == "first\n\nsecond\n\nthird\n\n\nfourth"
    assert corpus.val.characters == len(text_of(corpus)) - int(0.9 * len(text_of(corpus)))
    messages = {finding.kind: finding for finding in corpus.findings}
    assert messages["ignored"].files == (str(tmp_path / "picture.png"),)
    assert messages["empty"].files == (str(tmp_path / "d.rst"),)


def test_what_a_run_must_remember_is_plain(write):
    corpus = open_corpus(write("foxes.txt", SENTENCES), tokenizer="bpe", size=300)
    described = json.loads(json.dumps(corpus.describe()))
    assert described["kind"] == "text"
    assert (described["tokenizer"], described["vocabulary"]) == ("bpe", 300)
    assert described["characters"] == described["bytes"]
    assert described["tokens"] == {"train": len(corpus.train), "val": len(corpus.val)}
    assert described["findings"] == [finding.message for finding in corpus.findings]
    assert corpus.split("test") is corpus.split("val") is corpus.val
    assert corpus.split("train") is corpus.train


def test_a_byte_order_mark_is_no_text_and_line_ends_stay(write):
    corpus = open_corpus(write("a.txt", b"\xef\xbb\xbf" + b"one line\r\nand two\n" * 10))
    assert text_of(corpus) == "one line\r\nand two\n" * 10
    (finding,) = [finding for finding in corpus.findings if finding.kind == "line ends"]
    assert finding.message.startswith("10 of 20 lines end in CR LF")


@pytest.mark.parametrize("kind", KINDS)
def test_a_large_text_is_mapped_and_gives_the_same_tokens(write, tmp_path, monkeypatch, kind):
    monkeypatch.setattr("pendio.data.text.documents.PIECE", 700)
    monkeypatch.setattr("pendio.data.text.corpus.PIECE", 700)
    write("one.txt", "é" + SENTENCES)
    write("two.txt", SENTENCES + "🎉🎉\r\n" * 300)
    small, large = (open_corpus(tmp_path, tokenizer=kind, resident=bytes_) for bytes_ in (1 << 20, 100))
    assert isinstance(large.train.tokens, np.memmap)
    assert isinstance(large.val.tokens, np.memmap)
    assert not isinstance(small.train.tokens, np.memmap)
    assert large.tokenizer == small.tokenizer
    for name in ("train", "val"):
        one, two = small.split(name), large.split(name)
        assert np.array_equal(one.tokens, two.tokens)
        assert (one.characters, one.bytes, one.unknown) == (two.characters, two.bytes, two.unknown)
    alike = [finding for finding in small.findings if finding.kind not in ("leak", "repeat")]
    assert list(large.findings) == alike


def test_a_vocabulary_beyond_sixteen_bits_is_kept(write):
    words = " ".join(f"w{number}" for number in range(80_000))
    path = write("a.txt", words)
    small = open_corpus(path, tokenizer="words", size=1 << 16)
    assert small.train.tokens.dtype == np.uint16
    assert small.train.tokens.max() == (1 << 16) - 1
    corpus = open_corpus(path, tokenizer="words", size=(1 << 16) + 1)
    assert corpus.train.tokens.dtype == np.uint32
    assert corpus.train.tokens.max() == 1 << 16


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("ab \n", max_size=30)), st.integers(2, 9), st.integers(0, 60), st.integers(0, 60))
def test_pieces_and_parts_lose_nothing(texts, size, start, stop):
    whole = "".join(texts)
    pieces = list(in_pieces(texts, size))
    assert "".join(pieces) == whole
    assert all(0 < len(piece) <= size for piece in pieces)
    assert "".join(part(texts, start, stop)) == whole[start:stop]


def test_pieces_end_between_lines_that_touch():
    assert list(in_pieces(["one\ntwo\n\nthree four"], 9)) == ["one\n", "two\n\nthre", "e four"]
    assert list(in_pieces(["a\nb c d e f"], 5)) == ["a\n", "b c d", " e f"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("ab\n", max_size=6), max_size=6))
def test_a_blank_line_stands_between_documents(texts):
    documents = [Document(str(number), None, text) for number, text in enumerate(texts)]
    expected = ""
    for text in filter(None, texts):
        if expected:
            expected += "\n" if expected.endswith("\n") else "\n\n"
        expected += text
    assert "".join(text for _, text in joined(documents)) == expected


def test_the_doctor_names_copies_between_the_parts_and_within_one(write, tmp_path):
    for name in ("a", "b", "c"):
        write(f"{name}.txt", f"{name}: {SENTENCES}")
    write("d.txt", "a copy that stands twice in training, of a length that is worth the mention\n")
    write("e.txt", "a copy that stands twice in training, of a length that is worth the mention\n")
    write("f.txt", f"c: {SENTENCES}"[:4000])
    write("a0.txt", f"c: {SENTENCES}"[:4000])
    corpus = open_corpus(tmp_path)
    found = {finding.kind: finding for finding in corpus.findings if finding.files}
    assert found["leak"].files == (str(tmp_path / "a0.txt"), str(tmp_path / "f.txt"))
    assert found["duplicate"].files == (str(tmp_path / "d.txt"), str(tmp_path / "e.txt"))


def test_a_copy_that_begins_with_the_validation_part_is_a_leak():
    counts = np.array([20])
    places = (("a", 0, b"same"), ("b", 10, b"same"))
    for cut, kind in ((1, "leak"), (10, "leak"), (11, "duplicate")):
        documents = [Document("a"), Document("b")]
        (finding,) = diagnose_text(Survey(counts, 0, 0, places), documents, [], cut, by_character=False)
        assert (finding.kind, finding.files) == (kind, ("a", "b"))


def test_short_paragraphs_may_repeat(write):
    assert open_corpus(write("a.txt", "Yes, sir.\n\nNo, madam.\n\n" * 50)).findings == ()


@pytest.mark.parametrize("piece", [2, 3, 4, 5])
def test_line_ends_are_counted_across_pieces(write, monkeypatch, piece):
    monkeypatch.setattr("pendio.data.text.documents.PIECE", piece)
    corpus = open_corpus(write("a.txt", "one\r\ntwo\n\rthree\r\n\n" * 5), resident=0)
    (finding,) = [finding for finding in corpus.findings if finding.kind == "line ends"]
    assert finding.message.startswith("10 of 20 lines end in CR LF")


def test_the_doctor_measures_what_repeats(write):
    long = "a paragraph that is long enough that nobody would write it twice without meaning to do so, is it not?"
    unlike = "\n\n".join(f"{number} {long[::-1]}" for number in range(19))
    corpus = open_corpus(write("a.txt", f"{long}\n\n{unlike}\n\n{long}\n"))
    share = len(long) / corpus.val.characters
    (leak,) = [finding for finding in corpus.findings if finding.kind == "leak"]
    assert leak.message.startswith(f"{share:.1%} of the validation part stands word for word in the training part")
    again = open_corpus(write("b.txt", "\n\n".join([long] * 4 + [unlike])))
    (repeat,) = [finding for finding in again.findings if finding.kind == "repeat"]
    assert repeat.message.startswith(f"{3 * len(long) / again.train.characters:.1%} of the training part")


def test_the_doctor_names_rare_and_ruined_characters(write):
    path = write("a.txt", SENTENCES + "Zürich\ufffd\ufffd")
    corpus = open_corpus(path)
    messages = {finding.kind: finding.message for finding in corpus.findings}
    assert messages["rare"] == "4 of 31 characters occur once, too seldom to learn: 'Z', 'c', 'r', 'ü'"
    assert messages["encoding"].startswith("2 replacement characters (U+FFFD)")
    assert "rare" not in kinds(open_corpus(path, tokenizer="bytes"))
    assert open_corpus(write("b.txt", SENTENCES)).findings == ()


def test_no_such_text(write, tmp_path, monkeypatch):
    write("shakespeare.txt", "x")
    monkeypatch.chdir(tmp_path)
    start = "it is neither a file or folder here, nor an embedded text;"
    assert mistake("shakespear.txt") == f"no text 'shakespear.txt': {start} did you mean 'shakespeare.txt'?"
    assert mistake("pydoc") == f"no text 'pydoc': {start} did you mean 'pydocs'?"
    assert mistake("qqq/zzz") == f"no text 'qqq/zzz': {start} known: pydocs"
    for odd in ("x" * 5000, "a\0b"):
        assert start in mistake(odd)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is empty; expected text to learn from"),
        (b"\xef\xbb\xbf", "is empty; expected text to learn from"),
        (b" \n\n\t ", "is only white space; expected text to learn from"),
        (b"aaaaaaaaaaaa" * 100, "is the character 'a' 1,200 times; there is nothing to learn"),
        (b"good text\xe9 and more", "is no valid UTF-8 at byte 9 (0xe9): save it as UTF-8, or convert it with iconv"),
        (b"\xef\xbb\xbfgood\xff", "is no valid UTF-8 at byte 7 (0xff)"),
        (b"cut off \xf0\x9f\x8e", "is no valid UTF-8 at byte 8 (0xf0)"),
        (b"\xff\xfea\0b\0", "is no text: byte 3 is NUL; expected text in UTF-8"),
        (b"text\0more", "is no text: byte 4 is NUL; expected text in UTF-8"),
        (b"ab", "is too short: its 2 characters make 1 tokens to train on and 1 to validate with; each part needs at "
                "least 2"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("resident", [1 << 20, 0])
def test_a_file_that_is_no_text_to_learn_from(write, content, complaint, resident):
    path = write("bad.txt", content)
    assert mistake(path, resident=resident).startswith(f"'{path}' {complaint}")


def test_a_fault_far_into_a_file_is_placed_to_the_byte(write, tmp_path, monkeypatch):
    monkeypatch.setattr("pendio.data.text.documents.PIECE", 7)
    for place in range(20, 30):
        write("a/good.txt", "fine text\n" * 5)
        path = write("a/later.txt", "é".encode() * (place // 2) + b"a" * (place % 2) + b"\xe2\x82" + b"zz" * 10)
        assert mistake(tmp_path / "a").startswith(f"'{path}' is no valid UTF-8 at byte {place} (0xe2)")
        write("a/later.txt", b"\xef\xbb\xbf" + b"x" * place + b"\0")
        assert mistake(tmp_path / "a").startswith(f"'{path}' is no text: byte {place + 3} is NUL")


def test_a_folder_without_text(write, tmp_path):
    write("only/picture.png", b"\x89PNG\0")
    assert mistake(tmp_path / "only").startswith(f"folder '{tmp_path / 'only'}' holds no text among its 1 files")


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that exists and cannot be read")
def test_a_file_that_cannot_be_read():
    assert mistake("/proc/self/mem").startswith("'/proc/self/mem' cannot be read: ")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk without room")
def test_no_room_for_the_tokens(write, monkeypatch):
    with Path("/dev/full").open("wb", buffering=0) as full:
        monkeypatch.setattr("tempfile.TemporaryFile", lambda: full)
        complaint = mistake(write("a.txt", SENTENCES), resident=0)
    assert "name another folder in the environment variable TMPDIR" in complaint
