import math

import pytest
import torch
import torch.nn.functional as F

from pendio.detection.darknet.cfg import parse_cfg
from pendio.detection.darknet.layers import Shape, layer_module, shape_after
from pendio.detection.darknet.network import DarknetNetwork, output_shapes
from pendio.detection.darknet.sections import (
    AveragePool,
    Config,
    Convolutional,
    Dropout,
    MaxPool,
    Net,
    Route,
    Shortcut,
    Softmax,
    Upsample,
    Yolo,
)
from pendio.detection.yolo.scales import Scale
from pendio.errors import InputError
from pendio.nn.fusion import fused, packed


def network(*layers, size=(32, 32)):
    return DarknetNetwork(Config(Net(*size), layers)).eval()


def literal_pool(maps, window, stride):
    """Darknet's loops: windows begin at −(window − 1)//2, and what lies outside is never the greatest."""
    height, width = ((side + window - 1 - window) // stride + 1 for side in maps.shape[2:])
    out = torch.full((*maps.shape[:2], height, width), -math.inf)
    for row in range(height):
        for column in range(width):
            top, left = row * stride - (window - 1) // 2, column * stride - (window - 1) // 2
            seen = maps[:, :, max(0, top) : top + window, max(0, left) : left + window]
            out[:, :, row, column] = seen.amax((2, 3))
    return out


@pytest.mark.parametrize(("window", "stride"), [(2, 1), (2, 2), (3, 1), (3, 2), (4, 1), (4, 4), (5, 1), (13, 1)])
@pytest.mark.parametrize("side", [13, 16])
def test_pooling_pads_as_darknet_does(window, stride, side):
    maps = torch.randn(2, 3, side, side - 1) - 3  # mostly negative: zeros would win
    layer = MaxPool(stride, window)
    pooled = layer_module(layer, 3)(maps)
    assert torch.equal(pooled, literal_pool(maps, window, stride))
    assert shape_after(layer, [Shape(3, side, side - 1)]) == pooled.shape[1:]


def test_pooling_of_size_two_and_stride_one_keeps_the_size():
    maps = torch.arange(9.0).view(1, 1, 3, 3)
    assert layer_module(MaxPool(1, 2), 1)(maps).flatten().tolist() == [4, 5, 5, 7, 8, 8, 7, 8, 8]


def test_every_layer_has_the_shape_that_is_foretold():
    layers = (
        Convolutional(8, 3, 2, pad=True, batch_normalize=True, activation="leaky"), MaxPool(1, 2),
        Convolutional(8, 3, 1, padding=2, groups=2, dilation=2, activation="mish"), Shortcut(-2, "leaky"),
        Upsample(2), Route((-1,), 2, 1), Convolutional(5, 5, activation="relu"), Dropout(0.1), AveragePool(), Softmax(),
    )  # fmt: skip
    config = Config(Net(32, 48), layers)
    shapes, module = output_shapes(config), DarknetNetwork(config)
    seen = []
    for child in module.layers:
        child.register_forward_hook(lambda _, inputs, output: seen.append(tuple(output.shape[1:])))
    (out,) = module(torch.rand(1, 3, 48, 32))
    assert seen == [tuple(shapes[number]) for number in range(len(layers))]
    assert out.sum().item() == pytest.approx(1)


def test_routes_join_and_part_and_shortcuts_add():
    first = Convolutional(4, 3, pad=True, activation="linear")
    module = network(first, Convolutional(4, 1, activation="logistic"), Shortcut(0), Route((2, -3)), Route((-1,), 2, 1))
    image = torch.rand(1, 3, 8, 8)
    a = module.layers[0](image)
    b = torch.sigmoid(module.layers[1][0](a))
    joined = torch.cat([b + a, a], 1)
    # the second half of what is joined is the first convolution's output
    assert torch.equal(module(image)[0], joined[:, 4:])


def test_an_activation_in_place_leaves_what_is_read_later():
    module = network(
        Convolutional(4, 1, activation="linear"), Shortcut(-1, "leaky"), Route((0,)), Route((1, 2))
    )  # fmt: skip
    image = torch.randn(1, 3, 4, 4)
    a = module.layers[0](image)
    assert torch.equal(module(image)[0], torch.cat([F.leaky_relu(2 * a, 0.1), a], 1))


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("linear", lambda x: x), ("leaky", lambda x: torch.where(x > 0, x, 0.1 * x)), ("relu", lambda x: x.clamp(0)),
        ("logistic", torch.sigmoid), ("mish", lambda x: x * torch.tanh(torch.log1p(torch.exp(x)))),
    ],
)  # fmt: skip
def test_activations_are_their_formulas(name, formula):
    module = network(Convolutional(4, 1, activation=name))
    image = torch.randn(2, 3, 5, 5)
    kernel, bias = module.layers[0][0].weight, module.layers[0][0].bias
    torch.testing.assert_close(module(image)[0], formula(F.conv2d(image, kernel, bias)))


def test_running_statistics_keep_up_with_short_trainings():
    module = network(Convolutional(4, 1, batch_normalize=True, activation="linear")).train()
    image = torch.rand(2, 3, 5, 5)
    raw = F.conv2d(image, module.layers[0][0].weight)
    module(image)
    torch.testing.assert_close(module.layers[0][1].running_mean, 0.1 * raw.mean((0, 2, 3)))
    torch.testing.assert_close(module.layers[0][1].running_var, 0.9 + 0.1 * raw.var((0, 2, 3)))


ANCHORS = ((4.0, 4.0), (8.0, 9.0), (16.0, 12.0))


def detector(classes=2):
    return (
        Convolutional(8, 3, 4, pad=True, batch_normalize=True, activation="leaky"),
        Convolutional(5 + classes, 1, 2, activation="linear"), Yolo(ANCHORS, classes, (2,), ignore_thresh=0.6),
        Route((0,)), Convolutional(2 * (5 + classes), activation="linear"), Yolo(ANCHORS, classes, (0, 1)),
    )  # fmt: skip


def test_maps_and_scales_come_in_the_order_of_the_file():
    module = network(*detector(), size=(64, 32))
    assert module.scales == (Scale(8, ANCHORS[2:]), Scale(4, ANCHORS[:2]))
    assert (module.classes, module.ignore) == (2, 0.5)
    assert [tuple(maps.shape) for maps in module(torch.rand(3, 3, 16, 40))] == [(3, 7, 2, 5), (3, 14, 4, 10)]


def test_an_untrained_detector_expects_few_objects():
    coarse, fine = network(*detector())(torch.rand(2, 3, 32, 32))
    for maps in (coarse.view(2, 1, 7, -1), fine.view(2, 2, 7, -1)):
        assert maps[:, :, 4].sigmoid().mean().item() == pytest.approx(0.01, abs=0.005)
        assert maps[:, :, 5].sigmoid().mean().item() == pytest.approx(0.5, abs=0.1)


def test_outputs_are_dropped_once_nothing_reads_them():
    layers = (*(Convolutional(3, 1, activation="linear") for _ in range(4)), Route((-1, 0)))
    assert network(*layers)._ends == [[-1], [], [1], [2], [0, 3]]


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ((Convolutional(8, 3, 2, pad=True), Shortcut(-1), Convolutional(8), Shortcut(0), Convolutional(4), Shortcut(0)),
         "layer 5 [shortcut]: cannot add 8×16×16 to 4×16×16"),
        ((Convolutional(8), Convolutional(8, 3, 2, pad=True), Route((0, 1))), "layer 2 [route]: cannot join maps of differ"),
        ((Convolutional(8), Route((0,), 3)), "layer 1 [route]: channels of 8×32×32 do not part into 3"),
        ((Convolutional(8, groups=2),), "layer 0 [convolutional]: 3 channels and 8 filters do not part into 2 groups"),
        ((Convolutional(8, 40),), "a window of 40 is larger than the padded map of 32"),
        ((Convolutional(20), Yolo(ANCHORS, 2)), "3 anchors and 2 classes need filters=21 in the layer before, which has 20"),
        ((Convolutional(21, 3), Yolo(ANCHORS, 2)), "a grid of 30×30 does not divide the input of 32×32"),
        ((Convolutional(21), Yolo(ANCHORS, 2), Convolutional(18), Yolo(ANCHORS, 1)), "classes=1, but 2 in the first"),
        ((Convolutional(1 << 19, 32),), "more than 1,073,741,824 weights"),
        ((Convolutional(8), Upsample(1 << 15)), "more than can be meant"),
        ((Convolutional(8), Softmax(3)), "8 channels do not part into 3 groups"),
    ],
)  # fmt: skip
def test_layers_that_do_not_fit_are_named(layers, expected):
    with pytest.raises(InputError) as caught:
        network(*layers)
    assert expected in str(caught.value)


def test_a_mistake_in_a_file_is_found_on_its_line():
    text = "[net]\nwidth=32\nheight=32\n[convolutional]\nfilters=7\n[yolo]\nanchors=1,2\nclasses=4\n"
    with pytest.raises(InputError, match=r"my\.cfg:6: layer 1 \[yolo\]: 1 anchors and 4 classes need filters=9"):
        DarknetNetwork(parse_cfg(text, "my.cfg"))


def test_images_whose_grid_would_not_fit_are_refused():
    with pytest.raises(InputError, match="images of 20×32: sides must be multiples of 8"):
        network(*detector())(torch.rand(1, 3, 20, 32))


def test_a_step_reaches_every_weight():
    module = network(*detector()).train()
    sum(maps.square().sum() for maps in module(torch.rand(2, 3, 32, 32))).backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in module.parameters())


def test_made_ready_for_inference_it_answers_the_same():
    module = network(*detector(), Route((1, 1)), Shortcut(-1, "leaky"), Convolutional(7), Yolo(ANCHORS, 2, (0,)))
    module.layers[0][1].running_mean.uniform_(-1, 1)
    images = torch.rand(2, 3, 32, 64)
    with torch.no_grad():
        for ready in (fused(module), packed(module, images[:1])):
            assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in ready.modules())
            for maps, expected in zip(ready(images), module(images), strict=True):
                torch.testing.assert_close(maps, expected, atol=1e-5, rtol=1e-5)
