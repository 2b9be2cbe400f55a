import pytest

from pendio.classification.options import Classify
from pendio.descent.plan import Plan
from pendio.errors import InputError


def test_flat_names_make_options_and_their_plan():
    options = Classify.of({"data": "digits", "epochs": 3, "label_smoothing": 0.1})
    assert options == Classify(data="digits", label_smoothing=0.1, plan=Plan(epochs=3))
    assert "plan" not in options.own()
    assert options.own()["data"] == "digits"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label_smoothing": 1.0}, "--label-smoothing must be in [0, 1), got 1.0"),
        ({"size": 3}, "--size must be 4 to 4096 pixels, got 3"),
        ({"tune": 0, "model": "efficientnet-lite0"}, "--tune must be at least 1 stage, got 0"),
        ({"tune": 1, "freeze": True, "model": "efficientnet-lite0"}, "--freeze and --tune exclude each other"),
        ({"body_lr": 0.0}, "--body-lr must be greater than 0, got 0.0"),
        ({"freeze": True, "model": "cnn"}, "'cnn' starts from random weights"),
        ({"tune": 2, "model": "timm:resnet18", "pretrained": False}, "'timm:resnet18' starts from random weights"),
        ({"learning_rate": 1.0}, "unknown option 'learning_rate'"),
        ({"epoch": 1}, "did you mean 'epochs'?"),
        ({"lr": -1.0}, "--lr must be greater than 0, got -1.0"),
    ],
)
def test_what_cannot_be_meant_is_refused(options, message):
    with pytest.raises(InputError) as error:
        Classify.of(options)
    assert message in str(error.value)


def test_weights_make_any_body_a_trained_one():
    assert Classify(model="cnn", weights="w.safetensors", freeze=True).trained_body
    assert Classify(model="efficientnet-lite0", freeze=True).trained_body
    assert not Classify(model="timm:resnet18", pretrained=False).trained_body
