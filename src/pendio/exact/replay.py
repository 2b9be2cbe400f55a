"""Truths about remembering what was done: returns over several steps, and which transitions are drawn how often."""

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.special import chdtri

from pendio.exact.check import Check
from pendio.reinforcement.values.priorities import Priorities, SumTree
from pendio.reinforcement.values.replay import Replay, Transitions

__all__ = ["CHECKS"]

_ENVIRONMENTS, _ROWS, _DISCOUNT, _STEPS = 3, 40, 0.9, 4
_DRAWS, _BATCH = 100_000, 200
_RARE = 1e-4
"""How seldom chance alone exceeds the bound of a χ² statistic."""


@dataclass
class _Episode:
    """Rewards in their order, and the number of its first observation; the others follow it."""

    first: int
    rewards: list[float] = field(default_factory=list)
    terminated: bool = False
    ended: bool = False


class _Diary:
    """Plays random episodes and keeps them all in plain lists, each observation a number of its own."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._numbers = iter(range(10**9))
        self.episodes: list[list[_Episode]] = [[self._begin()] for _ in range(_ENVIRONMENTS)]

    def _begin(self) -> _Episode:
        first = next(self._numbers) * 1000
        return _Episode(first)

    def step(self) -> Transitions:
        rows = [self._act(episodes) for episodes in self.episodes]
        before, rewards, after, terminated, truncated, valid = (np.array(column) for column in zip(*rows, strict=True))
        return Transitions(before[:, None], before, rewards, after[:, None], terminated, truncated, valid)

    def _act(self, episodes: list[_Episode]) -> tuple[int, float, int, bool, bool, bool]:
        """An environment's step; now and then one that is no transition, whose numbers nobody should see."""
        if self._random.random() < 0.1:
            return -1, math.nan, -1, False, True, False
        episode = episodes[-1]
        before = episode.first + len(episode.rewards)
        episode.rewards.append(float(self._random.normal()))
        end = self._random.random()
        episode.terminated, episode.ended = end < 0.1, end < 0.2
        if episode.ended:
            episodes.append(self._begin())
        return before, episode.rewards[-1], before + 1, episode.terminated, 0.1 <= end < 0.2, True

    def remembered(self) -> dict[int, tuple[_Episode, int]]:
        """Of each observation that a ring still holds with its successor: its episode, and its place there."""
        found = {}
        for episodes in self.episodes:
            room = _ROWS
            for episode in reversed(episodes):
                room -= 1 if episode.rewards else 0  # the last observation's row
                for place in reversed(range(len(episode.rewards))):
                    room -= 1
                    if room >= 0:
                        found[episode.first + place] = episode, place
        return found


def _played(steps: int, priorities: Priorities | None, seed: int) -> tuple[Replay, _Diary]:
    """A ring that has been written over and over."""
    one, single = ((1,), np.int64), ((), np.int64)
    rows = _ENVIRONMENTS * _ROWS
    replay = Replay(rows, _ENVIRONMENTS, one, single, discount=_DISCOUNT, steps=steps, priorities=priorities)
    diary = _Diary(seed)
    for _ in range(5 * _ROWS):
        replay.add(diary.step())
    return replay, diary


def _returns() -> tuple[float, float]:
    """Largest gap of returns, and of what the value of the last state counts; infinite where that is another state."""
    worst = 0.0
    for seed in range(5):
        replay, diary = _played(_STEPS, None, seed)
        remembered = diary.remembered()
        sample = replay.sample(1000, np.random.default_rng(seed))
        columns = (sample.observations[:, 0], sample.rewards, sample.next_observations[:, 0], sample.discounts)
        for first, reward, last, discount in zip(*(column.tolist() for column in columns), strict=True):
            episode, place = remembered[first]
            rewards = episode.rewards[place : place + _STEPS]
            wanted = sum(_DISCOUNT**power * value for power, value in enumerate(rewards))
            final = episode.terminated and place + len(rewards) == len(episode.rewards)
            wanted_discount = 0.0 if final else _DISCOUNT ** len(rewards)
            gap = math.inf if last != first + len(rewards) else abs(discount - wanted_discount)
            worst = max(worst, gap, abs(reward - wanted))
    return worst, 0.0


def _statistic(replay: Replay, expected: dict[int, float]) -> tuple[float, float]:
    """χ² of many draws against probabilities of observations, and the quantile that chance hardly ever exceeds."""
    generator = torch.Generator().manual_seed(0)
    counts = dict.fromkeys(expected, 0)
    for _ in range(_DRAWS // _BATCH):
        for drawn in replay.sample(_BATCH, generator).observations[:, 0].tolist():
            if drawn not in counts:
                return math.inf, 0.0
            counts[drawn] += 1
    statistic = sum((counts[name] - _DRAWS * share) ** 2 / (_DRAWS * share) for name, share in expected.items())
    return statistic, float(chdtri(len(expected) - 1, _RARE))


def _uniform() -> tuple[float, float]:
    replay, diary = _played(_STEPS, None, 0)
    remembered = diary.remembered()
    return _statistic(replay, dict.fromkeys(remembered, 1 / len(remembered)))


def _prioritized() -> tuple[float, float]:
    """Errors of −9 to 9 for some of what was remembered; what came later has the largest priority that was given."""
    replay, diary = _played(1, Priorities(alpha=0.7, epsilon=1.0), 0)
    priorities = dict.fromkeys(diary.remembered(), 1.0)
    generator = np.random.default_rng(0)
    for _ in range(3):
        sample = replay.sample(30, generator)
        names = sample.observations[:, 0]
        errors = names % 19 - 9
        replay.update(sample.indices, errors)
        priorities |= {
            name: (abs(error) + 1) ** 0.7 for name, error in zip(names.tolist(), errors.tolist(), strict=True)
        }
    for _ in range(10):
        replay.add(diary.step())
    largest = max(priorities.values())
    shares = {name: priorities.get(name, largest) for name in diary.remembered()}
    total = sum(shares.values())
    return _statistic(replay, {name: share / total for name, share in shares.items()})


def _drift() -> tuple[float, float]:
    """The root's relative distance from the sum of a list that was changed alike, over fifteen orders of magnitude.

    And once more when only small numbers are left, next to which what the large ones left behind would show.
    """
    random = np.random.default_rng(0)
    tree, leaves, worst = SumTree(1000), [0.0] * 1000, 0.0
    for highest in (8, -6):
        for _ in range(500):
            indices, values = random.integers(1000, size=100), 10.0 ** random.uniform(-7, highest, 100)
            tree.update(indices, values)
            for index, value in zip(indices.tolist(), values.tolist(), strict=True):
                leaves[index] = value
        exact = math.fsum(leaves)
        worst = max(worst, abs(tree.total - exact) / exact)
    return worst, 0.0


CHECKS = (
    Check("sum-tree", "a root is the sum of its leaves after 10⁵ changes: relative drift", _drift, 1e-15),
    Check("n-step-return", "Σ γⁱ r up to an episode's end, without bootstrap at terminal states", _returns, 1e-6),
    Check("uniform-replay", "all transitions are drawn alike: χ² and its 99.99 % quantile", _uniform, relation="≤"),
    Check("prioritised-sampling", "P ∝ (|δ| + ε)^α: χ² and its 99.99 % quantile", _prioritized, relation="≤"),
)
