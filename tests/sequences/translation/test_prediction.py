import pytest
import torch

from pendio.errors import InputError
from pendio.sequences.translation.prediction import translate_texts
from pendio.sequences.translation.recipe import load_translator

from .conftest import make_task

TEXTS = ["abc", "e", "deadbeda", "b", "ab"]


def test_order_and_batches_change_nothing():
    task = make_task()
    expected = task.predict(TEXTS)
    for batch in (1, 2, 128):
        found = translate_texts(task, TEXTS, batch=batch)
        assert [one.source for one in found] == TEXTS
        assert [one.translation for one in found] == expected
    assert translate_texts(task, []) == []


@torch.no_grad()
def log_probability(task, source, written, ended=True):
    """Of a translation, END included, under teacher forcing."""
    tokens = [1, *task.target.encode(written).tolist(), *([2] if ended else [])]
    logs = task.network(task.encode([source]).padded(torch.tensor([0])), torch.tensor([tokens[:-1]])).log_softmax(-1)
    return sum(float(logs[0, place, token]) for place, token in enumerate(tokens[1:]))


def test_beams_find_what_is_as_likely_as_greedy_decoding_or_more(capitals_run):
    task = load_translator(capitals_run)
    texts = ["abc", "e", "dd", "bea"]
    greedy, beams = translate_texts(task, texts), translate_texts(task, texts, beams=4, penalty=0.0)
    for text, first, second in zip(texts, greedy, beams, strict=True):
        assert first.candidates == ()
        assert len(second.candidates) == 4
        assert second.translation == second.candidates[0].text
        found = [one.log_probability for one in second.candidates]
        assert found == sorted(found, reverse=True)
        assert found[0] == pytest.approx(log_probability(task, text, second.translation), abs=1e-4)
        assert found[0] >= log_probability(task, text, first.translation) - 1e-4
    assert [one.translation for one in translate_texts(task, texts, beams=1)] == [one.translation for one in greedy]


def test_a_translation_without_end_is_cut_off_and_says_so():
    task = make_task()
    task.network.target.weight[4:].data.mul_(50)
    for beams in (1, 2):
        (found,) = translate_texts(task, ["abc"], beams=beams)
        assert not found.finished
        assert len(found.translation) <= 12
        task.longest = 5
        (found,) = translate_texts(task, ["abc"], beams=beams)
        assert (found.finished, len(task.target.encode(found.translation))) == (False, 5)
        task.longest = 12


def test_a_trained_translator_comes_to_an_end(capitals_run):
    task = load_translator(capitals_run)
    for beams in (1, 3):
        (found,) = translate_texts(task, ["cab"], beams=beams)
        assert (found.translation, found.finished, found.unknown) == ("CAB", True, ())


def test_what_is_unknown_is_named_or_refused():
    task = make_task()
    with pytest.raises(InputError, match="text 1, 'axb', has 'x'"):
        translate_texts(task, ["axb"])
    (found,) = translate_texts(task, ["axbxy"], allow_unknown=True)
    assert found.unknown == ("x", "y")
    assert found.to_dict()["unknown"] == ["x", "y"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beams": 0}, "--beams must be 1 to 64, got 0"),
        ({"beams": 65}, "--beams must be 1 to 64, got 65"),
        ({"beams": 2, "penalty": -0.5}, "--penalty must be 0 or more, got -0.5"),
        ({"beams": 2, "penalty": float("nan")}, "--penalty must be 0 or more, got nan"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(InputError) as error:
        translate_texts(make_task(), ["a"], **options)
    assert message in str(error.value)
