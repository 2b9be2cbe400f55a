import json

import pytest

import pendio.cli.solving  # noqa: F401  (registers the command)

from ..conftest import mistake, pixels

MACHINE = {
    "states": ["new", "worn", "broken"], "actions": ["run", "repair"], "discount": 0.95, "start": "new",
    "transitions": [
        ["new", "run", "new", 0.8, 10, False], ["new", "run", "worn", 0.2, 10, False],
        ["new", "repair", "new", 1, -4, False], ["worn", "run", "worn", 0.7, 6, False],
        ["worn", "run", "broken", 0.3, -50, True], ["worn", "repair", "new", 1, -4, False],
    ],
}  # fmt: skip


def test_a_lake_is_solved_and_judged_at_its_limit(cli):
    result = cli("solve", "FrozenLake-v1")
    assert result.code == 0, result.err
    assert result.out.splitlines() == [
        "16 states, 4 actions, γ = 0.99",
        "the start is worth 0.542026: 704 sweeps of value iteration, residual 9.5e-13",
        "",
        "  ← ↑ ↑ ↑",
        "  ← H ← H",
        "  ↑ ↓ ← H",
        "  H → ↓ G",
        "",
        "within 100 steps this policy scores 0.740165 without discount; the best possible is 0.74419",
    ]


def test_a_world_without_a_limit_is_not_judged_at_one(cli):
    plain = cli("solve", "CliffWalking-v1", "--discount", "1")
    assert "within" not in plain.out
    assert "  ↑ # # # # # # # # # # G" in plain.out.splitlines()
    limited = cli("solve", "CliffWalking-v1", "--horizon", "12")
    assert "within 12 steps this policy scores -12 without discount; the best possible is -12" in limited.out


def test_both_methods_agree_and_json_has_everything(cli):
    arguments = ["solve", "Taxi-v4", "--settings", "is_rainy=true,rainy_probability=0.7", "--json"]
    value, policy = (json.loads(cli(*arguments, "--method", method).out) for method in ("value", "policy"))
    assert value["start_value"] == pytest.approx(policy["start_value"], abs=1e-9)
    assert value["policy"] == policy["policy"]
    assert value["sweeps"] > policy["sweeps"]
    assert (value["states"], value["horizon"], value["method"], policy["method"]) == (500, 200, "value", "policy")
    assert value["actions"][4:] == ["pick up", "drop off"]
    assert len(value["values"]) == 500
    assert value["score_at_limit"] == pytest.approx(0.763598, abs=1e-6)
    assert value["score_at_limit"] <= value["best_at_limit"]


def test_options_reach_the_environment(cli):
    out = cli("solve", "FrozenLake-v1", "--settings", "is_slippery=false", "--discount", "0.5").out
    assert "the start is worth 0.03125:" in out
    assert "4 states" in cli("solve", "FrozenLake-v1", "--settings", "desc=[SF, FG]").out


def test_a_file_is_solved_with_its_own_discount_unless_another_is_given(cli, tmp_path):
    (tmp_path / "machine.json").write_text(json.dumps(MACHINE))
    out = cli("solve", "machine.json").out.splitlines()
    assert out[0] == "3 states, 2 actions, γ = 0.95"
    assert [line.split() for line in out[2:]] == [
        ["new", "155.294", "run"], ["worn", "143.529", "repair"], ["broken", "0", "run"]
    ]  # fmt: skip
    assert "γ = 0.5\n" in cli("solve", "machine.json", "--discount", "0.5").out
    assert "choose --discount below 1" in mistake(cli("solve", "machine.json", "--discount", "1"))
    assert "choose --discount below 1" in mistake(cli("solve", "machine.json", "--discount", "1", "--method", "policy"))


def test_a_grid_of_other_actions_shows_what_they_begin_with(cli, tmp_path):
    world = MACHINE | {"grid": [1, 3], "actions": ["Run", "left"]}
    world["transitions"] = [[s, ["run", "repair"].index(a), *rest] for s, a, *rest in MACHINE["transitions"]]
    (tmp_path / "machine.json").write_text(json.dumps(world))
    assert "  R ← G" in cli("solve", "machine.json").out.splitlines()


@pytest.mark.parametrize(("world", "wider"), [("FrozenLake-v1", 2.0), ("Taxi-v4", 1.5), ("machine.json", 2.0)])
def test_a_picture_is_written(cli, tmp_path, world, wider):
    (tmp_path / "machine.json").write_text(json.dumps(MACHINE))
    result = cli("solve", world, "--out", "world.png")
    assert result.code == 0, result.err
    assert result.err == "wrote world.png\n"
    picture = pixels((tmp_path / "world.png").read_bytes())
    assert picture.float().std() > 10
    assert picture.shape[1] > wider * picture.shape[0], "a lake has a panel of values beside one of action values"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["FrozenLak-v1"], "there is no environment 'FrozenLak-v1': did you mean 'FrozenLake-v1'?"),
        (["Taxi-v3"], "there is no environment 'Taxi-v3': did you mean 'Taxi-v4'?"),
        (["package:World-v0"], "there is no environment 'package:World-v0': "),
        (["Blackjack-v1"], "'Blackjack-v1' has no transition table (unwrapped.P)"),
        (["FrozenLake-v1", "--discount", "0"], "--discount must lie in (0, 1], got 0"),
        (["FrozenLake-v1", "--discount", "1.5"], "--discount must lie in (0, 1], got 1.5"),
        (["FrozenLake-v1", "--horizon", "0"], "--horizon, a step limit, must be 1 or more, got 0"),
        (["FrozenLake-v1", "--horizon", "9999999999"], "--horizon must be 1 to 1,250,000 steps for 16 states"),
        (
            ["FrozenLake-v1", "--settings", "slippery"],
            "--settings 'slippery': expected name=value, separated by commas",
        ),
        (["FrozenLake-v1", "--settings", "map_name=9x9"], "cannot make 'FrozenLake-v1' with map_name='9x9': KeyError"),
        (["FrozenLake-v1", "--settings", "slippery=1"], "unexpected keyword argument 'slippery'"),
        (["FrozenLake-v1", "--settings", "success_rate=2"], "probabilities must be 0 or more"),
        (["Taxi-v4", "--settings", "fickle_passenger=true"], "leaves the fickle passenger out"),
        (["nothing.json"], "there is no file 'nothing.json'"),
        (
            ["nothing.json", "--settings", "a=1"],
            "--settings are for Gymnasium's environments; 'nothing.json' is a file",
        ),
        (["FrozenLake-v1", "--method", "magic"], "magic"),
        (["FrozenLake-v1", "--out", "no/where.png"], "cannot write 'no/where.png'"),
    ],
)
def test_a_mistake_costs_one_line(cli, arguments, message):
    assert message in mistake(cli("solve", *arguments))
