"""Deep Q-networks: pendio's against Stable-Baselines3's, on CartPole with the settings of RL Baselines3 Zoo.

Both play 50,000 steps and make 128 updates of 64 transitions after every 256 steps, of a network of 256×256, with the same
learning rate, exploration and discount; the target network is made equal before each bout. A round trains each once from the
same seed, one after the other; the network that the training ends with then plays 100 episodes, and of pendio's also the
one that its evaluations kept. Stable-Baselines3 makes no evaluations; pendio makes five.

    pip install stable-baselines3
    python benchmarks/dqn.py
"""

import argparse
import importlib.util
import statistics
import sys
import tempfile
import time

import numpy as np
import torch

import pendio
from pendio.reinforcement.evaluation import evaluate_agent
from pendio.runs.run import Run

STEPS = 50_000


def by_pendio(seed: int, steps: int) -> tuple[float, float, str]:
    """Seconds, the last network's mean return, and a remark."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        run = pendio.train(
            "dqn", progress=False, env="CartPole-v1", out=f"{folder}/run", seed=seed, env_steps=steps, epochs=5, lr=2.3e-3,
            hidden="256,256", train_every=256, updates=128, target_every=128, explore=0.16, epsilon_end=0.04, double=False,
            schedule="constant", average="none", environments=8,
        )  # fmt: skip
        seconds = time.perf_counter() - began
        agent = pendio.load(run.folder)
        best = evaluate_agent(agent, 100).to_dict()["return"]
        agent.load_state_dict(Run.open(run.folder).weights("last"))
        last = evaluate_agent(agent, 100).to_dict()["return"]
    return seconds, last, f"kept {best:.0f}"


def by_baselines(seed: int, steps: int) -> tuple[float, float, str]:
    """The same of Stable-Baselines3."""
    from stable_baselines3 import DQN
    from stable_baselines3.common.evaluation import evaluate_policy

    began = time.perf_counter()
    model = DQN(
        "MlpPolicy", "CartPole-v1", learning_rate=2.3e-3, batch_size=64, buffer_size=100_000, learning_starts=1_000,
        gamma=0.99, target_update_interval=10, train_freq=256, gradient_steps=128, exploration_fraction=0.16,
        exploration_final_eps=0.04, policy_kwargs={"net_arch": [256, 256]}, device="cpu", seed=seed,
    )  # fmt: skip
    model.learn(steps)
    seconds = time.perf_counter() - began
    mean, _ = evaluate_policy(model, model.get_env(), n_eval_episodes=100)
    return seconds, float(np.mean(mean)), ""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=STEPS)
    chosen = parser.parse_args()
    if importlib.util.find_spec("stable_baselines3") is None:
        sys.exit("this race needs its peer: pip install stable-baselines3")
    torch.set_num_threads(1)
    times: dict[str, list[float]] = {"pendio": [], "stable-baselines3": []}
    print("| racer | seed | seconds | mean return in the end | |\n| --- | --- | --- | --- | --- |")
    for seed in range(chosen.rounds):
        for name, racer in (("pendio", by_pendio), ("stable-baselines3", by_baselines)):
            seconds, value, remark = racer(seed, chosen.steps)
            times[name].append(seconds)
            print(f"| {name} | {seed} | {seconds:.1f} | {value:.0f} | {remark} |", flush=True)
    ours, theirs = (statistics.median(times[name]) for name in ("pendio", "stable-baselines3"))
    print(f"\npendio/stable-baselines3: {ours / theirs:.2f} of the time (medians {ours:.1f} s and {theirs:.1f} s)")


if __name__ == "__main__":
    main()
