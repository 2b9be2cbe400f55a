"""Episodes that may never end, where γ = 1: which states can rest, which arrive, and which go on for ever."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import spsolve

from pendio.errors import InputError
from pendio.reinforcement.processes.mdp import MDP

__all__ = ["arriving", "first_policy", "resting"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]


def resting(mdp: MDP, chances: Floats, moves: Any) -> Booleans:
    """States from which a policy never ends, and earns nothing.

    Args:
        mdp: the process.
        chances: ``(S, A)``, the policy's probabilities.
        moves: sparse ``(S, S)``, those of going on in each state under it.

    Raises:
        InputError: it never ends from some state, and gathers or pays rewards there.
    """
    _, component = connected_components(moves, connection="strong")
    used = chances > 0
    ends, pays = _ends(mdp), _pays(mdp)
    edges = moves.tocoo()
    leaving = component[edges.row[component[edges.row] != component[edges.col]]]
    closed = np.ones(component.max() + 1, dtype=bool)
    closed[leaving] = False
    closed[component[(used & ends).any(1)]] = False
    endless: Booleans = closed[component]
    if (paying := np.flatnonzero(endless & (used & pays).any(1))).size:
        raise InputError(
            f"at --discount 1 a policy never ends once in state {mdp.state_name(int(paying[0]))}, and gathers or pays for "
            "ever: it has no value; choose --discount below 1"
        )
    return endless


def first_policy(mdp: MDP) -> Integers:
    """A policy ``(S,)`` of finite value: one that earns nothing for ever where it can, and otherwise gets there or ends.

    Raises:
        InputError: there is none.
    """
    allowed = np.ones((mdp.state_count, mdp.action_count), dtype=bool)
    idle, policy = _idling(mdp, allowed)
    policy, arrived = _approach(mdp, allowed, policy, idle, _ends(mdp))
    if not arrived.all():
        lost = mdp.state_name(int((~arrived).argmax()))
        raise InputError(
            f"from state {lost} no episode ever ends, and rewards go on for ever: choose --discount below 1"
        )
    return policy


def arriving(mdp: MDP, values: Floats, best: Booleans) -> Integers:
    """Of the best policies the one that ends soonest in the mean: putting a reward off for ever looks as good in Q.

    Args:
        mdp: the process.
        values: ``(S,)``, what the policy is to attain.
        best: ``(S, A)``, the actions to choose from.

    Returns:
        Actions ``(S,)``.

    Raises:
        InputError: no policy of these attains the values.
    """
    nowhere = np.zeros(mdp.state_count, dtype=bool)
    policy, arrived = _approach(mdp, best, best.argmax(1), nowhere, _ends(mdp))
    idle, staying = _idling(mdp, best)
    idle = idle & ~arrived & (np.abs(values) <= 1e-9)
    policy = np.where(idle, staying, policy)
    policy, arrived = _approach(mdp, best, policy, arrived | idle, np.zeros_like(best))
    if not arrived.all():
        raise InputError(
            f"at --discount 1 value iteration settled on {values[~arrived][0]:.6g} for state "
            f"{mdp.state_name(int((~arrived).argmax()))}, which no policy attains: choose --method policy"
        )
    return _soonest(mdp, best, policy, np.flatnonzero(~idle))


def _soonest(mdp: MDP, best: Booleans, policy: Integers, going: Integers) -> Integers:
    """Policy iteration on the expected steps until an end, among actions that are best, for the states that go on."""
    every, actions = np.arange(mdp.state_count), mdp.action_count
    steps, before = np.zeros(mdp.state_count), np.inf
    while going.size:
        moves = mdp.continuation[going * actions + policy[going]][:, going]
        steps[going] = spsolve(sparse.eye_array(len(going), format="csc") - moves.tocsc(), np.ones(len(going)))
        costs = np.where(best, 1 + (mdp.continuation @ steps).reshape(best.shape), np.inf)
        sooner = costs.argmin(1)
        better = costs[every, sooner] < costs[every, policy] - 1e-9 * np.maximum(1, steps)
        if not better.any() or steps.sum() >= before:
            break
        policy, before = np.where(better, sooner, policy), steps.sum()
    return policy


def _ends(mdp: MDP) -> Booleans:
    """``(S, A)``: whether the episode may be over after the action."""
    ends: Booleans = (mdp.probabilities * mdp.terminal).sum(2) > 0
    return ends


def _pays(mdp: MDP) -> Booleans:
    """``(S, A)``: whether any reward but 0 may come of the action."""
    pays: Booleans = ((mdp.probabilities > 0) & (mdp.rewards != 0)).any(2)
    return pays


def _leads_to(mdp: MDP, states: Booleans) -> Booleans:
    """``(S, A)``: whether the action may lead to one of the states, and go on there."""
    weights: Floats = mdp.continuation @ states.astype(float)
    return weights.reshape(mdp.state_count, mdp.action_count) > 0


def _idling(mdp: MDP, allowed: Booleans) -> tuple[Booleans, Integers]:
    """States from which nothing need ever be earned or paid, and how: the largest set closed under some free action."""
    free = allowed & ~_pays(mdp)
    states: Booleans = np.ones(mdp.state_count, dtype=bool)
    while True:
        staying: Booleans = free & ~_leads_to(mdp, ~states)
        remaining = staying.sum(1) > 0
        if (remaining == states).all():
            return states, staying.argmax(1)
        states = remaining


def _approach(
    mdp: MDP, allowed: Booleans, policy: Integers, arrived: Booleans, done: Booleans
) -> tuple[Integers, Booleans]:
    """Complete a policy from where it has arrived backwards, by allowed actions that may take a step nearer.

    Args:
        mdp: the process.
        allowed: ``(S, A)``.
        policy: ``(S,)``, kept where ``arrived``.
        arrived: ``(S,)``.
        done: ``(S, A)``, actions that arrive at once.

    Returns:
        The policy, and the states from which it arrives.
    """
    policy, arrived = policy.copy(), arrived.copy()
    while True:
        nearer = allowed & (_leads_to(mdp, arrived) | done)
        fresh: Booleans = nearer.any(1) & ~arrived
        if not fresh.any():
            return policy, arrived
        policy[fresh] = nearer[fresh].argmax(1)
        arrived = arrived | fresh
