"""The races run, and what they compare is equal."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def race(name, *arguments):
    command = [sys.executable, str(BENCHMARKS / name), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.slow
def test_the_loops_reach_the_same_accuracy():
    output = race("train_loop.py", "--rounds", "1", "--epochs", "6")
    accuracies = [float(row) for row in re.findall(r"\| (\d+\.\d+)% \|", output)]
    assert len(accuracies) >= 2
    assert min(accuracies) > 98
    assert re.search(r"pendio/bare: \d+\.\d+", output)


@pytest.mark.slow
def test_both_sides_read_the_same_pictures():
    output = race("image_folder.py", "--images", "96", "--rounds", "1")
    assert float(re.search(r"evaluation: (\d+\.\d+) of 255", output)[1]) < 2
    assert len(re.findall(r"^\| (?:training|evaluation) \|", output, re.MULTILINE)) == 2


@pytest.mark.slow
def test_all_count_the_same_operations():
    output = race("summary.py", "--rounds", "1", "--models", "1")
    counts = {float(count) for count in output.splitlines()[-1].split("|")[-2].split(",")}
    assert max(counts) - min(counts) < 0.01 * max(counts)


@pytest.mark.slow
def test_commands_are_measured():
    output = race("commands.py", "--seeds", "1", "--only", "digits --model mlp")
    assert float(re.search(r"\| (\d+\.\d+)% \|", output)[1]) > 95


@pytest.mark.slow
def test_language_models_of_equal_weights_learn_the_same():
    output = race("train_lm.py", "--rounds", "1", "--steps", "3", "--sizes", "small")
    losses = {row[0]: float(row[1]) for row in re.findall(r"\| small \| (\S+) \|.*\| (\d+\.\d+) \|", output)}
    assert losses["pendio"] == pytest.approx(losses["script"], abs=2e-3)
    assert losses["pendio"] == pytest.approx(losses["transformers/gelu"], abs=2e-3)


@pytest.mark.slow
def test_language_models_of_equal_weights_write_the_same():
    output = race("generate.py", "--rounds", "1", "--tokens", "32", "--train", "2")
    assert "int8" in output


@pytest.mark.slow
def test_detectors_find_and_learn_the_same():
    output = race("detect.py", "--rounds", "1", "--only", "boxes")
    assert "ratio" in output or "of full" in output
