"""An agent as other libraries' tools want it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pendio.reinforcement.agent import Agent

__all__ = ["Predictor"]


class Predictor:
    """An agent with the method ``predict`` that Stable-Baselines3's ``evaluate_policy`` calls.

    >>> # evaluate_policy(Predictor(agent), agent.world.make(), n_eval_episodes=100)

    Args:
        agent: who acts. It sees the environments of ``agent.world.make()``, whose observations are in their simple form.
    """

    def __init__(self, agent: Agent) -> None:
        self.agent = agent

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> tuple[NDArray[Any], Any]:
        """Actions ``(N,)`` or ``(N, D)`` within their bounds, or one for a single observation; and the next ``state``.

        The agent does what seems best, whether or not ``deterministic`` asks for it.

        Args:
            observation: one, or several ``(N, …)``.
            state: what the last call returned: the latest frames, for an agent that sees several; None otherwise.
            episode_start: of each observation ``(N,)``, whether it is an episode's first.
            deterministic: without effect.
        """
        world, stack = self.agent.world, self.agent.stack
        seen = np.asarray(observation)
        single = seen.ndim == len(world.shape)
        seen = seen[None] if single else seen
        if stack > 1:
            first = np.concatenate([seen] * stack, axis=1)
            if state is None:
                seen = first
            else:
                pushed = np.concatenate([state[:, seen.shape[1] :], seen], axis=1)
                begins = np.zeros(len(seen), np.bool_) if episode_start is None else np.atleast_1d(episode_start)
                seen = np.where(begins.astype(np.bool_).reshape(-1, *[1] * (seen.ndim - 1)), first, pushed)
            state = seen
        actions = self.agent.act(seen)
        if not world.actions:
            actions = np.clip(actions, np.array(world.low, np.float32), np.array(world.high, np.float32))
        return (actions[0] if single else actions), state
