import sys

import gymnasium
import numpy as np
import pytest

from pendio.errors import InputError
from pendio.reinforcement.processes.mdp import MDP
from pendio.reinforcement.worlds.environments import action_names, is_code, open_world
from pendio.reinforcement.worlds.settings import parse_settings

from . import worlds
from .worlds import name_of, opened


@pytest.mark.parametrize(
    ("made", "kind", "shape", "states"),
    [
        (worlds.Counting, "vector", (2,), 0),
        (worlds.FromOne, "state", (), 3),
        (worlds.whole_numbers, "state", (), 24),
        (worlds.tuple_of_numbers, "state", (), 6),
        (worlds.many_numbers, "vector", (3_000,), 0),
        (worlds.dictionary, "vector", (7,), 0),
        (worlds.nested, "vector", (5,), 0),
        (worlds.mixed, "vector", (5,), 0),
        (worlds.table_of_floats, "vector", (6,), 0),
        (worlds.single_float, "vector", (1,), 0),
        (worlds.WideFloats, "vector", (2,), 0),
        (worlds.bytes_in_a_row, "vector", (4,), 0),
        (worlds.grey, "frame", (1, 6, 7), 0),
        (worlds.Frames, "frame", (3, 4, 5), 0),
        (worlds.channels_first, "frame", (4, 6, 7), 0),
        (worlds.stacked_last, "frame", (4, 6, 7), 0),
    ],
)
def test_every_kind_of_observation_comes_to_a_simple_form(made, kind, shape, states, recwarn):
    world = opened(made)
    assert (world.kind, world.shape, world.states, world.actions) == (kind, shape, states, world.actions)
    environment = world.make()
    seen = environment.reset(seed=3)[0]
    assert environment.observation_space.contains(seen)
    assert np.shape(seen) == shape
    assert world.dtype == {"state": np.int64, "vector": np.float32, "frame": np.uint8}[kind]
    assert kind == "state" or seen.dtype == world.dtype
    assert environment.observation_space.contains(environment.step(environment.action_space.sample())[0])
    assert not recwarn.list


def numbers_of(made):
    """Pairs of what an environment shows and what it shows in its simple form."""
    simple, raw = opened(made).make(), made()
    for seed in range(400):
        yield raw.reset(seed=seed)[0], simple.reset(seed=seed)[0]


@pytest.mark.parametrize(("made", "count"), [(worlds.whole_numbers, 24), (worlds.tuple_of_numbers, 6)])
def test_states_in_parts_have_a_number_each(made, count):
    pairs = {(tuple(int(part) for part in shown), number) for shown, number in numbers_of(made)}
    assert len(pairs) == count
    assert {number for _, number in pairs} == set(range(count))
    assert len({shown for shown, _ in pairs}) == count


def test_the_last_part_counts_fastest():
    for shown, number in numbers_of(worlds.whole_numbers):
        assert number == (shown[0] - 1) * 8 + shown[1] * 2 + shown[2] + 1


def test_cards_are_numbered():
    world = open_world("Blackjack-v1")
    assert (world.kind, world.states, world.actions, world.limit) == ("state", 32 * 11 * 2, 2, 1_000)
    environment, raw = world.make(), gymnasium.make("Blackjack-v1")
    for seed in range(20):
        mine, dealer, ace = raw.reset(seed=seed)[0]
        assert environment.reset(seed=seed)[0] == (mine * 11 + dealer) * 2 + int(ace)


def test_states_and_actions_that_begin_at_one_begin_at_nought():
    environment = opened(worlds.FromOne).make()
    assert environment.reset(seed=0)[0] == 0
    assert environment.step(2)[:2] == (2, 3.0)
    assert environment.step(0)[:2] == (0, 1.0)


def test_frames_keep_their_pixels():
    raw, simple = worlds.Frames(), opened(worlds.Frames).make()
    shown, frame = raw.reset(seed=0)[0], simple.reset(seed=0)[0]
    assert frame.shape == (3, 4, 5)
    for channel in range(3):
        np.testing.assert_array_equal(frame[channel], shown[:, :, channel])


def test_flat_numbers_keep_their_values():
    for shown, flat in numbers_of(worlds.table_of_floats):
        np.testing.assert_array_equal(flat, shown.ravel().astype(np.float32))


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (worlds.too_many, "has 400,000,000,000,000 states, more than 10,000,000; describe them by a Box"),
        (worlds.one_too_many, "has 10,000,001 states, more than 10,000,000"),
        (worlds.words, r"observations of Sequence\(.*\) cannot be laid out .*; give it .* Box"),
        (worlds.several_actions, r"actions of MultiDiscrete\(\[2 2\]\) cannot be learned; .* Discrete"),
        (worlds.a_square_of_actions, "cannot be learned; .* or a Box of one dimension and floats"),
        (worlds.whole_actions, "cannot be learned"),
        (worlds.unbounded_actions, "its actions have no bounds"),
        (worlds.no_environment, r"' made a str; expected a gymnasium.Env"),
        (worlds.BadClose, r"raised in close\(\): OSError: port is busy"),
        (worlds.Raising, "raised at step 3"),
        (worlds.RaisingAtStart, "raised in reset"),
    ],
)  # fmt: skip
def test_what_cannot_be_learned_in_is_told_in_one_line(made, message):
    with pytest.raises(InputError, match=message) as caught:
        opened(made)
    assert name_of(made) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("CartPole-v9", "unknown environment 'CartPole-v9': did you mean 'CartPole-v1'?"),
        ("CartPol-v1", "unknown environment 'CartPol-v1': did you mean 'CartPole-v1'?"),
        ("CartPole", "unknown environment 'CartPole': did you mean 'CartPole-v1'?"),
        ("CartPole v1", "unknown environment 'CartPole v1': did you mean 'CartPole-v1'?"),
        ("Taxi-v3", "unknown environment 'Taxi-v3': did you mean 'Taxi-v4'?"),
        ("", "unknown environment '': see gymnasium.pprint_registry() for those there are, or give module:factory"),
        ("gymnasium:Taxi-v3", "unknown environment 'gymnasium:Taxi-v3': did you mean 'Taxi-v4'?"),
        (":", "environment ':': module '' cannot be imported: ValueError: Empty module name"),
        ("no_such_module:make", "environment 'no_such_module:make': module 'no_such_module' cannot be imported: "
         "ModuleNotFoundError: No module named 'no_such_module'"),
        ("my_own_world.py:make", "environment 'my_own_world.py:make': module 'my_own_world.py' cannot be imported: "
         "ModuleNotFoundError: No module named 'my_own_world'; leave out the '.py': my_own_world:…"),
        ("json:dump_", "environment 'json:dump_': module 'json' has no function or class 'dump_'; did you mean 'dump'?"),
        ("nowhere.json", "there is no file 'nowhere.json'"),
    ],
)  # fmt: skip
def test_an_unknown_name_is_told_with_the_nearest(name, message, recwarn):
    with pytest.raises(InputError) as caught:
        open_world(name)
    assert str(caught.value) == message
    assert not recwarn.list


def test_an_environment_registered_without_a_version_does_not_confuse_the_search():
    gymnasium.register("tests-Bare", worlds.Counting)
    try:
        with pytest.raises(InputError, match="unknown environment 'tests-Bar': did you mean 'tests-Bare'"):
            open_world("tests-Bar")
        assert open_world("tests-Bare").shape == (2,)
    finally:
        del gymnasium.registry["tests-Bare"]


def test_of_many_versions_the_latest_is_named():
    names = [f"tests-Many-v{version}" for version in (1, 12, 3)]
    for name in names:
        gymnasium.register(name, worlds.Counting)
    try:
        with pytest.raises(InputError, match="did you mean 'tests-Many-v12'?"):
            open_world("tests-Many-v2")
    finally:
        for name in names:
            del gymnasium.registry[name]


@pytest.mark.parametrize(
    ("made", "needed"),
    [
        (worlds.boxless, r"pip install 'pendio\[box2d\]'"),
        (worlds.jointless, 'Joints are missing, run `pip install "joints"`'),
    ],
)
def test_a_missing_package_is_named(made, needed):
    with pytest.raises(InputError, match=f"environment '{name_of(made)}' needs a package: {needed}$"):
        opened(made)
    gymnasium.register("tests-Needy-v0", made)
    try:
        with pytest.raises(InputError, match=f"environment 'tests-Needy-v0' needs a package: {needed}$"):
            open_world("tests-Needy-v0")
    finally:
        del gymnasium.registry["tests-Needy-v0"]


def test_settings_are_told_where_they_do_not_fit():
    with pytest.raises(InputError, match=r"'FrozenLake-v1' cannot be made with map_name=9x9: KeyError: '9x9'"):
        open_world("FrozenLake-v1", "map_name=9x9")
    with pytest.raises(InputError, match="unexpected keyword argument 'height'"):
        opened(worlds.Counting, "height=3")


def test_settings_reach_the_environment_and_every_copy():
    world = open_world("FrozenLake-v1", "map_name=8x8,is_slippery=false")
    assert (world.states, world.limit) == (64, 100)
    assert world.make().unwrapped.observation_space.n == 64
    assert world.mdp.next_states.shape[2] == 1
    assert opened(worlds.Counting, "length=9").make().unwrapped.length == 9


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("", {}),
        (" a=1 , b = 2.5,", {"a": 1, "b": 2.5}),
        ("a=true,b=False,c=no", {"a": True, "b": False, "c": False}),
        ("a=1e-3,b=-2E4,c=.5", {"a": 0.001, "b": -20000.0, "c": 0.5}),
        ("a=8x8,b='8',c=x=y", {"a": "8x8", "b": "8", "c": "x=y"}),
        ("a=2020-99-99,b=2020-01-01", {"a": "2020-99-99", "b": "2020-01-01"}),
        ("a=,b=null,c={d: 1}", {"a": "", "b": "null", "c": "{d: 1}"}),
        ("a=[[", {"a": "[["}),
    ],
)
def test_settings_are_plain_values(text, settings):
    parsed = parse_settings(text)
    assert parsed == settings
    assert [type(value) for value in parsed.values()] == [type(value) for value in settings.values()]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("slippery", "--settings 'slippery': expected name=value, separated by commas"),
        ("a=1,2b=3", "--settings '2b=3': expected name=value"),
        ("=3", "expected name=value"),
        ("a=1,a=2", "--settings gives 'a' twice"),
    ],
)
def test_settings_of_another_form_are_refused(text, message):
    with pytest.raises(InputError, match=message):
        parse_settings(text)


def length_of(environment):
    environment.reset(seed=0)
    length, over = 0, False
    while not over:
        _, _, terminated, truncated, _ = environment.step(0)
        length, over = length + 1, terminated or truncated
    return length, terminated, truncated


@pytest.mark.parametrize(
    ("name", "settings", "given", "limit"),
    [
        (name_of(worlds.Counting), "length=100000", None, 1_000),
        (name_of(worlds.Counting), "length=100", 20, 20),
        (worlds.LIMITED, "length=100", None, 4),
        (worlds.LIMITED, "length=100", 3, 3),
        (worlds.LIMITED, "length=100", 1, 1),
        (worlds.LIMITED, "length=100", 9, 9),
        (worlds.LIMITED, "length=100,max_episode_steps=6", None, 6),
        (name_of(worlds.cut_short), "", None, 7),
        (name_of(worlds.cut_short), "", 5, 5),
    ],
)
def test_the_limit_is_the_environments_own_or_the_given_or_a_thousand(name, settings, given, limit):
    world = open_world(name, settings, limit=given)
    assert world.limit == limit
    assert length_of(world.make()) == (limit, False, True)


def test_a_limit_beyond_what_the_code_itself_cuts_is_refused():
    with pytest.raises(InputError, match="--limit 9: .* itself cuts its episodes after 7 steps; give at most that"):
        opened(worlds.cut_short, limit=9)
    with pytest.raises(InputError, match="--limit must be at least 1, got 0"):
        open_world("CartPole-v1", limit=0)


@pytest.mark.parametrize("discount", [0.0, -1.0, 1.01, float("nan")])
def test_a_discount_must_be_one(discount):
    with pytest.raises(InputError, match=r"--discount must be in \(0, 1\]"):
        open_world("CartPole-v1", discount=discount)


def test_a_decision_process_is_opened_from_its_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [[0, 0, 1, 1, 2, False], [0, 1, 0, 1, 0, False], [1, 0, 0, 1, -1, True], [1, 1, 1, 1, 0, False]]
    MDP.from_rows(rows, (2, 2), start=[1, 0], horizon=12, actions=("go", "stay")).to_json(tmp_path / "two.json")
    world = open_world("two.json", discount=0.5)
    assert (world.kind, world.states, world.actions, world.limit) == ("state", 2, 2, 12)
    assert (world.action_names, world.mdp.discount) == (("go", "stay"), 0.5)
    assert open_world("two.json", limit=30).limit == 30
    environment = world.make()
    environment.reset(seed=0)
    assert environment.step(0)[:4] == (1, 2.0, False, False)
    with pytest.raises(InputError, match="--settings do not apply to the file 'two.json'"):
        open_world("two.json", "a=1")


def test_tables_are_known_only_where_they_are_true():
    assert open_world("Taxi-v4", discount=0.9).mdp.discount == 0.9
    assert opened(worlds.lake).mdp is not None
    assert opened(worlds.lake).limit == 100
    assert opened(worlds.doubled).mdp is None
    assert opened(worlds.Toll).mdp is None
    assert opened(worlds.Detour, "is_slippery=false").mdp is None
    assert opened(worlds.Settings).mdp is None
    assert open_world("Taxi-v4", "fickle_passenger=true").mdp is None
    assert open_world("CartPole-v1").mdp is None


def test_a_module_in_the_current_folder_is_found_and_the_search_path_stays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pendio_test_helper.py").write_text("LENGTH = 8\n")
    (tmp_path / "pendio_test_world.py").write_text(
        f"import gymnasium\nfrom {worlds.__name__} import Counting\n\n"
        "def make():\n    from pendio_test_helper import LENGTH\n    return Counting(LENGTH)\n\n"
        "if 'tests-Here-v0' not in gymnasium.registry:\n"
        "    gymnasium.register('tests-Here-v0', make, max_episode_steps=6)\n"
    )
    before = list(sys.path)
    assert length_of(open_world("pendio_test_world:make").make()) == (8, True, False)
    assert length_of(open_world("pendio_test_world:tests-Here-v0").make()) == (6, False, True)
    assert sys.path == before
    with pytest.raises(InputError, match="no function or class 'mak'; did you mean 'make'"):
        open_world("pendio_test_world:mak")
    (tmp_path / "pendio_test_quits.py").write_text("import sys\nsys.path.remove('')\nsys.exit('bye\\nbye')\n")
    with pytest.raises(InputError, match="'pendio_test_quits' cannot be imported: SystemExit: bye bye"):
        open_world("pendio_test_quits:make")
    assert sys.path == before


def test_only_code_is_code():
    assert [is_code(name) for name in ("CartPole-v1", "ALE/Pong-v5", "two.json", "mine:make")] == [
        False,
        False,
        False,
        True,
    ]


def test_actions_have_names():
    assert open_world("CartPole-v1").action_names == ("left", "right")
    assert open_world("FrozenLake-v1").action_names == ("left", "down", "right", "up")
    assert opened(worlds.Continuous).action_names == ("0", "1")
    assert action_names("CartPole-v1", 3) == ("0", "1", "2")
    assert action_names("Unheard-v0", 2) == ("0", "1")


def test_continuous_actions_have_bounds():
    world = opened(worlds.Continuous)
    assert (world.actions, world.low, world.high) == (0, (-1.0, 0.0), (1.0, 2.0))
