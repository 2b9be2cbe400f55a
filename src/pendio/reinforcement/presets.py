"""Options that work, for environments that many people begin with. What is named on the command line goes before them."""

from collections.abc import Mapping
from typing import Any

__all__ = ["AGENTS", "PRESETS", "preset"]

AGENTS = ("qlearn", "dqn", "reinforce", "ppo")
"""Tasks of ``pendio train`` that play."""

PRESETS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "qlearn": {
        "FrozenLake-v1": {"env_steps": 2_000_000, "environments": 256, "train_every": 256, "lr": 0.3},
        "FrozenLake8x8-v1": {"env_steps": 10_000_000, "environments": 1_024, "train_every": 1_024, "batch": 1_024},
        "CliffWalking-v1": {"env_steps": 400_000, "discount": 1.0},
        "CliffWalkingSlippery-v1": {"env_steps": 4_000_000, "environments": 256, "train_every": 256, "discount": 1.0},
        "Taxi-v4": {"env_steps": 3_000_000, "environments": 256, "train_every": 256, "discount": 1.0, "batch": 512},
    },
    "dqn": {
        "CartPole-v1": {
            "env_steps": 50_000, "train_every": 256, "updates": 128, "lr": 2.3e-3, "schedule": "linear", "hidden": "256,256",
            "explore": 0.16, "epsilon_end": 0.04, "target_every": 128, "double": False, "average": "ema",
        },
        "Acrobot-v1": {
            "env_steps": 60_000, "train_every": 64, "updates": 32, "lr": 6.3e-4, "schedule": "linear", "hidden": "256,256",
            "explore": 0.12, "epsilon_end": 0.1, "average": "ema", "epochs": 10,
        },
    },
    "reinforce": {
        "FrozenLake-v1": {"environments": 256, "env_steps": 10_000_000, "lr": 3e-2, "hidden": ""},
    },
    "ppo": {
        "CartPole-v1": {
            "rollout": 32, "batch": 256, "passes": 20, "lr": 1e-3, "schedule": "linear", "clip_schedule": "linear",
            "gae_lambda": 0.8, "discount": 0.98,
        },
        "Acrobot-v1": {"passes": 8, "gae_lambda": 0.94, "standardize": True, "epochs": 10},
        "LunarLander-v3": {
            "environments": 16, "rollout": 1_024, "batch": 256, "passes": 4, "gae_lambda": 0.98, "discount": 0.999,
            "entropy": 0.01, "lr": 1e-3, "env_steps": 1_000_000, "epochs": 20,
        },
        "Pendulum-v1": {"environments": 4, "rollout": 1_024, "discount": 0.9, "batch": 64, "epochs": 8},
        "FrozenLake-v1": {
            "environments": 64, "rollout": 64, "batch": 1_024, "passes": 4, "lr": 1e-2, "hidden": "", "env_steps": 400_000,
            "epochs": 10,
        },
    },
}  # fmt: skip
"""Task → environment → options by name."""


def preset(task: str, environment: str) -> dict[str, Any]:
    """What is known to work there; empty where nothing is known."""
    return dict(PRESETS.get(task, {}).get(environment, {}))
