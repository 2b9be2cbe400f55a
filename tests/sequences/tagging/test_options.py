import pytest

from pendio.errors import InputError
from pendio.options import saved
from pendio.sequences.models.bodies import FAMILIES, build_body
from pendio.sequences.tagging.options import TagOptions
from pendio.sequences.tagging.presets import preset


def test_options_come_back_from_a_config():
    options = TagOptions.of({"model": "tcn", "layers": 6, "data": "adding", "length": 50, "lr": 0.01, "clip": None})
    assert (options.model, options.layers, options.length) == ("tcn", 6, 50)
    assert (options.plan.lr, options.plan.clip) == (0.01, None)
    again = TagOptions.of({**saved(options), "lr": 0.01, "clip": None})
    assert again == options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "gru"}, "unknown --model 'gru': neither a folder with BERT's weights"),
        ({"layers": 0}, "--layers must be at least 1, got 0"),
        ({"model": "transformer", "width": 30, "heads": 4}, "--width 30 must be a multiple of --heads 4"),
        ({"label_smoothing": 1.0}, "--label-smoothing must be in [0, 1), got 1.0"),
        ({"label_smoothing": -0.1}, "--label-smoothing must be in [0, 1), got -0.1"),
        ({"length": 0}, "--length must be at least 1, got 0"),
        ({"vocabulary": -3}, "--vocabulary must be at least 1, got -3"),
        ({"split_seed": -1}, "--split-seed must not be negative, got -1"),
        ({"class_weights": "rare"}, "--class-weights must be one of none, balanced, got 'rare'"),
        ({"tokenizer": "letters"}, "--tokenizer must be one of characters, bytes, words, bpe, got 'letters'"),
        ({"wdith": 3}, "unknown option 'wdith': did you mean 'width'?"),
        ({"lr": 0}, "--lr must be greater than 0, got 0"),
    ],
)
def test_mistakes_cost_a_line(options, message):
    with pytest.raises(InputError) as raised:
        TagOptions.of(options)
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("data", ["names", "adding", "copying", "pixels"])
@pytest.mark.parametrize("model", FAMILIES)
def test_presets_are_options(model, data):
    options = TagOptions.of({**preset(model, data), "model": model, "data": data})
    assert (options.plan.dropout == 0) == (data in ("adding", "copying"))


def test_the_presets_of_long_sequences_see_all_of_them():
    options = TagOptions.of({"model": "tcn", **preset("tcn", "adding")})
    assert build_body(options, 2, 200).reach >= 200
