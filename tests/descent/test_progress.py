import os
import pty
import subprocess
import sys

import torch

from pendio.descent.progress import Bar

TRAIN = [sys.executable, "-m", "pendio", "train", "classify", "--data", "moons", "--model", "mlp"]


def test_a_terminal_shows_a_live_bar_with_loss_speed_and_time_left(tmp_path):
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "110"}
    process = subprocess.Popen(
        [*TRAIN, "--epochs", "40", "--out", str(tmp_path / "run")],
        stdout=subprocess.DEVNULL,
        stderr=slave,
        env=environment,
    )
    os.close(slave)
    shown = b""
    while True:
        try:
            chunk = os.read(master, 65536)
        except OSError:  # the other side of a pseudo-terminal has closed
            break
        if not chunk:
            break
        shown += chunk
    assert process.wait() == 0
    text = shown.decode(errors="replace")
    assert "examples/s" in text
    assert "loss 0." in text
    assert "epoch 40/40" in text


def test_elsewhere_there_is_a_line_an_epoch(tmp_path):
    result = subprocess.run(
        [*TRAIN, "--epochs", "3", "--out", str(tmp_path / "run")], capture_output=True, text=True, check=True
    )
    lines = [line for line in result.stderr.splitlines() if line.startswith("epoch ")]
    assert [line.split()[1] for line in lines] == ["1/3", "2/3", "3/3"]
    assert all("val_accuracy" in line for line in lines)
    assert result.stdout == "", "results alone go to standard output"


def test_silence_when_not_shown(capfd):
    with Bar(False, 10, 1) as bar:
        bar.step(1, 0, torch.ones(2), 1.0)
        bar.epoch({"epoch": 1, "loss": 1.0, "val_loss": 2.0})
        bar.note("something")
    assert capfd.readouterr() == ("", "")
