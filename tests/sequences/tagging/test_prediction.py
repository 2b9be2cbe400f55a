import pytest
import torch
from PIL import Image

from pendio.data.text.tokenizers import train_tokenizer
from pendio.errors import InputError
from pendio.sequences.tagging.network import Tagger
from pendio.sequences.tagging.prediction import Sequences, StepTags, Tagged, open_sequences, predict_tags
from pendio.sequences.tagging.task import Tag

from .conftest import make_tagger, train

LETTERS = train_tokenizer("characters", ["abcdefgh"], marks=True)


def reader(model="lstm", most=None, **form):
    return Sequences(Tag(make_tagger(model, **form).float(), "tokens" if form.get("asked") else "class", "xyz"),
                     LETTERS, most=most)  # fmt: skip


def test_texts_are_answered_in_their_order(shout_run):
    answers = list(predict_tags(open_sequences(shout_run), ["wow!", "bid", "is it so?"], batch=2))
    assert [answer.classes[0] for answer in answers] == ["shout", "calm", "ask"]
    assert [answer.input for answer in answers] == ["wow!", "bid", "is it so?"]
    for answer in answers:
        assert sum(answer.probabilities) == pytest.approx(1, abs=1e-5)
        assert list(answer.probabilities) == sorted(answer.probabilities, reverse=True)


def test_lines_of_a_file_are_texts(tmp_path, shout_run):
    path = tmp_path / "lines.txt"
    path.write_text("wow!\n\n  oak?\r\nlid.\n")
    answers = list(predict_tags(open_sequences(shout_run), ["hide", str(path)], top=1))
    assert [(answer.input, answer.classes) for answer in answers] == [
        ("hide", ("calm",)), ("wow!", ("shout",)), ("oak?", ("ask",)), ("lid.", ("calm",))
    ]  # fmt: skip


def test_what_is_unknown_is_said_and_the_rest_answered(shout_run):
    (answer,) = predict_tags(open_sequences(shout_run), ["Ωmadψ!"])
    assert answer.unknown == ("Ω", "ψ")
    assert answer.to_dict()["unknown"] == ["Ω", "ψ"]
    assert answer.classes[0] == "shout"


@pytest.mark.parametrize("model", ["lstm", "transformer"])
def test_an_answer_does_not_depend_on_its_neighbours(model):
    texts = ["a", "abc", "hgfedcba", "bb"]
    together = list(predict_tags(reader(model), texts))
    for text, answer in zip(texts, together, strict=True):
        (alone,) = predict_tags(reader(model), [text])
        assert alone.classes == answer.classes
        assert alone.probabilities == pytest.approx(answer.probabilities, abs=1e-6)


def test_steps_are_answered_at_the_end_of_each_text():
    sequences = reader(asked=2)
    answers = list(predict_tags(sequences, ["abc", "hgfedcba"]))
    for answer, text in zip(answers, ("abc", "hgfedcba"), strict=True):
        expected = sequences.task.predict(sequences.tokens(text)[None])[0]
        assert isinstance(answer, StepTags)
        assert answer.probabilities == pytest.approx(expected.max(-1).values.tolist())
        assert answer.classes == tuple("xyz"[number] for number in expected.argmax(-1).tolist())
    assert answers[0].to_dict()["steps"][0].keys() == {"class", "probability"}


def test_pixels_of_an_image(tmp_path):
    run = train(tmp_path / "run", data="pixels", epochs=1, batch=256)
    Image.new("RGB", (24, 16), "white").save(tmp_path / "white.png")
    sequences = open_sequences(run)
    ((name, values),) = sequences.named([str(tmp_path / "white.png")])
    assert name.endswith("white.png")
    assert torch.equal(values, torch.ones(64, 1))
    (answer,) = predict_tags(sequences, [str(tmp_path / "white.png")], top=3)
    assert isinstance(answer, Tagged)
    assert len(answer.classes) == 3
    with pytest.raises(InputError, match="there is no image 'seven'; this model reads 8×8 pixels of image files"):
        list(predict_tags(sequences, ["seven"]))


def test_what_is_written_as_json():
    answer = Tagged("wow!", ("shout", "ask"), (0.75, 0.25))
    assert answer.to_dict() == {
        "input": "wow!", "class": "shout", "probability": 0.75,
        "top": [{"class": "shout", "probability": 0.75}, {"class": "ask", "probability": 0.25}],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("sequences", "text", "message"),
    [
        (reader(), "", "an empty text has no answer"),
        (reader(), "ΩΨ", "nothing of the text 'ΩΨ' stood in the training texts"),
        (reader("transformer", most=4), "abcde", "the text 'abcde' has 5 tokens, and this model reads 4"),
        (reader(asked=3), "ab", "the text 'ab' has 2 tokens, and the last 3 are to be answered"),
        (reader(), "\ud800", "the text is no valid Unicode"),
        (reader("transformer", most=4), "a" * 5000, f"the text '{'a' * 39}…' has 5000 tokens"),
    ],
)
def test_texts_that_cannot_be_answered_cost_a_line(sequences, text, message):
    with pytest.raises(InputError) as raised:
        list(predict_tags(sequences, [text]))
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)


def test_a_text_of_just_the_length_is_read():
    assert len(list(predict_tags(reader("transformer", most=4), ["abcd"]))) == 1
    assert len(next(predict_tags(reader(asked=3), ["abc"])).classes) == 3


def test_files_without_text_cost_a_line(tmp_path, shout_run):
    (tmp_path / "empty.txt").write_text("\n \n")
    with pytest.raises(InputError, match=r"empty.txt' has no text in it; put one on each line"):
        list(predict_tags(open_sequences(shout_run), [str(tmp_path / "empty.txt")]))
    (tmp_path / "bytes.txt").write_bytes(b"ok\n\xff\xfe")
    with pytest.raises(InputError, match=r"is no text in UTF-8: byte 3 on line 2"):
        list(predict_tags(open_sequences(shout_run), [str(tmp_path / "bytes.txt")]))


def test_numbers_that_are_no_image_cannot_be_given(tmp_path):
    run = train(tmp_path / "run", data="adding", length=4, steps=1, batch=256)
    with pytest.raises(
        InputError, match="this run reads 4 × 2 numbers a sequence of 'adding', and predict takes texts"
    ):
        open_sequences(run)


def test_a_transformer_reads_what_it_has_places_for(tmp_path, shouts):
    run = train(tmp_path / "run", data=str(shouts), model="transformer", steps=1)
    sequences = open_sequences(run)
    assert sequences.most == run.config["data"]["length"] == 6
    assert isinstance(sequences.task.tagger, Tagger)
    with pytest.raises(InputError, match=r"the text 'abidebad' has 8 tokens, and this model reads 6"):
        list(predict_tags(sequences, ["abidebad"]))
