import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pendio.detection.necks.detector import PyramidDetector
from pendio.detection.necks.pyramids import NECKS, neck
from pendio.detection.yolo.scales import Scale
from pendio.errors import InputError


class Body(nn.Module):
    """Three stages that average what they see: a backbone whose maps can be computed by hand."""

    channels, strides = (3, 3, 3), (8, 16, 32)
    mean, std = (0.0,) * 3, (1.0,) * 3

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, images):
        self.seen.append(tuple(images.shape[2:]))
        return [F.avg_pool2d(images, stride, ceil_mode=True) for stride in self.strides]


ANCHORS = ((10.0, 14.0), (20.0, 30.0))


@pytest.mark.parametrize(("name", "strides"), [("fpn", (8, 16, 32)), ("hierarchy", (8, 16, 32)), ("single", (16,)),
                                               ("image-pyramid", (8, 16, 32))])  # fmt: skip
@pytest.mark.parametrize("size", [(64, 64), (96, 160)])
def test_every_neck_has_a_map_for_each_of_its_strides(name, strides, size):
    made = neck(name, Body(), 7)
    maps = made(torch.rand(2, 3, *size))
    assert made.strides == strides
    assert [tuple(level.shape) for level in maps] == [(2, 7, size[0] // s, size[1] // s) for s in strides]


def test_a_feature_pyramid_is_what_its_formula_says():
    torch.manual_seed(0)
    made, images = neck("fpn", Body(), 3), torch.rand(1, 3, 64, 64)
    for layer in [*made.laterals, *made.smooths]:
        nn.init.zeros_(layer.bias)
        nn.init.dirac_(layer.weight)
    fine, middle, coarse = Body()(images)
    up = F.interpolate(coarse, scale_factor=2) + middle
    expected = [F.interpolate(up, scale_factor=2) + fine, up, coarse]
    for level, value in zip(made(images), expected, strict=True):
        torch.testing.assert_close(level, value)


@pytest.mark.parametrize(("name", "reaches"), [("fpn", True), ("hierarchy", False)])
def test_only_a_feature_pyramid_hands_late_knowledge_to_fine_maps(name, reaches):
    made = neck(name, Body(), 4)
    made(torch.rand(1, 3, 64, 64))[0].sum().backward()
    gradient = made.laterals[2].weight.grad
    assert (gradient is not None and bool(gradient.abs().sum() > 0)) is reaches


def test_the_image_pyramid_looks_at_three_sizes_with_one_backbone():
    body = Body()
    maps = neck("image-pyramid", body, 4)(torch.rand(1, 3, 64, 64))
    assert body.seen == [(128, 128), (64, 64), (32, 32)]
    torch.manual_seed(0)
    single = neck("single", Body(), 4)
    pyramid = neck("image-pyramid", Body(), 4)
    pyramid.load_state_dict(single.state_dict())
    images = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(pyramid(images)[1], single(images)[0])
    assert [level.shape[-1] for level in maps] == [8, 4, 2]


def test_an_unknown_neck_is_named():
    with pytest.raises(InputError, match="unknown neck 'fnp' in --neck: did you mean 'fpn'"):
        neck("fnp", Body(), 4)


@pytest.mark.parametrize("name", NECKS)
def test_a_detector_answers_with_five_and_the_classes_for_each_anchor_coarsest_first(name):
    made = neck(name, Body(), 8)
    scales = [Scale(stride, ANCHORS) for stride in reversed(made.strides)]
    detector = PyramidDetector(made, 8, scales, 4).eval()
    maps = detector(torch.rand(1, 3, 64, 96))
    assert [tuple(one.shape) for one in maps] == [(1, 18, 64 // s.stride, 96 // s.stride) for s in scales]
    for one in maps:
        objectness = one.view(1, 2, 9, *one.shape[2:])[:, :, 4].sigmoid()
        assert objectness.mean().item() == pytest.approx(0.01, abs=0.003)  # most places hold nothing at the start


def test_scales_must_be_those_of_the_neck():
    with pytest.raises(ValueError, match="strides"):
        PyramidDetector(neck("single", Body(), 8), 8, [Scale(32, ANCHORS)], 4)
