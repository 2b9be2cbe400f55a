"""Agents as a user trains, watches and measures them; and what mistakes cost."""

import json

import pytest
import torch
import yaml

import pendio
from pendio.runs.run import Run

from ..conftest import mistake

LAKE = ("--env", "FrozenLake-v1", "--settings", "is_slippery=false")
QUICK = ("--env-steps", 20_000, "--epochs", 4, "--environments", 16, "--train-every", 16, "--start", 500)


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    """A table that found the way over the lake."""
    out = tmp_path_factory.mktemp("lake") / "run"
    return pendio.train(
        "qlearn", progress=False, env="FrozenLake-v1", settings="is_slippery=false", env_steps=40_000, environments=32,
        train_every=32, epochs=4, out=str(out),
    )  # fmt: skip


@pytest.fixture(scope="module")
def cart(tmp_path_factory):
    """A network that has balanced the pole a little."""
    out = tmp_path_factory.mktemp("cart") / "run"
    return pendio.train(
        "dqn", progress=False, env="CartPole-v1", env_steps=3_000, epochs=3, episodes=5, hidden="32", train_every=16,
        updates=4, out=str(out), n_step=2, priority=0.5, dueling=True,
    )  # fmt: skip


def test_a_table_finds_the_way_and_the_run_says_so(lake, cli):
    last = lake.history()[-1]
    assert last["val_exact_return"] == 1.0
    assert last["val_q_error"] < 0.05
    assert last["env_steps"] > 39_000
    for name in ("curves", "world", "actions", "coverage"):
        assert (lake.folder / "pictures" / f"{name}.png").stat().st_size > 5_000
    page = (lake.folder / "report.html").read_text()
    assert "the best there can be" in page
    assert "pendio play" in page
    result = json.loads(cli("evaluate", lake.folder, "--episodes", 50, "--json").out)
    assert (result["return"], result["length"], result["optimal"], result["episodes"]) == (1.0, 6.0, 1.0, 50)
    assert result["random"] < 0.2


def test_an_agent_is_loaded_and_predicts(lake, cart):
    table, network = pendio.load(lake.folder), pendio.load(cart.folder)
    assert table.predict([0, 14]).tolist() == [table.values()[0].argmax(), 2]
    assert set(network.predict(torch.zeros(3, 4)).tolist()) <= {0, 1}


def test_an_episode_is_told_filmed_and_counted(lake, cart, cli):
    told = cli("play", lake.folder)
    assert "SFFF" in told.out.replace("\x1b[41m", "").replace("\x1b[0m", "")
    assert "return 1 in 6 steps" in told.out
    assert cli("play", cart.folder, "--gif", "cart.gif", "--json").code == 0
    assert cli("play", cart.folder, "--episodes", 2).out.count("return ") == 2


def test_evaluation_compares_agents(lake, tmp_path, cli):
    results = json.loads(cli("evaluate", lake.folder, lake.folder, "--json").out)
    assert [result["return"] for result in results] == [1.0, 1.0]
    assert "optimum" in cli("evaluate", lake.folder).out


def test_learning_curves_of_several_runs_are_drawn(lake, cart, cli, tmp_path):
    assert cli("curves", lake.folder, cart.folder, "--out", "curves.png").code == 0
    assert (tmp_path / "curves.png").read_bytes()[:4] == b"\x89PNG"
    assert "did you mean 'val_return'" in mistake(cli("curves", lake.folder, "--out", "x.png", "--metric", "val_retrn"))


def test_a_report_is_rebuilt_and_a_run_diagnosed(lake, cart, cli):
    (lake.folder / "report.html").unlink()
    assert cli("report", lake.folder).code == 0
    assert (lake.folder / "report.html").is_file()
    assert "healthy" in cli("diagnose", lake.folder).out
    assert cli("diagnose", cart.folder).code == 0


def test_presets_are_taken_told_and_overridden(cli):
    result = cli("train", "dqn", "--env", "CartPole-v1", "--env-steps", 2_000, "--epochs", 1, "--episodes", 2,
                 "--updates", 2, "--out", "run")  # fmt: skip
    assert result.code == 0
    assert "preset for CartPole-v1" in result.err
    assert "--env-steps" not in result.err.splitlines()[0]
    options = Run.open("run").config["options"]
    assert options["env_steps"] == 2_000
    assert options["hidden"] == "256,256"
    assert "val_return" in result.err


def test_a_config_does_it_again(lake, cli, tmp_path):
    config = yaml.safe_load((lake.folder / "config.yaml").read_text())
    assert config["recipe"] == "qlearn"
    result = cli("train", "qlearn", "--config", lake.folder / "config.yaml", "--env-steps", 5_000, "--out", "again")
    assert result.code == 0
    assert Run.open("again").config["options"]["settings"] == "is_slippery=false"


@pytest.mark.parametrize("task", ["qlearn", "dqn"])
def test_a_run_that_was_stopped_goes_on_to_the_bit(task, tmp_path):
    """The same weights after stopping in the middle of an epoch as without stopping; replay, worlds and chance included."""
    given = {
        "qlearn": {
            "env": "FrozenLake-v1",
            "settings": "is_slippery=false",
            "environments": 4,
            "train_every": 8,
            "updates": 4,
            "schedule": "constant",
        },
        "dqn": {
            "env": "CartPole-v1",
            "hidden": "16",
            "priority": 0.6,
            "n_step": 3,
            "train_every": 8,
            "updates": 4,
            "schedule": "constant",
        },
    }[task] | {"env_steps": 3_000, "epochs": 3, "episodes": 3, "progress": False, "save_every": 1e6}
    whole = pendio.train(task, out=str(tmp_path / "whole"), **given)
    part = pendio.train(task, out=str(tmp_path / "part"), steps=137, **given)
    before = part.weights("last")
    config = yaml.safe_load((part.folder / "config.yaml").read_text())
    (part.folder / "config.yaml").write_text(yaml.safe_dump(config | {"plan": config["plan"] | {"steps": None}}))
    # An epoch that --steps cut short counts as done: take that back, as after Ctrl-C.
    state = part.state()
    state["epoch"], state["step_in_epoch"] = divmod(state["step"], (3_000 - 1_000) // 8 * 4 // 3)
    torch.save(state, part.folder / "state.pt")
    resumed = pendio.train(task, out=str(part.folder), resume=True, **given)
    for name, value in whole.weights("last").items():
        assert torch.equal(resumed.weights("last")[name], value), name
    assert any(not torch.equal(before[name], value) for name, value in whole.weights("last").items())
    ours, theirs = resumed.history()[-1], whole.history()[-1]
    for name in ("val_return", "env_steps", "episodes", "loss", "remembered"):
        assert ours[name] == theirs[name], name


def test_environments_of_ones_own_are_code_and_must_be_named(cli, tmp_path):
    (tmp_path / "mine.py").write_text(
        "import gymnasium\n\n\nclass Coin(gymnasium.Env):\n"
        "    observation_space = gymnasium.spaces.Discrete(2)\n    action_space = gymnasium.spaces.Discrete(2)\n"
        "    def __init__(self, render_mode=None, pay=1.0):\n        self.pay = pay\n"
        "    def reset(self, *, seed=None, options=None):\n        super().reset(seed=seed)\n"
        "        self.side = int(self.np_random.integers(2))\n        return self.side, {}\n"
        "    def step(self, action):\n"
        "        return self.side, self.pay * float(action == self.side), True, False, {}\n"
    )
    result = cli("train", "qlearn", "--env", "mine:Coin", "--settings", "pay=2", *QUICK, "--out", "run")
    assert result.code == 0, result.err
    assert "code" in mistake(cli("evaluate", "run"))
    assert "code" in mistake(cli("report", "run"))
    assert "code" in mistake(cli("play", "run"))
    answer = json.loads(cli("evaluate", "run", "--env", "mine:Coin", "--json").out)
    assert answer["return"] == 2.0
    assert answer["optimal"] is None
    assert cli("report", "run", "--env", "mine:Coin").code == 0


def test_an_environment_that_fails_in_an_episode_costs_nothing_that_was_learned(cli, tmp_path):
    (tmp_path / "failing.py").write_text(
        "import gymnasium\n\n\nclass Failing(gymnasium.Env):\n"
        "    observation_space = gymnasium.spaces.Discrete(2)\n    action_space = gymnasium.spaces.Discrete(2)\n"
        "    steps = 0\n    broken = True\n"
        "    def reset(self, *, seed=None, options=None):\n        super().reset(seed=seed)\n        return 0, {}\n"
        "    def step(self, action):\n"
        "        Failing.steps += 1\n"
        "        if Failing.broken and Failing.steps > 700:\n            raise RuntimeError('the motor stalled')\n"
        "        return 1, 1.0, bool(self.np_random.random() < 0.1), False, {}\n"
    )
    given = ("train", "qlearn", "--env", "failing:Failing", "--env-steps", 1_500, "--start", 100, "--environments", 4,
             "--train-every", 4, "--epochs", 2, "--out", "run")  # fmt: skip
    result = cli(*given)
    text = mistake(result)
    assert "the motor stalled" in text
    assert "--resume --out run" in text
    assert Run.open("run").state()["step"] > 100
    import failing

    failing.Failing.broken = False
    result = cli("train", "qlearn", "--resume", "--out", "run")
    assert result.code == 0, result.err
    assert "new episodes begin" in result.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("dqn", "--env", "Pendulum-v1"), "pendio train ppo"),
        (("qlearn", "--env", "CartPole-v1"), "pendio train dqn"),
        (("dqn", "--env", "CartPol-v1"), "did you mean 'CartPole-v"),
        (("qlearn", "--env", "Taxi-v3"), "did you mean 'Taxi-v4'"),
        (("dqn", "--env", "CartPole-v1", "--discount", 1.5), "--discount must be in (0, 1]"),
        (("qlearn", *LAKE, "--discount", 0), "--discount must be in (0, 1]"),
        (("dqn", "--env", "CartPole-v1", "--hidden", "a,b"), "--hidden"),
        (("dqn", "--env", "CartPole-v1", "--stack", 4), "--stack 4 is for frames"),
        (("dqn", "--env", "CartPole-v1", "--epsilon", 2), "--epsilon must be in [0, 1]"),
        (("dqn", "--env", "CartPole-v1", "--start", 90_000), "--start 90000 leaves nothing"),
        (("dqn", "--env", "CartPole-v1", "--replay", 3), "too small"),
        (("dqn", "--env", "nothing:Here"), "cannot be imported"),
        (("dqn", "--env", "CartPole-v1", "--settings", "gravity=2"), "gravity"),
        (("qlearn", "--env", "none.json"), "none.json"),
        (("dqn",), "--env"),
        (("dqn", "--env", "CartPole-v1", "--dropout", 0.1), "--dropout 0.1: agents have none"),
        (("ppo", "--env", "CartPole-v1", "--workers", 2), "--environments"),
        (("dqn", "--env", "CartPole-v1", "--priority", 0.5, "--accumulate", 2), "--accumulate"),
    ],
)
def test_a_mistake_costs_one_line(cli, arguments, words):
    result = cli("train", *arguments)
    lines = [line for line in result.err.splitlines() if not line.startswith("preset for")]
    assert result.code == 2, result.err
    assert len(lines) == 1, result.err
    assert words in lines[0], lines[0]


def test_commands_of_other_tasks_refuse_agents_and_the_other_way_round(lake, digits_run, cli):
    assert "apart from other runs" in mistake(cli("evaluate", lake.folder, digits_run.folder))
    assert "for runs of agents" in mistake(cli("evaluate", digits_run.folder, "--episodes", 5))
    assert "plays no environment" in mistake(cli("play", digits_run.folder))
    assert "at least 1" in mistake(cli("play", lake.folder, "--episodes", 0))
    assert ".gif or .mp4" in mistake(cli("play", lake.folder, "--gif", "x.txt"))


def test_a_decision_process_in_a_file_is_learned_and_played(cli, tmp_path):
    (tmp_path / "coin.json").write_text(json.dumps({
        "states": ["start", "won"], "actions": ["leave", "toss"],
        "transitions": [["start", "leave", "won", 1.0, 0.25, True], ["start", "toss", "won", 0.5, 1.0, True],
                        ["start", "toss", "start", 0.5, 0.0, False]],
        "start": "start",
    }))  # fmt: skip
    assert cli("train", "qlearn", "--env", "coin.json", *QUICK, "--out", "run", "--discount", 0.9).code == 0
    history = Run.open("run").history()
    assert history[-1]["val_q_error"] < 0.1
    assert "toss: won (reward 1)" in cli("play", "run", "--episodes", 3).out


def test_an_agent_says_what_it_would_do_row_by_row(lake, cart, cli, tmp_path):
    (tmp_path / "states.csv").write_text("state\n0\n14\n")
    decisions = json.loads(cli("predict", lake.folder, "states.csv", "--json").out)
    table = pendio.load(lake.folder).values()
    assert [decision["input"] for decision in decisions] == ["states.csv:2", "states.csv:3"]
    assert decisions[1]["action"] == "right"
    assert list(decisions[0]["scores"].values()) == pytest.approx(table[0].tolist())
    (tmp_path / "poles.csv").write_text("x,v,angle,w\n0,0,0.1,0.5\n")
    text = cli("predict", cart.folder, "poles.csv").out
    values = pendio.load(cart.folder).action_values(torch.tensor([[0, 0, 0.1, 0.5]]).numpy())[0]
    assert text.startswith(f"poles.csv:2: {('left', 'right')[int(values.argmax())]} (left {float(values[0]):.4g}")
    assert "4, an observation a row" in mistake(cli("predict", cart.folder, "states.csv"))
    (tmp_path / "states.csv").write_text("state\n16\n")
    assert "from 0 to 15" in mistake(cli("predict", lake.folder, "states.csv"))
    assert "--top" in mistake(cli("predict", lake.folder, "states.csv", "--top", 3))


def test_the_network_of_an_agent_can_be_taken_elsewhere_and_looked_into(lake, cart, cli):
    from pendio.recipes import network

    seen = torch.randn(5, 4)
    agent = pendio.load(cart.folder)
    decides = network(cart.folder)
    assert decides.classes == ("left", "right")
    assert torch.allclose(decides(seen), agent.action_values(seen.numpy()))
    states = torch.eye(16)
    assert torch.allclose(network(lake.folder)(states), torch.from_numpy(pendio.load(lake.folder).values()))
    exported = json.loads(cli("export", cart.folder, "--to", "torch-export", "--json").out)
    assert exported["max_difference"] < 1e-5
    assert "parameters 259," in cli("summary", cart.folder).out
