import json
from dataclasses import replace

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.toy_text.frozen_lake import FrozenLakeEnv
from hypothesis import given
from hypothesis import strategies as st

from pendio.errors import InputError
from pendio.reinforcement.processes import transitions
from pendio.reinforcement.processes.mdp import MDP, random_mdp

LAKE = MDP.from_environment(gymnasium.make("FrozenLake-v1"), 0.9)
CLIFF = MDP.from_environment(gymnasium.make("CliffWalking-v1"))
TAXI = MDP.from_environment(gymnasium.make("Taxi-v4"))


def chances(mdp, state, action):
    """Next state → probability."""
    found = {}
    for following, chance in zip(mdp.next_states[state, action], mdp.probabilities[state, action], strict=True):
        if chance:
            found[int(following)] = found.get(int(following), 0) + float(chance)
    return found


# Environments


def test_a_lake_is_read_with_everything_it_has():
    assert (LAKE.state_count, LAKE.action_count, LAKE.grid, LAKE.horizon, LAKE.discount) == (16, 4, (4, 4), 100, 0.9)
    assert LAKE.start.tolist() == [1.0] + [0.0] * 15
    assert chances(LAKE, 14, 2) == pytest.approx({10: 1 / 3, 15: 1 / 3, 14: 1 / 3})
    goal = LAKE.next_states[14, 2].tolist().index(15)
    assert LAKE.rewards[14, 2, goal] == 1
    assert LAKE.terminal[14, 2, goal]
    assert LAKE.rewards.sum() == pytest.approx(3)


def test_equal_branches_are_merged():
    assert chances(LAKE, 0, 0) == pytest.approx({0: 2 / 3, 4: 1 / 3})
    assert (LAKE.probabilities[0, 0] > 0).sum() == 2
    assert LAKE.next_states[0, 0].tolist() == [0, 4, 0]
    firm = MDP.from_environment(gymnasium.make("FrozenLake-v1", success_rate=1.0))
    assert firm.next_states.shape == (16, 4, 1)


def test_branches_that_differ_in_reward_or_end_alone_are_kept_apart():
    mdp = MDP.from_rows(
        [(0, 0, 0, 0.25, 1, 0), (0, 0, 0, 0.25, 2, 0), (0, 0, 0, 0.25, 1, 1), (0, 0, 0, 0.25, 1, 0)], (1, 1)
    )
    branches = zip(
        mdp.probabilities[0, 0].tolist(), mdp.rewards[0, 0].tolist(), mdp.terminal[0, 0].tolist(), strict=True
    )
    assert sorted(branches) == [(0.25, 1, True), (0.25, 2, False), (0.5, 1, False)]


def test_a_table_that_would_fill_the_memory_is_refused(monkeypatch):
    monkeypatch.setattr(transitions, "LARGEST", 11)
    wide = [
        (state, action, following, 0.5, 0, 0) for state in range(3) for action in range(2) for following in range(2)
    ]
    with pytest.raises(InputError, match="3 states × 2 actions × 2 branches are more than a table holds: at most 11"):
        MDP.from_rows(wide, (3, 2))
    monkeypatch.setattr(transitions, "LARGEST", 12)
    assert MDP.from_rows(wide, (3, 2)).next_states.size == 12


@pytest.mark.parametrize(
    ("mdp", "state", "places"),
    [
        (MDP.from_environment(gymnasium.make("FrozenLake-v1", is_slippery=False)), 9, [8, 13, 10, 5]),
        (CLIFF, 13, [12, 25, 14, 1]),
        (TAXI, 244, [224, 344, 264, 144]),
    ],
)
def test_actions_are_named_by_where_they_lead(mdp, state, places):
    for name, place in zip(("left", "down", "right", "up"), places, strict=True):
        assert chances(mdp, state, mdp.actions.index(name)) == {place: 1.0}, name


def test_a_taxi_picks_up_and_drops_off():
    assert TAXI.grid is None
    assert TAXI.horizon == 200
    assert TAXI.start[TAXI.start > 0].tolist() == pytest.approx([1 / 300] * 300)
    drop = TAXI.actions.index("drop off")
    assert TAXI.rewards[:, drop].max() == 20
    assert TAXI.terminal[:, drop].sum() == 4
    assert not TAXI.terminal[:, : TAXI.actions.index("pick up") + 1].any()


def test_an_environment_that_was_not_made_by_name():
    class Lake(FrozenLakeEnv):
        def __init__(self):
            super().__init__()
            del self.initial_state_distrib

    mdp = MDP.from_environment(Lake())
    assert mdp.horizon is None
    assert mdp.actions == LAKE.actions
    assert mdp.start.tolist() == [1 / 16] * 16


def test_an_environment_without_a_whole_table_is_refused():
    with pytest.raises(InputError, match="'Blackjack-v1' has no transition table"):
        MDP.from_environment(gymnasium.make("Blackjack-v1"))
    with pytest.raises(InputError, match="leaves the fickle passenger out"):
        MDP.from_environment(gymnasium.make("Taxi-v4", fickle_passenger=True))
    for broken in ({0: 1}, {1: {0: [(1.0, 0, 0, False)]}}, {0: {0: [(1.0, 0)]}}, {0: {0: [(1.0, 0, "x", False)]}}):
        lake = FrozenLakeEnv()
        lake.P = broken
        with pytest.raises(InputError, match="unwrapped.P|six numbers"):
            MDP.from_environment(lake)


# Maps


def test_letters_are_read_off_the_transitions():
    assert "".join(letter or "." for letter in LAKE.letters) == "S....H.H...HH..G"
    assert "".join(letter or "." for letter in CLIFF.letters) == "." * 36 + "S" + "#" * 10 + "G"


def test_a_hole_is_an_end_for_less_than_the_best():
    ends = MDP.from_rows(
        [(0, 0, 1, 0.5, -5, 1), (0, 0, 2, 0.5, -9, 1), (1, 0, 1, 1, 0, 1), (2, 0, 2, 1, 0, 1), (3, 0, 0, 1, 0, 0)],
        (4, 1), start=[1, 0, 0, 0],
    )  # fmt: skip
    assert ends.letters == ("S", "G", "H", "#")


def test_a_state_that_is_passed_through_is_no_end():
    passed = MDP.from_rows([(0, 0, 1, 0.5, 1, 1), (0, 0, 1, 0.5, 0, 0), (1, 0, 0, 1, 0, 0)], (2, 1), start=[1, 0])
    assert passed.letters == ("S", "")


def test_what_lies_behind_an_end_is_not_entered():
    behind = MDP.from_rows([(0, 0, 1, 1, 1, 1), (1, 0, 2, 1, 0, 0), (2, 0, 2, 1, 0, 0)], (3, 1), start=[1, 0, 0])
    assert behind.letters == ("S", "G", "#")


# Tables


def test_dense_tables():
    mdp = MDP.from_arrays(
        [[[0.5, 0.5, 0], [0, 0, 1]], [[0, 1, 0], [1, 0, 0]], [[0, 0, 0], [0, 0, 0]]],
        [[1, 2], [3, 4], [0, 0]], 0.5, terminal=[False, False, True], start=[0, 1, 0], states=["a", "b", "end"],
    )  # fmt: skip
    assert mdp.next_states.shape == (3, 2, 2)
    assert chances(mdp, 0, 0) == {0: 0.5, 1: 0.5}
    assert mdp.rewards[0, 0].tolist() == [1, 1]
    assert mdp.expected_rewards.tolist() == [[1, 2], [3, 4], [0, 0]]
    assert mdp.terminal[0, 1, 0]
    assert not mdp.terminal[0, 0].any()
    assert chances(mdp, 2, 1) == {2: 1.0}
    assert mdp.terminal[2, :, 0].all()
    assert (mdp.state_name(2), mdp.action_name(1)) == ("end", "1")


def test_rewards_may_depend_on_the_next_state():
    mdp = MDP.from_arrays([[[0.25, 0.75]], [[1, 0]]], [[[4, 8]], [[0, 5]]])
    assert mdp.expected_rewards.tolist() == [[7], [0]]
    assert mdp.start.tolist() == [0.5, 0.5]


def test_going_on_is_what_is_left_after_ends():
    mdp = random_mdp(7, 3, 4, 0.9, 0)
    weights = np.zeros((7, 3, 7))
    for s, a, k in np.ndindex(7, 3, 4):
        if not mdp.terminal[s, a, k]:
            weights[s, a, mdp.next_states[s, a, k]] += mdp.probabilities[s, a, k]
    assert np.abs(mdp.continuation.toarray().reshape(7, 3, 7) - weights).max() < 1e-15


@given(st.integers(0, 1000), st.floats(0, 1, exclude_max=True))
def test_a_number_draws_a_branch_as_likely_as_its_probability(seed, number):
    mdp = random_mdp(4, 2, 5, 0.9, seed)
    thinned = np.where(np.random.default_rng(seed).random(mdp.probabilities.shape) < 0.4, 0, mdp.probabilities)
    thinned[:, :, seed % 5] += 1 - thinned.sum(2)
    mdp = replace(mdp, probabilities=thinned)
    drawn = (number >= mdp.cumulative).sum(2)
    assert (np.take_along_axis(mdp.probabilities, drawn[:, :, None], 2) > 0).all()
    widths = np.diff(mdp.cumulative, axis=2, prepend=0)
    assert np.abs(widths - mdp.probabilities).max() < 1e-12
    assert (mdp.cumulative[:, :, -1] == 1).all()


def test_rounding_never_leaves_a_number_without_a_branch():
    tenth = MDP.from_rows([(s, 0, n, 0.1, 0, 0) for s in range(10) for n in range(10)], (10, 1))
    assert tenth.probabilities.cumsum(2)[0, 0, -1] < 1
    assert (tenth.cumulative[:, 0, -1] == 1).all()
    short = MDP.from_rows([(0, 0, 0, 1 - 1e-10, 0, 0), (0, 1, 0, 0.5, 0, 0), (0, 1, 0, 0.5, 1, 0)], (1, 2))
    assert short.cumulative[0, 0].tolist() == [1, 1]


def test_tables_are_copies_that_nobody_changes():
    start = np.array([1.0, 0.0])
    mdp = MDP.from_rows([(0, 0, 1, 1, 0, 0), (1, 0, 0, 1, 0, 0)], (2, 1), start=start)
    start[0] = 5
    assert mdp.start[0] == 1
    with pytest.raises(ValueError, match="read-only"):
        mdp.rewards[0, 0, 0] = 1


GOOD = {
    "next_states": np.zeros((2, 1, 2)), "probabilities": np.full((2, 1, 2), 0.5), "rewards": np.zeros((2, 1, 2)),
    "terminal": np.zeros((2, 1, 2)), "start": np.array([0.5, 0.5]),
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"discount": 0}, "--discount must lie in (0, 1], got 0"),
        ({"discount": 1.01}, "--discount must lie in (0, 1], got 1.01"),
        ({"discount": float("nan")}, "--discount must lie in (0, 1], got nan"),
        ({"horizon": 0}, "--horizon, a step limit, must be 1 or more, got 0"),
        ({"next_states": np.full((2, 1, 2), 2)}, "transitions lead to states outside 0 … 1"),
        ({"next_states": np.full((2, 1, 2), -1)}, "transitions lead to states outside 0 … 1"),
        ({"next_states": np.zeros((2, 2))}, "next_states must have shape (S, A, K), got (2, 2)"),
        ({"rewards": np.zeros((2, 1, 1))}, "rewards must have the shape of next_states, (2, 1, 2), got (2, 1, 1)"),
        ({"rewards": np.full((2, 1, 2), np.inf)}, "rewards must be finite"),
        ({"probabilities": np.tile([1.5, -0.5], (2, 1, 1))}, "probabilities must be 0 or more"),
        ({"probabilities": np.full((2, 1, 2), 0.4)}, "the probabilities of state 0, action 0 sum to 0.8, not to 1"),
        ({"probabilities": np.full((2, 1, 2), np.nan)}, "probabilities must be 0 or more"),
        ({"probabilities": np.full((2, 1, 2), 0.5 + 1e-9)}, "sum to 1.000000002, not to 1"),
        ({"start": np.array([0.5, 0.4])}, "the probabilities of the first state sum to 0.9, not to 1"),
        ({"start": np.array([1.5, -0.5])}, "probabilities must be 0 or more"),
        ({"start": np.array([1.0])}, "start must have shape (2,), a probability a state, got (1,)"),
        ({"states": ("a",)}, "there are 2 states, but 1 different names for them"),
        ({"states": ("a", "a")}, "there are 2 states, but 1 different names for them"),
        ({"actions": ("a", "b")}, "there are 1 actions, but 2 different names for them"),
        ({"grid": (2, 2)}, "a grid of 2 × 2 cells does not hold 2 states"),
        ({"grid": (-1, -2)}, "a grid of -1 × -2 cells does not hold 2 states"),
    ],
)
def test_what_is_no_process_is_refused(change, message):
    MDP(**GOOD, grid=(1, 2), states=("a", "b"))
    MDP(**GOOD | {"probabilities": np.full((2, 1, 2), 0.5 + 1e-10)})
    with pytest.raises(InputError) as caught:
        MDP(**GOOD | change)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[0.5, 0.5]], [[1, 1]]), "probabilities must have shape (S, A, S), got (1, 2)"),
        (([[[1.0]]], [1.0]), "rewards must have shape (1, 1) or (1, 1, 1), got (1,)"),
        (([[[0.0]]], [[1.0]]), "there is no transition from state 0 with action 0"),
    ],
)
def test_dense_tables_that_do_not_fit(arguments, message):
    with pytest.raises(InputError) as caught:
        MDP.from_arrays(*arguments)
    assert message in str(caught.value)


def test_terminal_states_that_do_not_fit():
    with pytest.raises(InputError, match="terminal must have shape"):
        MDP.from_arrays([[[1.0]]], [[1.0]], terminal=[True, False])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(0, 0, 0, 1, 0, 0)], "there is no transition from state 1 with action 0"),
        ([(0, 0, 2, 1, 0, 0)], "transitions name states that do not exist: their numbers are 0 to 1"),
        ([(0, 0, -1, 1, 0, 0)], "transitions name states that do not exist"),
        ([(0, 1, 0, 1, 0, 0)], "transitions name actions that do not exist: their numbers are 0 to 0"),
        ([(0.5, 0, 0, 1, 0, 0)], "transitions name states that do not exist"),
        ([(0, 0, 0, 1, float("inf"), 0)], "transitions must be finite numbers"),
        ([(0, 0, 0)] * 3, "transitions must be rows of six numbers"),
        ([], "there is no transition from state 0 with action 0"),
    ],
)
def test_rows_that_do_not_fit(rows, message):
    with pytest.raises(InputError) as caught:
        MDP.from_rows(rows, (2, 1))
    assert message in str(caught.value)


# Files


@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 3), st.integers(1, 4))
def test_a_file_gives_the_same_process_back(tmp_path_factory, seed, states, actions, branches):
    path = tmp_path_factory.mktemp("files") / "world.json"
    mdp = random_mdp(states, actions, branches, 0.875, seed)
    first = replace(
        mdp, horizon=7, grid=(1, states), actions=tuple(f"ä{number}" for number in range(actions)),
        start=np.random.default_rng(seed).dirichlet(np.ones(states)),
    )  # fmt: skip
    first.to_json(path)
    second = MDP.from_json(path)
    assert np.abs(first.expected_rewards - second.expected_rewards).max() < 1e-12
    assert np.abs((first.continuation - second.continuation).toarray()).max() < 1e-12
    assert (first.start == second.start).all()
    assert (second.discount, second.horizon, second.grid) == (0.875, 7, (1, states))
    assert (second.actions, second.states) == (first.actions, ())
    second.to_json(path)
    third = MDP.from_json(path)
    for name in ("next_states", "probabilities", "rewards", "terminal"):
        assert (getattr(second, name) == getattr(third, name)).all()


MACHINE = {
    "states": ["new", "worn", "broken"], "actions": ["run", "repair"], "discount": 0.95, "start": "worn",
    "transitions": [
        ["new", "run", "worn", 0.2, 10, False], ["new", 0, 0, 0.8, 10, False], ["new", "repair", "new", 1, -4, False],
        ["worn", "run", "broken", 1, -50, True], ["worn", "repair", "new", 1, -4.5, False],
    ],
}  # fmt: skip


def write(folder, **changes):
    path = folder / "world.json"
    content = {name: value for name, value in (MACHINE | changes).items() if value != "gone"}
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_a_file_with_names(tmp_path):
    mdp = MDP.from_json(write(tmp_path))
    assert chances(mdp, 0, 0) == {0: 0.8, 1: 0.2}
    assert mdp.start.tolist() == [0, 1, 0]
    assert mdp.expected_rewards.tolist() == [[10, -4], [-50, -4.5], [0, 0]]
    assert mdp.terminal[2].any(1).all()
    assert mdp.letters == ("", "S", "G")
    assert MDP.from_json(write(tmp_path, start=1)).start.tolist() == [0, 1, 0]
    assert MDP.from_json(write(tmp_path, start="gone", discount="gone")).start.tolist() == [1 / 3] * 3
    assert MDP.from_json(write(tmp_path, start=[0.5, 0.25, 0.25])).start.tolist() == [0.5, 0.25, 0.25]
    assert MDP.from_json(write(tmp_path, discount="gone")).discount == 1


def row(*values):
    return [*MACHINE["transitions"], list(values)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"states": "gone"}, "'states' is missing"),
        ({"stat": 3}, "unknown entry 'stat': did you mean 'start'?"),
        ({"states": 0}, "'states' must be how many there are, or a list of different names"),
        ({"states": 10**12, "transitions": []}, "'states' must be how many"),
        ({"states": 10**7, "actions": 10**7, "transitions": [], "start": "gone"}, "are more than a table holds"),
        ({"states": True}, "'states' must be how many"),
        ({"states": ["new", "worn", "\x1b[31m"]}, "'states' must be how many"),
        ({"states": ["new", "worn", "worn"]}, "different names"),
        ({"discount": "0.9"}, "'discount' must be a number in (0, 1], got '0.9'"),
        ({"discount": 2}, "--discount must lie in (0, 1], got 2"),
        ({"horizon": 1.5}, "'horizon' must be a whole number of steps, got 1.5"),
        ({"grid": [3]}, "'grid' must be [rows, columns], got [3]"),
        ({"grid": [2, 2]}, "a grid of 2 × 2 cells does not hold 3 states"),
        ({"start": "old"}, "'start' must be a state, or a list of 3 probabilities, got 'old'"),
        ({"start": 3}, "'start' must be a state"),
        ({"start": [1, 0]}, "'start' must be a state"),
        ({"start": [0.5, 0.4, 0]}, "the probabilities of the first state sum to 0.9"),
        ({"transitions": 5}, "'transitions' must be a list"),
        ({"transitions": row("new", "run", "worn", 0.2, 10)}, "transition 6 is no [state, action, next"),
        ({"transitions": row("new", "run", "worn", "0.2", 10, False)}, "transition 6 is no [state, action, next"),
        ({"transitions": row("new", "run", "worn", True, 10, False)}, "transition 6 is no [state, action, next"),
        ({"transitions": row("new", "run", "worn", 0.2, 10, 0)}, "transition 6 ends with 0: expected true or false"),
        ({"transitions": row("new", "run", "wron", 0.2, 10, False)}, "transition 6 names 'wron': did you mean 'worn'?"),
        ({"transitions": row("new", "rum", "worn", 0.2, 10, False)}, "transition 6 names 'rum': did you mean 'run'?"),
        ({"transitions": row(3, "run", "worn", 0.2, 10, False)}, "transitions name states that do not exist"),
        ({"transitions": row(None, "run", "worn", 0.2, 10, False)}, "transition 6 names None"),
        ({"transitions": row([], "run", "worn", 0.2, 10, False)}, "transition 6 names []"),
        ({"transitions": row(10**400, "run", "worn", 0.2, 10, False)}, "transition 6 names"),
        ({"transitions": row("new", "run", "worn", 0.2, 10**400, False)}, "transition 6 is no [state"),
        ({"transitions": row("new", "run", "worn", 0.2, float("nan"), False)}, "transitions must be finite numbers"),
        ({"transitions": row("new", "run", "worn", 0.2, 10, False)}, "state new, action run sum to 1.2, not to 1"),
        ({"transitions": row("worn", "run", "broken", 0.0, 1, False)}, "transition 6 goes on in state 2, from which"),
        ({"transitions": MACHINE["transitions"][:-1]}, "there is no transition from state 1 with action 1"),
    ],
)  # fmt: skip
def test_a_file_with_a_mistake(tmp_path, changes, message):
    path = write(tmp_path, **changes)
    with pytest.raises(InputError) as caught:
        MDP.from_json(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\udcff", "[1, 2]", '{"states": 1' + "0" * 5000 + "}"])
def test_a_file_of_something_else(tmp_path, text):
    path = tmp_path / "world.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match="world.json"):
        MDP.from_json(path)


def test_a_file_that_is_missing_too_large_or_a_folder(tmp_path):
    with pytest.raises(InputError, match="there is no file"):
        MDP.from_json(tmp_path / "world.json")
    with pytest.raises(InputError, match="cannot be read"):
        MDP.from_json(tmp_path)
    with (tmp_path / "world.json").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(InputError, match="it is larger than 64 MB"):
        MDP.from_json(tmp_path / "world.json")
