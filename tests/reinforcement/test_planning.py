import itertools
from dataclasses import replace

import gymnasium
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pendio.errors import InputError
from pendio.exact import planning as exact
from pendio.reinforcement.processes import endless, planning
from pendio.reinforcement.processes.mdp import MDP, random_mdp
from pendio.reinforcement.processes.planning import (
    bellman,
    cumulative_return,
    discounted_returns,
    epsilon_greedy,
    evaluate_policy,
    finite_horizon,
    greedy,
    policy_at_limit,
    policy_iteration,
    q_from_v,
    start_value,
    v_from_q,
    value_iteration,
)

METHODS = [value_iteration, policy_iteration]
CHECKS = {check.name: check for check in exact.CHECKS}


def world(name, discount, **options):
    return MDP.from_environment(gymnasium.make(name, **options), discount)


def rows(*transitions, discount=1.0, start=0):
    """A process from transitions, with as many states and actions as they name."""
    states, actions = 1 + max(max(row[0], row[2]) for row in transitions), 1 + max(row[1] for row in transitions)
    return MDP.from_rows(transitions, (states, actions), start=np.eye(states)[start], discount=discount)


# Truths


@pytest.mark.parametrize("name", CHECKS)
def test_every_truth_holds(name):
    row = CHECKS[name].run()
    assert row.passed, row


def reward_is_forgotten(patch):
    patch.setattr(MDP, "expected_rewards", property(lambda self: np.zeros((self.state_count, self.action_count))))


def ends_are_forgotten(patch):
    original = MDP.continuation.func
    patch.setattr(
        MDP, "continuation", property(lambda self: original(replace(self, terminal=np.zeros_like(self.terminal))))
    )


def discount_is_forgotten(patch):
    original = planning.q_from_v
    patch.setattr(planning, "q_from_v", lambda mdp, values: original(replace(mdp, discount=1.0), values))


def policies_are_not_improved(patch):
    patch.setattr(planning, "greedy", lambda q: np.zeros(len(q), dtype=np.int64))


def evaluation_ignores_the_policy(patch):
    original = planning._probabilities
    patch.setattr(planning, "_probabilities", lambda policy, s, a: np.full_like(original(policy, s, a), 1 / a))


def values_are_the_mean(patch):
    original = planning.v_from_q
    patch.setattr(planning, "v_from_q", lambda q, policy=None: q.mean(1) if policy is None else original(q, policy))


def exploring_spares_the_best(patch):
    def explore(q, epsilon):
        chances = np.full(q.shape, epsilon / (q.shape[1] - 1))
        chances[np.arange(len(q)), greedy(q)] = 1 - epsilon
        return chances

    patch.setattr(planning, "epsilon_greedy", explore)


def a_plan_forgets_the_step(patch):
    original = planning.finite_horizon
    patch.setattr(planning, "finite_horizon", lambda mdp, horizon: original(mdp, horizon - 1))


def a_cut_off_episode_is_worth_nothing_more(patch):
    original = planning.discounted_returns
    patch.setattr(
        planning, "discounted_returns", lambda rewards, discount, ends, beyond: original(rewards, discount, ends)
    )


def episodes_run_into_each_other(patch):
    original = planning.discounted_returns
    patch.setattr(
        planning,
        "discounted_returns",
        lambda rewards, discount, ends, beyond: original(rewards, discount, None, beyond),
    )


SABOTAGE = [
    (reward_is_forgotten, "q-from-v"), (reward_is_forgotten, "q-from-v-reward"),
    (reward_is_forgotten, "value-iteration-cliff"), (ends_are_forgotten, "q-from-v"),
    (ends_are_forgotten, "policy-evaluation"),
    (discount_is_forgotten, "q-from-v"), (discount_is_forgotten, "bellman-contraction"),
    (policies_are_not_improved, "policy-iteration"), (evaluation_ignores_the_policy, "policy-iteration"),
    (evaluation_ignores_the_policy, "policy-evaluation"), (values_are_the_mean, "value-iteration-lake"),
    (exploring_spares_the_best, "epsilon-greedy"),
    (a_plan_forgets_the_step, "finite-horizon"), (a_plan_forgets_the_step, "step-limit"),
    (a_cut_off_episode_is_worth_nothing_more, "returns"), (episodes_run_into_each_other, "returns"),
]  # fmt: skip


@pytest.mark.parametrize(("sabotage", "name"), SABOTAGE, ids=lambda value: getattr(value, "__name__", value))
def test_a_broken_method_makes_its_row_fail(sabotage, name, monkeypatch):
    exact._world.cache_clear()
    sabotage(monkeypatch)
    row = CHECKS[name].run()
    exact._world.cache_clear()
    assert not row.passed


# Values and action values


def test_values_of_action_values():
    q = np.array([[1.0, 5.0, 3.0], [2.0, 0.0, -4.0]])
    assert v_from_q(q).tolist() == [5, 2]
    assert v_from_q(q, np.array([2, 0])).tolist() == [3, 2]
    assert v_from_q(q, np.array([[0.5, 0.5, 0], [0, 0.25, 0.75]])).tolist() == [3, -3]


def test_an_action_value_is_the_reward_and_the_discounted_rest():
    mdp = rows((0, 0, 0, 0.25, 4, 0), (0, 0, 1, 0.5, 8, 0), (0, 0, 1, 0.25, 100, 1), (1, 0, 1, 1, 0, 1), discount=0.5)
    assert q_from_v(mdp, np.array([10.0, 20.0])).tolist() == [[30 + 0.5 * (0.25 * 10 + 0.5 * 20)], [0]]
    assert bellman(mdp, np.array([10.0, 20.0])).tolist() == [36.25, 0]


def test_of_equal_actions_the_first_is_greedy():
    q = np.array([[0, 1, 1 + 1e-13], [1 - 1e-11, 0, 1], [1e6, 1e6 + 1e-7, 0], [-1e6, -1e6 + 1e-5, -2e6]])
    assert greedy(q).tolist() == [1, 2, 0, 1]


@pytest.mark.parametrize("epsilon", [0.0, 0.3, 1.0])
def test_exploring_takes_every_action_alike(epsilon):
    chances = epsilon_greedy(np.array([[1.0, 2.0, 0.0], [3.0, 1.0, 3.0]]), epsilon)
    assert chances.sum(1) == pytest.approx([1, 1])
    assert chances[0] == pytest.approx([epsilon / 3, 1 - epsilon + epsilon / 3, epsilon / 3])
    assert chances[1, 0] == pytest.approx(1 - epsilon + epsilon / 3)


@pytest.mark.parametrize("epsilon", [-0.1, 1.1, float("nan")])
def test_exploring_takes_a_probability(epsilon):
    with pytest.raises(InputError, match=r"epsilon must lie in \[0, 1\]"):
        epsilon_greedy(np.zeros((1, 2)), epsilon)


def test_the_start_is_worth_its_mean():
    mdp = replace(random_mdp(3, 2, 2, 0.9, 0), start=np.array([0.25, 0.75, 0]))
    assert start_value(mdp, np.array([4.0, 8.0, 100.0])) == 7


# Optimal policies


@given(st.integers(0, 10**6), st.sampled_from([0.3, 0.9, 0.99, 1.0]))
def test_no_policy_is_better(seed, discount):
    mdp = random_mdp(3, 2, 3, discount, seed)
    mdp = replace(
        mdp, terminal=mdp.terminal | (np.arange(3) == 0)
    )  # a branch of each action ends, so that all policies do
    best = np.max([evaluate_policy(mdp, np.array(policy)) for policy in itertools.product(range(2), repeat=3)], axis=0)
    for method in METHODS:
        solution = method(mdp)
        # A residual adds up over the steps until an episode ends; sweeps go on about as long as episodes may.
        assert np.abs(solution.values - best).max() < max(1e-8, solution.residual * solution.sweeps)
        assert np.abs(evaluate_policy(mdp, solution.policy) - best).max() < 1e-7
        assert np.abs(solution.q - q_from_v(mdp, solution.values)).max() == 0
        assert solution.residual == np.abs(bellman(mdp, solution.values) - solution.values).max()


@pytest.mark.parametrize("discount", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("tolerance", [1.0, 1e-3, 1e-8])
def test_sweeping_ends_within_its_tolerance_and_not_much_later(discount, tolerance):
    mdp = replace(random_mdp(20, 3, 3, discount, 1), terminal=np.zeros((20, 3, 3), dtype=bool))
    best = policy_iteration(mdp).values
    swept = value_iteration(mdp, tolerance)
    assert np.abs(swept.values - best).max() <= tolerance * (1 + 1e-6)
    assert swept.sweeps <= 2 + np.ceil(np.log(tolerance * (1 - discount) / 20) / np.log(discount))
    with pytest.raises(InputError, match=f"values have not settled after {swept.sweeps - 1} sweeps .* --method policy"):
        value_iteration(mdp, tolerance, max_sweeps=swept.sweeps - 1)
    assert value_iteration(mdp, tolerance, max_sweeps=swept.sweeps).sweeps == swept.sweeps


def test_rounding_does_not_keep_policies_changing(monkeypatch):
    equal = rows(*((state, action, 40 + action, 1, 1, 0) for state in range(40) for action in range(2)),
                 *((state, action, state, 1, 1, 0) for state in (40, 41) for action in range(2)), discount=0.9)  # fmt: skip
    noise, original, calls = np.random.default_rng(0), evaluate_policy, []

    def blur(mdp, policy):
        calls.append(policy)
        assert len(calls) < 500
        return original(mdp, policy) + 1e-9 * noise.standard_normal(mdp.state_count)

    monkeypatch.setattr(planning, "evaluate_policy", blur)
    assert np.abs(policy_iteration(equal).values - 10).max() < 1e-8


def test_a_tolerance_finer_than_numbers_are_ends_when_nothing_changes_any_more():
    mdp = rows((0, 0, 0, 1, 1e6 / 3, 0), discount=0.99)
    assert value_iteration(mdp, 1e-12).values[0] == pytest.approx(1e8 / 3, rel=1e-11)


@pytest.mark.parametrize("tolerance", [0, -1, float("nan")])
def test_a_tolerance_is_above_nothing(tolerance):
    with pytest.raises(InputError, match="tolerance must be above 0"):
        value_iteration(random_mdp(2, 2, 2, 0.9, 0), tolerance)


def test_a_world_of_many_states_is_solved():
    mdp = world("FrozenLake-v1", 0.99, desc=["S" + "F" * 39] + ["F" * 40] * 38 + ["F" * 39 + "G"])
    swept, improved = value_iteration(mdp), policy_iteration(mdp)
    assert np.abs(swept.values - improved.values).max() < 1e-9
    assert swept.values[0] == swept.values[:-1].min()


# Episodes that may never end

PUT_OFF = rows((0, 0, 0, 1, 0, 0), (0, 1, 1, 1, 5, 1), (1, 0, 1, 1, 0, 1), (1, 1, 1, 1, 0, 1))
"""Waiting is free, and looks as good as taking the 5."""
REST = rows((0, 0, 1, 1, -1, 1), (0, 1, 0, 1, 0, 0), (1, 0, 1, 1, 0, 1), (1, 1, 1, 1, 0, 1))
"""Ending costs 1, going on for ever nothing."""
TEMPTED = rows((0, 0, 0, 1, 0, 0), (0, 1, 1, 1, 1, 0), (1, 0, 2, 1, -5, 1), (1, 1, 2, 1, -5, 1),
               (2, 0, 2, 1, 0, 1), (2, 1, 2, 1, 0, 1))  # fmt: skip
"""1 at once and −5 later: before every deadline it would pay, without one it does not."""
FOUNTAIN = rows((0, 0, 0, 1, 1, 0), (0, 1, 1, 1, 0, 1), (1, 0, 1, 1, 0, 1), (1, 1, 1, 1, 0, 1))
TREADMILL = rows((0, 0, 1, 1, -1, 0), (1, 0, 0, 1, -1, 0))
SEESAW = rows((0, 0, 1, 1, 1, 0), (1, 0, 0, 1, -1, 0))


@pytest.mark.parametrize("method", METHODS)
def test_a_reward_is_not_put_off_for_ever(method):
    solution = method(PUT_OFF)
    assert solution.values.tolist() == [5, 0]
    assert solution.policy[0] == 1
    lake = world("FrozenLake-v1", 1.0, is_slippery=False)
    assert policy_at_limit(lake, method(lake).policy, 6) == 1


@pytest.mark.parametrize("method", METHODS)
def test_going_on_for_nothing_is_better_than_paying_to_end(method):
    solution = method(REST)
    assert solution.values.tolist() == [0, 0]
    assert solution.policy[0] == 1


def test_values_that_only_a_deadline_would_bring_are_not_returned():
    with pytest.raises(InputError, match="settled on 1 for state 0, which no policy attains: choose --method policy"):
        value_iteration(TEMPTED)
    solution = policy_iteration(TEMPTED)
    assert solution.values.tolist() == [0, -5, 0]
    assert solution.policy[0] == 0


def test_of_the_best_policies_the_soonest_is_taken():
    around = rows((0, 0, 1, 1, 0, 0), (0, 1, 2, 1, 0, 0), (1, 0, 2, 1, 0, 0), (1, 1, 1, 1, 0, 0),
                  (2, 0, 2, 0.9, 0, 0), (2, 0, 2, 0.1, 1, 1), (2, 1, 2, 0.8, 0, 0), (2, 1, 2, 0.2, 1, 1))  # fmt: skip
    for method in METHODS:
        assert method(around).policy.tolist() == [1, 0, 1]
    lake = world("FrozenLake8x8-v1", 1.0)
    scores = [policy_at_limit(lake, method(lake).policy, 200) for method in METHODS]
    assert scores == pytest.approx([0.885654] * 2, abs=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_rewards_for_ever_have_no_value_without_a_discount(method):
    with pytest.raises(InputError, match="choose --discount below 1"):
        method(FOUNTAIN)
    with pytest.raises(InputError, match="choose --discount below 1"):
        method(TREADMILL)
    with pytest.raises(InputError, match="choose --discount below 1"):
        method(SEESAW)
    assert method(replace(FOUNTAIN, discount=0.75)).values.tolist() == pytest.approx([4, 0])
    assert method(replace(TREADMILL, discount=0.75)).values.tolist() == pytest.approx([-4, -4])


def test_that_values_never_settle_is_found_soon():
    with pytest.raises(InputError, match="not settled after 10[0-9][0-9] sweeps"):
        value_iteration(FOUNTAIN)
    corridor = rows(*((state, 0, state + 1, 1, -1, state == 1999) for state in range(2000)), (2000, 0, 2000, 1, 0, 1))
    assert value_iteration(corridor).values[0] == -2000


def test_what_a_policy_that_never_ends_is_worth():
    assert evaluate_policy(PUT_OFF, np.array([0, 0])).tolist() == [0, 0]
    assert evaluate_policy(PUT_OFF, np.array([[0.5, 0.5], [1, 0]])).tolist() == [5, 0]
    for endless_world, policy in ((FOUNTAIN, [0, 0]), (TREADMILL, [0, 0]), (SEESAW, [0, 0])):
        with pytest.raises(InputError, match="never ends once in state 0"):
            evaluate_policy(endless_world, np.array(policy))
    assert evaluate_policy(FOUNTAIN, np.array([[0.75, 0.25], [1, 0]])).tolist() == pytest.approx([3, 0])


def test_a_branch_that_may_lead_to_rest_is_worth_what_it_earns_before():
    mdp = rows((0, 0, 0, 0.5, -2, 0), (0, 0, 1, 0.5, 6, 0), (1, 0, 1, 1, 0, 0))
    assert evaluate_policy(mdp, np.array([0, 0])).tolist() == pytest.approx([4, 0])
    for method in METHODS:
        assert method(mdp).values.tolist() == pytest.approx([4, 0])


def test_the_first_policy_ends_or_rests():
    cliff = world("CliffWalkingSlippery-v1", 1.0)
    assert np.isfinite(evaluate_policy(cliff, endless.first_policy(cliff))).all()
    assert evaluate_policy(PUT_OFF, endless.first_policy(PUT_OFF)).tolist() == [0, 0]
    with pytest.raises(InputError, match="from state 0 no episode ever ends, and rewards go on for ever"):
        endless.first_policy(TREADMILL)


# A given policy


@given(st.integers(0, 10**6))
def test_a_policy_of_chances_is_evaluated_exactly(seed):
    mdp = random_mdp(6, 3, 3, 0.95, seed)
    policy = np.random.default_rng(seed).dirichlet(np.ones(3), 6)
    moves = np.einsum("sa,san->sn", policy, mdp.continuation.toarray().reshape(6, 3, 6))
    values = np.linalg.solve(np.eye(6) - 0.95 * moves, (policy * mdp.expected_rewards).sum(1))
    assert np.abs(evaluate_policy(mdp, policy) - values).max() < 1e-10
    actions = policy.argmax(1)
    assert np.abs(evaluate_policy(mdp, actions) - evaluate_policy(mdp, np.eye(3)[actions])).max() < 1e-12


@pytest.mark.parametrize(
    "policy", [[0, 2], [-1, 0], [0], [0.0, 1.0], [[0.5, 0.4], [1, 0]], [[1.5, -0.5], [1, 0]], [[np.nan, 1], [1, 0]]]
)
def test_what_is_no_policy_is_refused(policy):
    mdp = random_mdp(2, 2, 2, 0.9, 0)
    for use in (lambda: evaluate_policy(mdp, policy), lambda: policy_at_limit(mdp, policy, 3)):
        with pytest.raises(InputError, match="policy"):
            use()


# A step limit


def test_near_the_limit_another_action_is_best():
    mdp = rows((0, 0, 0, 1, 1, 0), (0, 1, 1, 1, 0, 0), (1, 0, 1, 1, 0, 0), (1, 1, 0, 1, 10, 1), discount=0.5)
    plan = finite_horizon(mdp, 3)
    assert plan.values[:, 0].tolist() == [5, 5, 1, 0]
    assert plan.values[:, 1].tolist() == [10, 10, 10, 0]
    assert plan.policies[:, 0].tolist() == [1, 1, 0]
    assert policy_at_limit(mdp, np.array([1, 1]), 3) == 5
    assert policy_at_limit(mdp, np.array([1, 1]), 1) == 0
    assert policy_at_limit(mdp, np.array([0, 0]), 3) == 1.75
    assert policy_at_limit(mdp, np.array([[0.5, 0.5], [0, 1]]), 2) == 0.5 * (1 + 0.5 * 0.5) + 0.5 * 5


def test_a_long_horizon_is_like_none():
    mdp = random_mdp(6, 3, 3, 0.9, 3)
    solution = value_iteration(mdp)
    assert np.abs(finite_horizon(mdp, 400).values[0] - solution.values).max() < 1e-9
    assert policy_at_limit(mdp, solution.policy, 400) == pytest.approx(start_value(mdp, solution.values))


def test_a_horizon_is_a_number_of_steps_that_fit_in_memory():
    mdp = random_mdp(2, 2, 2, 0.9, 0)
    for horizon in (0, -3, 10**9):
        with pytest.raises(InputError, match=r"--horizon must be 1 to 10,000,000 steps for 2 states"):
            finite_horizon(mdp, horizon)
    with pytest.raises(InputError, match="--horizon must be 1 or more, got 0"):
        policy_at_limit(mdp, np.array([0, 0]), 0)


# Returns


def test_returns_of_one_episode():
    assert cumulative_return([1, 2, 3]) == 6
    assert cumulative_return([[1, 2], [3, 4]]).tolist() == [4, 6]
    assert discounted_returns([1, 2, 4], 0.5).tolist() == [3, 4, 4]
    assert discounted_returns([1, 2, 4], 0.5, beyond=8).tolist() == [4, 6, 8]
    assert discounted_returns([1, 2, 4], 0).tolist() == [1, 2, 4]
    assert discounted_returns(np.zeros((0, 3)), 0.5).shape == (0, 3)


def test_returns_stop_where_an_episode_does():
    rewards = [[1, 1], [1, 1], [1, 1]]
    ends = [[False, False], [True, False], [False, True]]
    assert discounted_returns(rewards, 0.5, ends).tolist() == [[1.5, 1.75], [1, 1.5], [1, 1]]
    assert discounted_returns(rewards, 0.5, ends, [16, 32]).tolist() == [[5.5, 5.75], [9, 9.5], [9, 17]]
    beyond = [[100, 100], [2, 100], [4, 8]]
    assert discounted_returns(rewards, 0.5, ends, beyond).tolist() == [[2, 2.75], [2, 3.5], [3, 5]]


@pytest.mark.parametrize(
    "arguments", [(1.0, 0.5), ([1, 2], 0.5, [True]), (np.zeros((2, 2, 2)), 0.5), ([1], 1.5), ([1], -0.1)]
)
def test_returns_of_what_does_not_fit(arguments):
    with pytest.raises(InputError):
        discounted_returns(*arguments)
