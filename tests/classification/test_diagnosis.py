"""Runs that were broken on purpose and healthy ones: the diagnosis must tell each."""

import json

import pytest

from .diagnosed_runs import BROKEN, HEALTHY, diagnosed


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_run_is_told_its_cause(name, tmp_path):
    assert diagnosed(BROKEN[name], tmp_path)[:1] == [name.split()[0]]


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_run_is_left_in_peace(name, tmp_path):
    assert diagnosed(HEALTHY[name], tmp_path) == []


def test_there_are_enough_of_each():
    assert len(BROKEN) >= 12
    assert len(HEALTHY) >= 12


def test_the_command_tells_and_the_training_does_so_while_it_runs(cli):
    result = cli(
        "train", "classify", "--model", "mlp", "--lr", 0.5, "--schedule", "constant", "--epochs", 4, "--out", "wild"
    )
    assert "diagnosis: The learning rate is too high" in result.err
    found = json.loads(cli("diagnose", "wild", "--json").out)
    assert found[0]["kind"] == "lr-too-high"
    assert found[0]["flag"] == "--lr 0.05"
    assert "evidence: updates of up to" in cli("diagnose", "wild").out


def test_a_healthy_run_is_told_so(cli, digits_run):
    assert "healthy; nothing noticed" in cli("diagnose", digits_run.folder).out
