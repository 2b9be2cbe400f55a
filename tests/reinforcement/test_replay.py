import io
import math
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pendio.errors import InputError
from pendio.reinforcement.values.priorities import Priorities
from pendio.reinforcement.values.replay import Replay, Transitions

GOES_ON, TERMINATES, IS_CUT_OFF, IS_NONE = range(4)
"""What a step of an environment is."""

# A replay in plain Python


@dataclass
class Episode:
    """Observations, numbers that occur once, and the rewards between them."""

    observations: list[int]
    rewards: list[float] = field(default_factory=list)
    end: int = GOES_ON


class Model:
    """Every episode ever played, and what a replay with ``length`` rows for each environment should tell of them."""

    def __init__(self, environments, length, discount=0.9, steps=1, stack=1):
        self.length, self.discount, self.steps, self.stack = length, discount, steps, stack
        self.count = 0
        self.episodes = [[self.begin()] for _ in range(environments)]

    def number(self):
        self.count += 1
        return self.count

    def begin(self):
        return Episode([self.number()])

    def play(self, ends):
        """A step of each environment that ends as told, as a replay gets it."""
        columns = []
        for episodes, end in zip(self.episodes, ends, strict=True):
            if end == IS_NONE:
                columns.append((-1, -1.0, -1, False, False, False))
                continue
            episode = episodes[-1]
            before, reward, after = episode.observations[-1], math.sin(self.count), self.number()
            episode.rewards.append(reward)
            episode.observations.append(after)
            columns.append((before, reward, after, end == TERMINATES, end == IS_CUT_OFF, True))
            if end in (TERMINATES, IS_CUT_OFF):
                episode.end = end
                episodes.append(self.begin())
        before, rewards, after, *flags = (np.array(column) for column in zip(*columns, strict=True))
        return Transitions(before[:, None], before + 1000, rewards, after[:, None], *flags)

    def cut(self):
        for episodes in self.episodes:
            if episodes[-1].rewards:
                episodes[-1].end = IS_CUT_OFF
                episodes.append(self.begin())

    def expected(self):
        """For each transition that can be drawn: stack, reward, stack afterwards, discount."""
        found = {}
        for episodes in self.episodes:
            rows = [
                (episode, place)
                for episode in episodes
                if episode.rewards
                for place in range(len(episode.observations))
            ]
            kept = rows[-self.length :]
            for episode, place in kept:
                oldest = max(0, place - self.stack + 1)
                if place < len(episode.rewards) and any(e is episode and p == oldest for e, p in kept):
                    found[episode.observations[place]] = self.told(episode, place)
        return found

    def told(self, episode, place):
        rewards = episode.rewards[place : place + self.steps]
        last = place + len(rewards)
        terminal = episode.end == TERMINATES and last == len(episode.rewards)
        total = sum(self.discount**power * reward for power, reward in enumerate(rewards))
        discount = 0.0 if terminal else self.discount ** len(rewards)
        return self.frames(episode, place), total, self.frames(episode, last), discount

    def frames(self, episode, place):
        return [episode.observations[max(0, place - back)] for back in reversed(range(self.stack))]


def replay_for(model, capacity=None, priorities=None):
    environments = len(model.episodes)
    return Replay(
        capacity or environments * model.length, environments, ((1,), np.int64), ((), np.int64),
        discount=model.discount, steps=model.steps, stack=model.stack, priorities=priorities,
    )  # fmt: skip


def agree(replay, model, seed=0):
    """All that can be drawn is drawn, nothing else, and each is told as the model tells it."""
    expected = model.expected()
    assert len(replay) == len(expected)
    if not expected:
        with pytest.raises(InputError, match="nothing can be drawn from an empty replay"):
            replay.sample(1, np.random.default_rng(seed))
        return
    sample = replay.sample(30 * len(expected), np.random.default_rng(seed))
    rows = zip(*(column.tolist() for column in sample), strict=True)
    drawn = {}
    for observation, action, reward, after, discount, weight, index in rows:
        told = expected[observation[-1]]
        assert (observation, after) == (told[0], told[2])
        assert (reward, discount) == (pytest.approx(told[1], abs=1e-6), pytest.approx(told[3], abs=1e-6))
        assert action == observation[-1] + 1000
        assert weight == 1 or replay._sampler
        assert drawn.setdefault(observation[-1], index) == index
    assert set(drawn) == set(expected)
    assert len(set(drawn.values())) == len(expected)


ends = st.sampled_from([GOES_ON] * 6 + [TERMINATES, IS_CUT_OFF, IS_NONE])


@st.composite
def lives(draw):
    environments = draw(st.integers(1, 3))
    steps, stack = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    model = Model(environments, draw(st.integers(max(steps, stack + 1), 12)), steps=steps, stack=stack)
    played = draw(st.lists(st.lists(ends, min_size=environments, max_size=environments), max_size=40))
    return model, played


@settings(max_examples=150, deadline=None)
@given(lives(), st.booleans(), st.integers(1, 9))
def test_a_replay_is_the_latest_of_all_episodes(life, prioritized, every):
    """Whatever ends how and when, over the ring's end and over steps that are no transitions, looked at now and then."""
    model, played = life
    replay = replay_for(model, priorities=Priorities() if prioritized else None)
    for number, step in enumerate(played):
        replay.add(model.play(step))
        if number % every == 0:
            agree(replay, model)
    agree(replay, model)


@settings(max_examples=40, deadline=None)
@given(lives(), st.integers(0, 20))
def test_episodes_are_cut_where_environments_were_reset_from_outside(life, when):
    model, played = life
    replay = replay_for(model)
    for number, step in enumerate(played):
        if number == when:
            model.cut()
            replay.cut()
            replay.cut()
            agree(replay, model)
        replay.add(model.play(step))
    agree(replay, model)


@settings(max_examples=60, deadline=None)
@given(lives(), st.booleans(), st.integers(0, 40))
def test_a_loaded_replay_goes_on_bit_for_bit_as_the_saved_one(life, prioritized, when):
    model, played = life
    settings = Priorities(anneal=5) if prioritized else None
    replay, loaded = replay_for(model, priorities=settings), replay_for(model, priorities=settings)
    for _ in range(7):
        loaded.add(model.play([GOES_ON] * len(model.episodes)))  # what was there before must leave no trace
    model = Model(len(model.episodes), model.length, steps=model.steps, stack=model.stack)
    for number, step in enumerate([*played, [GOES_ON] * len(model.episodes)]):
        if number == min(when, len(played)):
            if len(replay):
                sample = replay.sample(9, np.random.default_rng(1))
                replay.update(sample.indices, sample.rewards)
            file = io.BytesIO()
            torch.save(replay.state_dict(), file)
            file.seek(0)
            loaded.load_state_dict(torch.load(file, weights_only=True))
            assert len(loaded) == len(replay)
        transitions = model.play(step)
        replay.add(transitions)
        if number >= min(when, len(played)):
            loaded.add(transitions)
            if len(replay):
                one, other = (either.sample(16, torch.Generator().manual_seed(number)) for either in (replay, loaded))
                assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
                for either in (replay, loaded):
                    either.update(one.indices, one.rewards)
    agree(loaded, model)


def test_cutting_leaves_no_gap_and_stacks_begin_anew():
    """Over and over through a small ring, twice, and where an episode has just ended by itself."""
    model = Model(2, 7, steps=2, stack=3)
    replay = replay_for(model)
    for number in range(60):
        replay.add(model.play([TERMINATES if number % 5 == 4 else GOES_ON, GOES_ON]))
        if number % 5 in (2, 4):
            for _ in range(2):
                model.cut()
                replay.cut()
        agree(replay, model)


def test_all_transitions_are_drawn_alike_next_to_rows_that_are_none():
    """Episodes of one step leave every second row without a transition: those drawn instead prefer none."""
    model = Model(2, 20)
    replay = replay_for(model)
    for _ in range(30):
        replay.add(model.play([TERMINATES, GOES_ON]))
    count = len(replay)
    drawn = replay.sample(1000 * count, np.random.default_rng(0)).observations[:, 0].unique(return_counts=True)[1]
    assert len(drawn) == count
    assert float(((drawn - 1000) ** 2 / 1000).sum()) < count + 5 * math.sqrt(2 * count)


def test_a_large_replay_that_is_almost_empty_is_drawn_from_at_once():
    model = Model(1, 10**8)
    replay = Replay(10**8, 1, ((1,), np.int64), ((), np.int64), discount=0.9)
    replay.add(model.play([GOES_ON]))
    assert replay.sample(50, np.random.default_rng(0)).rewards.shape == (50,)


# Terminations, truncations, heads, by hand


def played(life, capacity=10, **options):
    """One environment with observations 0, 1, 2, … and rewards 1, 10, 100, …, ending as ``life`` says."""
    replay = Replay(capacity, 1, ((1,), np.float32), ((), np.int64), discount=0.5, **options)
    seen = 0
    for number, end in enumerate(life):
        one = np.array([[seen]], np.float32)
        flags = (np.array([end == kind]) for kind in (TERMINATES, IS_CUT_OFF))
        replay.add(Transitions(one, np.array([number]), np.array([10.0**number]), one + 1, *flags, np.array([True])))
        seen += 1 if end == GOES_ON else 2
    return replay


def told(replay):
    sample = replay.sample(400, np.random.default_rng(0))
    columns = (sample.observations[:, 0], sample.rewards, sample.next_observations[:, 0], sample.discounts)
    return {row[0]: row[1:] for row in zip(*(column.tolist() for column in columns), strict=True)}


def test_a_terminated_episodes_last_transitions_are_starts_and_none_bootstraps_beyond_it():
    replay = played([GOES_ON, GOES_ON, TERMINATES, GOES_ON], steps=3)
    assert told(replay) == {0: (31, 3, 0), 1: (60, 3, 0), 2: (100, 3, 0), 4: (1000, 5, 0.5)}


def test_a_truncated_episode_bootstraps_from_its_final_observation():
    replay = played([GOES_ON, GOES_ON, IS_CUT_OFF, GOES_ON], steps=2)
    assert told(replay) == {0: (6, 2, 0.25), 1: (60, 3, 0.25), 2: (100, 3, 0.5), 4: (1000, 5, 0.5)}


def test_an_end_of_both_kinds_is_a_termination():
    replay = Replay(10, 1, ((1,), np.float32), ((), np.int64), discount=0.5)
    one, yes = np.zeros((1, 1), np.float32), np.array([True])
    replay.add(Transitions(one, np.array([0]), np.array([1.0]), one, yes, yes, yes))
    assert replay.sample(1, np.random.default_rng(0)).discounts.tolist() == [0]


def test_both_ways_of_beginning_anew_store_the_same_rows():
    """Gymnasium's NEXT_STEP spends a step on the reset, its SAME_STEP does not."""
    life = [GOES_ON, TERMINATES, GOES_ON, IS_CUT_OFF, GOES_ON]
    same = played(life)
    states = [same.state_dict()]
    replay, seen = Replay(10, 1, ((1,), np.float32), ((), np.int64), discount=0.5), 0
    for number, end in enumerate(life):
        one, no, yes = np.array([[seen]], np.float32), np.array([False]), np.array([True])
        flags = (np.array([end == kind]) for kind in (TERMINATES, IS_CUT_OFF))
        replay.add(Transitions(one, np.array([number]), np.array([10.0**number]), one + 1, *flags, yes))
        if end != GOES_ON:
            replay.add(Transitions(one + 1, np.array([77]), np.array([0.0]), one + 2, no, no, no))
        seen += 1 if end == GOES_ON else 2
    states.append(replay.state_dict())
    for name in ("observations", "actions", "kinds", "heads", "fresh"):
        written = [state[name] if name != "actions" else state[name][state["kinds"] != 0] for state in states]
        assert torch.equal(*written), name


def test_environments_keep_to_their_own_episodes():
    """One ends, the other goes on: returns over 4 steps mix nothing."""
    model = Model(2, 20, steps=4)
    replay = replay_for(model)
    for step in (
        [GOES_ON, GOES_ON],
        [TERMINATES, GOES_ON],
        [GOES_ON, GOES_ON],
        [GOES_ON, IS_CUT_OFF],
        [IS_NONE, GOES_ON],
    ):
        replay.add(model.play(step))
        agree(replay, model)


# Forms


def frames(*numbers):
    """Frames ``(1, 2, 3, 3)`` of two channels: ten times the number, and one more."""
    return [
        np.stack([np.full((3, 3), 10 * number + channel, np.uint8) for channel in (0, 1)])[None] for number in numbers
    ]


def test_stacks_of_images_join_channels_the_oldest_first_and_keep_their_format():
    replay = Replay(12, 1, ((2, 3, 3), np.uint8), ((), np.int64), discount=0.9, stack=3)
    no, yes = np.array([False]), np.array([True])
    one, two, three, four = frames(1, 2, 3, 4)
    for before, after in ((one, two), (two, three), (three, four)):
        replay.add(Transitions(before, np.array([0]), np.array([0.0]), after, no, no, yes))
    sample = replay.sample(50, np.random.default_rng(0))
    assert sample.observations.dtype == torch.uint8
    assert sample.observations.shape == sample.next_observations.shape == (50, 6, 3, 3)
    stacks = {tuple(stack) for stack in sample.observations[:, :, 1, 2].tolist()}
    assert stacks == {(10, 11, 10, 11, 10, 11), (10, 11, 10, 11, 20, 21), (10, 11, 20, 21, 30, 31)}
    assert (20, 21, 30, 31, 40, 41) in {tuple(stack) for stack in sample.next_observations[:, :, 1, 2].tolist()}


def test_actions_can_be_vectors_and_tensors_have_the_promised_formats():
    replay = Replay(8, 2, ((3,), np.float32), ((2,), np.float32), discount=0.9, steps=2)
    actions = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
    observations, no = np.zeros((2, 3), np.float32), np.zeros(2, bool)
    replay.add(Transitions(observations, actions, np.ones(2), observations, no, no, ~no))
    sample = replay.sample(20, np.random.default_rng(0))
    assert {tuple(action) for action in sample.actions.tolist()} == {(1, 2), (3, 4)}
    formats = [tensor.dtype for tensor in sample]
    assert formats == [torch.float32] * 6 + [torch.int64]
    assert [tuple(tensor.shape) for tensor in sample] == [(20, 3), (20, 2), (20,), (20, 3), (20,), (20,), (20,)]
    assert sample._fields[0] == "observations"


@pytest.mark.parametrize("make", [np.random.default_rng, lambda seed: torch.Generator().manual_seed(seed)])
def test_equal_generators_draw_alike_and_others_not(make):
    replay = played([GOES_ON] * 8)
    first, second, third = (replay.sample(20, make(seed)).indices.tolist() for seed in (1, 1, 2))
    assert first == second != third


def test_drawn_tensors_are_the_callers_own():
    replay = played([GOES_ON] * 4)
    before = told(replay)
    for tensor in replay.sample(20, np.random.default_rng(0)):
        tensor.zero_()
    assert told(replay) == before


def test_what_was_given_may_be_overwritten_afterwards():
    """Environments reuse their arrays."""
    replay = Replay(8, 1, ((1,), np.float32), ((), np.int64), discount=0.9)
    one, no = np.ones((1, 1), np.float32), np.array([False])
    replay.add(Transitions(one, np.array([0]), np.array([1.0]), one, no, no, ~no))
    one[:] = 9
    sample = replay.sample(1, np.random.default_rng(0))
    assert sample.observations.item() == sample.next_observations.item() == 1


# Priorities


def test_errors_change_what_is_drawn():
    replay = played([GOES_ON] * 5, priorities=Priorities(alpha=1.0, beta=1.0, epsilon=1e-6))
    first = replay.sample(50, np.random.default_rng(0))
    everything = dict(zip(first.observations[:, 0].tolist(), first.indices.tolist(), strict=True))
    errors = torch.tensor([0.0, 0.0, -3.0, 0.0, 1.0], requires_grad=True)
    replay.update(torch.tensor([everything[float(name)] for name in range(5)]), errors)
    sample = replay.sample(400, np.random.default_rng(0))
    names = sample.observations[:, 0]
    assert int((names == 2).sum()) == 300
    assert int((names == 4).sum()) == 100
    assert sorted({round(weight, 4) for weight in sample.weights.tolist()}) == [0.3333, 1]


def test_errors_of_what_was_overwritten_meanwhile_do_not_bring_it_back():
    model = Model(1, 4)
    replay = replay_for(model, priorities=Priorities())
    for _ in range(4):
        replay.add(model.play([GOES_ON]))
    drawn = replay.sample(30, np.random.default_rng(0))
    for end in (GOES_ON, TERMINATES):
        replay.add(model.play([end]))
    replay.update(drawn.indices, torch.full((30,), 100.0))
    agree(replay, model)


def test_errors_mean_nothing_to_a_uniform_replay():
    replay = played([GOES_ON] * 5)
    before = told(replay)
    replay.update(torch.tensor([0]), torch.tensor([math.nan]))
    assert told(replay) == before


# Size


def test_only_what_was_filled_is_saved():
    replay = Replay(100_000, 2, ((50,), np.float32), ((), np.int64), discount=0.9, priorities=Priorities())
    observations, no = np.zeros((2, 50), np.float32), np.zeros(2, bool)
    for _ in range(9):
        replay.add(Transitions(observations, np.zeros(2, np.int64), np.zeros(2), observations, no, no, ~no))
    file = io.BytesIO()
    torch.save(replay.state_dict(), file)
    assert replay.state_dict()["observations"].shape == (20, 50)
    assert len(file.getvalue()) < 20_000


def test_memory_is_taken_only_as_rows_are_filled():
    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096

    before = resident()
    replay = Replay(200_000, 4, ((84, 84), np.uint8), ((), np.int64), discount=0.9)
    assert resident() - before < 50e6
    assert len(replay) == 0


# Mistakes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"capacity": 7}, "capacity 7 is too small: 4 environments with 1 frames a stack need 8"),
        ({"capacity": 19, "stack": 4}, "capacity 19 is too small: 4 environments with 4 frames a stack need 20"),
        ({"environments": 0}, "a replay is of one environment or more, got 0"),
        ({"stack": 0}, "a stack has 1 to 255 frames, got 0"),
        ({"stack": 256}, "a stack has 1 to 255 frames, got 256"),
        ({"discount": 1.5}, "the discount must be 0 to 1, got 1.5"),
        ({"discount": math.nan}, "the discount must be 0 to 1, got nan"),
        ({"steps": 0}, "returns over 0 steps: must be 1 to 25"),
        ({"steps": 26}, "returns over 26 steps: must be 1 to 25"),
        ({"stack": 2, "observation": ((), np.float32)}, "single numbers cannot be stacked"),
        ({"capacity": 10**18}, "numbers exceeds the memory: lower the capacity"),
        ({"capacity": 10**40}, "numbers exceeds the memory: lower the capacity"),
        (
            {"observation": ((3,), "object")},
            "a replay cannot hold 'object': give a format that torch has, such as uint8",
        ),
        ({"observation": ((3,), "flaot")}, "a replay cannot hold 'flaot'"),
    ],
)
def test_settings_out_of_range_are_refused(options, message):
    usual = {
        "capacity": 100, "environments": 4, "observation": ((3,), np.float32), "action": ((), np.int64), "discount": 0.9,
    }  # fmt: skip
    with pytest.raises(InputError, match=message):
        Replay(**(usual | options))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("observations", np.zeros((4, 2), np.float32), r"float32 \(4, 2\) do not fit a replay for float32 \(4, 3\)"),
        ("next_observations", np.zeros((3, 3), np.float32), "next_observations of"),
        ("observations", np.zeros((4, 3), np.complex64), "observations of complex64"),
        ("actions", np.zeros(4), "actions of float64"),
        ("actions", np.zeros((4, 1), np.int64), "actions of int64"),
        ("rewards", np.zeros((4, 1)), "rewards of"),
        ("terminated", np.zeros(4), "terminated of float64"),
        ("valid", np.zeros(1, bool), "valid of"),
    ],
)  # fmt: skip
def test_transitions_of_another_form_are_refused_and_not_stored(name, value, message):
    replay = Replay(100, 4, ((3,), np.float32), ((), np.int64), discount=0.9)
    observations, no = np.zeros((4, 3), np.float32), np.zeros(4, bool)
    good = Transitions(observations, np.zeros(4, np.int64), np.zeros(4), observations, no, no, ~no)
    with pytest.raises(InputError, match=message):
        replay.add(good._replace(**{name: value}))
    assert len(replay) == 0
    replay.add(good)
    with pytest.raises(InputError, match=message):
        replay.add(good._replace(**{name: value}))
    assert len(replay) == 4


def test_a_sample_has_one_transition_or_more():
    with pytest.raises(InputError, match="a sample has one transition or more, got 0"):
        played([GOES_ON]).sample(0, np.random.default_rng(0))


def state_of(**options):
    return played([GOES_ON, TERMINATES, GOES_ON], **options).state_dict()


@pytest.mark.parametrize(
    "change",
    [
        {"kinds": torch.full((5,), 3, dtype=torch.uint8)}, {"kinds": torch.zeros(4, dtype=torch.uint8)}, {"kinds": None},
        {"heads": torch.tensor([10])}, {"heads": torch.tensor([-1])}, {"heads": torch.tensor([], dtype=torch.int64)},
        {"fresh": torch.zeros(0, dtype=torch.bool)}, {"fresh": torch.tensor([1])}, {"length": 11}, {"length": None},
        {"observations": torch.zeros(5, 2)}, {"observations": torch.zeros(5, 1).double()},
        {"observations": torch.zeros(5, 1, requires_grad=True)}, {"observations": torch.zeros(5, 1).to_sparse()},
        {"observations": torch.zeros(5, 1, device="meta")}, {"observations": torch.zeros(5, 1).bfloat16()},
        {"observations": torch.zeros(1, 1).expand(10**9, 1)}, {"ages": torch.zeros(5, dtype=torch.uint8)},
        {"sampler": {}}, {"actions": [0] * 5},
    ],
)  # fmt: skip
def test_a_state_that_is_damaged_or_of_another_replay_is_refused_and_changes_nothing(change):
    replay = played([GOES_ON] * 5)
    before = told(replay)
    with pytest.raises(InputError):
        replay.load_state_dict(state_of() | change)
    assert told(replay) == before
    replay.load_state_dict(state_of())
    assert len(replay) == 3


@pytest.mark.parametrize("options", [{"capacity": 20}, {"stack": 2}, {"priorities": Priorities()}])
def test_a_state_of_other_options_is_refused(options):
    for one, other in (({}, options), (options, {})):
        with pytest.raises(InputError):
            played([GOES_ON], **one).load_state_dict(state_of(**other))


@pytest.mark.parametrize("change", ["heads", "kinds"])
def test_rows_of_two_environments_are_not_mixed_up(change):
    model = Model(2, 9)
    replay = replay_for(model)
    for _ in range(3):
        replay.add(model.play([GOES_ON, GOES_ON]))
    state = replay.state_dict()
    if change == "heads":
        state["heads"] = state["heads"].flip(0)
    else:
        state |= {name: state[name][:-1].clone() for name in ("observations", "actions", "rewards", "kinds")}
    with pytest.raises(InputError, match="does not fit one of 9 rows for each of 2 environments"):
        replay_for(model).load_state_dict(state)


def test_ages_beyond_the_stack_are_refused():
    state = state_of(stack=2)
    with pytest.raises(InputError, match="the saved replay does not fit one of 10 rows for each of 1 environments"):
        played([GOES_ON], stack=2).load_state_dict(state | {"ages": torch.full((5,), 2, dtype=torch.uint8)})
