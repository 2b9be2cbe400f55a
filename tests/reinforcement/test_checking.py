import numpy as np
import pytest

from pendio.errors import InputError
from pendio.reinforcement.worlds.checking import check, one_line, short

from . import worlds

MISTAKES = {
    worlds.Raising: "raised at step 3 of a random episode, for action .*: RuntimeError: the motor is hot$",
    worlds.RaisingAtStart: r"raised in reset\(seed=0\): KeyError: 'map'$",
    worlds.BadReward: "gave the reward nan at step 3; expected a finite number",
    worlds.ListReward: r"gave the reward array\(\[1\.\]\) at step 1; expected a finite number",
    worlds.TextReward: "gave the reward '1.0' at step 1; expected a finite number",
    worlds.Leaving: r"observation of step 3 .*: its value at \[0\] is -7, outside \[0, inf\]; widen the space's bounds",
    worlds.WrongType: r"observation of reset\(\) .*: it has shape \(2,\) and type float64, .* \(2,\) and float32",
    worlds.WrongShape: r"it has shape \(3,\) and type float32, the space says \(2,\) and float32; make both alike",
    worlds.Ragged: r"it is \[1, \[2, 3\]\], which is no array of numbers",
    worlds.Unseeded: r"starts differently from the same seed; in reset\(\), call super\(\).reset\(seed=seed\)",
    worlds.UnseededReused: "starts differently from the same seed",
    worlds.UnseededParts: "starts differently from the same seed",
    worlds.Trembling: "goes on differently at step 1 from the same seed",
    worlds.OldInfo: "info a dictionary, got 2 values, the last a NoneType",
    worlds.LongReset: "got 3 values, the last a dict",
    worlds.Partless: r"observation of reset\(\) .*: it is {'door': 1}, the space says Dict",
    worlds.TooFew: r"it is \(1,\), the space says Tuple",
    worlds.strange: "it is 0, the space says ",
    worlds.actions_without_an_end: "its actions have no bounds",
    worlds.actions_without_a_beginning: "its actions have no bounds",
    worlds.Slippery: "goes on differently at step 1 from the same seed; .*draw from self.np_random alone",
    worlds.OldStep: r"step\(\) must return \(observation, reward, terminated, truncated, info\), .* got 4 values",
    worlds.OldReset: r"reset\(\) must return \(observation, info\), .* got a ndarray",
    worlds.NoInfo: "info a dictionary, got 5 values, the last a NoneType",
    worlds.WordEnd: r"terminated must be true or false, got 0 at step 1; write bool\(terminated\)",
    worlds.Spaceless: "has no observation_space; set self.observation_space to one of gymnasium.spaces",
    worlds.Lying: r"in its part 'place', its value at \[1\] is 2, outside \[0, 1\]",
    worlds.unbounded_actions: "its actions have no bounds; give action_space finite low and high",
}


@pytest.mark.parametrize("made", MISTAKES)
def test_each_mistake_is_one_line(made):
    with pytest.raises(InputError, match=MISTAKES[made]) as caught:
        check(made(), "mine")
    message = str(caught.value)
    assert message.startswith("environment 'mine'")
    assert "\n" not in message
    assert len(message) < 300


@pytest.mark.parametrize(
    "made",
    [
        worlds.Counting, worlds.Lists, worlds.FromOne, worlds.Continuous, worlds.Frames, worlds.Walk, worlds.dictionary,
        worlds.nested, worlds.whole_numbers, worlds.tuple_of_numbers, worlds.words, worlds.single_float,
    ],
)  # fmt: skip
def test_what_follows_the_rules_passes_without_a_word(made, recwarn):
    check(made(), "mine")
    assert not recwarn.list


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_what_is_no_number_is_refused_even_where_the_space_would_hold_it(value):
    with pytest.raises(InputError, match=rf"its value at \[0\] is {value}, which is no finite number"):
        check(worlds.Leaving(2, value), "mine")


def test_a_mistake_behind_an_episodes_end_is_found():
    class Second(worlds.Counting):
        episodes = 0

        def reset(self, *, seed=None, options=None):
            self.episodes += 1
            if self.episodes == 2:
                raise ZeroDivisionError("again")
            return super().reset(seed=seed)

    with pytest.raises(InputError, match="ZeroDivisionError: again"):
        check(Second(), "mine")


def test_twenty_steps_are_tried():
    with pytest.raises(InputError, match="at step 20 "):
        check(worlds.Raising(20), "mine")
    check(worlds.Raising(21), "mine")


def test_messages_stay_short():
    assert short(np.arange(4)) == "array([0, 1, 2, 3])"
    assert len(short(np.arange(900).reshape(30, 30))) <= 120
    assert "\n" not in short(np.zeros((3, 3)))
    assert one_line(ValueError("a\n  b")) == "ValueError: a b"
