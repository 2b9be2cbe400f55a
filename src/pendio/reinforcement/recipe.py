"""Training an agent from options, and taking up a trained one again."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch

from pendio.descent.devices import leave_processes
from pendio.descent.loop import fit
from pendio.descent.task import Source
from pendio.errors import InputError
from pendio.options import saved
from pendio.reinforcement.agent import Agent, Games
from pendio.reinforcement.networks import ActionValues, check_stack, parse_hidden
from pendio.reinforcement.options import DQNOptions, Playing, QLearnOptions
from pendio.reinforcement.policy.policy_gradient import PolicyGradient
from pendio.reinforcement.policy.rollout import Rollouts
from pendio.reinforcement.policy_options import PPOOptions, ReinforceOptions
from pendio.reinforcement.report import write_report
from pendio.reinforcement.values.dqn import DQN, QLearning
from pendio.reinforcement.values.experience import Experience
from pendio.reinforcement.worlds.environments import World, is_code, open_world
from pendio.runs.run import Run, next_folder

__all__ = ["KINDS", "Sources", "load_agent", "run_options", "train_agent"]

KINDS: Mapping[str, type[Playing]] = {
    "qlearn": QLearnOptions, "dqn": DQNOptions, "reinforce": ReinforceOptions, "ppo": PPOOptions,
}  # fmt: skip
"""Task → its options."""

_FIRST_SEED = 1_000_000
"""Of the episodes that are played while training to measure; those of ``pendio evaluate`` begin elsewhere."""


class Sources(NamedTuple):
    """What an agent learns from, and what it is measured on."""

    train: Source
    val: Source


def train_agent(task: str, options: Playing, progress: bool = True) -> Run:
    """Train an agent and write its report.

    Args:
        task: a key of ``KINDS``.
        options: where to play, and how to learn; of that task's kind.
        progress: show how it goes on standard error.

    Raises:
        InputError: an option does not fit the environment; the message says which.
    """
    world = open_world(options.env, options.settings, limit=options.limit, discount=options.discount)
    agent, train = _learner(options, world)
    data = Sources(train, Games(options.episodes, _FIRST_SEED))
    config = {"recipe": task, "options": saved(options), "world": describe(world)}
    out = Path(options.out) if options.out else next_folder(task, options.env.rpartition(":")[2])
    with one_thread(agent):
        run = fit(agent, data, options.plan, out, options.resume, config=config, progress=progress)
        if leave_processes():
            write_report(run, agent)
    return run


def _learner(options: Playing, world: World) -> tuple[Agent, Source]:
    """The untrained agent, and the source that it learns from; the same seed gives the same of both."""
    seed = options.plan.seed
    agent = new_agent(options, world)
    if isinstance(agent, PolicyGradient) and isinstance(options, PPOOptions | ReinforceOptions):
        return agent, Rollouts(agent, options, seed)
    assert isinstance(agent, DQN | QLearning)
    assert isinstance(options, QLearnOptions | DQNOptions)
    return agent, Experience(agent, options, seed)


def new_agent(options: Playing, world: World) -> Agent:
    """An agent that has learned nothing yet.

    Raises:
        InputError: it cannot act in this world.
    """
    with torch.random.fork_rng():
        torch.manual_seed(options.plan.seed)
        if isinstance(options, ReinforceOptions | PPOOptions):
            return PolicyGradient.of(options, world)
        _refuse_vectors(options, world)
        if isinstance(options, QLearnOptions):
            if world.kind != "state":
                raise InputError(f"environment '{options.env}' shows a {world.kind} of shape {world.shape}, and a table "
                                 "needs the number of a state; use: pendio train dqn")  # fmt: skip
            return QLearning(world, options.initial, options.discount)
        assert isinstance(options, DQNOptions)
        check_stack(options.stack, options.env, world)
        network = ActionValues(world, parse_hidden(options.hidden), stack=options.stack, dueling=options.dueling)
        return DQN(
            world, network, double=options.double, loss=options.loss, target_every=options.target_every,
            polyak=options.polyak, stack=options.stack, discount=options.discount, reward_scale=options.reward_scale,
        )  # fmt: skip


def _refuse_vectors(options: Playing, world: World) -> None:
    if world.actions == 0:
        raise InputError(f"environment '{options.env}' takes actions of {len(world.low)} continuous numbers, and Q-learning "
                         "chooses among a few; use: pendio train ppo")  # fmt: skip


@contextmanager
def one_thread(agent: Agent) -> Iterator[None]:
    """Work in one thread while layers are small: a second would cost more to call than it does."""
    before = torch.get_num_threads()
    if sum(parameter.numel() for parameter in agent.parameters()) < 1_000_000:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def describe(world: World) -> dict[str, Any]:
    """What the run folder remembers of a world, in plain values."""
    return {
        "observations": f"{world.states} states" if world.kind == "state" else f"a {world.kind} of shape {world.shape}",
        "actions": f"{world.actions}: {', '.join(world.action_names)}" if world.actions else f"{len(world.low)} numbers",
        "choices": world.actions, "limit": world.limit, "known": world.mdp is not None,
    }  # fmt: skip


def run_options(run: Run) -> Playing:
    """The options a run was trained with.

    Raises:
        InputError: its config is not one of an agent.
    """
    if run.recipe not in KINDS:
        raise InputError(f"the run in '{run.folder}' is of 'train {run.recipe}', which plays no environment")
    return KINDS[run.recipe].of(run.options(run.recipe))


def load_agent(run: Run, env: str | None = None) -> Agent:
    """The trained agent of a run, with its best weights, ready to act.

    Args:
        run: its folder.
        env: let it act there instead. Environments that are code of the user's must be named here: a run folder from
            someone else shall not decide what is run.

    Raises:
        InputError: the run's files are missing, damaged or do not fit together, or its environment must be named.
    """
    options = run_options(run)
    name = options.env if env is None else env
    if env is None and is_code(options.env):
        raise InputError(f"the run in '{run.folder}' plays '{options.env}', which is code: "
                         f"if you trust it, name it yourself with --env {options.env}")  # fmt: skip
    world = open_world(name, options.settings, limit=options.limit, discount=options.discount)
    agent = new_agent(options, world)
    run.fill(agent)
    return agent.eval().requires_grad_(False)
