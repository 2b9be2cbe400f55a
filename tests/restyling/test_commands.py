import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from ..conftest import mistake
from ..data.conftest import picture
from .conftest import QUICK

FLAGS = [
    text for name, value in {**QUICK, "epochs": 500}.items() for text in (f"--{name.replace('_', '-')}", str(value))
]


def test_training_and_prediction_from_the_command_line(cli, restyle_run):
    picture(1, (50, 35)).save("mine.jpg")
    result = cli("predict", restyle_run.folder, "mine.jpg", "--out", "out", "--json")
    assert json.loads(result.out) == [{"input": "mine.jpg", "file": "out/mine.png", "size": [35, 50], "frames": 1}]
    assert "mine.jpg: wrote restyled/mine.png (50×35)" in cli("predict", restyle_run.folder, "mine.jpg").out


def test_a_run_is_measured_reported_on_and_diagnosed(cli, restyle_run):
    measured = json.loads(cli("evaluate", restyle_run.folder, "--json").out)
    best = [record for record in restyle_run.history() if record["best"]][-1]
    assert measured["loss"] == pytest.approx(best["val_loss"], rel=1e-4)
    assert (measured["split"], measured["examples"]) == ("test", 17)
    assert "style" in cli("evaluate", restyle_run.folder, "--data", "photos").out
    page = restyle_run.folder / "report.html"
    page.unlink()
    assert cli("report", restyle_run.folder).code == 0
    assert "the style of grass" in page.read_text()
    assert cli("diagnose", restyle_run.folder).code == 0


def test_a_config_gives_its_options_and_the_command_line_overrides_them(cli, restyle_run):
    result = cli(
        "train", "restyle", "--config", restyle_run.folder / "config.yaml", "--epochs", 1, "--steps", 1, "--out", "run"
    )
    assert result.code == 0, result.err
    config = yaml.safe_load(Path("run/config.yaml").read_text())
    assert config["options"] == restyle_run.config["options"]
    assert (config["plan"]["epochs"], config["plan"]["batch"], config["plan"]["optimizer"]) == (1, 9, "adam")
    result = cli("train", "restyle", "--resume", "--out", "run", "--steps", 2)
    assert result.code == 0, result.err
    assert "going on in run after step 1 of 2" in result.err


def test_an_interrupted_training_names_its_own_task(tmp_path):
    command = [sys.executable, "-m", "pendio", "train", "restyle", *FLAGS, "--out", "run"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    while not (tmp_path / "run" / "metrics.jsonl").is_file() or not (tmp_path / "run" / "metrics.jsonl").read_text():
        assert process.poll() is None
        time.sleep(0.05)
    process.terminate()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1] == ("pendio: interrupted: saved; go on with: pendio train restyle --resume --out run")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "restyle"], "--style"),
        (["train", "restyle", "--style", "nothing.jpg"], "input 'nothing.jpg' is neither a file or folder"),
        (["train", "restyle", "--style", "grass", "--widht", "3"], "widht"),
        (["predict", "RUN"], "give one input or more"),
        (["predict", "RUN", "no.png"], "neither a file or folder"),
        (["predict", "RUN", "coffee", "--top", "3"], "--top is for classifiers"),
        (["evaluate", "RUN", "RUN"], "is measured alone: give one run folder"),
        (["evaluate", "RUN", "--data", "digts"], "no data 'digts'"),
        (["export", "RUN", "--to", "onnx"], "is a run of 'train restyle', whose network has no classes"),
        (["visualize", "RUN", "class:1"], "is a run of 'train restyle'"),
        (["summary", "RUN"], "is a run of 'train restyle'"),
    ],
)
def test_a_wrong_word_costs_one_line(cli, restyle_run, arguments, message):
    given = [restyle_run.folder if text == "RUN" else text for text in arguments]
    assert message in mistake(cli(*given))
    assert list(Path().iterdir()) == [], "nothing may be left behind"
