"""Truths about policy gradients: what the advantages are, and which way the loss moves the policy."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pendio.exact.check import Check
from pendio.reinforcement.policy.advantages import generalized_advantages
from pendio.reinforcement.policy.policies import ActorCritic
from pendio.reinforcement.policy.policy_gradient import Clipping, Decisions, PolicyGradient
from pendio.reinforcement.processes.mdp import MDP
from pendio.reinforcement.processes.planning import discounted_returns
from pendio.reinforcement.worlds.environments import World

__all__ = ["CHECKS"]

_DISCOUNT = 0.9


class _Played(NamedTuple):
    """Random numbers in the form of a rollout ``(T, N)``."""

    rewards: NDArray[Any]
    values: NDArray[Any]
    next_values: NDArray[Any]
    terminated: NDArray[np.bool_]
    ended: NDArray[np.bool_]
    valid: NDArray[np.bool_]

    def advantages(self, gae_lambda: float) -> NDArray[Any]:
        return generalized_advantages(*self, _DISCOUNT, gae_lambda)

    def errors(self) -> NDArray[Any]:
        """δ, straight from its definition."""
        future = np.where(self.terminated, 0.0, _DISCOUNT * self.next_values)
        return np.where(self.valid, self.rewards + future - self.values, 0.0)


def _played(steps: int = 60, environments: int = 5) -> _Played:
    """Episodes that end of themselves or are cut off, after some of which comes a reset, which is no transition."""
    random = np.random.default_rng(0)
    rewards, values, next_values = random.normal(size=(3, steps, environments))
    chance = random.random((steps, environments))
    terminated, ended, valid = chance < 0.1, chance < 0.2, np.ones((steps, environments), dtype=np.bool_)
    for step, environment in zip(*np.nonzero(ended[:-1]), strict=True):
        if valid[step, environment] and environment % 2:
            valid[step + 1, environment] = False
    terminated, ended = terminated & valid, ended & valid
    # The next state's value is the next step's, unless an episode has ended between them.
    next_values[:-1] = np.where(ended[:-1], next_values[:-1], values[1:])
    return _Played(rewards, values, next_values, terminated, ended, valid)


def _gae() -> tuple[float, float]:
    """The largest gap to the errors at λ = 0, to the returns less the values at λ = 1, and to the double sum at λ = 0.7."""
    played = _played()
    beyond = np.where(played.terminated, 0.0, played.next_values)
    returns = discounted_returns(played.rewards, _DISCOUNT, played.ended, beyond)
    monte_carlo = np.where(played.valid, returns - played.values, 0.0)
    gaps = (
        played.advantages(0.0) - played.errors(),
        played.advantages(1.0) - monte_carlo,
        played.advantages(0.7) - _double_sum(played, 0.7),
    )
    return max(float(np.abs(gap).max()) for gap in gaps), 0


def _double_sum(played: _Played, gae_lambda: float) -> NDArray[Any]:
    """Σₗ (γλ)ˡ δₜ₊ₗ, for each step anew, up to the end of its episode."""
    errors, sums = played.errors(), np.zeros(played.rewards.shape)
    for first, environment in zip(*np.nonzero(played.valid), strict=True):
        for step in range(first, len(errors)):
            sums[first, environment] += (_DISCOUNT * gae_lambda) ** (step - first) * errors[step, environment]
            if played.ended[step, environment]:
                break
    return sums


def _process() -> MDP:
    """Four states, none of which comes back, so that all episodes can be listed: they have at most four steps."""
    random = np.random.default_rng(1)
    rows = []
    for state in range(4):
        for action in range(2):
            later = list(range(state + 1, 4))
            chances = random.dirichlet(np.ones(len(later) + 1))
            rows += [
                (state, action, following, chance, float(random.normal()), over)
                for following, chance, over in zip([*later, state], chances, [*[False] * len(later), True], strict=True)
            ]
    return MDP.from_rows(rows, (4, 2), start=[0.7, 0.3, 0.0, 0.0], discount=_DISCOUNT)


def _agent(actions: int = 2, clipping: Clipping | None = None) -> PolicyGradient:
    """A small network far from chance, in double precision; of vectors of two numbers where there are no actions."""
    low, high = ((), ()) if actions else ((-1.0, -2.0), (1.0, 2.0))
    world = World(
        "exact", {}, 4, "vector", (4,), states=0, actions=actions, low=low, high=high, dtype=np.dtype(np.float64), mdp=None
    )  # fmt: skip
    torch.manual_seed(0)
    agent = PolicyGradient(world, ActorCritic(world, (5,)), clipping=clipping, value_weight=0.0).double()
    with torch.no_grad():
        for parameter in agent.policy.policy.parameters():
            parameter.add_(torch.randn_like(parameter))
    return agent


def _true_gradient(agent: PolicyGradient, process: MDP) -> Tensor:
    """Of the expected return Σ p₀ v with v = (I − γP)⁻¹ r, both of the policy: by differentiating the solution."""
    choices = agent.policy.distribution(torch.eye(4, dtype=torch.float64)).logits.softmax(1)  # type: ignore[union-attr]
    going = torch.from_numpy(process.continuation.toarray().reshape(4, 2, 4))
    moves = torch.einsum("sa,sab->sb", choices, going)
    rewards = (choices * torch.from_numpy(process.expected_rewards.copy())).sum(1)
    values = torch.linalg.solve(torch.eye(4, dtype=torch.float64) - process.discount * moves, rewards)
    return _gradient(agent, torch.from_numpy(process.start.copy()) @ values)


def _gradient(agent: PolicyGradient, climbed: Tensor) -> Tensor:
    return torch.cat([part.flatten() for part in torch.autograd.grad(climbed, [*agent.policy.policy.parameters()])])


Step = tuple[int, int, float]
"""State, action and reward."""


def _episodes(process: MDP, state: int, chance: float, before: tuple[Step, ...]) -> Iterator[tuple[float, list[Step]]]:
    """Every episode from a state on, with the chance that the world and evenly drawn actions give it."""
    for action in range(2):
        for k in np.flatnonzero(process.probabilities[state, action]):
            place = (state, action, k)
            likely = chance * process.probabilities[place] / 2
            steps = (*before, (state, action, float(process.rewards[place])))
            if process.terminal[place]:
                yield likely, list(steps)
            else:
                yield from _episodes(process, int(process.next_states[place]), likely, steps)


def _expected_step(agent: PolicyGradient, process: MDP, baseline: Callable[[int], float]) -> Tensor:
    """Minus the gradient of the loss of all episodes, each weighed by its probability under the policy.

    Step t is weighed by γᵗ, as the discounted return weighs it.
    """
    states, actions, advantages = [], [], []
    with torch.no_grad():
        choices = agent.policy.distribution(torch.eye(4, dtype=torch.float64)).logits.softmax(1)  # type: ignore[union-attr]
    for first in np.flatnonzero(process.start):
        for chance, steps in _episodes(process, int(first), float(process.start[first]), ()):
            weight = chance * float(np.prod([2 * float(choices[state, action]) for state, action, _ in steps]))
            returns = discounted_returns([reward for _, _, reward in steps], _DISCOUNT)
            for t, (state, action, _) in enumerate(steps):
                states.append(state)
                actions.append(action)
                advantages.append(weight * _DISCOUNT**t * (returns[t] - baseline(state)))
    seen, weighed = torch.eye(4, dtype=torch.float64)[states], torch.tensor(advantages, dtype=torch.float64)
    nothing = torch.zeros_like(weighed)
    loss = agent.loss(Decisions(seen, torch.tensor(actions), weighed, nothing, nothing, nothing))
    return -_gradient(agent, loss.total)


def _policy_gradient() -> tuple[float, float]:
    agent, process = _agent(), _process()
    return float((_expected_step(agent, process, lambda state: 0.0) - _true_gradient(agent, process)).abs().max()), 0


def _baseline() -> tuple[float, float]:
    """The largest change that a baseline of 3 s² − 5 makes to the expected gradient."""
    agent, process = _agent(), _process()
    plain = _expected_step(agent, process, lambda state: 0.0)
    compared = _expected_step(agent, process, lambda state: 3.0 * state**2 - 5)
    return float((plain - compared).abs().max()), 0


def _first_step() -> tuple[float, float]:
    """The largest gap between both gradients, for choices and for vectors, in units of the plain gradient's largest part."""
    worst = 0.0
    for actions in (2, 0):
        agents = _agent(actions), _agent(actions, Clipping(0.2))
        generator = torch.Generator().manual_seed(0)
        seen = torch.randn(50, 4, generator=generator, dtype=torch.float64)
        with torch.no_grad():
            distribution, values = agents[0].policy(seen)
            taken = distribution.sample(agents[0].policy.noise(1, 50, generator)[0].double())
            log_probs = distribution.log_prob(taken)
        advantages = torch.randn(50, generator=generator, dtype=torch.float64)
        batch = Decisions(seen, taken, advantages, advantages, log_probs, values)
        plain, proximal = (_gradient(agent, agent.loss(batch).total) for agent in agents)
        worst = max(worst, float((plain - proximal).abs().max() / plain.abs().max()))
    return worst, 0


CHECKS = (
    Check("gae", "the error at λ = 0, the return less the value at λ = 1, Σ (γλ)ˡ δ between", _gae, 1e-12),
    Check("policy-gradient", "all episodes' −Σ G log π descends as the solved return climbs", _policy_gradient, 1e-12),
    Check("baseline-unbiased", "a baseline of the state leaves the expected gradient as it is", _baseline, 1e-12),
    Check("ppo-first-step", "where the policy has not moved yet, clipping changes nothing", _first_step, 1e-12),
)
