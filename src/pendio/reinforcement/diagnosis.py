"""Why an agent learned, or did not: rules over what it wrote down while playing."""

from collections.abc import Mapping, Sequence
from typing import Any

from pendio.errors import InputError
from pendio.runs.diagnosis import Diagnosis, Evidence
from pendio.runs.run import Run

__all__ = ["diagnose_play", "diagnose_run"]

History = Sequence[Mapping[str, Any]]


def diagnose_play(evidence: Evidence, actions: int, discount: float) -> list[Diagnosis]:
    """What went wrong, the likeliest cause first; empty where nothing did.

    Args:
        evidence: the run's evaluations.
        actions: how many the agent can choose among; 0 where they are vectors.
        discount: γ.
    """
    history = evidence.history
    if not history:
        return []
    rules = (
        _no_reward(history), _no_exploration(history, actions), _overestimation(history, discount), _reward_scale(history),
        _never_ends(history), _rare_reward(history), _forgetful(history),
    )  # fmt: skip
    causes = [finding for finding in rules if finding is not None]
    # Falling back is what several of these lead to: it is told of where none of them explains it.
    consequence = _fell_back(history)
    return causes if causes or consequence is None else [consequence]


def diagnose_run(run: Run) -> list[Diagnosis]:
    """As :func:`diagnose_play`, of a run folder alone: its environment is not needed.

    Raises:
        InputError: the folder is damaged.
    """
    world, options = run.config.get("world"), run.options(run.recipe)
    if not isinstance(world, dict):
        raise InputError(f"the config of '{run.folder}' does not describe its world")
    return diagnose_play(
        Evidence(run.history(), run.layers()), int(world.get("choices", 0)), float(options.get("discount", 1.0))
    )


def _no_reward(history: History) -> Diagnosis | None:
    if len(history) < 3 or not all(record.get("reward_largest", 1.0) == 0 for record in history[-3:]):
        return None
    return Diagnosis(
        "no-reward",
        "The replay is dead: none of the transitions in it was rewarded, so that there is nothing to learn from.",
        f"{history[-1]['remembered']:,.0f} transitions, each with reward 0",
        "explore longer, let episodes go on longer, or reward steps on the way",
        "--explore 0.8 --limit 1000",
    )


def _no_exploration(history: History, actions: int) -> Diagnosis | None:
    rarest = max((record["rarest_action"] for record in history if "rarest_action" in record), default=1.0)
    if actions < 2 or rarest > 0.1 / actions:
        return None
    return Diagnosis(
        "no-exploration",
        "The agent hardly explores: there is an action that it has almost never tried.",
        f"the rarest of {actions} actions makes up {rarest:.2%} of the replay",
        "begin with random actions only, and let their share fall slowly",
        "--epsilon 1 --explore 0.5",
    )


def _overestimation(history: History, discount: float) -> Diagnosis | None:
    """Against what came of it, and against what no policy can exceed; chance in few episodes is no overestimate."""
    late = [record for record in history[-max(1, len(history) // 4) :] if "val_expected" in record]
    if not late:
        return None
    expected, came = (_mean(late, name) for name in ("val_expected", "val_discounted"))
    largest = max(record.get("reward_largest", 0.0) for record in late)
    bound = largest / (1 - discount) if discount < 1 and largest else float("inf")
    # An episode that is cut off would have gone on: only those that end by themselves tell what was to be had.
    told = _mean(late, "val_terminated") > 0.9 and expected - came > 0.5 * max(abs(came), largest)
    if not told and expected <= 1.2 * bound:
        return None
    than = f"more than the {bound:.4g} that all rewards together could make" if expected > 1.2 * bound else "too much"
    return Diagnosis(
        "overestimation",
        "The agent expects far more than comes: the maximum of noisy values is too high, and feeds on itself.",
        f"expected {expected:.4g} from the first observations, {came:.4g} came: {than}",
        "let the network choose and the target network value, let the target follow more slowly, or lower the learning rate",
        "--double --polyak 0.005",
    )


def _reward_scale(history: History) -> Diagnosis | None:
    largest = max(record.get("reward_largest", 0.0) for record in history)
    if largest <= 100 and not 0 < largest < 0.01:
        return None
    return Diagnosis(
        "reward-scale",
        f"The rewards are {'large' if largest > 1 else 'tiny'} for a network that begins with values near 0.",
        f"rewards of up to {largest:.4g} in size",
        "scale them so that the largest is about 1",
        f"--reward-scale {1 / largest:.1g}",
    )


def _never_ends(history: History) -> Diagnosis | None:
    if any(record.get("remembered_ends", 1.0) > 0 or record["val_terminated"] > 0 for record in history):
        return None
    if history[-1]["episodes"] < 10:
        return None
    return Diagnosis(
        "no-terminal",
        "No terminal state was ever reached: every episode was cut off by the limit of steps.",
        f"0 of {history[-1]['episodes']:,.0f} episodes; those played to measure took {history[-1]['val_length']:.0f} steps",
        "if there is one to be reached, give episodes more steps or explore longer; worlds without an end are well so",
        "--limit 2000 --explore 0.8",
    )


def _rare_reward(history: History) -> Diagnosis | None:
    share = history[-1].get("rewarded", 1.0)
    if not 0 < share < 0.01 or history[-1]["val_return"] > history[0]["val_return"]:
        return None
    return Diagnosis(
        "unbalanced",
        "Hardly any of the transitions that are learned from was rewarded, and nothing was learned.",
        f"{share:.2%} of {history[-1]['remembered']:,.0f} transitions in the replay",
        "draw surprising transitions more often, and let rewards reach back several steps",
        "--priority 0.6 --n-step 3",
    )


def _forgetful(history: History) -> Diagnosis | None:
    last = history[-1]
    if "remembered" not in last or last["remembered"] >= 0.02 * last["env_steps"]:
        return None
    return Diagnosis(
        "forgetful",
        "The replay holds only the latest moments: what was learned before is unlearned.",
        f"{last['remembered']:,.0f} of {last['env_steps']:,.0f} transitions that were played",
        "remember more",
        f"--replay {max(10_000, int(last['env_steps'] // 2))}",
    )


def _fell_back(history: History) -> Diagnosis | None:
    returns = [float(record["val_return"]) for record in history]
    best, last, first = max(returns), returns[-1], returns[0]
    if len(returns) < 4 or best - first <= 0 or best - last < 0.5 * (best - first):
        return None
    return Diagnosis(
        "fell-back",
        "The agent was better before: learning went on and spoilt it. The run kept the best evaluation's weights.",
        f"return {best:.4g} at epoch {returns.index(best) + 1}, {last:.4g} in the end",
        "let the learning rate fall, let the target network follow more slowly, or average the weights",
        "--schedule linear --polyak 0.005 --average ema",
    )


def _mean(records: History, name: str) -> float:
    return sum(float(record[name]) for record in records) / len(records)
