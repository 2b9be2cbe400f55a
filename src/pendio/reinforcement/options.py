"""The options of ``pendio train qlearn`` and ``pendio train dqn``, and those that all agents share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self

from cyclopts import Parameter

from pendio.descent.plan import Optimizer, Plan, Schedule
from pendio.errors import InputError
from pendio.options import check_types, flag, from_flat

__all__ = ["AgentPlan", "DQNOptions", "Playing", "QLearnOptions", "TablePlan"]


@dataclass(frozen=True, kw_only=True)
class AgentPlan(Plan):
    """How to walk down, with what suits agents: Adam, no decay, and a bounded gradient."""

    epochs: int = 20
    """Into how many parts to divide the training: after each, episodes are played to measure what was learned."""

    batch: int | Literal["all"] | None = None
    """Transitions an update, by default 64."""

    optimizer: Optimizer = "adam"
    """Rule that turns gradients into steps."""

    lr: float = 1e-3
    """Learning rate at the schedule's highest point."""

    weight_decay: float = 0.0
    """Decay of weights, never of biases and normalisation: decoupled in `adamw`, added to the gradient elsewhere."""

    schedule: Schedule = "constant"
    """How the learning rate changes over the run."""

    clip: float | None = 10.0
    """Scale gradients down to this total norm when they exceed it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dropout:
            raise InputError(
                f"--dropout {self.dropout:g}: agents have none, for what they do must be what they learn from"
            )
        if self.workers is not None:
            raise InputError(f"--workers {self.workers}: agents read no files; give --environments")


@dataclass(frozen=True, kw_only=True)
class TablePlan(AgentPlan):
    """How to walk down with a table: the textbook's rule Q ← Q + α·δ, its α falling in the end."""

    batch: int | Literal["all"] | None = None
    """Transitions an update, by default 256."""

    optimizer: Optimizer = "sgd"
    """Rule that turns gradients into steps: sgd is the textbook's."""

    lr: float = 0.5
    """Learning rate α at the schedule's highest point."""

    schedule: Schedule = "cosine"
    """How the learning rate changes over the run: with chance in the world, it must fall for Q to settle."""

    clip: float | None = None
    """Scale gradients down to this total norm when they exceed it."""

    _usual_batch = 256


@dataclass(frozen=True, kw_only=True)
class Playing:
    """Where to play and how much: options of every agent."""

    env: str
    """A Gymnasium id such as CartPole-v1, module:factory of your own, or a decision process in a .json file."""

    settings: str = ""
    """Keyword arguments for making the environment: name=value, separated by commas."""

    limit: int | None = None
    """Steps after which an episode is cut; by default the environment's own limit, or 1,000."""

    env_steps: int = 50_000
    """How many steps to play, in all environments together."""

    environments: int = 8
    """How many environments to play side by side."""

    discount: float = 0.99
    """What a reward counts a step later, in (0, 1]."""

    episodes: int = 20
    """Episodes that are played after each epoch to measure what was learned."""

    out: str | None = None
    """The run folder to make; by default the next unused runs/TASK-ENV-N."""

    resume: bool = False
    """Go on in --out where it stopped, with the options it was started with."""

    plan: Annotated[AgentPlan, Parameter(name="*")] = field(default_factory=AgentPlan)

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """Options from flat names and values, as in a config file.

        Raises:
            InputError: a name is unknown, there is no environment, or a value is out of range.
        """
        return from_flat(cls, options)

    def __post_init__(self) -> None:
        check_types(self)
        for name in ("env_steps", "environments", "episodes"):
            if getattr(self, name) < 1:
                raise InputError(f"{flag(name)} must be at least 1, got {getattr(self, name)}")
        if self.limit is not None and self.limit < 1:
            raise InputError(f"--limit must be at least 1, got {self.limit}")
        if not 0 < self.discount <= 1:
            raise InputError(f"--discount must be in (0, 1], got {self.discount:g}")
        if self.environments > self.env_steps:
            raise InputError(
                f"--environments {self.environments} are more than the {self.env_steps} --env-steps to play"
            )


@dataclass(frozen=True, kw_only=True)
class Exploring(Playing):
    """How to explore, remember and learn from what is remembered: options of Q-learning."""

    epsilon: float = 1.0
    """Share of random actions at the beginning, in [0, 1]."""

    epsilon_end: float = 0.05
    """Share of random actions in the end, in [0, 1]."""

    explore: float = 0.3
    """Share of the steps over which the share of random actions falls, in (0, 1]."""

    replay: int = 100_000
    """How many transitions to remember."""

    start: int = 1_000
    """Steps to play before learning begins."""

    train_every: int = 8
    """Steps to play between bouts of learning, in all environments together."""

    updates: int = 4
    """Updates in a bout of learning."""

    n_step: int = 1
    """Rewards that are added up before the estimate takes over."""

    priority: float = 0.0
    """How much surprising transitions are preferred: 0 not at all, 1 in proportion to their error."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("epsilon", "epsilon_end", "priority"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{flag(name)} must be in [0, 1], got {getattr(self, name):g}")
        if not 0 < self.explore <= 1:
            raise InputError(f"--explore must be in (0, 1], got {self.explore:g}")
        for name in ("replay", "start", "train_every", "updates", "n_step"):
            if getattr(self, name) < 1:
                raise InputError(f"{flag(name)} must be at least 1, got {getattr(self, name)}")
        if self.priority and self.plan.accumulate > 1:
            raise InputError("--accumulate cuts up the batch whose errors --priority needs; leave out one of them")
        if self.start >= self.env_steps:
            raise InputError(f"--start {self.start} leaves nothing to learn of {self.env_steps} --env-steps")


@dataclass(frozen=True, kw_only=True)
class QLearnOptions(Exploring):
    """Where to learn a table of action values, and how."""

    env_steps: int = 500_000
    """How many steps to play, in all environments together."""

    environments: int = 64
    """How many environments to play side by side."""

    train_every: int = 64
    """Steps to play between bouts of learning, in all environments together."""

    updates: int = 1
    """Updates in a bout of learning."""

    explore: float = 0.8
    """Share of the steps over which the share of random actions falls, in (0, 1]."""

    initial: float = 0.0
    """What every action is thought to be worth at first."""

    plan: Annotated[TablePlan, Parameter(name="*")] = field(default_factory=TablePlan)


@dataclass(frozen=True, kw_only=True)
class DQNOptions(Exploring):
    """Where to learn a network of action values, and how."""

    hidden: str = "128,128"
    """Widths of the dense layers, separated by commas; empty for a linear network."""

    double: bool = True
    """Let the network choose the best next action and the target network only value it."""

    dueling: bool = False
    """Let the network value states and the advantages of actions apart."""

    target_every: int = 250
    """Updates after which the target network is made equal to the network."""

    polyak: float | None = None
    """Instead, let the target network follow by this share at every update, in (0, 1]."""

    loss: Literal["huber", "squared"] = "huber"
    """What is made of an error: squared, or squared up to 1 and straight beyond."""

    reward_scale: float = 1.0
    """What rewards are multiplied by before they are learned from: the largest should be about 1."""

    stack: int = 1
    """How many of the latest frames the network sees at once, where the environment shows frames."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("target_every", "stack"):
            if getattr(self, name) < 1:
                raise InputError(f"{flag(name)} must be at least 1, got {getattr(self, name)}")
        if not 0 < self.reward_scale < float("inf"):
            raise InputError(f"--reward-scale must be greater than 0, got {self.reward_scale:g}")
        if self.polyak is not None and not 0 < self.polyak <= 1:
            raise InputError(f"--polyak must be in (0, 1], got {self.polyak:g}")
