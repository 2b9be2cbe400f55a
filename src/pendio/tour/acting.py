"""Agents."""

from pathlib import Path

from pendio.recipes import load, train
from pendio.reinforcement.evaluation import evaluate_agent
from pendio.reinforcement.playing import film
from pendio.runs.page import Section, Table
from pendio.tour.stop import picture

__all__ = ["acting"]


def acting(out: Path) -> Section:
    """A lake by a table, a pole by a network."""
    table = train("qlearn", env="FrozenLake-v1", env_steps=600_000, progress=False, out=str(out / "lake"))
    pole = train("ppo", env="CartPole-v1", env_steps=40_000, epochs=10, progress=False, out=str(out / "pole"))
    lake, agent = evaluate_agent(load(table.folder), 1_000), load(pole.folder)
    film(agent, out / "pole.gif")
    balanced = evaluate_agent(agent, 100)
    rows = [
        (name, float(found.played.returns.mean()), float(found.random.returns.mean()), found.optimal or "")
        for name, found in (("FrozenLake-v1", lake), ("CartPole-v1", balanced))
    ]
    return Section(
        "Learn by acting",
        text="On a frozen lake, where a step in three goes where it was meant, a table of action values learns the way from "
        "reward alone; the world is small enough to be solved exactly beside it. A pole on a cart has no table: a network "
        "learns to balance it by small steps of its policy, or, as a deep Q-network, by what actions are worth.",
        code="pendio train qlearn --env FrozenLake-v1\npendio train ppo --env CartPole-v1\n"
        "pendio train dqn --env CartPole-v1\npendio play tour/pole --gif pole.gif\n"
        "pendio solve FrozenLake-v1 --out lake.png",
        tables=[Table(("world", "mean return", "of random actions", "the best there can be"), rows)],
        pictures=[
            picture(table, "world", "Values and policy, learned and true."),
            picture(pole, "curves", "How the network learned to balance."),
        ],
    )
