import re

import pytest

from pendio.detection.darknet.catalogue import darknet53, yolov3, yolov3_tiny
from pendio.detection.darknet.cfg import format_cfg, parse_cfg, read_cfg
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
from pendio.errors import InputError

TEXT = """
# a comment
[net]
; another
width = 64
height=32
batch=4

[conv]
batch_normalize=1
filters=8
size=3
stride=2
pad=1
activation=leaky

[maxpool]
size=2

[convolutional]
filters=14
activation=linear

[upsample]
stride=2

[route]
layers = -1, 0

[yolo]
mask = 1,0
anchors = 10,14,  23.5,27
num=2
classes=2
ignore_thresh = .7
jitter=.3
"""


def test_a_file_is_read_with_the_formats_defaults():
    config = parse_cfg(TEXT)
    assert config.net == Net(64, 32, 3, (("batch", "4"),))
    yolo = Yolo(((10.0, 14.0), (23.5, 27.0)), 2, (1, 0), 2, 0.7, 1.0, (("jitter", ".3"),))
    assert config.layers == (
        Convolutional(8, 3, 2, True, batch_normalize=True, activation="leaky"), MaxPool(1, 2),
        Convolutional(14, activation="linear"), Upsample(2), Route((-1, 0)), yolo,
    )  # fmt: skip
    assert yolo.chosen == ((23.5, 27.0), (10.0, 14.0))


EVERYTHING = Config(
    Net(96, 64, 1, (("policy", "steps"), ("scales", ".1,.1"))),
    (
        Convolutional(16, 5, 2, padding=1, groups=2, dilation=2, activation="mish"), MaxPool(2), MaxPool(1, 5, 4),
        Route((-1, 0), 2, 1), Shortcut(-2, "leaky"), Upsample(3), Dropout(0.25), AveragePool(), Softmax(4),
        Yolo(((1.5, 2.0), (3.25, 4.0)), 3, (1,)),
    ),
)  # fmt: skip


@pytest.mark.parametrize("config", [EVERYTHING, yolov3(3), yolov3_tiny(), darknet53()])
def test_what_is_written_reads_back_the_same(config):
    assert parse_cfg(format_cfg(config)) == config


def wrong(text, *expected):
    with pytest.raises(InputError) as caught:
        parse_cfg(text, "my.cfg")
    message = str(caught.value)
    assert "\n" not in message
    for part in expected:
        assert part in message, message


def changed(old, new):
    assert old in TEXT
    return TEXT.replace(old, new)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("[upsample]", "[reorg]", ("my.cfg:24: [reorg]: unknown section", "known: convolutional", "yolo")),
        ("[upsample]", "[upsampel]", ("did you mean 'upsample'?",)),
        ("filters=8", "filters=eight", ("my.cfg:11: filters must be a whole number, got 'eight'",)),
        ("filters=8", "filters=0", ("my.cfg:9: [convolutional]: filters must be 1 to",)),
        ("filters=8\n", "\n", ("my.cfg:9: [convolutional]: filters=… is missing",)),
        ("filters=8\n", "filters=8\nfilters=9\n", ("my.cfg:12: filters stands twice",)),
        ("activation=leaky", "activation=tanhh", ("activation must be one of linear, leaky",)),
        ("batch_normalize=1", "batch_normalize=yes", ("batch_normalize must be 0 or 1",)),
        ("pad=1", "pad=1\nxnor=1", ("my.cfg:15: [convolutional] has no key", "'xnor'")),
        ("jitter=.3", "scale_x_y=1.05", ("no key", "'scale_x_y'")),
        ("layers = -1, 0", "layers = -1, 9", ("my.cfg:27: [route]: layer 4: there is no layer 9 before it",)),
        ("layers = -1, 0", "layers = -6", ("there is no layer -6 before it",)),
        ("layers = -1, 0", "layers = 4", ("there is no layer 4 before it",)),
        ("layers = -1, 0", "layers =", ("layers names no layer",)),
        ("mask = 1,0", "mask = 1,2", ("mask names anchor 2, but there are 2",)),
        ("mask = 1,0", "mask = 1,1", ("mask names an anchor twice",)),
        ("num=2", "num=3", ("num is 3, but there are 2 anchors",)),
        ("23.5,27", "23.5", ("anchors must be pairs of width and height",)),
        ("10,14", "10,nan", ("anchors must be widths and heights greater than 0",)),
        ("ignore_thresh = .7", "ignore_thresh = nan", ("ignore_thresh must be 0 to 1",)),
        ("stride=2\npad", "stride 2\npad", ("my.cfg:13: neither [section] nor key=value: 'stride 2'",)),
        ("[net]", "[yolo]", ("the first section must be [net]",)),
        ("# a comment", "width=1", ("my.cfg:2: 'width' stands before any section",)),
    ],
)
def test_a_mistake_costs_one_line_that_says_where(old, new, expected):
    wrong(changed(old, new), *expected)


def test_a_network_without_layers_is_none():
    wrong("[net]\n", "no layer after [net]")
    wrong("", "the first section must be [net]")
    wrong("[net]\n" + 3000 * "[dropout]\n", "3000 layers; at most 2000")


def test_a_shortcut_to_nowhere_is_refused():
    wrong(
        "[net]\n[convolutional]\nfilters=3\n[shortcut]\nfrom=-3\n",
        "my.cfg:4: [shortcut]: layer 1: there is no layer -3",
    )


def test_files_that_cannot_be_cfgs_are_refused(tmp_path):
    weights, large = tmp_path / "w.cfg", tmp_path / "large.cfg"
    weights.write_bytes(bytes([0, 0, 0, 0, 255, 254]))
    large.write_text("#" * (1 << 20) + "\n")
    for path, expected in ((weights, "no text"), (large, "larger than 1 MiB"), (tmp_path / "none.cfg", "cannot read")):
        with pytest.raises(InputError, match=expected) as caught:
            read_cfg(path)
        assert re.search(path.name, str(caught.value))
