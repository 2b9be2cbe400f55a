import pytest

import pendio
from pendio.nn.network import Network


def test_the_face_offers_what_it_names():
    for name in pendio.__all__:
        assert getattr(pendio, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'trian'"):
        _ = pendio.trian


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        ("clasify", {}, "unknown task 'clasify': did you mean 'classify'?"),
        ("classify", {"learning_rate": 1}, "unknown option 'learning_rate'"),
        ("classify", {"lr": "fast"}, "--lr must be a number, got 'fast'"),
        ("classify", {"epochs": 1.5}, "--epochs must be a whole number, got 1.5"),
        ("classify", {"batch": "none"}, "--batch must be a whole number or all, got 'none'"),
        ("classify", {"optimizer": "adamm"}, "--optimizer must be one of sgd, momentum"),
        ("classify", {"freeze": "yes", "model": "efficientnet-lite0"}, "--freeze must be true or false, got 'yes'"),
        ("classify", {"data": 3}, "--data must be a text, got 3"),
        ("classify", {"model": None}, "--model must be a text, got None"),
    ],
)
def test_training_refuses_what_the_command_line_refuses(task, options, message):
    with pytest.raises(pendio.InputError) as error:
        pendio.train(task, **options)
    assert message in str(error.value)


def test_a_network_is_loaded_by_the_name_it_was_published_under():
    network = pendio.load("efficientnet-lite0")
    assert isinstance(network, Network)
    assert network.classes[967] == "espresso"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cnn", "'cnn' is a form without weights; train it first"),
        ("efficientnet", "did you mean 'efficientnet-lite0'?"),
        ("timm:nothing", "timm has no model 'nothing'"),
    ],
)
def test_what_is_not_there_cannot_be_loaded(name, message):
    with pytest.raises(pendio.InputError) as error:
        pendio.load(name)
    assert message in str(error.value)
