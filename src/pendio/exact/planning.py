"""Truths about decision processes and planning."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from pendio.exact.check import Check
from pendio.reinforcement.processes import planning
from pendio.reinforcement.processes.mdp import MDP, random_mdp

__all__ = ["CHECKS"]

DISCOUNTS = (0.9, 0.99, 1.0)
WORLDS: dict[str, tuple[str, dict[str, Any]]] = {
    "lake": ("FrozenLake-v1", {}),
    "lake, not slippery": ("FrozenLake-v1", {"is_slippery": False}),
    "lake 8x8": ("FrozenLake8x8-v1", {}),
    "cliff": ("CliffWalking-v1", {}),
    "slippery cliff": ("CliffWalkingSlippery-v1", {}),
    "taxi": ("Taxi-v4", {}),
    "rainy taxi": ("Taxi-v4", {"is_rainy": True}),
}
LAKE = {
    "lake": (0.068891, 0.542026, 14 / 17),
    "lake, not slippery": (0.9**5, 0.99**5, 1.0),
    "lake 8x8": (0.006411, 0.414640, 1.0),
}
"""World → value of the start at each discount. Rounded to six decimals where there is no closed form."""
CLIFF = {
    "cliff": (-(1 - 0.9**13) / 0.1, -(1 - 0.99**13) / 0.01, -13.0),
    "slippery cliff": (-9.936417, -46.352672, -64.709176),
}
TAXI = {"taxi": (-1.263323, 6.327464, 7.93), "rainy taxi": (-3.763147, 2.247629, 3.954575)}
BEST_AT_LIMIT = {
    "lake": 0.744190, "lake, not slippery": 1.0, "lake 8x8": 0.913220, "taxi": 7.93, "rainy taxi": 3.954575,
}  # fmt: skip
GREEDY_AT_LIMIT = {"lake": 0.740165, "lake 8x8": 0.862955}


@cache
def _world(name: str, discount: float) -> MDP:
    world, options = WORLDS[name]
    env = gymnasium.make(world, **options)
    try:
        return MDP.from_environment(env, discount)
    finally:
        env.close()


def _deviation(expected: Mapping[str, tuple[float, ...]]) -> tuple[float, float]:
    """Of the start's value by value iteration, over worlds and discounts."""
    return max(
        abs(planning.start_value(mdp := _world(name, discount), planning.value_iteration(mdp).values) - value)
        for name, values in expected.items() for discount, value in zip(DISCOUNTS, values, strict=True)
    ), 0  # fmt: skip


def _policy_iteration() -> tuple[float, float]:
    """The largest difference of values, and of the values from those of the policy, over worlds and discounts."""
    worst = 0.0
    for name, discount in itertools.product(WORLDS, DISCOUNTS):
        mdp = _world(name, discount)
        swept, improved = planning.value_iteration(mdp), planning.policy_iteration(mdp)
        for values in (improved.values, *(planning.evaluate_policy(mdp, found.policy) for found in (swept, improved))):
            worst = max(worst, float(np.abs(values - swept.values).max()))
    return worst, 0


def _contraction() -> tuple[float, float]:
    """The largest ‖Tu − Tv‖∞ / ‖u − v‖∞ of 400 pairs, in processes without ends: where u = v + c it is γ."""
    generator, largest = np.random.default_rng(0), 0.0
    for seed in range(20):
        mdp = random_mdp(12, 3, 4, 0.9, seed)
        mdp = replace(mdp, terminal=np.zeros_like(mdp.terminal))
        for pair in range(20):
            u = generator.standard_normal(12)
            v = u + (generator.standard_normal(12) if pair else 1.0)
            apart = np.abs(planning.bellman(mdp, u) - planning.bellman(mdp, v)).max() / np.abs(u - v).max()
            largest = max(largest, float(apart))
    return largest, 0.9


def _paths(mdp: MDP, state: int, policy: NDArray[np.float64], steps: int) -> Iterator[tuple[float, float]]:
    """Every way an episode can go: its probability and its discounted return."""
    if steps == 0:
        yield 1.0, 0.0
        return
    for action, branch in itertools.product(range(mdp.action_count), range(mdp.next_states.shape[2])):
        place = state, action, branch
        chance = float(policy[state, action] * mdp.probabilities[place])
        if chance and mdp.terminal[place]:
            yield chance, float(mdp.rewards[place])
        elif chance:
            for after, earned in _paths(mdp, int(mdp.next_states[place]), policy, steps - 1):
                yield chance * after, float(mdp.rewards[place]) + mdp.discount * earned


def _tiny(seed: int, discount: float) -> MDP:
    """Three states, two actions, two branches."""
    return random_mdp(3, 2, 2, discount, seed)


def _evaluation() -> tuple[float, float]:
    """An episode of a process of four layers has at most four steps, so that all its paths can be summed."""
    worst = 0.0
    for seed, discount in itertools.product(range(4), (0.7, 1.0)):
        mdp = random_mdp(8, 2, 2, discount, seed)
        layer = np.arange(8) // 2
        below = np.minimum(2 * (layer + 1), 6)[:, None, None] + mdp.next_states % 2
        layered = replace(mdp, next_states=below, terminal=mdp.terminal | (layer == 3)[:, None, None])
        policy = np.random.default_rng(seed).dirichlet(np.ones(2), 8)
        values = planning.evaluate_policy(layered, policy)
        for state in range(8):
            summed = sum(chance * earned for chance, earned in _paths(layered, state, policy, 5))
            worst = max(worst, abs(values[state] - summed))
    return worst, 0


def _finite_horizon() -> tuple[float, float]:
    """Backward induction against the best of all 64 plans of two steps, each summed over its paths; first state by state."""
    worst = 0.0
    for seed in range(4):
        mdp = _tiny(seed, 0.8)
        plans = list(itertools.product(range(2), repeat=3))
        best = np.full(3, -np.inf)
        for first, second in itertools.product(plans, plans):
            later = [sum(c * g for c, g in _paths(mdp, s, np.eye(2)[list(second)], 1)) for s in range(3)]
            going = np.where(mdp.terminal, 0.0, np.array(later)[mdp.next_states])
            returns = (mdp.probabilities * (mdp.rewards + mdp.discount * going)).sum(2)[range(3), list(first)]
            best = np.maximum(best, returns)
        worst = max(worst, float(np.abs(planning.finite_horizon(mdp, 2).values[0] - best).max()))
    return worst, 0


def _at_limit() -> tuple[float, float]:
    """Deviation of the best expected score within the step limit, and of what the policy for γ = 0.99 scores there."""
    worst = 0.0
    for name, score in BEST_AT_LIMIT.items():
        mdp = _world(name, 1.0)
        assert mdp.horizon is not None
        best = planning.start_value(mdp, planning.finite_horizon(mdp, mdp.horizon).values[0])
        worst = max(worst, abs(best - score))
    for name, score in GREEDY_AT_LIMIT.items():
        mdp, policy = _world(name, 1.0), planning.value_iteration(_world(name, 0.99)).policy
        assert mdp.horizon is not None
        worst = max(worst, abs(planning.policy_at_limit(mdp, policy, mdp.horizon) - score))
    return worst, 0


def _q_from_v() -> tuple[float, float]:
    """The largest difference from the sum over the environment's own table, for arbitrary values."""
    world, options = WORLDS["rainy taxi"]
    table: Any = gymnasium.make(world, **options).unwrapped
    values = np.random.default_rng(0).standard_normal(500)
    q = planning.q_from_v(_world("rainy taxi", 0.9), values)
    return max(
        abs(q[s, a] - sum(p * (r + 0.9 * (0 if done else values[n])) for p, n, r, done in branches))
        for s, choices in table.P.items() for a, branches in choices.items()
    ), 0  # fmt: skip


def _q_without_reward() -> tuple[float, float]:
    """What Σ p V(s′) leaves out of the step off the cliff: its reward of −100."""
    mdp = _world("cliff", 1.0)
    values = planning.value_iteration(mdp).values
    edge, down = 25, mdp.actions.index("down")
    without = float(mdp.probabilities[edge, down] @ values[mdp.next_states[edge, down]])
    return without - float(planning.q_from_v(mdp, values)[edge, down]), 100


def _epsilon_greedy() -> tuple[float, float]:
    """Against 1 − ε + ε/A at the best action and ε/A elsewhere; of two equal ones the first is taken."""
    q = np.array([[1.0, 3.0, 2.0, 0.0], [5.0, 5.0, 1.0, 5.0]])
    wanted = np.array([[0.05, 0.85, 0.05, 0.05], [0.85, 0.05, 0.05, 0.05]])
    return float(np.abs(planning.epsilon_greedy(q, 0.2) - wanted).max()), 0


def _returns() -> tuple[float, float]:
    """Against the double sum Σ γᵏ rₜ₊ₖ up to each episode's end, with what lies beyond it where it was cut off."""
    generator = np.random.default_rng(0)
    rewards, beyond = generator.standard_normal((2, 40, 3))
    worst, over = 0.0, generator.random((40, 3)) < 0.2
    found = planning.discounted_returns(rewards, 0.9, over, beyond)
    for t, n in itertools.product(range(40), range(3)):
        last = next((k for k in range(t, 40) if over[k, n]), 39)
        summed = sum(0.9 ** (k - t) * rewards[k, n] for k in range(t, last + 1))
        worst = max(worst, abs(found[t, n] - summed - 0.9 ** (last + 1 - t) * beyond[last, n]))
    return worst, 0


CHECKS = (
    Check("value-iteration-lake", "FrozenLake's start at γ = 0.9, 0.99, 1, three maps: deviation",
          lambda: _deviation(LAKE), 6e-7),
    Check("value-iteration-cliff", "CliffWalking's start, firm and slippery: deviation", lambda: _deviation(CLIFF), 6e-7),
    Check("value-iteration-taxi", "Taxi's mean start, dry and rainy: deviation", lambda: _deviation(TAXI), 6e-7),
    Check("policy-iteration", "both methods' values and both policies' own, 21 processes: difference",
          _policy_iteration, 1e-7),
    Check("policy-evaluation", "the linear system's values are sums over all paths: difference", _evaluation, 1e-12),
    Check("bellman-contraction", "‖Tu − Tv‖ is at most γ‖u − v‖, and reaches it: the largest ratio", _contraction, 1e-12),
    Check("finite-horizon", "backward induction finds the best of all plans of two steps: difference",
          _finite_horizon, 1e-12),
    Check("step-limit", "the best score within the step limit, and that of the policy for γ = 0.99: deviation",
          _at_limit, 6e-7),
    Check("q-from-v", "Q = Σ p (r + γ (1 − T) V) over rainy Taxi's own table: difference", _q_from_v, 1e-12),
    Check("q-from-v-reward", "Σ p V(s′) alone misjudges the step off the cliff by its reward", _q_without_reward, 1e-12),
    Check("epsilon-greedy", "1 − ε + ε/A for the best action, ε/A for others: difference", _epsilon_greedy, 1e-15),
    Check("returns", "one backward pass gives every step's sum of discounted rewards: difference", _returns, 1e-12),
)  # fmt: skip
