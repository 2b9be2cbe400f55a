"""Planning: decision processes whose transitions are known, solved exactly.

Where γ = 1 an episode may go on for ever. Such a policy returns 0 where it earns nothing for ever; where it goes on
gathering or paying rewards it has no return, and nothing here gives a number for it.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.sparse.linalg import spsolve

from pendio.errors import InputError
from pendio.reinforcement.processes import endless
from pendio.reinforcement.processes.mdp import MDP

__all__ = [
    "FiniteHorizon",
    "Solution",
    "bellman",
    "cumulative_return",
    "discounted_returns",
    "epsilon_greedy",
    "evaluate_policy",
    "finite_horizon",
    "greedy",
    "policy_at_limit",
    "policy_iteration",
    "q_from_v",
    "start_value",
    "v_from_q",
    "value_iteration",
]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]

TIE = 1e-12
"""Values as near as this, relative to the larger where that exceeds 1, are equal."""
LARGEST_PLAN = 20_000_000


@dataclass(frozen=True, eq=False)
class Solution:
    """An optimal policy and what it is worth.

    Attributes:
        values: ``(S,)``, v*.
        q: ``(S, A)``, the action values of ``values``.
        policy: ``(S,)``, an action a state, which attains ``values``.
        sweeps: of value iteration, or rounds of policy iteration.
        residual: ‖Tv − v‖∞, how far ``values`` are from solving the Bellman equation.
    """

    values: Floats
    q: Floats
    policy: Integers
    sweeps: int
    residual: float


class FiniteHorizon(NamedTuple):
    """What is best when an episode is cut off after H steps.

    Attributes:
        values: ``(H + 1, S)``, the best expected return from step t on; the last row is 0.
        policies: ``(H, S)``, the best action at step t.
    """

    values: Floats
    policies: Integers


def q_from_v(mdp: MDP, values: Floats) -> Floats:
    """Action values: Q(s, a) = Σ p (r + γ (1 − T) V(s′)), ``(S, A)`` from ``(S,)``."""
    following: Floats = mdp.continuation @ values
    return mdp.expected_rewards + mdp.discount * following.reshape(mdp.expected_rewards.shape)


def v_from_q(q: Floats, policy: ArrayLike | None = None) -> Floats:
    """State values ``(S,)``: maxₐ Q(s, a), or Σₐ π(a | s) Q(s, a) of a policy.

    Args:
        q: ``(S, A)``.
        policy: ``(S,)`` actions or ``(S, A)`` probabilities.

    Raises:
        InputError: the policy does not fit.
    """
    values: Floats = q.max(1) if policy is None else (_probabilities(policy, *q.shape) * q).sum(1)
    return values


def greedy(q: Floats) -> Integers:
    """The best action of each state, ``(S,)``; of equal ones (within 1e-12) the first."""
    first: Integers = _best(q).argmax(1)
    return first


def _best(q: Floats) -> Booleans:
    best = q.max(1, keepdims=True)
    near: Booleans = q >= best - TIE * np.maximum(1, np.abs(best))
    return near


def epsilon_greedy(q: Floats, epsilon: float) -> Floats:
    """Probabilities ``(S, A)``: 1 − ε + ε/A for the greedy action, ε/A for each other.

    Raises:
        InputError: ε is outside [0, 1].
    """
    if not 0 <= epsilon <= 1:
        raise InputError(f"epsilon must lie in [0, 1], got {epsilon}")
    probabilities = np.full(q.shape, epsilon / q.shape[1])
    probabilities[np.arange(len(q)), greedy(q)] += 1 - epsilon
    return probabilities


def bellman(mdp: MDP, values: Floats) -> Floats:
    """The optimality operator: (Tv)(s) = maxₐ Σ p (r + γ (1 − T) v(s′)); a contraction by γ in the largest norm."""
    return v_from_q(q_from_v(mdp, values))


def start_value(mdp: MDP, values: Floats) -> float:
    """Expected value of the first state."""
    return float(mdp.start @ values)


def value_iteration(mdp: MDP, tolerance: float = 1e-10, max_sweeps: int = 100_000) -> Solution:
    """Apply the Bellman operator to v = 0 until it changes nothing (Bellman, 1957).

    For γ < 1 it ends when ‖v − v*‖∞ ≤ γ/(1 − γ) ‖vₙ − vₙ₋₁‖∞ ≤ ``tolerance``. For γ = 1 there is no such bound: it ends
    when a sweep changes v by at most ``tolerance``, and the policy is, of the best, the one that ends soonest.

    Raises:
        InputError: it does not settle, or at γ = 1 settles on values that no policy attains.
    """
    if not tolerance > 0:
        raise InputError(f"tolerance must be above 0, got {tolerance}")
    goal = tolerance if mdp.discount == 1 else tolerance * (1 - mdp.discount) / mdp.discount
    values, sweep, least, fell = np.zeros(mdp.state_count), 0, np.inf, 0
    while True:
        sweep += 1
        before, values = values, bellman(mdp, values)
        change = np.abs(values - before).max()
        if change <= goal:
            break
        if change < least * (1 - 1e-9):
            least, fell = change, sweep
        # News crosses a world in S sweeps; a change that has not shrunk long after that never will.
        if sweep == max_sweeps or sweep - fell > mdp.state_count + 1000:
            why = (
                "rewards can be gathered, or must be paid, for ever: choose --discount below 1"
                if mdp.discount == 1 else "choose --method policy, or a lower --discount"
            )  # fmt: skip
            raise InputError(f"values have not settled after {sweep} sweeps at --discount {mdp.discount:g}: {why}")
    return _solution(mdp, values, sweep)


def _solution(mdp: MDP, values: Floats, sweeps: int) -> Solution:
    q = q_from_v(mdp, values)
    policy = greedy(q) if mdp.discount < 1 else endless.arriving(mdp, values, _best(q))
    return Solution(values, q, policy, sweeps, float(np.abs(q.max(1) - values).max()))


def policy_iteration(mdp: MDP) -> Solution:
    """Evaluate a policy, improve it where some action is better, and so on until none is (Howard, 1960).

    For γ = 1 it begins with a policy that earns nothing for ever where it can, and otherwise gets there or to an end: from
    that every improvement is a policy with finite values, unless rewards can be gathered for ever.

    Raises:
        InputError: at γ = 1, some state can neither end nor stop paying, or rewards can be gathered for ever.
    """
    policy = endless.first_policy(mdp) if mdp.discount == 1 else np.zeros(mdp.state_count, dtype=np.int64)
    values, every, rounds = evaluate_policy(mdp, policy), np.arange(mdp.state_count), 0
    while True:
        rounds += 1
        q = q_from_v(mdp, values)
        best = greedy(q)
        scale = TIE * np.maximum(1, np.abs(values))
        better = q[every, best] > q[every, policy] + scale
        if not better.any():
            break
        policy = np.where(better, best, policy)
        before, values = values, evaluate_policy(mdp, policy)
        if not values.sum() > before.sum():  # it was better by rounding alone
            break
    return _solution(mdp, values, rounds)


def evaluate_policy(mdp: MDP, policy: ArrayLike) -> Floats:
    """Values ``(S,)`` of a policy: the solution of (I − γP) v = r, by a sparse factorisation.

    Args:
        mdp: the process.
        policy: ``(S,)`` actions or ``(S, A)`` probabilities.

    Raises:
        InputError: the policy does not fit; or γ = 1 and it never ends, gathering or paying rewards for ever.
    """
    chances = _probabilities(policy, mdp.state_count, mdp.action_count)
    count = mdp.state_count
    rows = sparse.csr_array(
        (chances.flatten(), np.arange(chances.size), np.arange(count + 1) * mdp.action_count),
        shape=(count, chances.size),
    )
    rows.eliminate_zeros()
    moves = (rows @ mdp.continuation).tocsr()
    rewards = (chances * mdp.expected_rewards).sum(1)
    values = np.zeros(count)
    going = np.ones(count, dtype=bool) if mdp.discount < 1 else ~endless.resting(mdp, chances, moves)
    if going.any():
        system = sparse.eye_array(int(going.sum()), format="csc") - mdp.discount * moves[going][:, going].tocsc()
        values[going] = spsolve(system, rewards[going])
    return values


def _probabilities(policy: ArrayLike, states: int, actions: int) -> Floats:
    given = np.asarray(policy)
    if given.shape == (states,) and np.issubdtype(given.dtype, np.integer):
        if given.min() < 0 or given.max() >= actions:
            raise InputError(f"a policy's actions must lie in 0 … {actions - 1}, got {given.min()} … {given.max()}")
        chosen: Floats = np.eye(actions)[given]
        return chosen
    if given.shape != (states, actions):
        raise InputError(
            f"a policy must be {states} whole numbers, or probabilities of shape {(states, actions)}; got {given.dtype} "
            f"of shape {given.shape}"
        )
    if not (given >= 0).all() or not (np.abs(given.sum(1) - 1) <= 1e-9).all():
        raise InputError("a policy's probabilities must be 0 or more and sum to 1 in each state")
    return given.astype(float)


def finite_horizon(mdp: MDP, horizon: int) -> FiniteHorizon:
    """The best that can be done in ``horizon`` steps, by backward induction; rewards are discounted by ``mdp.discount``.

    Raises:
        InputError: the horizon is below 1, or horizon × states exceed 20 million.
    """
    if horizon < 1 or horizon * mdp.state_count > LARGEST_PLAN:
        most = LARGEST_PLAN // mdp.state_count
        raise InputError(f"--horizon must be 1 to {most:,} steps for {mdp.state_count} states, got {horizon}")
    values = np.zeros((horizon + 1, mdp.state_count))
    policies = np.zeros((horizon, mdp.state_count), dtype=np.int64)
    for step in reversed(range(horizon)):
        q = q_from_v(mdp, values[step + 1])
        values[step], policies[step] = q.max(1), greedy(q)
    return FiniteHorizon(values, policies)


def policy_at_limit(mdp: MDP, policy: ArrayLike, horizon: int) -> float:
    """Expected return of a fixed policy, from the first state, when episodes are cut off after ``horizon`` steps.

    Rewards are discounted by ``mdp.discount``: the score that is reported of a policy is that of a process with γ = 1.

    Args:
        mdp: the process.
        policy: ``(S,)`` actions or ``(S, A)`` probabilities.
        horizon: in steps.

    Raises:
        InputError: the policy does not fit, or the horizon is below 1.
    """
    if horizon < 1:
        raise InputError(f"--horizon must be 1 or more, got {horizon}")
    chances = _probabilities(policy, mdp.state_count, mdp.action_count)
    values = np.zeros(mdp.state_count)
    for _ in range(horizon):
        values = (chances * q_from_v(mdp, values)).sum(1)
    return start_value(mdp, values)


def cumulative_return(rewards: ArrayLike) -> Floats:
    """Σ rₜ over time: a number from ``(T,)``, ``(N,)`` from ``(T, N)``."""
    total: Floats = np.asarray(rewards, dtype=float).sum(0)
    return total


def discounted_returns(
    rewards: ArrayLike, discount: float, ends: ArrayLike | None = None, beyond: ArrayLike | float = 0.0
) -> Floats:
    """Returns from each step on, in one pass backwards: Gₜ = rₜ + γ Gₜ₊₁ within an episode.

    Args:
        rewards: ``(T,)``, or ``(T, N)`` of N environments.
        discount: γ in [0, 1].
        ends: of the same shape, whether an episode is over after the step, terminated or truncated.
        beyond: what would have followed an episode's last step, or the last step of all: 0 where it was terminated, where it
            was cut off the value of the state it had reached. A number, ``(N,)``, or the shape of ``rewards``.

    Raises:
        InputError: shapes do not fit, or γ is outside [0, 1].
    """
    gains = np.asarray(rewards, dtype=float)
    over = np.zeros(gains.shape, dtype=bool) if ends is None else np.asarray(ends, dtype=bool)
    if gains.ndim not in (1, 2) or over.shape != gains.shape:
        raise InputError(f"rewards and ends must have one shape, (T,) or (T, N), got {gains.shape} and {over.shape}")
    if not 0 <= discount <= 1:
        raise InputError(f"a discount must lie in [0, 1], got {discount}")
    after = np.broadcast_to(np.asarray(beyond, dtype=float), gains.shape)
    returns = np.empty_like(gains)
    following = after[-1] if len(gains) else 0.0
    for step in reversed(range(len(gains))):
        returns[step] = gains[step] + discount * np.where(over[step], after[step], following)
        following = returns[step]
    return returns
