import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pendio.data.text.tokenizers import train_tokenizer
from pendio.errors import InputError
from pendio.nn.cache import Carried
from pendio.sequences.decoding.sampling import Sampling
from pendio.sequences.decoding.writing import encoded_prompt, write
from tests.sequences.decoding.conftest import build

GREEDY = Sampling(temperature=0)
BYTES = train_tokenizer("bytes", [])


class Parrot(nn.Module):
    """A language model that says what it was told, one text a row, whatever the prompt is."""

    context = body = None

    def __init__(self, texts, vocabulary):
        super().__init__()
        self.vocabulary, self.asked = vocabulary, 0
        self.texts = nn.Parameter(torch.tensor(texts), requires_grad=False)

    def _logits(self, place):
        self.asked += 1
        wanted = self.texts[:, place % self.texts.shape[1]]
        return nn.functional.one_hot(wanted, self.vocabulary).float()

    def read(self, prompts, capacity=None):
        return self._logits(0), Carried([torch.ones(len(prompts), dtype=torch.long)])

    def forward(self, tokens, state):
        (places,) = state.tensors
        return self._logits(int(places[0]))[:, None], Carried([places + 1])


def spoken(text, stop=(), tokenizer=BYTES, most=None):
    """The pieces of a text that a model writes."""
    tokens = text if isinstance(text, list) else tokenizer.encode(text).tolist()
    model = Parrot([tokens], tokenizer.size)
    return list(write(model, tokenizer, ["a"], GREEDY, most or len(tokens), stop))


def joined(pieces, row=0):
    return "".join(piece.text for piece in pieces if piece.row == row)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20))
def test_pieces_join_to_the_text_and_cut_no_character(text):
    pieces = spoken(text)
    assert joined(pieces) == text
    assert [piece.text for piece in pieces if piece.text] == list(text)
    assert [piece.ended for piece in pieces] == [False] * (len(pieces) - 1) + [True]


@given(st.lists(st.integers(0, 255), min_size=1, max_size=12))
def test_bytes_that_are_no_text_are_shown_as_decoding_the_whole_shows_them(values):
    assert joined(spoken(values)) == bytes(values).decode("utf-8", "replace")


def test_a_text_that_ends_within_a_character_says_so():
    assert joined(spoken("zä", most=2)) == "z\ufffd"


def test_pieces_of_several_characters_come_whole():
    tokenizer = train_tokenizer("bpe", ["the cat and the dog and thé " * 50], 300)
    assert joined(spoken("the dog and thé cat", tokenizer=tokenizer)) == "the dog and thé cat"
    assert len(spoken("the dog", tokenizer=tokenizer)) < 5


@pytest.mark.parametrize(
    ("text", "stop", "expected"),
    [
        ("one two three", ["two"], "one "),
        ("one two three", ["three", "two"], "one "),
        ("one two three", ["four"], "one two three"),
        ("one two", ["two three"], "one two"),
        ("aaab", ["aab"], "a"),
        ("ababac", ["abac"], "ab"),
        ("stop", ["stop"], ""),
        ("caf\u00e9 noir", ["\u00e9 n"], "caf"),
        ("x\n\ny", ["\n\n"], "x"),
    ],
)
def test_a_text_ends_before_a_stop_sequence(text, stop, expected):
    pieces = spoken(text, stop)
    assert joined(pieces) == expected
    assert pieces[-1].ended
    assert not any(piece.ended for piece in pieces[:-1])


@given(st.text("ab", min_size=1, max_size=12), st.lists(st.text("ab", min_size=1, max_size=4), max_size=3))
def test_stopping_while_writing_is_cutting_afterwards(text, stop):
    # The stop sequence that is complete first ends the text; of those, the one that begins first.
    expected = text
    for length in range(1, len(text) + 1):
        places = [text[:length].find(one) for one in stop if one in text[:length]]
        if places:
            expected = text[: min(places)]
            break
    assert joined(spoken(text, stop)) == expected


def test_stop_sequences_cross_the_borders_of_tokens():
    tokenizer = train_tokenizer("bpe", ["hello world " * 50], 270)
    assert joined(spoken("hello world hello", ["lo w"], tokenizer)) == "hel"


def test_only_what_may_begin_a_stop_sequence_is_held_back():
    assert [piece.text for piece in spoken("a<b<end>c", ["<end>"])] == ["a", "", "<b", "", "", "", "", ""]


def test_nothing_is_asked_of_the_model_once_all_texts_have_ended():
    texts = [list(b"ab.defgh"), list(b"abcde.gh")]
    model = Parrot(texts, 256)
    pieces = list(write(model, BYTES, ["x", "y"], GREEDY, 8, ["."]))
    assert [joined(pieces, row) for row in (0, 1)] == ["ab", "abcde"]
    assert model.asked == 6
    assert sum(piece.row == 0 for piece in pieces) == 3


def test_marks_and_the_unknown_token_are_never_written():
    tokenizer = train_tokenizer("characters", ["abc"], marks=True)
    model = build("lstm", vocabulary=tokenizer.size + 3)
    with torch.no_grad():
        model.head.weight.zero_()
    text = joined(list(write(model, tokenizer, ["a"], Sampling(), 200)))
    assert set(text) == set("abc")
    assert len(text) == 200


def test_text_is_the_same_beside_others_and_with_the_same_seed(model):
    tokenizer = train_tokenizer("characters", ["abcdefghij"])
    chance = Sampling(seed=9, temperature=1.3)
    beside = list(write(model, tokenizer, ["abc", "jjjjj", "b"], chance, 30))
    alone = list(write(model, tokenizer, ["abc"], chance, 30))
    assert joined(beside) == joined(alone)
    assert len(joined(beside, 2)) == 30
    assert beside == list(write(model, tokenizer, ["abc", "jjjjj", "b"], chance, 30))


def test_a_prompt_becomes_its_tokens():
    tokenizer = train_tokenizer("characters", ["ab\n"])
    assert tokenizer.decode(encoded_prompt(tokenizer, "ba")) == "ba"
    assert tokenizer.decode(encoded_prompt(tokenizer, "")) == "\n"
    assert encoded_prompt(train_tokenizer("characters", ["ab"]), "").tolist() == [1]


def test_an_unknown_character_in_a_prompt_is_named():
    tokenizer = train_tokenizer("characters", ["ab"])
    with pytest.raises(InputError, match=r"--prompt has 'z', '!', unknown to this model's tokenizer of characters"):
        list(write(build("rnn"), tokenizer, ["azb!z"], GREEDY, 3))


def test_an_empty_stop_sequence_is_refused():
    with pytest.raises(InputError, match="--stop"):
        spoken("abc", ["b", ""])


def test_a_prompt_longer_than_the_context_is_refused_with_both_lengths():
    tokenizer = train_tokenizer("characters", ["abcdefghij"])
    model = build("transformer", context=4)
    assert len(joined(list(write(model, tokenizer, ["abcd"], GREEDY, 9)))) == 9
    with pytest.raises(InputError, match=r"--prompt has 5 tokens, and this model holds 4 at once"):
        list(write(model, tokenizer, ["abcde"], GREEDY, 9))
