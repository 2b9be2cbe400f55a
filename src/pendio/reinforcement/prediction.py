"""What an agent would do: as a network to be looked into, and row by row of a table of observations."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from pendio.data.arrays import read_numbers
from pendio.errors import InputError
from pendio.nn.network import Network
from pendio.reinforcement.agent import Agent
from pendio.reinforcement.policy.policy_gradient import PolicyGradient
from pendio.reinforcement.values.dqn import DQN, QLearning

__all__ = ["Decision", "decide", "network_of"]


@dataclass(frozen=True)
class Decision:
    """What an agent would do.

    Attributes:
        input: which observation.
        action: the name of the action, or its numbers.
        scores: action → its value, or its probability where the agent learned a policy; empty for continuous actions.
    """

    input: str
    action: str | tuple[float, ...]
    scores: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {"input": self.input, "action": self.action, "scores": self.scores}


def network_of(agent: Agent) -> Network:
    """The network that decides, from observations to a number an action: a value, or the logit of a probability.

    States go in as vectors of zeros and a one, frames as images in [0, 1].
    """
    world = agent.world
    if isinstance(agent, QLearning):
        module: nn.Module = nn.Linear(world.states, world.actions, bias=False)
        with torch.no_grad():
            next(module.parameters()).copy_(agent.network.table.weight.T)
    else:
        assert isinstance(agent, DQN | PolicyGradient)
        module = agent.network if isinstance(agent, DQN) else agent.policy.decider()
    shape = (world.states,) if world.kind == "state" else (world.shape[0] * agent.stack, *world.shape[1:])
    # Frames are divided by 255 in the module: the normalisation here undoes what images in [0, 1] have had.
    std = 1 / 255 if world.kind == "frame" else 1.0
    names = world.action_names
    return Network(module, shape, [0.0] * shape[0], [std] * shape[0], names).eval()


def decide(agent: Agent, inputs: Sequence[str]) -> Iterator[Decision]:
    """What the agent would do on each row of CSV files: a column for each number of an observation, or the state's number.

    Raises:
        InputError: there is no such file, or its columns do not fit.
    """
    if agent.world.kind == "frame":
        raise InputError(f"environment '{agent.world.name}' shows frames: watch the agent with pendio play")
    names = agent.world.action_names
    for text in inputs:
        observations = _observations(agent, text)
        actions, scores = agent.act(observations), _scores(agent, observations)
        for number, action in enumerate(actions):
            found = {} if scores is None else dict(zip(names, scores[number].tolist(), strict=True))
            chosen = names[int(action)] if agent.world.actions else tuple(np.asarray(action).tolist())
            yield Decision(f"{text}:{number + 2}", chosen, found)


def _scores(agent: Agent, observations: Any) -> Any:
    if not agent.world.actions:
        return None
    if isinstance(agent, QLearning):
        return agent.values()[observations]
    if isinstance(agent, DQN):
        return agent.action_values(observations).cpu().numpy()
    assert isinstance(agent, PolicyGradient)
    with torch.inference_mode():
        return agent.policy.decider()(torch.from_numpy(observations)).softmax(1).numpy()


def _observations(agent: Agent, text: str) -> Any:
    world = agent.world
    count = 1 if world.kind == "state" else world.shape[0]
    if not Path(text).is_file():
        raise InputError(f"there is no CSV file '{text}'; this agent takes {count} columns, an observation a row")
    rows = read_numbers(Path(text))
    if len(rows[0]) != count:
        raise InputError(f"'{text}' has {len(rows[0])} columns; this agent takes {count}, an observation a row")
    values = np.array(rows)
    if world.kind == "vector":
        return values.astype(np.float32)
    states = values[:, 0]
    if not ((states >= 0) & (states < world.states) & (states == np.round(states))).all():
        raise InputError(f"'{text}': states are whole numbers from 0 to {world.states - 1}")
    return states.astype(np.int64)
