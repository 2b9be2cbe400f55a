import json
from pathlib import Path

import pytest
import yaml

from ..conftest import mistake
from ..data.conftest import picture


def test_what_is_found_is_drawn_and_written(cli, detect_run):
    picture(1, (90, 60)).save("mine.jpg")
    result = cli("predict", detect_run.folder, "mine.jpg", "--out", "out", "--threshold", "0.001", "--json")
    (found,) = json.loads(result.out)
    assert (found["input"], found["file"], found["size"]) == ("mine.jpg", "out/mine.png", [60, 90])
    assert found["objects"], "an untrained detector finds something everywhere at such a threshold"
    assert all(0.001 <= item["score"] <= 1 and item["class"] in "0123456789" for item in found["objects"])
    written = json.loads(Path("out/detections.json").read_text())
    assert len(written["annotations"]) == len(found["objects"])
    line = cli("predict", detect_run.folder, "mine.jpg", "--threshold", "0.999").out
    assert line == "mine.jpg: nothing found; wrote detected/mine.png\n"


def test_a_run_is_measured_reported_on_and_diagnosed(cli, detect_run):
    measured = json.loads(cli("evaluate", detect_run.folder, "--split", "val", "--json").out)
    best = [record for record in detect_run.history() if record["best"]][-1]
    for name in ("map", "map50", "loss"):
        assert measured[name] == pytest.approx(best[f"val_{name}"], rel=1e-4, abs=1e-9)
    assert list(measured["classes"]) == list("0123456789")
    page = detect_run.folder / "report.html"
    page.unlink()
    assert cli("report", detect_run.folder).code == 0
    assert "yolov3-tiny" in page.read_text()
    assert cli("diagnose", detect_run.folder).code == 0


def test_a_config_gives_its_options_and_a_run_goes_on(cli, detect_run):
    config = detect_run.folder / "config.yaml"
    assert cli("train", "detect", "--config", config, "--steps", 1, "--out", "run").code == 0
    assert yaml.safe_load(Path("run/config.yaml").read_text())["anchors"] == detect_run.config["anchors"]
    result = cli("train", "detect", "--resume", "--out", "run", "--steps", 2)
    assert result.code == 0, result.err
    assert "going on in run after step 1 of 2" in result.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "detect", "--data", "FEW", "--size", "100"], "--size must be a multiple of 32"),
        (["train", "detect", "--data", "nowhere"], "no data 'nowhere'"),
        (["train", "detect", "--data", "FEW", "--model", "yolov4"], "unknown model 'yolov4'"),
        (["train", "detect", "--data", "FEW", "--model", "none.cfg"], "none.cfg"),
        (
            ["train", "detect", "--data", "FEW", "--model", "cnn", "--anchors", "published"],
            "nobody published any for 'cnn'",
        ),
        (["train", "detect", "--data", "FEW", "--anchor-count", "0"], "--anchor-count must be 1 to 64"),
        (
            ["train", "detect", "--data", "FEW", "--anchor-count", "4", "--anchors", "published"],
            "--anchor-count is for anchors that are clustered",
        ),
        (["train", "detect", "--data", "FEW", "--class-gain", "0"], "--class-gain must be in (0, 100]"),
        (["train", "detect", "--data", "FEW", "--augment", "elastic"], "elastic"),
        (["train", "detect", "--data", "FEW", "--weights", "no.weights"], "no.weights"),
        (["predict", "RUN", "coffee", "--top", "3"], "--top is for classifiers"),
        (["predict", "RUN", "coffee", "--tile", "64"], "--tile is for runs of 'train segment'"),
        (["predict", "RUN", "coffee", "--threshold", "2"], "--threshold must be in [0, 1]"),
        (["predict", "RUN", "coffee", "--heatmap", "3"], "--heatmap is for classifiers"),
        (
            ["predict", "efficientnet-lite0", "coffee", "--threshold", "0.3"],
            "--threshold is for runs of 'train detect'",
        ),
        (["predict", "lonely.cfg", "coffee"], "lonely.weights"),
        (["evaluate", "RUN", "RUN"], "is measured alone: give one run folder"),
        (["attack", "RUN", "coffee"], "says what is where in an image"),
        (["fool", "RUN"], "says what is where in an image"),
        (["export", "efficientnet-lite0", "--to", "darknet"], "--to darknet is for detectors"),
    ],
)
def test_a_wrong_word_costs_one_line(cli, detect_run, few_scenes, arguments, message):
    given = [{"RUN": detect_run.folder, "FEW": few_scenes}.get(text, text) for text in arguments]
    assert message in mistake(cli(*given))
    assert list(Path().iterdir()) == [], "nothing may be left behind"


def test_layers_of_a_detector_are_added_up_under_the_list_that_holds_them(cli, detect_run):
    counted = json.loads(cli("summary", detect_run.folder, "--depth", 1, "--json").out)
    assert [(layer["name"], layer["kind"]) for layer in counted["layers"]] == [("layers", "ModuleList")]
    assert counted["layers"][0]["parameters"] == counted["parameters"]
