"""Replay buffers: pendio's against stable-baselines3's, a deque, and plain NumPy for priorities.

Writing a step of 8 environments, then drawing a batch of 128 from a full buffer, as tensors; observations of 4 numbers,
and frames of 84×84. All racers hold the same transitions; each round runs every racer in turn, and the median counts.
Priorities: a draw and an update of 128 together, by the tree and by cumsum and searchsorted over an array.

    pip install --no-deps stable-baselines3 cloudpickle
    python benchmarks/replay.py
"""

import argparse
import importlib.util
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable

import gymnasium
import numpy as np
import torch

from pendio.reinforcement.values.priorities import Priorities, PrioritySampler
from pendio.reinforcement.values.replay import Replay, Transitions

ENVIRONMENTS, BATCH, ACTIONS = 8, 128, 4
FORMS = {"4 numbers": ((4,), np.dtype(np.float32), 100_000), "84×84 bytes": ((1, 84, 84), np.dtype(np.uint8), 8_000)}
"""Shape, number format, and capacity."""

Racer = tuple[Callable[[Transitions], None], Callable[[], object]]
"""Adds a step; draws a batch."""


def steps_of(shape: tuple[int, ...], dtype: np.dtype, count: int = 200) -> list[Transitions]:
    """Consecutive steps, one in twenty an end."""
    generator = np.random.default_rng(0)
    seen = (255 * generator.random((count + 1, ENVIRONMENTS, *shape))).astype(dtype)
    ends = generator.random((count, ENVIRONMENTS)) < 0.05
    no, yes = np.zeros(ENVIRONMENTS, np.bool_), np.ones(ENVIRONMENTS, np.bool_)
    actions = generator.integers(ACTIONS, size=(count, ENVIRONMENTS))
    rewards = generator.random((count, ENVIRONMENTS))
    return [
        Transitions(seen[number], actions[number], rewards[number], seen[number + 1], ends[number], no, yes)
        for number in range(count)
    ]


def by_pendio(shape: tuple[int, ...], dtype: np.dtype, capacity: int) -> Racer:
    replay = Replay(capacity, ENVIRONMENTS, (shape, dtype), ((), np.int64), discount=0.99)
    generator = torch.Generator().manual_seed(0)
    return replay.add, lambda: replay.sample(BATCH, generator)


def by_stable_baselines(shape: tuple[int, ...], dtype: np.dtype, capacity: int) -> Racer:
    from stable_baselines3.common.buffers import ReplayBuffer

    space = gymnasium.spaces.Box(0, 255, shape, dtype.type)
    buffer = ReplayBuffer(capacity, space, gymnasium.spaces.Discrete(ACTIONS), "cpu", ENVIRONMENTS)
    infos: list[dict] = [{} for _ in range(ENVIRONMENTS)]

    def add(step: Transitions) -> None:
        done = step.terminated | step.truncated
        buffer.add(step.observations, step.next_observations, step.actions, step.rewards, done, infos)

    return add, lambda: buffer.sample(BATCH)


def by_deque(shape: tuple[int, ...], dtype: np.dtype, capacity: int) -> Racer:
    """What one writes by hand: a deque of transitions as tensors, joined when drawn."""
    memory: deque[tuple[torch.Tensor, ...]] = deque(maxlen=capacity)
    generator = np.random.default_rng(0)

    def add(step: Transitions) -> None:
        columns = [torch.from_numpy(np.array(column)) for column in step[:5]]
        memory.extend(zip(*(column.split(1) for column in columns), strict=True))

    def draw() -> list[torch.Tensor]:
        rows = [memory[index] for index in generator.integers(len(memory), size=BATCH).tolist()]
        return [torch.cat(column) for column in zip(*rows, strict=True)]

    return add, draw


RACERS = {"pendio": by_pendio, "stable-baselines3": by_stable_baselines, "deque": by_deque}


def microseconds(run: Callable[[], object], times: int) -> float:
    began = time.perf_counter()
    for _ in range(times):
        run()
    return (time.perf_counter() - began) / times * 1e6


def medians(runs: dict[str, Callable[[], object]], times: int, rounds: int) -> dict[str, float]:
    for run in runs.values():
        run()
    seconds = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            seconds[name].append(microseconds(run, times))
    return {name: statistics.median(values) for name, values in seconds.items()}


def race_buffers(rounds: int) -> None:
    print("| observations | racer | add 8, µs | draw 128, µs |")
    print("| --- | --- | --- | --- |")
    for name, form in FORMS.items():
        steps = steps_of(*form[:2])
        racers = {racer: make(*form) for racer, make in RACERS.items()}

        def writes(add: Callable[[Transitions], None], steps: list[Transitions] = steps) -> Callable[[], None]:
            def run() -> None:
                for step in steps:
                    add(step)

            return run

        for add, _ in racers.values():
            for _ in range(form[2] // ENVIRONMENTS // len(steps) + 1):
                writes(add)()
        added = medians({racer: writes(add) for racer, (add, _) in racers.items()}, 1, rounds)
        drawn = medians({racer: draw for racer, (_, draw) in racers.items()}, 100, rounds)
        for racer in racers:
            print(f"| {name} | {racer} | {added[racer] / len(steps):.1f} | {drawn[racer]:.1f} |", flush=True)
        for racer in list(racers)[1:]:
            adding, drawing = added["pendio"] / added[racer], drawn["pendio"] / drawn[racer]
            print(f"pendio: add {adding:.2f} ×, draw {drawing:.2f} × {racer}", flush=True)


def plain_priorities(values: np.ndarray) -> Callable[[], None]:
    """Priorities in an array, summed anew for each draw."""
    priorities, generator = values.copy(), np.random.default_rng(0)

    def run() -> None:
        sums = priorities.cumsum()
        prefixes = (np.arange(BATCH) + generator.random(BATCH)) * (sums[-1] / BATCH)
        rows = np.minimum(sums.searchsorted(prefixes, side="right"), len(sums) - 1)
        weights = (priorities[rows].min() / priorities[rows]) ** 0.4
        priorities[rows] = (weights + 1e-6) ** 0.6

    return run


def tree_priorities(values: np.ndarray) -> Callable[[], None]:
    sampler, generator = PrioritySampler(Priorities(anneal=10**9), len(values)), np.random.default_rng(0)
    sampler.change(np.arange(len(values)), np.zeros(0, np.int64))
    sampler.learn(np.arange(len(values)), values)

    def run() -> None:
        rows, weights = sampler.draw(BATCH, generator)
        sampler.learn(rows, weights)

    return run


def race_priorities(sizes: list[int], rounds: int) -> None:
    print("| rows | tree, µs | cumsum, µs | ratio |")
    print("| --- | --- | --- | --- |")
    for size in sizes:
        values = np.random.default_rng(0).random(size) + 0.1
        runs = {"tree": tree_priorities(values), "cumsum": plain_priorities(values)}
        found = medians(runs, 50, rounds)
        tree, cumsum = found["tree"], found["cumsum"]
        print(f"| {size:,} | {tree:.0f} | {cumsum:.0f} | {tree / cumsum:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--sizes", type=int, nargs="*", default=[10**4, 10**5, 10**6])
    options = parser.parse_args()
    if not importlib.util.find_spec("stable_baselines3"):
        sys.exit("stable-baselines3 is missing: pip install --no-deps stable-baselines3 cloudpickle")
    print(
        f"torch {torch.__version__}, NumPy {np.__version__}, {torch.get_num_threads()} threads; {options.rounds} rounds"
    )
    race_buffers(options.rounds)
    race_priorities(options.sizes, options.rounds)


if __name__ == "__main__":
    main()
