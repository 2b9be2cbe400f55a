"""Each ailment of an agent is noticed, and health is left alone."""

import pytest

from pendio.reinforcement.diagnosis import diagnose_play
from pendio.runs.diagnosis import Evidence

HEALTHY = {
    "epoch": 1, "step": 1, "loss": 0.1, "val_return": 10.0, "val_discounted": 8.0, "val_expected": 8.2,
    "val_terminated": 1.0, "val_length": 10.0, "env_steps": 1_000.0, "episodes": 100.0, "remembered": 900.0,
    "remembered_ends": 0.1, "reward_largest": 1.0, "rewarded": 0.5, "rarest_action": 0.4,
}  # fmt: skip


def history(*changes, length=8, **common):
    records = [HEALTHY | {"epoch": n + 1, "val_return": 5.0 + n} | common for n in range(length)]
    for number, change in enumerate(changes, length - len(changes)):
        records[number] |= change
    return records


def kinds(records, actions=2, discount=0.99):
    return [finding.kind for finding in diagnose_play(Evidence(records), actions, discount)]


def test_a_healthy_run_is_left_alone():
    assert kinds(history()) == []
    assert kinds([]) == []


@pytest.mark.parametrize(
    ("kind", "records"),
    [
        ("no-reward", history(reward_largest=0.0, rewarded=0.0)),
        ("no-exploration", history(rarest_action=0.01)),
        ("overestimation", history(val_expected=20.0)),
        ("overestimation", history(val_expected=150.0, val_terminated=0.0)),
        ("reward-scale", history(reward_largest=400.0)),
        ("reward-scale", history(reward_largest=0.001, val_expected=0.05, val_discounted=0.04)),
        ("no-terminal", history(remembered_ends=0.0, val_terminated=0.0)),
        ("unbalanced", history(rewarded=0.002, val_return=5.0)),
        ("forgetful", history(env_steps=100_000.0)),
        ("fell-back", history({"val_return": 5.5}, {"val_return": 5.5})),
    ],
)
def test_an_ailment_is_named_with_its_evidence_and_a_fix(kind, records):
    found = diagnose_play(Evidence(records), 2, 0.99)
    assert [finding.kind for finding in found] == [kind]
    assert found[0].flag.startswith("--")
    assert any(character.isdigit() for character in found[0].evidence)


def test_values_that_no_rewards_could_make_are_too_high_even_where_episodes_are_cut_off():
    cut = {"val_terminated": 0.0, "val_discounted": 60.0}
    assert kinds(history(**cut, val_expected=99.0)) == []
    assert kinds(history(**cut, val_expected=121.0)) == ["overestimation"]


def test_chance_and_a_short_history_are_no_ailments():
    assert kinds(history(reward_largest=0.0, length=2)) == []
    assert kinds(history({"val_return": 9.0})) == []
    assert kinds(history(rarest_action=0.06)) == []
    assert kinds(history(rarest_action=0.01, length=1) + history(length=2)) == []


def test_agents_with_continuous_actions_have_no_rarest_one():
    assert kinds([{k: v for k, v in record.items() if k != "rarest_action"} for record in history()], actions=0) == []


def test_a_suggested_scale_makes_the_largest_reward_one():
    (found,) = diagnose_play(Evidence(history(reward_largest=500.0)), 2, 0.99)
    assert found.flag == "--reward-scale 0.002"
