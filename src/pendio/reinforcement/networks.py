"""Networks of agents: a body that sees an observation of any form, and heads on it."""

import math
from collections.abc import Sequence
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from pendio.errors import InputError
from pendio.reinforcement.worlds.environments import World

__all__ = ["ActionValues", "OneHot", "QTable", "body", "check_stack", "parse_hidden"]

_SMALLEST_FRAME = 36
"""Below this side nothing is left of a frame behind the three convolutions."""


def parse_hidden(text: str) -> tuple[int, ...]:
    """Widths of hidden layers from comma-separated numbers; none for a linear network.

    >>> parse_hidden("256,256")
    (256, 256)

    Raises:
        InputError: a width is no positive number.
    """
    try:
        widths = tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        widths = (0,)
    if any(not 1 <= width <= 65_536 for width in widths):
        raise InputError(f"--hidden must be widths such as 256,256, got '{text}'")
    return widths


def check_stack(stack: int, env: str, world: World) -> None:
    """Refuse to stack what is no frame.

    Raises:
        InputError: ``stack`` is more than 1, and the environment ``env`` shows something else.
    """
    if stack > 1 and world.kind != "frame":
        raise InputError(f"--stack {stack} is for frames, and environment '{env}' shows a {world.kind}")


class OneHot(nn.Module):
    """The number of a state ``(N,)`` as a vector ``(N, states)`` of zeros and a one."""

    def __init__(self, states: int) -> None:
        super().__init__()
        self.states = states

    def forward(self, states: Tensor) -> Tensor:
        """Vectors, of numbers; those that are vectors already stay."""
        return F.one_hot(states.long(), self.states).float() if states.ndim == 1 else states


class Frames(nn.Module):
    """Frames of bytes as numbers in [0, 1]."""

    def forward(self, frames: Tensor) -> Tensor:
        """``(N, C, H, W)`` floats."""
        return frames.float() / 255


def body(
    world: World, hidden: Sequence[int], stack: int = 1, activation: type[nn.Module] = nn.ReLU
) -> tuple[nn.Sequential, int]:
    """Layers from an observation to features, and how many features there are.

    States become one-hot vectors; frames go through the three convolutions of Mnih et al. (2015) first.

    Args:
        world: whose observations they are.
        hidden: widths of the dense layers.
        stack: frames in an observation.
        activation: between dense layers.

    Raises:
        InputError: frames are too small.
    """
    layers: list[nn.Module] = []
    if world.kind == "state":
        layers, features = [OneHot(world.states)], world.states
    elif world.kind == "vector":
        features = world.shape[0]
    else:
        channels, height, width = world.shape
        if min(height, width) < _SMALLEST_FRAME:
            raise InputError(f"frames of {height}×{width} are too small for the convolutions; "
                             f"their sides must be {_SMALLEST_FRAME} or more")  # fmt: skip
        layers = [
            Frames(),
            nn.Conv2d(channels * stack, 32, 8, 4), nn.ReLU(),
            nn.Conv2d(32, 64, 4, 2), nn.ReLU(),
            nn.Conv2d(64, 64, 3, 1), nn.ReLU(),
            nn.Flatten(),
        ]  # fmt: skip
        features = 64 * math.prod(_left(side) for side in (height, width))
    for width in hidden:
        layers += [nn.Linear(features, width), activation()]
        features = width
    return nn.Sequential(*layers), features


def _left(side: int) -> int:
    """Places along a side behind the three convolutions."""
    for kernel, stride in ((8, 4), (4, 2), (3, 1)):
        side = (side - kernel) // stride + 1
    return side


class ActionValues(nn.Module):
    """Q(s, ·) of an observation ``(N, …)``: ``(N, actions)``.

    A dueling network (Wang et al., 2016) has a head for V and one for advantages A, whose mean is taken off, because V and
    A could trade any constant otherwise: Q = V + A − mean A.
    """

    def __init__(self, world: World, hidden: Sequence[int], *, stack: int = 1, dueling: bool = False) -> None:
        super().__init__()
        self.body, features = body(world, hidden, stack)
        self.advantages = nn.Linear(features, world.actions)
        self.value = nn.Linear(features, 1) if dueling else None

    def forward(self, observations: Tensor) -> Tensor:
        """Values of all actions."""
        features = self.body(observations)
        advantages = cast(Tensor, self.advantages(features))
        if self.value is None:
            return advantages
        return cast(Tensor, self.value(features)) + advantages - advantages.mean(1, keepdim=True)


class QTable(nn.Module):
    """Q as a table: a row for each state, a column for each action."""

    def __init__(self, states: int, actions: int, initial: float = 0.0) -> None:
        super().__init__()
        self.table = nn.Embedding(states, actions)
        nn.init.constant_(self.table.weight, initial)

    def forward(self, states: Tensor) -> Tensor:
        """The rows ``(N, actions)`` of states ``(N,)``."""
        return cast(Tensor, self.table(states))
