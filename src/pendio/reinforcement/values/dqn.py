"""Q-learning: with a table, and with a network in its place."""

import copy
import dataclasses
from collections.abc import Sequence
from typing import Any, Literal, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from pendio.descent.task import Loss, Player
from pendio.reinforcement.agent import Agent
from pendio.reinforcement.networks import QTable
from pendio.reinforcement.processes.planning import policy_at_limit, value_iteration
from pendio.reinforcement.values.replay import Sample
from pendio.reinforcement.worlds.environments import World

__all__ = ["DQN", "QLearning"]


class QLearning(Agent):
    """Q-learning with a table (Watkins, 1989): Q(s, a) ← Q(s, a) + α·(r + γ·(1 − T)·max Q(s', ·) − Q(s, a)).

    T says whether s' is terminal. Written as a descent: the gradient of ½ Σ δ² with the target held fixed is −δ, so that a
    step of size α of plain gradient descent is the rule. Transitions of one pair (s, a) in a batch share one step.

    Args:
        world: where it acts; it must show the number of a state.
        initial: what every action is thought to be worth at first.
        discount: γ.
    """

    def __init__(self, world: World, initial: float = 0.0, discount: float = 1.0) -> None:
        super().__init__(world, discount=discount)
        self.network = QTable(world.states, world.actions, initial)
        self.optimal = optimal_values(world)

    def loss(self, batch: Sample) -> Loss:
        """½ Σ δ², each pair (s, a) counted once, by the mean over its transitions."""
        with torch.no_grad():
            future = self.network(batch.next_observations).max(1).values
        errors = batch.rewards + batch.discounts * future - _chosen(self.network(batch.observations), batch.actions)
        self.errors = errors.detach()
        pairs = batch.observations * self.world.actions + batch.actions
        counts = torch.bincount(pairs, minlength=self.world.states * self.world.actions)
        return Loss((0.5 * batch.weights * errors.square() / counts[pairs]).sum(), 1.0)

    @torch.inference_mode()
    def act(self, observations: NDArray[Any]) -> NDArray[Any]:
        """The action of the highest value, of equal ones the first."""
        return np.asarray(self.values()[observations].argmax(1))

    def values(self) -> NDArray[Any]:
        """The table ``(S, A)``."""
        return self.network.table.weight.detach().cpu().numpy()

    def first_values(self, observations: NDArray[Any]) -> NDArray[Any]:
        """What the agent expects at best from observations ``(N,)``."""
        return np.asarray(self.values()[observations].max(1))

    def metrics(self) -> dict[str, float]:
        """As of every agent; and where the world's table is known, two exact numbers.

        ‖Q − Q*‖∞ over all pairs that can come up, and the expected return, of which the episodes give only an estimate.
        """
        found = super().metrics()
        mdp = self.world.mdp
        if mdp is None or self.optimal is None:
            return found
        error = float(np.nanmax(np.abs(self.values() - self.optimal)))
        undiscounted = dataclasses.replace(mdp, discount=1.0)
        expected = policy_at_limit(undiscounted, self.values().argmax(1), self.world.limit)
        return {"return": found.pop("return"), "q_error": error, "exact_return": expected, **found}

    def score(self, metrics: dict[str, float]) -> tuple[float, ...]:
        """The exact return where it is known, and then how near Q is; the mean return elsewhere."""
        if "exact_return" not in metrics:
            return super().score(metrics)
        # Equal policies differ by rounding; what is unsettled in the last digits must not decide.
        return (round(metrics["exact_return"], 9), -metrics["q_error"])


class DQN(Agent):
    """Q-learning with a network (Mnih et al., 2015).

    The target y = r + γ·(1 − T)·Q⁻(s', a') comes from a target network Q⁻ that follows from afar. It chooses a' itself, or
    the network does so (double: van Hasselt et al., 2016), because the maximum of noisy estimates is too high.

    Args:
        world: where it acts.
        network: maps observations to ``(N, actions)``.
        double: who chooses the next action.
        loss: of an error δ: ½δ², or "huber", straight beyond ±1.
        target_every: updates after which Q⁻ is made equal to Q.
        polyak: instead, the share by which Q⁻ follows Q at every update.
        stack: frames in an observation.
        discount: γ.
        reward_scale: what rewards are multiplied by before they are learned from.
    """

    updates: Tensor

    def __init__(
        self,
        world: World,
        network: nn.Module,
        *,
        double: bool = True,
        loss: Literal["huber", "squared"] = "huber",
        target_every: int = 250,
        polyak: float | None = None,
        stack: int = 1,
        discount: float = 1.0,
        reward_scale: float = 1.0,
    ) -> None:
        super().__init__(world, stack, discount)
        self.reward_scale = reward_scale
        self.network = network
        self.target = copy.deepcopy(network).requires_grad_(False)
        self.double_q, self.error_loss, self.target_every, self.polyak = double, loss, target_every, polyak
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))
        self._updates = 0
        self._pairs: tuple[list[Tensor], list[Tensor]] | None = None

    def players(self) -> Sequence[Player]:
        """One player, which moves the network and never its target."""
        return [Player("model", [self.network], self.loss)]

    def loss(self, batch: Sample) -> Loss:
        """The sum of the losses of a batch's errors, each times its weight."""
        chosen = _chosen(self.network(batch.observations), batch.actions)
        with torch.no_grad():
            targets = self.reward_scale * batch.rewards + batch.discounts * self.future(batch.next_observations)
            self.errors = targets - chosen.detach()
        if self.error_loss == "huber":
            losses = F.smooth_l1_loss(chosen, targets, reduction="none")
        else:
            losses = 0.5 * (targets - chosen).square()
        return Loss((batch.weights * losses).sum(), len(losses))

    def future(self, observations: Tensor) -> Tensor:
        """What the next observations ``(N, …)`` are worth: ``(N,)``."""
        values = cast(Tensor, self.target(observations))
        if not self.double_q:
            return values.amax(1)
        return _chosen(values, self.network(observations).argmax(1))

    @torch.no_grad()
    def after_step(self) -> None:
        """Let the target network follow."""
        if self._pairs is None:
            self._updates = int(self.updates)
            self._pairs = (list(self.target.parameters()), list(self.network.parameters()))
        self._updates += 1
        self.updates.fill_(self._updates)
        following, leading = self._pairs
        if self.polyak is not None:
            torch._foreach_lerp_(following, leading, self.polyak)
        elif self._updates % self.target_every == 0:
            torch._foreach_copy_(following, leading)

    @torch.inference_mode()
    def action_values(self, observations: NDArray[Any]) -> Tensor:
        """Q(s, ·) of observations ``(N, …)`` as an arena gives them: ``(N, actions)``."""
        device = next(self.network.parameters()).device
        return cast(Tensor, self.network(torch.from_numpy(observations).to(device)))

    def act(self, observations: NDArray[Any]) -> NDArray[Any]:
        """The action of the highest value."""
        return self.action_values(observations).argmax(1).cpu().numpy()

    def first_values(self, observations: NDArray[Any]) -> NDArray[Any]:
        """What the agent expects at best from observations ``(N, …)``."""
        return self.action_values(observations).amax(1).cpu().numpy() / self.reward_scale


def _chosen(values: Tensor, actions: Tensor) -> Tensor:
    return values.gather(1, actions[:, None])[:, 0]


def optimal_values(world: World) -> NDArray[np.float64] | None:
    """Q* ``(S, A)`` where the world's table is known, NaN for states that cannot come up; None where it is not."""
    if world.mdp is None:
        return None
    values = value_iteration(world.mdp).q.copy()
    values[~_reachable(world)] = np.nan
    return values


def _reachable(world: World) -> NDArray[np.bool_]:
    """Which states ``(S,)`` an agent can stand in: those that only ever end an episode are not among them."""
    assert world.mdp is not None
    mdp = world.mdp
    leads = (mdp.probabilities > 0) & ~mdp.terminal
    reached = mdp.start > 0
    while True:
        ahead = mdp.next_states[reached][leads[reached]]
        grown = reached.copy()
        grown[ahead] = True
        if (grown == reached).all():
            return reached
        reached = grown
