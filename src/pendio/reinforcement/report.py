"""The report on an agent: how it learned, what it makes of its world, and how good it is."""

import numpy as np
from numpy.typing import NDArray

from pendio.descent.report import closing, draw_steps
from pendio.errors import InputError
from pendio.pictures.clouds import draw_cloud
from pendio.pictures.learning import draw_learning
from pendio.pictures.worlds import Panel, draw_table, draw_world
from pendio.reinforcement.agent import Agent
from pendio.reinforcement.evaluation import Evaluation, evaluate_agent, optimal_return
from pendio.reinforcement.values.dqn import DQN, QLearning, optimal_values
from pendio.reinforcement.values.replay import Stored, stored_of
from pendio.runs.page import Picture, Section, Table, write_page
from pendio.runs.run import REPORT, Run

__all__ = ["write_report"]

_EPISODES, _SEED = 100, 0
_MOST_POINTS = 50_000
_LARGEST_TABLE = 2_000
"""States up to which a table of action values is drawn."""


def write_report(run: Run, agent: Agent) -> None:
    """Write ``report.html`` and its pictures into the run folder.

    Args:
        run: its folder.
        agent: with the weights to report on.
    """
    agent.to("cpu").eval()
    evaluation = evaluate_agent(agent, _EPISODES, _SEED)
    pictures = draw_agent(run, agent)
    run.write_pictures(pictures)
    result = evaluation.to_dict()
    shown = [Picture(pictures[name], caption) for name, caption in _CAPTIONS.items() if name in pictures]
    about = run.config.get("world", {})
    world = (f"{agent.world.name} shows {about.get('observations')}; actions: {about.get('actions')}; "
             f"episodes are cut after {agent.world.limit} steps.")  # fmt: skip
    sections = [
        Section("Results", tables=[_results(evaluation)], pictures=shown),
        Section("Use it", code=f"pendio play {run.folder} --gif play.gif\npendio evaluate {run.folder} --episodes 100"),
        Section("World", text=world),
        *closing(run, pictures, diagnose=agent.diagnose),
    ]
    subtitle = (
        f"{agent.world.name}: return {result['return']:.4g} ± {result['return_sd']:.3g} over {_EPISODES} episodes"
    )
    write_page(run.folder / REPORT, run.folder.name, subtitle, sections)


def _results(evaluation: Evaluation) -> Table:
    result = evaluation.to_dict()
    rows = [
        ("agent", result["return"], result["return_sd"], result["return_least"], result["return_most"], result["length"]),
        ("random actions", result["random"], result["random_sd"], float(evaluation.random.returns.min()),
         float(evaluation.random.returns.max()), float(evaluation.random.lengths.mean())),
    ]  # fmt: skip
    if evaluation.optimal is not None:
        rows.append(("the best there can be", evaluation.optimal, "", "", "", ""))
    return Table(("who plays", "mean return", "sd", "least", "most", "steps"), rows)


def draw_agent(run: Run, agent: Agent) -> dict[str, bytes]:
    """Pictures of a run by name: how it learned, the world as the agent values it, and what it has seen."""
    history, pictures = run.history(), {}
    if history:
        pictures["curves"] = draw_learning(history, optimal_return(agent.world))
    if agent.world.kind == "state":
        pictures |= _draw_states(agent)
    remembered = None if agent.world.kind == "frame" else _remembered(run)  # frames are not drawn, and may be many
    if remembered is not None and agent.world.kind == "vector" and agent.world.shape[0] > 1:
        pictures["coverage"] = _draw_seen(agent, remembered)
    if remembered is not None and agent.world.mdp is not None and agent.world.mdp.grid is not None:
        visits = np.bincount(remembered.observations, minlength=agent.world.states).astype(np.float64)
        panel = Panel("visits in the replay", visits)
        pictures["coverage"] = draw_world([panel], agent.world.mdp.grid, (), agent.world.mdp.letters)
    return pictures if isinstance(agent, QLearning) else pictures | draw_steps(run)


def _draw_states(agent: Agent) -> dict[str, bytes]:
    """Values, policy and action values of a world of states, beside the true values where they are known."""
    q, mdp = action_values(agent), agent.world.mdp
    if q is None:
        return {}
    if mdp is None or mdp.grid is None:
        small = agent.world.states <= _LARGEST_TABLE
        return {"table": draw_table(q, agent.world.action_names)} if small else {}
    panels = [Panel("learned values and policy", q.max(1), q.argmax(1))]
    optimal = optimal_values(agent.world)
    if optimal is not None:
        best = np.nan_to_num(optimal)
        panels.append(Panel("true values and best policy", best.max(1), best.argmax(1)))
    return {
        "world": draw_world(panels, mdp.grid, mdp.actions, mdp.letters),
        "actions": draw_world([Panel("learned action values", q.max(1), q=q)], mdp.grid, mdp.actions, mdp.letters),
    }


def action_values(agent: Agent) -> NDArray[np.float64] | None:
    """Q ``(S, A)`` of all states of a world of states; None of an agent that has no values of actions."""
    if isinstance(agent, QLearning):
        return agent.values().astype(np.float64)
    if isinstance(agent, DQN):
        return agent.action_values(np.arange(agent.world.states)).cpu().numpy().astype(np.float64)
    return None


def _draw_seen(agent: Agent, remembered: Stored) -> bytes:
    every = max(1, len(remembered.observations) // _MOST_POINTS)
    observations = remembered.observations[::every]
    return draw_cloud(observations, agent.first_values(observations))


def _remembered(run: Run) -> Stored | None:
    """What the run's replay held when it was saved; None where there is none."""
    try:
        data = run.state().get("data")
    except InputError:
        return None
    replay = data.get("replay") if isinstance(data, dict) else None
    stored = None if replay is None else stored_of(replay)
    return stored if stored is not None and len(stored.observations) else None


_CAPTIONS = {
    "curves": "Returns while learning, random actions included, and of the agent at its best; the dotted line marks the "
    "evaluation whose weights were kept. Beside it, how far the values are from the truth, or what was expected and came.",
    "world": "What each cell is worth and where the agent goes from there.",
    "actions": "What each action is worth.",
    "table": "What each action is worth in each state.",
    "coverage": "What is remembered: how often each place was visited, and what the agent expects there.",
}
