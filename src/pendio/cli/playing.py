"""Agents: training them, watching them play, and comparing how they learned."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.table import Table

from pendio.cli.app import Json, app, console, print_json, say, tell_run, train
from pendio.errors import InputError
from pendio.reinforcement.options import DQNOptions, Playing, QLearnOptions
from pendio.reinforcement.policy_options import PPOOptions, ReinforceOptions

if TYPE_CHECKING:
    from pendio.runs.run import Run

__all__ = ["curves", "dqn", "evaluate_agents", "play", "ppo", "qlearn", "reinforce", "tell_decisions"]


@train.command
def qlearn(options: Annotated[QLearnOptions, Parameter(name="*")]) -> None:
    """Learn a table of action values by Q-learning, in a world that shows the number of its state.

    For environments that pendio knows, options that work are taken from its presets; the command line goes before them.
    """
    _train("qlearn", options)


@train.command
def dqn(options: Annotated[DQNOptions, Parameter(name="*")]) -> None:
    """Learn a network of action values: a deep Q-network, in a world with a few actions.

    For environments that pendio knows, options that work are taken from its presets; the command line goes before them.
    """
    _train("dqn", options)


@train.command
def reinforce(options: Annotated[ReinforceOptions, Parameter(name="*")]) -> None:
    """Learn a policy by REINFORCE: from whole episodes, with or without a baseline.

    For environments that pendio knows, options that work are taken from its presets; the command line goes before them.
    """
    _train("reinforce", options)


@train.command
def ppo(options: Annotated[PPOOptions, Parameter(name="*")]) -> None:
    """Learn a policy by proximal policy optimisation, in a world with a few actions or with continuous ones.

    For environments that pendio knows, options that work are taken from its presets; the command line goes before them.
    """
    _train("ppo", options)


def _train(task: str, options: Playing) -> None:
    from pendio.reinforcement.recipe import train_agent

    run = train_agent(task, options)
    tell_run(run)


@app.command
def play(
    run: str,
    *,
    episodes: int = 1,
    gif: Path | None = None,
    seed: int = 0,
    rate: float | None = None,
    env: str | None = None,
    json_: Json = False,
) -> None:
    """Watch a trained agent play: as text here, or in a moving picture.

    Parameters
    ----------
    run
        The run folder of an agent.
    episodes
        How many episodes to play.
    gif
        The GIF or video file (.gif, .mp4) to write; without it, the play is told as text.
    seed
        Of the first episode; the others follow.
    rate
        Frames a second; by default the environment's own.
    env
        Another environment of the same form; needed where the run's own is code of yours (module:factory).
    """
    from pendio.reinforcement.playing import Shown, film, watch
    from pendio.reinforcement.recipe import load_agent
    from pendio.runs.run import Run

    if episodes < 1:
        raise InputError(f"--episodes must be at least 1, got {episodes}")
    if rate is not None and not 0 < rate <= 1000:
        raise InputError(f"--rate must be in (0, 1000], got {rate:g}")
    agent = load_agent(Run.open(run), env)
    shown: list[Shown] = []
    if gif is not None:
        if not gif.parent.is_dir():
            raise InputError(f"there is no folder '{gif.parent}' to write to")
        shown = film(agent, gif, episodes, seed, rate)
        say(f"wrote {gif}")
    else:
        for scene in watch(agent, episodes, seed):
            if isinstance(scene, Shown):
                shown.append(scene)
            elif not json_:
                print(scene)
    if json_:
        print_json([each.to_dict() for each in shown])
        return
    for each in shown:
        end = "" if each.terminated else ", cut by the limit of steps"
        print(f"seed {each.seed}: return {each.value:g} in {each.length} steps{end}")


@app.command
def curves(*runs: str, out: Path, metric: str | None = None) -> None:
    """Draw how several runs learned, in one picture: those that differ in their seed alone as one curve with its range.

    Parameters
    ----------
    runs
        Run folders, of any task.
    out
        The PNG file to write.
    metric
        What to draw; by default the return of agents and the validation loss of others.
    """
    from pendio.runs.comparison import draw_runs
    from pendio.runs.files import replacing
    from pendio.runs.run import Run

    if not runs:
        raise InputError("give one run folder or more: pendio curves RUN … --out FILE")
    png = draw_runs([Run.open(folder) for folder in runs], metric)
    with replacing(out) as file:
        file.write(png)
    print(f"wrote {out}")


def evaluate_agents(runs: "list[Run]", episodes: int, seed: int, env: str | None, json_: bool) -> None:
    """What ``pendio evaluate`` does with runs of agents: each plays the same episodes."""
    from pendio.reinforcement.evaluation import evaluate_agent
    from pendio.reinforcement.recipe import load_agent

    if episodes < 1:
        raise InputError(f"--episodes must be at least 1, got {episodes}")
    found = [(run, evaluate_agent(load_agent(run, env), episodes, seed)) for run in runs]
    if json_:
        results = [{"run": str(run.folder), **evaluation.to_dict()} for run, evaluation in found]
        print_json(results[0] if len(results) == 1 else results)
        return
    table = Table("run", *(f"{name}" for name in ("mean return", "sd", "least", "most", "steps", "random", "optimum")))
    for run, evaluation in found:
        result = evaluation.to_dict()
        names = ("return", "return_sd", "return_least", "return_most", "length", "random", "optimal")
        table.add_row(str(run.folder), *("" if result[name] is None else f"{result[name]:.4g}" for name in names))
    print(f"{episodes} episodes each, from seed {seed}; the agents always do what seems best")
    console().print(table)


def tell_decisions(run: str, inputs: tuple[str, ...], json_: bool) -> None:
    """What ``pendio predict`` does with an agent."""
    from pendio.recipes import load
    from pendio.reinforcement.prediction import decide

    made = list(decide(load(run), inputs))
    if json_:
        print_json([decision.to_dict() for decision in made])
        return
    for decision in made:
        scores = ", ".join(f"{name} {value:.4g}" for name, value in decision.scores.items())
        action = decision.action if isinstance(decision.action, str) else ", ".join(f"{x:.4g}" for x in decision.action)
        print(f"{decision.input}: {action}{f' ({scores})' if scores else ''}")
