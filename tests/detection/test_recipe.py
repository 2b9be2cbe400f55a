import json
from pathlib import Path

import pytest
import torch

import pendio
from pendio.data.annotations.convert import convert
from pendio.detection.names import COCO, read_names
from pendio.detection.options import DetectOptions
from pendio.errors import InputError


def test_the_whole_yolov3_takes_a_step_and_predicts_at_416(tmp_path):
    convert("scenes", "coco", tmp_path / "scenes", most=2)
    run = pendio.train("detect", progress=False, data=str(tmp_path / "scenes"), model="yolov3", size=416, batch=1, steps=1,
                       average="none", out=str(tmp_path / "run"))  # fmt: skip
    task = pendio.load(run.folder)
    # The heads alone are others than those of 80 classes and three anchors on each grid.
    heads = sum(len(scale.anchors) * 15 * size for scale, size in zip(task.scales, (1025, 513, 257), strict=True))
    expected = 61_949_149 - 255 * (1025 + 513 + 257) + heads
    assert sum(weight.numel() for weight in task.network.parameters()) == expected
    (found,) = task.predict(torch.zeros(1, 3, 416, 416, dtype=torch.uint8), 0.0)
    assert found.boxes.shape == (300, 4)


@pytest.mark.parametrize(("neck", "strides"), [("fpn", [16, 8, 4]), ("hierarchy", [16, 8, 4]), ("single", [8]),
                                               ("image-pyramid", [16, 8, 4])])  # fmt: skip
def test_every_neck_trains_on_the_same_backbone(tmp_path, few_scenes, neck, strides):
    run = pendio.train("detect", progress=False, data=few_scenes, model="cnn", neck=neck, width=8, size=64, steps=2, batch=4,
                       out=str(tmp_path / "run"))  # fmt: skip
    task = pendio.load(run.folder)
    assert [scale.stride for scale in task.scales] == strides
    assert all(scale.anchors for scale in task.scales)
    shared = {anchor for scale in task.scales for anchor in scale.anchors}
    assert len(run.config["anchors"]) == 9
    assert {tuple(anchor) for anchor in run.config["anchors"]} <= shared


@pytest.mark.parametrize("loss", ["v1", "darknet", "bce", "giou", "ciou"])
def test_every_loss_falls_on_the_same_images(tmp_path, few_scenes, loss):
    run = pendio.train("detect", progress=False, data=few_scenes, loss=loss, size=64, epochs=8, batch=8, lr=2e-3,
                       augment="none", warmup=0, average="none", out=str(tmp_path / "run"))  # fmt: skip
    losses = [record["loss"] for record in run.history()]
    assert losses[-1] < 0.8 * losses[0], losses


def test_as_many_anchors_are_clustered_as_are_asked_for(tmp_path, few_scenes):
    run = pendio.train("detect", progress=False, data=few_scenes, anchor_count=2, size=64, steps=1, batch=4,
                       out=str(tmp_path / "run"))  # fmt: skip
    coarse, fine = pendio.load(run.folder).scales
    # No digit of 64-pixel scenes covers two cells of 32 pixels.
    assert (len(coarse.anchors), len(fine.anchors)) == (1, 2)
    assert coarse.anchors == ((128.0, 128.0),)


def test_sizes_are_drawn_around_the_one_that_is_asked_for():
    assert DetectOptions(size=416, multi_scale=True).sides == tuple(range(320, 641, 32))
    assert DetectOptions(size=416).sides == ()
    run = DetectOptions(data="scenes", multi_scale=True)
    assert (run.side, run.sides) == (96, (64, 96, 128))


def test_the_names_of_coco_are_eighty():
    assert (len(COCO), len(set(COCO)), COCO[0], COCO[-1]) == (80, 80, "person", "toothbrush")


def test_names_are_read_a_line_each(tmp_path):
    path = tmp_path / "mine.names"
    path.write_text("cat\n\n dog \n")
    assert read_names(path) == ("cat", "dog")
    path.write_text("\n")
    with pytest.raises(InputError, match="has no names of classes"):
        read_names(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read"):
        read_names(path)


def test_other_data_with_other_classes_is_refused(cli, detect_run):
    convert("scenes", "coco", Path("scenes"), most=2)
    file = next(Path("scenes").rglob("instances_train*.json"))
    content = json.loads(file.read_text())
    content["categories"] = [{**category, "name": f"x{category['name']}"} for category in content["categories"]]
    file.write_text(json.dumps(content))
    result = cli("evaluate", detect_run.folder, "--data", file)
    assert result.code == 2
    assert "classes" in result.err
