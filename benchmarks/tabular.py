"""Tabular Q-learning: pendio's against a plain loop over NumPy arrays, on the same world.

The loop is the textbook's: one environment of Gymnasium, one ε-greedy step, one update of the table. pendio plays many
environments from the transition table and updates the mean of each pair's transitions in a batch. Counted are transitions
that were learned from in a second, and how far each is from the true values in the end.

    python benchmarks/tabular.py
"""

import argparse
import tempfile
import time
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

import pendio
from pendio.reinforcement.values.dqn import optimal_values
from pendio.reinforcement.worlds.environments import open_world


def by_pendio(env: str, steps: int, discount: float) -> tuple[float, float, NDArray[Any]]:
    """Transitions learned from, seconds, and the table."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        run = pendio.train(
            "qlearn", progress=False, env=env, env_steps=steps, environments=1_024, train_every=1_024, batch=1_024,
            updates=1, start=1_024, epochs=1, episodes=1, discount=discount, out=f"{folder}/run", epsilon_end=0.3,
            explore=1.0, replay=1_000_000,
        )  # fmt: skip
        seconds = time.perf_counter() - began
        updates = run.history()[-1]["step"] * 1_024
        return updates, seconds, pendio.load(run.folder).values()


def by_loop(env: str, steps: int, discount: float) -> tuple[float, float, NDArray[Any]]:
    """The same of a plain loop."""
    world = gymnasium.make(env)
    random = np.random.default_rng(0)
    q = np.zeros((world.observation_space.n, world.action_space.n))
    began = time.perf_counter()
    state, _ = world.reset(seed=0)
    for step in range(steps):
        epsilon = 1 - 0.7 * step / steps
        action = int(random.integers(q.shape[1])) if random.random() < epsilon else int(np.argmax(q[state]))
        following, reward, terminated, truncated, _ = world.step(action)
        target = reward + (0.0 if terminated else discount * np.max(q[following]))
        q[state, action] += 0.5 * (1 - step / steps) * (target - q[state, action])
        state = world.reset()[0] if terminated or truncated else following
    return steps, time.perf_counter() - began, q


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--env", default="Taxi-v4")
    parser.add_argument("--steps", type=int, default=3_000_000, help="of pendio; the loop gets as much time, at most")
    chosen = parser.parse_args()
    discount = 0.99
    true = optimal_values(open_world(chosen.env, discount=discount))
    assert true is not None
    print("| racer | transitions learned from | seconds | a second | ‖Q − Q*‖∞ |\n| --- | --- | --- | --- | --- |")
    rates = []
    for name, racer, steps in (("pendio", by_pendio, chosen.steps), ("plain loop", by_loop, chosen.steps // 10)):
        updates, seconds, table = racer(chosen.env, steps, discount)
        rates.append(updates / seconds)
        error = float(np.nanmax(np.abs(table - true)))
        print(f"| {name} | {updates:,.0f} | {seconds:.1f} | {updates / seconds:,.0f} | {error:.3g} |", flush=True)
    print(f"\npendio/plain loop: {rates[0] / rates[1]:.1f} times as many a second")


if __name__ == "__main__":
    main()
