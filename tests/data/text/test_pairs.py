import pytest
import torch

from pendio.data.text.pairs import open_pairs
from pendio.data.text.tokenizers import ByteTokenizer, CharacterTokenizer
from pendio.errors import InputError


@pytest.fixture
def write(tmp_path):
    def written(*lines):
        path = tmp_path / "pairs.tsv"
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return path

    return written


def numbered(count):
    return [f"source {number}\ttarget {number}" for number in range(count)]


def test_batches_are_the_texts_between_marks(write):
    data = open_pairs(write(*numbered(40)))
    for split in ("train", "val", "test"):
        for batch in data.split(split).batches(4):
            for source, target, index in zip(*batch, strict=True):
                assert data.source.decode(source) == data.sources[split][index]
                written = data.targets[split][index]
                assert data.sources[split][index].split()[1] == written.split()[1]
                assert target[0] == 1
                assert target[len(written) + 1] == 2
                assert not target[len(written) + 2 :].any()
                assert torch.equal(target[1 : len(written) + 1], torch.from_numpy(data.target.encode(written)))
    assert data.describe()["examples"] == {"train": 28, "val": 4, "test": 8}


def test_a_source_text_is_in_one_split_alone(write):
    lines = [f"source {number % 50}\ttarget {number}" for number in range(200)]
    data = open_pairs(write(*lines))
    sets = [set(data.sources[split]) for split in ("train", "val", "test")]
    assert sum(map(len, sets)) == len(set.union(*sets)) == 50
    assert sum(len(texts) for texts in data.sources.values()) == 200
    assert data.findings == ()


def test_tokenizers_know_the_training_texts_alone(write):
    lines = ["abc\txyz\ttrain", "aab\txzz\ttrain", "abé\txyü\tval", "cab\tyx\ttest"]
    data = open_pairs(write(*lines))
    assert data.source.names[4:] == ("a", "b", "c")
    assert data.target.names[4:] == ("x", "y", "z")
    (batch,) = data.val.batches(1)
    assert batch.inputs.tolist() == [[4, 5, 3]]
    assert batch.targets.tolist() == [[1, 4, 5, 3, 2]]


def test_a_third_column_of_splits_is_followed(write):
    data = open_pairs(write("a\tb\ttrain", "c\td\tTraining", "e\tf\tvalid", "g\th\ttest"))
    assert data.sources == {"train": ("a", "c"), "val": ("e",), "test": ("g",)}
    assert data.findings == ()


def test_without_a_test_split_the_validation_one_serves(write):
    data = open_pairs(write("a\tb\ttrain", "e\tf\tval"))
    assert data.test is None
    assert data.split("test") is data.val


def test_a_header_names_the_columns(write):
    data = open_pairs(write("Split\tTarget\tnote\tSource", "train\tb\tx\ta", "val\td\ty\tc", "train\tf\tz\te"))
    assert data.sources["train"] == ("a", "e")
    assert data.targets["train"] == ("b", "f")
    assert data.targets["val"] == ("d",)


def test_further_columns_are_not_read_and_that_is_said(write):
    data = open_pairs(write(*(f"{line}\tCC-BY {line}" for line in numbered(5))))
    assert data.findings[0].message == "5 lines have more than two columns; those from the third on are not read"
    assert set().union(*data.targets.values()) == {f"target {number}" for number in range(5)}


def test_findings_tell_of_duplicates_leaks_and_long_pairs(write):
    lines = ["a\tb\ttrain", "a\tb\ttrain", "c\td\ttrain", "a\tx\tval", "e\tf\tval", "a\tb\ttest", "g\tlonger\ttrain"]
    data = open_pairs(write(*lines), length=5)
    assert [finding.message for finding in data.findings] == [
        "1 pairs are on more than one line; each is used once",
        "1 of 2 source texts of the val split are among those of training",
        "1 of 1 source texts of the test split are among those of training",
        "1 pairs are longer than 5 tokens and left out (see --length)",
    ]
    assert data.sources["train"] == ("a", "c")


def test_length_counts_the_marks_of_the_target(write):
    lines = ["aaaaa\tb\ttrain", "aaaaaa\tb\ttrain", "a\tbbb\ttrain", "a\tbbbb\ttrain", "c\td\tval"]
    assert open_pairs(write(*lines), length=5).targets["train"] == ("b", "bbb")


def test_known_tokenizers_are_used(write):
    known = (CharacterTokenizer("source 0123", marks=True), ByteTokenizer(marks=True))
    data = open_pairs(write(*numbered(9)), known=known)
    assert (data.source, data.target) == known
    with pytest.raises(InputError, match="tokenizers with marks"):
        open_pairs(write(*numbered(9)), known=(known[0], ByteTokenizer()))


def test_words_and_their_number_are_the_users_choice(write):
    data = open_pairs(write(*numbered(30)), tokenizer="words", size=8)
    assert data.source.kind == "words"
    assert data.source.size == 8
    assert data.source.names[4:6] == ("␣", "source")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a\tb", "c", "d\te"], "line 2: 1 columns; expected 2, with a tab"),
        (["source\ttarget\tsplit", "a\tb\ttrain", "c\td"], "line 3: 2 columns; expected 3"),
        (["a b", "c d"], "has no tab character"),
        (["a\tb", "c\t ", "d\te"], "line 2: the target text is empty"),
        (["a\tb", "d\te", "\tc"], "line 3: the source text is empty"),
        (["a\tb"], "only 1 different source texts"),
        (["a\tb", "a\tc", " a\td", "b\te"], "only 2 different source texts"),
        (["source\ttarget"], "no pairs below its header"),
        (["source\ttarget\tsplit", "a\tb\ttrain", "c\td\tdev"], "line 3: unknown split 'dev'"),
        (["a\tb\ttrain", "c\td\ttrain"], "no pairs in its val split"),
        (["a\tb\ttest", "c\td\tval"], "no pairs in its train split"),
        ([], "is empty"),
        (["a" * 300 + "\tb\ttrain", "c\td\tval"], "all 1 pairs of the train split are longer than 256 tokens; raise"),
    ],
)
def test_mistakes_in_a_file_are_told_in_a_line(write, lines, message):
    with pytest.raises(InputError, match=message) as caught:
        open_pairs(write(*lines))
    assert "\n" not in str(caught.value)


def test_an_invalid_byte_is_told_with_its_place(tmp_path):
    path = tmp_path / "latin.tsv"
    path.write_bytes("a\tb\nné\tc\n".encode("latin-1"))
    with pytest.raises(InputError, match="byte 5 on line 2 is 0xe9; save it as UTF-8"):
        open_pairs(path)


def test_unknown_names_and_options_are_told():
    with pytest.raises(InputError, match="did you mean 'dates'"):
        open_pairs("date")
    with pytest.raises(InputError, match="--length 2"):
        open_pairs("dates", length=2)
    with pytest.raises(InputError, match="--tokenizer letters"):
        open_pairs("dates", tokenizer="letters")


def test_dates_waste_next_to_nothing_on_padding():
    data = open_pairs("dates")
    assert data.describe()["examples"] == {"train": 20_000, "val": 1_000, "test": 2_000}
    assert data.findings == ()
    assert data.train.waste(64) < 0.002
    assert 63 < 20_000 / data.train.steps(64) <= 64
    assert not (torch.cat([batch.inputs.flatten() for batch in data.test.batches(64)]) == 3).any(), "nothing is unknown"
    assert open_pairs("dates", seed=1).sources["test"] != data.sources["test"]
