import json

import pytest
import torch

from pendio.errors import InputError
from pendio.pictures.learning import draw_seeds
from pendio.runs.comparison import draw_runs, group_runs
from pendio.runs.run import Run

WEIGHTS = {"a": torch.zeros(1)}


@pytest.fixture
def made(tmp_path):
    """Makes runs of given options and histories."""

    def make(name, recipe="dqn", options=None, plan=None, history=None):
        config = {"recipe": recipe, "options": options or {}, "plan": {"seed": 0} | (plan or {})}
        run = Run.create(tmp_path / name, config, WEIGHTS, {})
        records = [{"step": n, "epoch": n, "env_steps": 100 * n, "val_return": n, "val_loss": 1 / n} for n in (1, 2, 3)]
        text = "".join(json.dumps(record) + "\n" for record in (records if history is None else history))
        (run.folder / "metrics.jsonl").write_text(text)
        return Run.open(run.folder)

    return make


def sizes(*runs):
    return {name: len(members) for name, members in group_runs(runs).items()}


def test_runs_that_differ_in_seed_alone_are_one_group(made):
    lake = {"env": "FrozenLake-v1", "settings": ""}
    runs = [
        made("a0", options=lake, plan={"lr": 0.1}), made("a1", options=lake, plan={"lr": 0.1, "seed": 1}),
        made("b", options=lake, plan={"lr": 0.2, "seed": 1}), made("a2", options=lake, plan={"lr": 0.1, "seed": 2}),
    ]  # fmt: skip
    assert sizes(*runs) == {"dqn, lr 0.1": 3, "dqn, lr 0.2": 1}
    assert [run.folder.name for run in group_runs(runs)["dqn, lr 0.1"]] == ["a0", "a1", "a2"]


def test_where_a_run_was_written_does_not_count(made):
    runs = [made(name, options={"env": "E", "out": name, "resume": name == "b"}) for name in "ab"]
    runs.append(made("c", options={"resume": False, "out": "c", "env": "E"}))
    assert sizes(*runs) == {"dqn": 3}


def test_names_say_what_differs_first_the_world(made):
    runs = [
        made("a", options={"env": "E", "double": True, "limit": None}),
        made("b", options={"env": "E", "double": False, "limit": 9}),
        made("c", options={"env": "F", "double": True, "limit": None}),
    ]  # fmt: skip
    assert list(group_runs(runs)) == [
        "dqn, env E, double True",
        "dqn, env E, double False, limit 9",
        "dqn, env F, double True",
    ]


def test_options_of_other_tasks_are_no_difference(made):
    runs = [made("a", options={"env": "E", "double": True}), made("b", "ppo", options={"env": "E", "gae": 0.9})]
    assert sizes(*runs) == {"dqn": 1, "ppo": 1}
    runs.append(made("c", "ppo", options={"env": "E", "gae": 0.8}))
    assert sizes(*runs) == {"dqn": 1, "ppo, gae 0.9": 1, "ppo, gae 0.8": 1}


def test_names_are_never_the_same(made):
    runs = [made(f"r{n}", options=dict.fromkeys("abcd", 1) | {"z": n}, plan={"lr": n}) for n in range(2)]
    assert list(group_runs(runs)) == ["dqn, lr 0, z 0", "dqn, lr 1, z 1"]
    many = [made(f"m{n}", options=dict.fromkeys("abcd", n // 2) | {"z": n}) for n in range(4)]
    names = list(group_runs(many))
    assert len(set(names)) == 4
    assert names[0] == "dqn, a 0, b 0, c 0, d 0 (m0)"
    there = [made(f"{place}/same", options=dict.fromkeys("abcd", n // 2) | {"z": n}) for n, place in enumerate("wxyz")]
    assert len(group_runs(there)) == 4


def test_agents_are_drawn_over_the_steps_they_played(made):
    runs = [made("a"), made("b", plan={"seed": 1}), made("c", "ppo")]
    histories = [run.history() for run in runs]
    expected = {"dqn": histories[:2], "ppo": histories[2:]}
    assert draw_runs(runs) == draw_seeds(expected, "env_steps", "val_return", ("steps played", "return"))
    assert draw_runs(runs, "val_loss") == draw_seeds(expected, "env_steps", "val_loss", ("steps played", "loss"))


def test_learning_of_data_is_drawn_over_epochs(made):
    history = [{"step": 9 * n, "epoch": n, "val_loss": 1 / n, "val_top_5": 0.5} for n in (1, 2)]
    runs = [made("a", "classify", history=history)]
    alone = {"classify": [runs[0].history()]}
    assert draw_runs(runs) == draw_seeds(alone, "epoch", "val_loss", ("epoch", "loss"))
    assert draw_runs(runs, "val_top_5") == draw_seeds(alone, "epoch", "val_top_5", ("epoch", "top 5"))
    runs.append(made("b"))
    assert draw_runs(runs) == draw_seeds(alone | {"dqn": [runs[1].history()]}, "epoch", "val_loss", ("epoch", "loss"))


def test_a_run_without_evaluations_is_told(made):
    with pytest.raises(InputError, match="the run in '.*empty' has no evaluations yet"):
        draw_runs([made("full"), made("empty", history=[])])


def test_a_metric_that_not_all_have_is_told(made):
    other = made("other", history=[{"step": 1, "epoch": 1, "env_steps": 5, "val_return": 1.0, "val_q_error": 0.5}])
    with pytest.raises(InputError, match="not all runs have a metric 'val_retrun': did you mean 'val_return'?"):
        draw_runs([made("one"), other], "val_retrun")
    with pytest.raises(InputError, match="not all runs have a metric 'val_q_error': .*val_return"):
        draw_runs([made("two"), other], "val_q_error")
