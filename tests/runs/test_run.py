import json
import os
from pathlib import Path

import pytest
import torch
import yaml

from pendio.errors import InputError
from pendio.runs.run import Run, next_folder, versions

WEIGHTS = {"a": torch.arange(3.0)}
STATE = {"epoch": 0, "step": 0, "nested": {"t": torch.ones(2), "list": [1, None, "x"]}}


@pytest.fixture
def run(tmp_path):
    return Run.create(tmp_path / "runs" / "one", {"recipe": "classify", "plan": {"lr": 0.1}}, WEIGHTS, STATE)


def test_a_new_folder_is_complete_from_its_first_instant(run):
    assert sorted(path.name for path in run.folder.iterdir()) == [
        "best.safetensors", "config.yaml", "metrics.jsonl", "state.pt", "weights.safetensors",
    ]  # fmt: skip
    again = Run.open(run.folder)
    assert again.config == run.config
    assert again.history() == []
    assert torch.equal(again.weights("best")["a"], WEIGHTS["a"])
    assert again.state()["nested"]["list"] == [1, None, "x"]
    assert sorted(path.name for path in run.folder.parent.iterdir()) == ["one"]


def test_a_folder_in_use_is_left_alone(run, tmp_path):
    with pytest.raises(InputError, match="exists already; go on there with --resume, or choose another --out"):
        Run.create(run.folder, {}, WEIGHTS, STATE)
    assert Run.open(run.folder).config["recipe"] == "classify"
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="exists already"):
        Run.create(tmp_path / "file", {}, WEIGHTS, STATE)
    (tmp_path / "empty").mkdir()
    assert Run.create(tmp_path / "empty", {}, WEIGHTS, STATE).folder.is_dir()


def test_what_fails_in_creation_leaves_nothing(tmp_path):
    with pytest.raises(Exception, match="pickle"):
        Run.create(tmp_path / "one", {}, WEIGHTS, {"unsaveable": lambda: None})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_told(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="no permission to write there"):
        Run.create(tmp_path / "one", {}, WEIGHTS, STATE)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is no run folder: it has no config.yaml"),
        ("", "is damaged: it holds no mapping"),
        ("- a\n- b\n", "is damaged: it holds no mapping"),
        ("a: [1,", "is damaged"),
        ("a: !!python/object/apply:os.system ['touch mark']", "is damaged"),
        ("\udcff", "is damaged"),
    ],
)
def test_a_damaged_config_is_told(run, content, message, monkeypatch):
    monkeypatch.chdir(run.folder)
    config = run.folder / "config.yaml"
    config.unlink()
    if content is not None:
        config.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match=message):
        Run.open(run.folder)
    assert not Path("mark").exists()


def test_a_config_of_any_size_is_not_read(run):
    with (run.folder / "config.yaml").open("r+b") as file:
        file.truncate(1 << 30)
    with pytest.raises(InputError, match="too large for a config file"):
        Run.open(run.folder)


def test_a_line_that_a_kill_cut_short_is_left_out_but_damage_is_told(run):
    run.append({"epoch": 1, "step": 5, "loss": 0.5})
    metrics = run.folder / "metrics.jsonl"
    whole = metrics.read_text()
    metrics.write_text(whole + '{"epoch": 2, "st')
    assert [record["epoch"] for record in run.history()] == [1]
    metrics.write_text("no record\n" + whole)
    with pytest.raises(InputError, match="line 1 is damaged"):
        run.history()
    metrics.unlink()
    with pytest.raises(InputError, match=r"has no metrics.jsonl"):
        run.history()


def test_going_back_to_a_checkpoint_forgets_the_evaluations_after_it(run):
    for epoch in range(1, 5):
        run.append({"epoch": epoch, "step": epoch * 10})
    run.rewind(2)
    run.append({"epoch": 3, "step": 30, "loss": 1.0})
    assert [json.loads(line)["epoch"] for line in (run.folder / "metrics.jsonl").read_text().splitlines()] == [1, 2, 3]


def test_saving_keeps_the_best_unless_there_is_a_better(run):
    run.save({"a": torch.zeros(3)}, None, STATE)
    assert torch.equal(run.weights("best")["a"], WEIGHTS["a"])
    assert torch.equal(run.weights("last")["a"], torch.zeros(3))
    run.save({"a": torch.zeros(3)}, {"a": torch.ones(3)}, {"epoch": 7})
    assert torch.equal(run.weights("best")["a"], torch.ones(3))
    assert run.state() == {"epoch": 7}


def test_a_malicious_state_is_not_run(run, malicious):
    path, mark = malicious
    (run.folder / "state.pt").write_bytes(path.read_bytes())
    with pytest.raises(InputError, match="could run code"):
        run.state()
    assert not mark.exists()


def test_names_are_the_next_unused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert next_folder("classify", "digits") == Path("runs/classify-digits-1")
    Path("runs/classify-digits-1").mkdir(parents=True)
    assert next_folder("classify", "digits") == Path("runs/classify-digits-2")
    assert next_folder("classify", "../my photos/été.csv") == Path("runs/classify-t-1")
    assert next_folder("classify", "..") == Path("runs/classify-data-1")


def test_versions_are_those_installed():
    assert versions()["torch"] == torch.__version__.split("+")[0]
    assert yaml.safe_load(yaml.safe_dump(versions())) == versions()
