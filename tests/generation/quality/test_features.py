import pytest
import torch

import pendio
from pendio.classification.recipe import load_classifier
from pendio.errors import InputError
from pendio.generation.quality.features import network_features, open_features, usual_features
from pendio.nn.network import Network

from .conftest import Flat


def test_pixels_are_the_image_in_the_unit_range(digits):
    images = digits.test.inputs[:5]
    features = open_features("pixels", digits)
    torch.testing.assert_close(features(images), images.flatten(1))
    torch.testing.assert_close(features((images * 255).round().byte()), (images * 255).round().flatten(1) / 255)


def test_rows_are_compared_in_units_of_their_deviation():
    moons = pendio.data.open("moons")
    found = open_features("pixels", moons)(moons.train.inputs)
    torch.testing.assert_close(found.mean(0), torch.zeros(2), atol=1e-4, rtol=0)
    torch.testing.assert_close(found.std(0), torch.ones(2), atol=1e-2, rtol=0)


def test_a_run_gives_what_its_last_layer_sees(digits, digits_run):
    images = digits.test.inputs[:70]
    classifier = load_classifier(digits_run)
    found = open_features(str(digits_run.folder), digits)(images)
    torch.testing.assert_close(found, classifier.features(images), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(classifier.head(found), classifier.network(images), atol=1e-4, rtol=1e-4)


def test_a_published_network_gives_what_its_last_layer_sees(digits):
    from pendio.classification.recipe import trained_network

    images = digits.test.inputs[:2]
    network = trained_network("efficientnet-lite0")
    found = open_features("efficientnet-lite0", digits)(images)
    assert found.shape == (2, 1280)
    torch.testing.assert_close(network.module.classifier(found), network(images), atol=1e-3, rtol=1e-3)


def test_weights_for_a_published_network_can_be_given(digits, tmp_path):
    import torchvision.models

    published = torchvision.models.squeezenet1_1(weights=None)
    torch.save(published.state_dict(), tmp_path / "weights.pt")
    images = digits.test.inputs[:1]
    found = open_features("torchvision:squeezenet1_1", digits, str(tmp_path / "weights.pt"))(images)
    again = open_features("torchvision:squeezenet1_1", digits, str(tmp_path / "weights.pt"))(images)
    torch.testing.assert_close(found, again)
    assert found.ndim == 2


def test_images_are_compared_by_a_network_and_rows_by_themselves(digits):
    assert usual_features(digits) == "efficientnet-lite0"
    assert usual_features(pendio.data.open("moons")) == "pixels"


def test_what_does_not_fit_is_named(digits, digits_run, tmp_path):
    moons = pendio.data.open("moons")
    with pytest.raises(InputError, match="sees examples of 1×8×8, and those of 'moons' are 2"):
        open_features(str(digits_run.folder), moons)
    with pytest.raises(InputError, match="there is no run folder and no network 'pixel'"):
        open_features("pixel", digits)
    with pytest.raises(InputError, match="'cnn' is a form without weights"):
        open_features("cnn", digits)
    with pytest.raises(InputError, match="--weights is for published networks"):
        open_features("pixels", digits, "weights.pt")
    with pytest.raises(InputError, match="there is no file"):
        open_features("torchvision:inception_v3", digits, str(tmp_path / "none.pt"))
    grey = Network(Flat(), (1, 8, 8), [0.0], [1.0], ("dark", "light"))
    with pytest.raises(InputError, match="sees examples of 1×8×8"):
        network_features("grey", grey, pendio.data.open("textures"))
