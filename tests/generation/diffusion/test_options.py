import pytest

from pendio.errors import InputError
from pendio.generation.diffusion.options import DiffuseOptions, DiffusePlan


def test_what_is_not_said_suits_diffusion():
    options = DiffuseOptions.of({"epochs": 3, "width": 24})
    assert options == DiffuseOptions(width=24, plan=DiffusePlan(epochs=3))
    assert (options.plan.average, options.predict, options.noise_schedule) == ("ema", "velocity", "cosine")
    assert options.widths == (24, 48, 96)
    assert "plan" not in options.own()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"noise_schedule": "quadratic"}, "--noise-schedule must be one of linear, cosine, signal-rate"),
        ({"predict": "score"}, "--predict must be one of noise, image, velocity"),
        ({"levels": 10}, "--levels must be 50 to 10000, got 10"),
        ({"size": 2}, "--size must be 4 to 1024, got 2"),
        ({"width": 12}, "--width must be a multiple of 8"),
        ({"width": 0}, "--width must be 8 to 512, got 0"),
        ({"depth": 0}, "--depth must be 1 to 16, got 0"),
        ({"label_dropout": 1.0}, "--label-dropout must be in [0, 1), got 1"),
        ({"draws": 3}, "--draws must be 1, or an even number up to 1024, got 3"),
        ({"draws": 0}, "--draws must be 1, or an even number"),
        ({"multipliers": "1,x"}, "--multipliers must be up to 8 whole numbers"),
        ({"multipliers": ""}, "--multipliers must be up to 8 whole numbers"),
        ({"lr": 0.0}, "--lr must be greater than 0"),
        ({"widht": 8}, "did you mean 'width'?"),
    ],
)
def test_what_cannot_be_meant_is_refused(options, message):
    with pytest.raises(InputError) as error:
        DiffuseOptions.of(options)
    assert message in str(error.value)
