from collections import Counter

import pytest
import torch

from pendio.data.text.labelled import LABELLED, open_labelled
from pendio.data.text.tokenizers import ByteTokenizer, CharacterTokenizer
from pendio.errors import InputError


@pytest.fixture
def write(tmp_path):
    def written(name, *lines):
        path = tmp_path / name
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return path

    return written


def rows(count, separator=","):
    return [f"text {number}{separator}{'even' if number % 2 == 0 else 'odd'}" for number in range(count)]


def every(data):
    """Text, label and split of each example, as batches tell them."""
    found = []
    for split in ("train", "val", "test"):
        for batch in data.split(split).batches(7):
            for tokens, target in zip(batch.inputs, batch.targets, strict=True):
                found.append((data.tokenizer.decode(tokens), data.classes[int(target)], split))
    return found


@pytest.mark.parametrize(("name", "separator"), [("table.csv", ","), ("table.tsv", "\t")])
def test_a_table_gives_each_text_with_its_label(write, name, separator):
    data = open_labelled(write(name, f"text{separator}label", *rows(40, separator)))
    found = every(data)
    assert sorted((text, label) for text, label, _ in found) == sorted(tuple(row.split(",")) for row in rows(40))
    assert Counter((label, split) for _, label, split in found) == {
        ("even", "train"): 14, ("even", "val"): 2, ("even", "test"): 4,
        ("odd", "train"): 14, ("odd", "val"): 2, ("odd", "test"): 4,
    }  # fmt: skip
    assert data.classes == ("even", "odd")
    assert data.class_counts == (14, 14)
    assert (data.kind, data.answer, data.length) == ("text", "class", 7)
    assert data.describe()["examples"] == {"train": 28, "val": 4, "test": 8}


def test_texts_of_the_test_split_are_in_its_order(write):
    data = open_labelled(write("table.csv", "text,label", *rows(40)))
    for batch in data.test.batches(3):
        for tokens, index in zip(batch.inputs, batch.indices.tolist(), strict=True):
            assert data.tokenizer.decode(tokens) == data.texts[index]


def test_the_target_and_the_only_other_column_may_have_any_name(write):
    data = open_labelled(write("table.csv", "review,parity", *rows(20)), target="parity")
    assert data.classes == ("even", "odd")
    lines = [f"{number},{row}" for number, row in enumerate(rows(20))]
    data = open_labelled(write("more.csv", "number,text,label", *lines), tokenizer="bytes")
    assert {text for text, _, _ in every(data)} == {f"text {number}" for number in range(20)}


def test_a_split_column_is_followed(write):
    lines = ["a,x,train", "b,y,train", "c,x,val", "d,y,test"]
    data = open_labelled(write("table.csv", "text,label,split", *lines))
    assert sorted(every(data)) == [("a", "x", "train"), ("b", "y", "train"), ("�", "x", "val"), ("�", "y", "test")]
    assert data.texts == ("d",)
    assert data.tokenizer.names[4:] == ("a", "b"), "the tokenizer knows the training texts alone"


def test_without_validation_a_tenth_of_training_is_held_back(write):
    lines = [f"{row},{'test' if number < 10 else 'train'}" for number, row in enumerate(rows(50))]
    data = open_labelled(write("table.csv", "text,label,split", *lines))
    assert data.describe()["examples"] == {"train": 36, "val": 4, "test": 10}
    lines = [f"{row},{'val' if number < 10 else 'train'}" for number, row in enumerate(rows(50))]
    data = open_labelled(write("table.csv", "text,label,split", *lines))
    assert data.test is None
    assert data.split("test") is data.val
    assert len(data.texts) == 10


def test_the_seed_decides_what_is_held_back(write):
    plain = write("table.csv", "text,label", *rows(50))
    lines = [f"{row},{'test' if number < 10 else 'train'}" for number, row in enumerate(rows(50))]
    tested = write("tested.csv", "text,label,split", *lines)
    for path in (plain, tested):
        held = [{text for text, _, split in every(open_labelled(path, seed=seed, tokenizer="bytes")) if split == "val"}
                for seed in (0, 0, 1)]  # fmt: skip
        assert held[0] == held[1] != held[2]


def test_training_examples_are_counted_in_the_order_of_classes(write):
    lines = [f"{number},{'b' if number < 30 else 'a'}" for number in range(40)]
    assert open_labelled(write("table.csv", "text,label", *lines)).class_counts == (7, 21)


def test_a_folder_has_a_subfolder_a_class(tmp_path):
    for number in range(12):
        path = tmp_path / ("cat" if number % 3 else "dog") / f"{number}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"animal {number}\n", encoding="utf-8")
    (tmp_path / "cat" / "notes.md").write_text("x")
    data = open_labelled(tmp_path, tokenizer="bytes")
    assert {text: label for text, label, _ in every(data)} == {
        f"animal {number}": "cat" if number % 3 else "dog" for number in range(12)
    }
    assert data.findings[0].message == "1 files do not end in .txt and are not read"


def test_folders_of_splits_are_followed(tmp_path):
    for split in ("train", "test"):
        for label in ("neg", "pos"):
            for number in range(4):
                path = tmp_path / split / label / f"{number}.txt"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(f"{split} {label} {number}")
    found = every(open_labelled(tmp_path, tokenizer="bytes"))
    assert {(text, split) for text, _, split in found if split == "test"} == {
        (f"test {label} {number}", "test") for label in ("neg", "pos") for number in range(4)
    }
    assert Counter(split for _, _, split in found) == {"train": 6, "val": 2, "test": 8}


def test_findings_tell_of_duplicates_contradictions_leaks_and_long_texts(write):
    train = [f"{row},train" for row in ("a,x", "a,x", "b,y", "b,x", "c,y", "longer,y", "four,x")]
    lines = [*train, "a,x,test", "d,x,val"]
    data = open_labelled(write("table.csv", "text,label,split", *lines), length=4)
    assert [finding.message for finding in data.findings] == [
        "1 texts have two labels or more and are left out, such as 'b'",
        "1 texts are given more than once; each is used once",
        "1 texts of the test split are among those of training",
        "1 texts are longer than 4 tokens; the first 4 are used (see --length)",
    ]
    assert ("long", "y", "train") in every(data)
    assert data.length == 4


def test_known_tokenizers_are_used_if_their_first_token_is_padding(write):
    path = write("table.csv", "text,label", *rows(20))
    known = CharacterTokenizer("etx ", marks=True)
    assert open_labelled(path, known=known).tokenizer is known
    with pytest.raises(InputError, match=r"token 0 of the tokenizer is '\\\\x00', not padding"):
        open_labelled(path, known=ByteTokenizer())


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["text,label", "a,x", "b,x"], "one class only, 'x'"),
        (["text,label", "a,x", "b,x", "c,y"], "single text of class 'y'"),
        (["text,label", "a,x", ",y", "c,y"], "line 3: the column 'text' is empty"),
        (["text,label", "a,x", "b,", "c,y"], "line 3: the column 'label' is empty"),
        (["text,label", "a,x", "b", "c,y"], "line 3: 1 fields; expected 2"),
        (
            ["text,class", "a,x", "b,y"],
            r"no column 'label' in its header; say with --target which it is \(text, class\)",
        ),
        (["label,one,two", "a,x,1", "b,y,1"], "no column 'text'"),
        (["text,label"], "no rows below its header"),
        ([], "is empty"),
        (["text,label", "a,x", "a,y"], "every text has two labels"),
        (["text,label,split", "a,x,train", "b,y,dev"], "line 3: unknown split 'dev'"),
        (
            ["text,label,split", "a,x,test", "b,y,val", "c,x,val", "d,y,val"],
            "no texts for training, only for test, val",
        ),
        (["text,label,split", "a,x,train", "b,x,train", "c,y,val", "d,y,val"], "no text of class 'y' for training"),
        (["text,label,split", "a,x,train", "b,y,train", "c,x,test", "d,y,test"], "too few texts for training"),
    ],
)
def test_mistakes_in_a_table_are_told_in_a_line(write, lines, message):
    with pytest.raises(InputError, match=message) as caught:
        open_labelled(write("table.csv", *lines))
    assert "\n" not in str(caught.value)


def test_an_unknown_target_is_told(write):
    with pytest.raises(InputError, match="no column 'lable' in its header; did you mean 'label'"):
        open_labelled(write("table.csv", "text,label", *rows(9)), target="lable")


def test_folders_without_texts_are_told(tmp_path):
    with pytest.raises(InputError, match="no .txt files in subfolders"):
        open_labelled(tmp_path)
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "1.txt").write_text(" \n")
    with pytest.raises(InputError, match=r"1.txt' is empty"):
        open_labelled(tmp_path)
    (tmp_path / "a" / "1.txt").write_bytes(b"caf\xe9")
    with pytest.raises(InputError, match="byte 3 on line 1 is 0xe9"):
        open_labelled(tmp_path)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("nams", {}, "no data 'nams'.*did you mean 'names'"),
        ("names", {"target": "label"}, "--target label is the column of a table"),
        ("names", {"length": 0}, "--length 0"),
        ("adding", {"tokenizer": "words"}, "'adding' has inputs of its own"),
        ("copying", {"size": 99}, "'copying' has inputs of its own"),
        ("pixels", {"known": ByteTokenizer(marks=True)}, "'pixels' has inputs of its own"),
        ("pixels", {"length": 8}, "--length 8: a digit has 64 pixels"),
        ("adding", {"length": 1}, "--length 1"),
    ],
)
def test_options_that_do_not_fit_are_told(name, options, message):
    with pytest.raises(InputError, match=message):
        open_labelled(name, **options)


def test_names_share_no_text_between_splits_and_their_shares_are_equal():
    data = open_labelled("names")
    found = every(data)
    assert (
        len({text.casefold() for text, _, _ in found}) == len(found) == sum(map(len, (data.train, data.val, data.test)))
    )
    for label, count in Counter(label for _, label, _ in found).items():
        held = sum(split == "test" and other == label for _, other, split in found)
        assert held == pytest.approx(0.2 * count, abs=1)
    assert len(data.classes) == 12
    assert data.train.waste(64) < 0.05


def test_embedded_sets_open_and_copying_knows_its_own_tokenizer():
    for name in LABELLED:
        data = open_labelled(name, seed=1)
        batch = next(data.train.batches(8, epoch=0))
        assert batch.inputs.dtype == (torch.int64 if data.kind == "text" else torch.float32)
        assert batch.targets.dtype == (torch.float32 if data.answer == "number" else torch.int64)
        assert data.name == name
    again = open_labelled("copying", known=open_labelled("copying").tokenizer, length=9)
    assert again.length == 25
