import pytest

from pendio.errors import InputError
from pendio.restyling.options import RestyleOptions, RestylePlan


def test_what_is_not_said_suits_restyling():
    options = RestyleOptions.of({"style": "grass", "epochs": 3, "width": 8})
    assert options == RestyleOptions(style="grass", width=8, plan=RestylePlan(epochs=3))
    assert (options.plan.optimizer, options.plan.lr, options.plan.weight_decay) == ("adam", 2e-3, 0.0)
    assert (options.plan.batch_size(100), options.plan.batch_size(3)) == (4, 3)
    assert "plan" not in options.own()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"style": None}, "--style must be a text, got None"),
        ({}, "--style is missing: it has no default"),
        ({"content_weight": -1.0}, "--content-weight must not be negative, got -1"),
        ({"style_weight": 0.0, "content_weight": 0.0}, "both 0: nothing would count"),
        ({"smooth": float("nan")}, "--smooth must not be negative, got nan"),
        ({"size": 4}, "--size must be 8 to 4096 pixels, got 4"),
        ({"style_size": 5000}, "--style-size must be 8 to 4096 pixels, got 5000"),
        ({"width": 0}, "--width must be 1 to 512, got 0"),
        ({"blocks": -1}, "--blocks must be 0 to 512, got -1"),
        ({"widht": 8}, "did you mean 'width'?"),
        ({"lr": 0.0}, "--lr must be greater than 0, got 0.0"),
    ],
)
def test_what_cannot_be_meant_is_refused(options, message):
    given = {"style": "grass"} | options if options else {}
    with pytest.raises(InputError) as error:
        RestyleOptions.of(given)
    assert message in str(error.value)
