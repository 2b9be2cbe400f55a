"""Training in several processes, and being killed."""

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from pendio.descent.loop import evaluate, fit
from pendio.descent.plan import Plan
from pendio.runs.run import Run

from .conftest import make_network, make_regression

COMMAND = ["train", "classify", "--data", "digits", "--model", "mlp", "--batch", "60", "--epochs", "3", "--lr", "0.01"]


def train(out, *launcher):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *launcher, "-m", "pendio", *COMMAND, "--out", str(out)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert result.returncode == 0, result.stderr
    return Run.open(out)


def test_two_processes_learn_what_one_does_with_the_same_global_batch(tmp_path):
    alone = train(tmp_path / "alone")
    together = train(tmp_path / "together", "-m", "torch.distributed.run", "--nproc-per-node", "2")
    assert len(together.history()) == 3, "one line an epoch, not one a process"
    for one, two in zip(alone.history(), together.history(), strict=True):
        for name in ("step", "loss", "val_loss", "val_accuracy", "val_f1", "val_calibration_error", "lr"):
            assert two[name] == pytest.approx(one[name], abs=1e-5), name
    for name, value in alone.weights("last").items():
        # AdamW divides by the root of a tiny mean square, which magnifies differences in rounding.
        torch.testing.assert_close(together.weights("last")[name], value, rtol=0, atol=1e-4)
    assert (together.folder / "report.html").is_file()


def test_an_error_in_several_processes_ends_all_of_them(tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "pendio", *COMMAND]
    result = subprocess.run(
        [*command, "--out", str(tmp_path / "taken")], capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode != 0
    assert "exists already" in result.stderr
    assert "Traceback (most recent call last):\n  File" not in result.stderr.split("torch/distributed")[0]


def _train_forever(folder: str, progress: Path) -> None:
    torch.set_num_threads(1)
    task = make_network(dropout=0.1, norm=True)
    plan = Plan(epochs=100_000, batch=8, average="ema", save_every=0.0)
    progress.touch()
    fit(task, make_regression(), plan, folder, resume=True, progress=False)


def kill_and_resume(tmp_path, kills, seed=0):
    """Start, kill -9 after a random while, look at what is left, go on from there, kill again, …"""
    chance = random.Random(seed)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.descent.test_processes"])
    folder = tmp_path / "run"
    reached = []
    for number in range(kills):
        marker = tmp_path / f"began-{number}"
        process = context.Process(target=_train_forever, args=(str(folder), marker))
        process.start()
        while not marker.exists():
            time.sleep(0.001)
            assert process.is_alive()
        time.sleep(chance.uniform(0.0, 0.35))
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        if folder.exists():
            run = Run.open(folder)
            for which in ("best", "last"):
                task = make_network(dropout=0.1, norm=True)
                task.load_state_dict(run.weights(which))
                assert evaluate(task, make_regression().val)["mse"] > 0
            reached.append(int(run.state()["step"]))
            run.history()
    return reached


def test_a_run_killed_at_any_instant_loads_and_goes_on(tmp_path):
    reached = kill_and_resume(tmp_path, kills=8)
    assert reached == sorted(reached)
    assert reached[-1] > reached[0]


@pytest.mark.slow
def test_a_run_killed_at_fifty_instants_loads_and_goes_on(tmp_path):
    reached = kill_and_resume(tmp_path, kills=50, seed=1)
    assert reached == sorted(reached)
    assert len(reached) >= 45


def test_killing_a_real_training_leaves_a_run_that_resumes(tmp_path):
    """The same through the command line, which also writes the config, best weights and metrics."""
    out = tmp_path / "run"
    command = [
        sys.executable,
        "-m",
        "pendio",
        "train",
        "classify",
        "--data",
        "digits",
        "--model",
        "lenet",
        "--out",
        str(out),
    ]
    process = subprocess.Popen([*command, "--epochs", "400", "--save-every", "0"], stderr=subprocess.DEVNULL)
    while not (out / "metrics.jsonl").is_file() or len((out / "metrics.jsonl").read_text().splitlines()) < 3:
        time.sleep(0.02)
        assert process.poll() is None
    process.kill()
    process.wait()
    step = Run.open(out).state()["step"]
    again = subprocess.run(
        [*command, "--resume", "--epochs", "400", "--steps", str(step + 25)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 0, again.stderr
    assert f"after step {step} of {step + 25}" in again.stderr
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == list(range(1, len(lines) + 1))
    assert lines[-1]["step"] == step + 25
