import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

import pendio
from pendio.data.inputs import named_image
from pendio.detection.prediction import find
from pendio.detection.suppression import suppress_batch


@pytest.mark.parametrize("which", ["detect_run", "pyramid_run"])
def test_an_onnx_file_and_suppression_outside_find_what_the_task_finds(cli, request, which):
    run = request.getfixturevalue(which)
    result = cli("export", run.folder, "--to", "onnx", "--out", "model.onnx", "--json")
    assert json.loads(result.out)["max_difference"] < 1e-3, result.err
    task = pendio.load(run.folder)
    images = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    boxes, scores = (torch.from_numpy(output) for output in onnxruntime.InferenceSession("model.onnx").run(
        None, {"inputs": images.numpy()}))  # fmt: skip
    image, place, label = (scores > 2e-3).nonzero(as_tuple=True)
    outside = suppress_batch(boxes[image, place], scores[image, place, label], label, image, count=3, overlap=0.45)
    for one, other in zip(outside, task.predict(images, 2e-3), strict=True):
        assert len(one.scores)
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-5)
        if which == "detect_run":  # the other is so young that its scores are almost equal, and their order is luck
            # Of almost equal scores the order is rounding: each box has its like among the others, of its own class.
            apart = (one.boxes[:, None] - other.boxes).norm(dim=-1) + 1e6 * (one.labels[:, None] != other.labels)
            assert float(apart.amin(0).max()) < 2e-2
            assert float(apart.amin(1).max()) < 2e-2


def test_darknets_form_is_read_back_as_the_same_detector(cli, detect_run):
    result = cli("export", detect_run.folder, "--to", "darknet", "--out", "mine.weights")
    assert result.code == 0, result.err
    assert Path("mine.names").read_text().splitlines() == list("0123456789")
    image = named_image("coffee")
    one, other = find(pendio.load("mine.cfg"), image, 1e-3), find(pendio.load(detect_run.folder), image, 1e-3)
    torch.testing.assert_close(one, other)
    assert len(one.boxes)
    assert "wrote detected/coffee.png" in cli("predict", "mine.cfg", "coffee").out
    counted = cli("summary", "mine.cfg")
    assert counted.code == 0, counted.err


def test_a_training_starts_from_darknets_weights(cli, detect_run):
    cli("export", detect_run.folder, "--to", "darknet", "--out", "mine.weights")
    result = cli("train", "detect", "--model", "mine.cfg", "--weights", "mine.weights", "--size", 64, "--steps", 1,
                 "--lr", 1e-12, "--average", "none", "--out", "run")  # fmt: skip
    assert result.code == 0, result.err
    assert "started from all weights in mine.weights" in result.err
    before = detect_run.weights("best")["network.module.layers.0.convolution.weight"]
    torch.testing.assert_close(pendio.load("run").network.module.layers[0][0].weight.data, before)


def test_a_backbone_has_no_form_in_darknet(cli, pyramid_run):
    result = cli("export", pyramid_run.folder, "--to", "darknet", "--out", "mine.weights")
    assert (result.code, list(Path().iterdir())) == (2, [])
    assert "--to darknet is for detectors with darknet's layers" in result.err
