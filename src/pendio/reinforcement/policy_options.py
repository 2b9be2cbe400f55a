"""The options of ``pendio train reinforce`` and ``pendio train ppo``."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from cyclopts import Parameter

from pendio.descent.plan import Schedule
from pendio.errors import InputError
from pendio.options import flag
from pendio.reinforcement.options import AgentPlan, Playing

__all__ = ["EpisodePlan", "PPOOptions", "ReinforceOptions", "RolloutPlan"]


@dataclass(frozen=True, kw_only=True)
class EpisodePlan(AgentPlan):
    """How to walk down with whole episodes: a step for all steps of all of them."""

    batch: int | Literal["all"] | None = "all"
    """Always all: an update takes every step of its episodes."""

    lr: float = 3e-3
    """Learning rate at the schedule's highest point."""

    schedule: Schedule = "linear"
    """How the learning rate changes over the run."""

    clip: float | None = None
    """Scale gradients down to this total norm when they exceed it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch != "all":
            raise InputError(f"--batch must be all, got {self.batch}: an update takes whole episodes, one of each "
                             "environment; to change how many, give --environments")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RolloutPlan(AgentPlan):
    """How to walk down with rollouts that are gone through several times."""

    batch: int | Literal["all"] | None = None
    """Steps an update, by default 256, or all of a rollout if fewer."""

    schedule: Schedule = "linear"
    """How the learning rate changes over the run."""

    clip: float | None = 0.5
    """Scale gradients down to this total norm when they exceed it."""

    _usual_batch = 256


@dataclass(frozen=True, kw_only=True)
class ReinforceOptions(Playing):
    """Where to learn a policy from whole episodes, and how."""

    env_steps: int = 400_000
    """Most steps to play: each update takes an episode of every environment, and they may end before their limit."""

    baseline: Literal["none", "mean", "value"] = "value"
    """What a return is compared with: nothing, the mean of all in the update, or what a network expects of the state."""

    entropy: float = 0.0
    """Weight of the policy's entropy, which keeps it trying."""

    hidden: str = "64,64"
    """Widths of the dense layers, separated by commas; empty for a linear network."""

    standardize: bool = False
    """Take the running mean off observations that are vectors, and divide by their standard deviation."""

    plan: Annotated[EpisodePlan, Parameter(name="*")] = field(default_factory=EpisodePlan)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_weights(self, "entropy")


@dataclass(frozen=True, kw_only=True)
class PPOOptions(Playing):
    """Where to learn a policy by proximal policy optimisation, and how."""

    env_steps: int = 100_000
    """How many steps to play, in all environments together."""

    rollout: int = 128
    """Steps to play in each environment before learning from them."""

    passes: int = 10
    """How often to go through a rollout before it is thrown away."""

    gae_lambda: float = 0.95
    """How far advantages look ahead before the value network takes over: 0 one step, 1 to the end. In [0, 1]."""

    clip_range: float = 0.2
    """How far an action's probability may move from what it was, as a share of it, before it gains no more."""

    clip_schedule: Literal["constant", "linear"] = "constant"
    """Whether that range stays or falls to 0 over the run."""

    value_clip: float | None = None
    """How far a value may move from what it was before its error falls no more; by default as far as it likes."""

    value_weight: float = 0.5
    """Weight of the value's squared errors."""

    entropy: float = 0.0
    """Weight of the policy's entropy, which keeps it trying."""

    hidden: str = "64,64"
    """Widths of the dense layers, separated by commas; empty for a linear network."""

    standardize: bool = False
    """Express observations, which must be vectors, and returns in units of their running standard deviations."""

    stack: int = 1
    """How many of the latest frames the network sees at once, where the environment shows frames."""

    plan: Annotated[RolloutPlan, Parameter(name="*")] = field(default_factory=RolloutPlan)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rollout < 2:
            raise InputError(f"--rollout must be at least 2, got {self.rollout}")
        for name in ("passes", "stack"):
            if getattr(self, name) < 1:
                raise InputError(f"{flag(name)} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.gae_lambda <= 1:
            raise InputError(f"--gae-lambda must be in [0, 1], got {self.gae_lambda:g}")
        for name in ("clip_range", "value_clip"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise InputError(f"{flag(name)} must be greater than 0, got {value:g}")
        _check_weights(self, "entropy", "value_weight")


def _check_weights(options: Playing, *names: str) -> None:
    for name in names:
        if not 0 <= getattr(options, name) < float("inf"):
            raise InputError(f"{flag(name)} must be 0 or more and finite, got {getattr(options, name):g}")
