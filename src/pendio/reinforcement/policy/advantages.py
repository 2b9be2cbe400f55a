"""How much better an action turned out than was expected of its state."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["explained_variance", "generalized_advantages", "standardized"]

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]


def generalized_advantages(
    rewards: NDArray[Any],
    values: NDArray[Any],
    next_values: NDArray[Any],
    terminated: Booleans,
    ended: Booleans,
    valid: Booleans,
    discount: float,
    gae_lambda: float,
) -> Floats:
    """Generalised advantage estimation: Aₜ = Σₗ (γλ)ˡ δₜ₊ₗ within an episode, δₜ = rₜ + γ (1 − Tₜ) V(s′ₜ) − V(sₜ).

    λ = 0 gives δ itself, λ = 1 the return of the episode less V. An episode that was only cut off counts what its last state
    is worth; a terminal state is worth nothing. All arguments but the last two are ``(T, N)``, of N environments.

    Args:
        rewards: r.
        values: V(s), of the observations that were acted on.
        next_values: V(s′), of the true successors; those of terminal states are not read.
        terminated: T, whether the successor is terminal.
        ended: whether the episode is over, terminated or truncated.
        valid: False for what is no transition: its advantage is 0.
        discount: γ in [0, 1].
        gae_lambda: λ in [0, 1].

    Source: Schulman et al. (2016), equations 11 to 16.
    """
    errors = np.where(valid, rewards + discount * np.where(terminated, 0.0, next_values) - values, 0.0)
    kept = np.where(ended | ~valid, 0.0, discount * gae_lambda)
    advantages = np.empty_like(errors)
    following = np.zeros(errors.shape[1:])
    for step in reversed(range(len(errors))):
        following = errors[step] + kept[step] * following
        advantages[step] = following
    return advantages


def standardized(advantages: NDArray[Any]) -> NDArray[Any]:
    """Less their mean, in units of their standard deviation ``(N,)``; where all are equal, zeros."""
    centered = advantages - advantages.mean()
    scaled: NDArray[Any] = centered / (centered.std() + 1e-8)
    return scaled


def explained_variance(values: NDArray[Any], returns: NDArray[Any]) -> float:
    """1 − Var(G − V)/Var(G) ``(N,)``: 1 where V foresees the returns, 0 where a constant would do as well.

    NaN where all returns are equal, so that there is nothing to explain.
    """
    variance = float(returns.var())
    return 1 - float((returns - values).var()) / variance if variance else float("nan")
