import functools

import pytest
import torch

from pendio.detection.darknet.catalogue import ANCHORS, BODY, darknet53, yolov3, yolov3_tiny
from pendio.detection.darknet.network import DarknetNetwork, output_shapes
from pendio.detection.darknet.sections import Convolutional, Route, Shortcut, Upsample, Yolo, sources
from pendio.detection.darknet.weights import stored_floats
from pendio.errors import InputError

network = functools.cache(DarknetNetwork)


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def multiply_adds(config):
    shapes = output_shapes(config)
    return sum(
        shapes[number].height * shapes[number].width * layer.filters * layer.size**2 * shapes[number - 1].channels
        for number, layer in enumerate(config.layers)
        if isinstance(layer, Convolutional)
    )


def test_yolov3_is_the_published_network():
    config = yolov3()
    kinds = [type(layer) for layer in config.layers]
    assert len(kinds) == 107
    assert [kinds.count(kind) for kind in (Convolutional, Shortcut, Route, Upsample, Yolo)] == [75, 23, 4, 2, 3]
    assert [number for number, kind in enumerate(kinds) if kind is Yolo] == [82, 94, 106]
    routes = [sources(layer, number) for number, layer in enumerate(config.layers) if isinstance(layer, Route)]
    assert routes == [(79,), (85, 61), (91,), (97, 36)]
    module = network(config)
    assert parameters(module) == 61_949_149
    assert [scale.stride for scale in module.scales] == [32, 16, 8]
    assert [scale.anchors for scale in module.scales] == list(ANCHORS)
    assert module.ignore == 0.7


@pytest.mark.parametrize(("size", "billions", "boxes"), [(320, 38.97, 6300), (416, 65.86, 10647), (608, 140.69, 22743)])
def test_yolov3_costs_what_darknet_counts(size, billions, boxes):
    assert 2 * multiply_adds(yolov3(size=size)) / 1e9 == pytest.approx(billions, abs=0.005)
    assert sum(3 * (size // stride) ** 2 for stride in (32, 16, 8)) == boxes


def test_stored_sizes_are_those_of_the_published_files():
    full, tiny = network(yolov3()), network(yolov3_tiny())
    assert 20 + 4 * stored_floats(full) == 248_007_048
    assert 20 + 4 * stored_floats(full, 74) == 20 + 4 * stored_floats(full, BODY["yolov3"]) == 162_482_580
    assert 20 + 4 * stored_floats(tiny) == 35_434_956


def test_tiny_and_darknet53_are_the_published_networks():
    tiny, classifier = network(yolov3_tiny()), network(darknet53())
    assert parameters(tiny) == 8_852_366
    assert 2 * multiply_adds(yolov3_tiny()) / 1e9 == pytest.approx(5.56, abs=0.01)
    assert [scale.stride for scale in tiny.scales] == [32, 16]
    assert parameters(classifier) == 41_609_928
    assert sum(isinstance(layer, Convolutional) for layer in classifier.config.layers) == 53
    assert classifier.classes == 1000


def test_other_classes_and_anchors_change_the_head_alone():
    config = yolov3(7, (((20, 30),), ((9, 8), (7, 9)), ((4, 5),)), 128)
    head = [layer for layer in config.layers if isinstance(layer, Yolo)]
    assert [layer.chosen for layer in head] == [((20, 30),), ((9, 8), (7, 9)), ((4, 5),)]
    assert config.layers[: BODY["yolov3"]] == yolov3().layers[: BODY["yolov3"]]
    shapes = output_shapes(config)
    assert [shapes[number].channels for number in (82, 94, 106)] == [12, 24, 12]


def test_a_small_image_goes_through_tiny():
    coarse, fine = DarknetNetwork(yolov3_tiny(3)).eval()(torch.rand(1, 3, 64, 96))
    assert (tuple(coarse.shape), tuple(fine.shape)) == ((1, 24, 2, 3), (1, 24, 4, 6))


@pytest.mark.parametrize("make", [yolov3, yolov3_tiny])
def test_what_cannot_be_built_is_refused(make):
    with pytest.raises(ValueError, match="a scale has no anchors"):
        make(anchors=(((20, 30),), ()))
    with pytest.raises(InputError, match="multiple of 32 pixels, got 100"):
        make(size=100)
