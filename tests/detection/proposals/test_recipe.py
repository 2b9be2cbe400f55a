import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml

import pendio
from pendio.data.annotations.convert import convert
from pendio.detection.proposals.recipe import region_data, region_detector

from .squares import squares_data


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("scenes") / "coco"
    convert("scenes", "coco", out, most=6)
    return out


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "regions"
    return pendio.train("detect", progress=False, data=str(folder), model="rcnn", size=128, epochs=1, out=str(out))


def test_what_the_proposals_hold_is_told():
    first, second = region_data(squares_data(4, 2, augmented=True), 0, False).notes
    assert first.startswith("selective search proposes")
    assert "overlap 100.0% of the training objects by half or more" in first
    assert "does not augment" in second
    assert len(region_data(squares_data(4, 2), 0, False).notes) == 1


def test_the_same_seed_gives_the_same_weights_and_leaves_others_alone():
    torch.manual_seed(0)
    first, drawn = (region_detector(("a",), 128, [0.5] * 3, [0.2] * 3, 7) for _ in range(2)), torch.rand(1)
    one, other = (task.network.scores.weight for task in first)
    assert torch.equal(one, other)
    torch.manual_seed(0)
    assert torch.equal(torch.rand(1), drawn)


@pytest.mark.parametrize(("size", "side"), [(64, 24), (128, 24), (224, 40), (416, 64)])
def test_larger_images_have_larger_crops(size, side):
    assert region_detector(("a",), size, [0.5] * 3, [0.2] * 3, 0).network.side == side


def test_a_run_is_reported_taken_up_and_used(run, folder, cli):
    assert "mAP" in (run.folder / "report.html").read_text()
    task = pendio.load(str(run.folder))
    assert task.classes == tuple("0123456789")
    told = json.loads(cli("evaluate", run.folder, "--json").out)
    assert told["proposals_recall50"] > 0.9
    assert set(told["classes"]) == set(task.classes)
    assert cli("diagnose", run.folder).code == 0
    image = next(folder.rglob("*.png"))
    assert cli("predict", run.folder, image, "--out", "out", "--threshold", "0").code == 0
    assert next(Path("out").glob("*.png")).is_file()


def test_how_boxes_are_merged_can_be_chosen(run, tmp_path):
    assert (pendio.load(str(run.folder)).suppression, pendio.load(str(run.folder)).overlap) == ("hard", 0.3)
    chosen = shutil.copytree(run.folder, tmp_path / "chosen")
    config = yaml.safe_load((chosen / "config.yaml").read_text())
    config["options"] |= {"overlap": 0.6, "suppression": "linear"}
    (chosen / "config.yaml").write_text(yaml.safe_dump(config))
    task = pendio.load(str(chosen))
    assert (task.suppression, task.overlap) == ("linear", 0.6)
