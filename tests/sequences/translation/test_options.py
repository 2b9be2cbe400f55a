import pytest

from pendio.errors import InputError
from pendio.options import saved
from pendio.sequences.translation.options import TranslateOptions, TranslatePlan


def test_what_is_not_said_suits_translating():
    options = TranslateOptions.of({"data": "pairs.tsv", "epochs": 3, "width": 8})
    assert options == TranslateOptions(data="pairs.tsv", width=8, plan=TranslatePlan(epochs=3))
    assert (options.plan.clip, options.plan.warmup, options.label_smoothing) == (1.0, 0.5, 0.1)
    assert {"plan", "out", "resume"}.isdisjoint(saved(options))
    assert options.own()["width"] == 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": 3}, "--data must be a text, got 3"),
        ({"tokenizer": "letters"}, "--tokenizer must be one of characters, bytes, words, bpe, got 'letters'"),
        ({"vocabulary": 0}, "--vocabulary must be at least 1, got 0"),
        ({"length": 2}, "--length must be 3 to 4096, got 2"),
        ({"width": 0}, "--width must be 1 to 4096, got 0"),
        ({"layers": 65}, "--layers must be 1 to 64, got 65"),
        ({"heads": 0}, "--heads must be 1 to 256, got 0"),
        ({"width": 30}, "--width 30 must be a multiple of --heads 4"),
        ({"width": 33, "heads": 3}, "--positions sinusoidal needs an even --width, got 33"),
        ({"width": 36, "heads": 4, "positions": "rotary"}, "--width 36 by --heads 4 is 9"),
        ({"positions": "none"}, "--positions must be one of sinusoidal, learned, rotary, got 'none'"),
        ({"norm": "batch"}, "--norm must be one of pre, post, got 'batch'"),
        ({"score": "l2"}, "--score must be one of dot, scaled, cosine, additive, got 'l2'"),
        ({"label_smoothing": 1.0}, "--label-smoothing must be in [0, 1), got 1.0"),
        ({"label_smoothing": float("nan")}, "--label-smoothing must be in [0, 1), got nan"),
        ({"split_seed": -1}, "--split-seed must not be negative, got -1"),
        ({"schedule": "inverse-root", "warmup": 0.0}, "--schedule inverse-root falls from the end of a warm-up"),
        ({"widht": 8}, "did you mean 'width'?"),
        ({"lr": 0.0}, "--lr must be greater than 0, got 0.0"),
    ],
)
def test_what_cannot_be_meant_is_refused(options, message):
    with pytest.raises(InputError) as error:
        TranslateOptions.of(options)
    assert message in str(error.value)


def test_the_sharpest_bounds_are_within():
    TranslateOptions.of({"width": 33, "heads": 3, "positions": "learned", "label_smoothing": 0.0, "length": 3})
    TranslateOptions.of({"width": 36, "heads": 3, "positions": "rotary", "vocabulary": 1})
