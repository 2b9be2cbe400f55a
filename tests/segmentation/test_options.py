import subprocess
import sys

import pytest

from pendio.errors import InputError
from pendio.segmentation.options import SegmentOptions, SegmentPlan


def test_what_is_not_said_suits_segmentation():
    options = SegmentOptions.of({"epochs": 3, "width": 8})
    assert options == SegmentOptions(width=8, plan=SegmentPlan(epochs=3))
    assert (options.plan.batch_size(100), options.plan.batch_size(3)) == (8, 3)
    assert (options.side, SegmentOptions(data="x").side, SegmentOptions(data="x", size=64).side) == (64, 256, 64)
    assert "plan" not in options.own()


def test_what_a_network_stands_on():
    assert not SegmentOptions().has_body
    fcn = SegmentOptions(model="fcn-8s")
    assert (fcn.body, fcn.trained_body) == ("efficientnet-lite0", True)
    assert not SegmentOptions(model="fcn-8s", backbone="cnn").trained_body
    assert SegmentOptions(model="timm:resnet18").trained_body
    assert not SegmentOptions(model="timm:resnet18", pretrained=False).trained_body
    assert SegmentOptions(model="timm:resnet18", pretrained=False, weights="x.safetensors").trained_body


def test_options_need_no_torch():
    code = "import sys, pendio.segmentation.options; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 8}, "--size must be 16 to 4096 pixels, got 8"),
        ({"width": 0}, "--width must be 1 to 512, got 0"),
        ({"gamma": -1.0}, "--gamma must be 0 to 10, got -1"),
        ({"gamma": float("nan")}, "--gamma must be 0 to 10, got nan"),
        ({"model": "fcn-8s", "body_lr": 0.0}, "--body-lr must be greater than 0, got 0"),
        ({"loss": "dise"}, "--loss must be one of ce, dice, focal, ce+dice, focal+dice, got 'dise'"),
        ({"loss": "dice", "class_weights": "balanced"}, "--class-weights has no effect on --loss dice"),
        ({"stage_from": "runs/x"}, "--stage-from is for --model fcn-16s and fcn-8s, not for 'unet'"),
        ({"model": "fcn-32s", "stage_from": "runs/x"}, "not for 'fcn-32s'"),
        ({"model": "fcn-8s", "stage_from": "a", "weights": "b"}, "give one of them"),
        ({"freeze": True}, "--freeze is for networks on a backbone or encoder, and 'unet' has none"),
        ({"weights": "x"}, "--weights is for networks on a backbone or encoder"),
        ({"model": "fcn-8s", "backbone": "cnn", "freeze": True}, "--freeze needs a trained backbone"),
        ({"model": "fcn-8s", "dropout": 0.5}, "--dropout is for unet and unet-valid, and 'fcn-8s' has none"),
        ({"widht": 8}, "did you mean 'width'?"),
        ({"lr": 0.0}, "--lr must be greater than 0, got 0.0"),
    ],
)
def test_what_cannot_be_meant_is_refused(options, message):
    with pytest.raises(InputError) as error:
        SegmentOptions.of(options)
    assert message in str(error.value)
