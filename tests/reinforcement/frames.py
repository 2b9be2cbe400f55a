"""A world whose frames show how many steps its episode has taken."""

from typing import Any, ClassVar

import gymnasium
import numpy as np

from pendio.reinforcement.worlds.environments import World, open_world

__all__ = ["Counting", "world"]


class Counting(gymnasium.Env[Any, Any]):
    """Every pixel is the number of steps so far; an episode ends after seven."""

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"]}

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        self.observation_space = gymnasium.spaces.Box(0, 255, (40, 40, 1), np.uint8)
        self.action_space = gymnasium.spaces.Discrete(2)
        self.count = 0

    def _frame(self) -> np.ndarray:
        return np.full((40, 40, 1), self.count, np.uint8)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.count = 0
        return self._frame(), {}

    def step(self, action: Any) -> Any:
        self.count += 1
        return self._frame(), float(action), self.count == 7, False, {}

    def render(self) -> Any:
        return np.full((40, 40, 3), 20 * self.count, np.uint8)


def world() -> World:
    return open_world("tests.reinforcement.frames:Counting")
