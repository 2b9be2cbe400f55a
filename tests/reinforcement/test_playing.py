import numpy as np
import pytest
import torch
from PIL import Image

from pendio.data.frames import read_frames
from pendio.errors import InputError
from pendio.reinforcement.playing import Shown, film, watch
from pendio.reinforcement.processes.mdp import MDP
from pendio.reinforcement.worlds.environments import open_world

from . import worlds
from .worlds import Rule, always, opened


def cart(limit=None):
    return Rule(open_world("CartPole-v1", limit=limit), lambda seen: (seen[:, 2] > 0).astype(int))


@pytest.mark.parametrize("ending", ["gif", "mp4"])
def test_each_moment_is_a_frame(ending, tmp_path):
    path = tmp_path / f"play.{ending}"
    shown = film(cart(12), path, episodes=2, seed=5)
    assert [(each.seed, each.length, each.value, each.terminated) for each in shown] == [
        (5, 12, 12.0, False),
        (6, 12, 12.0, False),
    ]
    rate, frames = read_frames(path)
    frames = list(frames)
    assert {tuple(frame.shape) for frame in frames} == {(3, 400, 600)}
    assert rate == 50  # the environment's own
    assert not torch.equal(frames[0], frames[12])
    moments = sum(each.length + 1 for each in shown)
    # In a GIF, frames that do not differ are one that lasts the longer.
    assert (len(frames) if ending == "mp4" else duration(path) / 20) == moments == 26


def duration(path):
    """Of a GIF, in milliseconds."""
    total = 0
    with Image.open(path) as image:
        for number in range(image.n_frames):
            image.seek(number)
            total += image.info["duration"]
    return total


def test_a_world_that_stands_still_is_filmed_as_long(tmp_path):
    agent = Rule(open_world("FrozenLake-v1", "is_slippery=false", limit=6), always(0))  # into the wall
    shown = film(agent, tmp_path / "play.gif", rate=10)
    assert shown[0].length == 6
    assert duration(tmp_path / "play.gif") == 7 * 100


def test_the_agents_own_episode_is_filmed(tmp_path):
    path = tmp_path / "play.gif"
    shown = film(Rule(opened(worlds.Frames), always(0)), path, seed=3)
    assert shown == [Shown(3, 10.0, 4, True)]
    rate, frames = read_frames(path)
    assert [int(frame[0, 0, 0]) for frame in frames] == [0, 20, 40, 60, 80]
    assert rate == 20
    film(Rule(opened(worlds.Frames), always(0)), path, rate=4)
    assert read_frames(path)[0] == 4


def test_an_agent_that_sees_several_frames_is_given_them(tmp_path):
    seen = []

    def rule(observations):
        seen.append(observations[0, ::3, 0, 0].tolist())
        return np.zeros(1, np.int64)

    film(Rule(opened(worlds.Frames), rule, stack=3), tmp_path / "play.gif", episodes=2)
    assert seen[:4] == [[0, 0, 0], [0, 0, 1], [0, 1, 2], [1, 2, 3]]
    assert seen[4] == [seen[4][0]] * 3


def test_episodes_that_are_watched_are_those_that_are_measured(tmp_path):
    from pendio.reinforcement.agent import play

    agent = Rule(open_world("Acrobot-v1", limit=50), lambda seen: (seen[:, 4] > 0).astype(int) * 2)
    played = play(agent.act, agent.world, [4, 5])
    shown = [scene for scene in watch(agent, 2, 4) if isinstance(scene, Shown)]
    assert [each.value for each in shown] == played.returns.tolist()
    assert [each.length for each in shown] == played.lengths.tolist()
    assert [each.terminated for each in shown] == played.terminated.tolist()


def test_what_draws_no_pictures_is_told(tmp_path):
    path = tmp_path / "play.gif"
    with pytest.raises(InputError, match=r"draws no pictures: its render_modes are \['ansi'\]; give it the mode "
                                         "'rgb_array', or watch it as text without --gif"):  # fmt: skip
        film(Rule(opened(worlds.Counting), always(0)), path)
    with pytest.raises(
        InputError, match=r"the environment drew a NoneType; render\(\) must return a picture \(H, W, 3\)"
    ):
        film(Rule(opened(worlds.Undrawn), always(0)), path)
    with pytest.raises(InputError, match=r"BrokenPicture' raised in render\(\): ValueError: no screen"):
        film(Rule(opened(worlds.BrokenPicture), always(0)), path)
    with pytest.raises(InputError, match=r"'.*play.txt' is no moving picture; end it in .gif or .mp4"):
        film(cart(), tmp_path / "play.txt")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("made", "settings", "message"),
    [
        (worlds.Raising, "at=30", "raised at step 30 of the episode of seed 2: RuntimeError: the motor is hot"),
        (worlds.BadReward, "at=30", "gave the reward nan at step 30 of the episode of seed 2"),
    ],
)
def test_what_goes_wrong_while_watching_is_told_with_its_step(made, settings, message):
    with pytest.raises(InputError, match=message):
        list(watch(Rule(opened(made, settings), always(0)), seed=2))


def test_a_negative_seed_is_refused(tmp_path):
    with pytest.raises(InputError, match="--seed must be 0 or more, got -1"):
        list(watch(cart(), seed=-1))
    with pytest.raises(InputError, match="--seed must be 0 or more, got -1"):
        film(cart(), tmp_path / "play.gif", seed=-1)


def test_worlds_of_text_are_shown_as_they_are():
    path = {0: 1, 4: 1, 8: 2, 9: 1, 13: 2, 14: 2}
    agent = Rule(
        open_world("FrozenLake-v1", "is_slippery=false"),
        lambda seen: np.array([path[state] for state in seen.tolist()]),
    )
    *boards, end = watch(agent)
    assert end == Shown(0, 1.0, 6, True)
    assert end.to_dict() == {"seed": 0, "return": 1.0, "length": 6, "terminated": True}
    assert len(boards) == 7
    plain = [board.replace("\x1b[41m", "[").replace("\x1b[0m", "]").split() for board in boards]
    assert plain[0][-4:] == ["[S]FFF", "FHFH", "FFFH", "HFFG"]
    assert plain[-1] == ["(Right)", "SFFF", "FHFH", "FFFH", "HFF[G]"]


def test_a_process_from_a_file_is_told_in_words(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [[0, 0, 1, 1, 2.5, False], [1, 0, 0, 1, -1, True]]
    MDP.from_rows(rows, (2, 1), start=[1, 0], states=("home", "away"), actions=("go",)).to_json(tmp_path / "trip.json")
    *scenes, end = watch(Rule(open_world("trip.json"), always(0)))
    assert scenes == ["home", "go: away (reward 2.5)", "go: home (reward -1)"]
    assert end == Shown(0, 1.5, 2, True)


def test_other_worlds_are_told_in_numbers():
    scenes = list(watch(cart(3), episodes=2, seed=1))
    assert scenes[0].split() in (["step", "1", word, "reward", "+1"] for word in ("left", "right"))
    assert [isinstance(scene, Shown) for scene in scenes] == [False, False, False, True] * 2
    assert [scene.seed for scene in scenes if isinstance(scene, Shown)] == [1, 2]


def test_continuous_actions_are_told_as_they_were_taken():
    agent = Rule(open_world("Pendulum-v1", limit=2), lambda seen: np.full((len(seen), 1), 7.0))
    assert "[2.]" in next(iter(watch(agent)))
