"""Planning: solve."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pendio.cli.app import Json, app, print_json, say
from pendio.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from pendio.reinforcement.processes.mdp import MDP
    from pendio.reinforcement.processes.planning import Solution

__all__ = ["solve"]

ARROWS = {
    "left": "←", "right": "→", "up": "↑", "down": "↓", "west": "←", "east": "→", "north": "↑", "south": "↓",
}  # fmt: skip
SOLVABLE = ("FrozenLake-v1", "FrozenLake8x8-v1", "CliffWalking-v1", "CliffWalkingSlippery-v1", "Taxi-v4")
WIDEST = 60
"""Columns of a grid, and states of a list, that are printed."""


@app.command
def solve(
    world: str,
    *,
    discount: float | None = None,
    method: Literal["value", "policy"] = "value",
    horizon: int | None = None,
    settings: str = "",
    out: Path | None = None,
    json_: Json = False,
) -> None:
    """Find the best policy of a world whose transitions are known, and what it is worth.

    Parameters
    ----------
    world
        A Gymnasium environment with a transition table, such as FrozenLake-v1, CliffWalking-v1 or Taxi-v4; or a .json
        file of transitions.
    discount
        γ in (0, 1]: what a reward is worth a step later. By default 0.99, or what the file says.
    method
        Value iteration or policy iteration.
    horizon
        A step limit to judge the policy at; by default the environment's own.
    settings
        Keyword arguments for making the environment: name=value, separated by commas.
    out
        A PNG file for the picture.
    """
    from pendio.reinforcement.processes.planning import policy_iteration, start_value, value_iteration

    mdp = _open(world, discount, settings)
    if horizon is not None:
        mdp = replace(mdp, horizon=horizon)
    solution = (value_iteration if method == "value" else policy_iteration)(mdp)
    scores = _scores(mdp, solution)
    result = {
        "world": world, "states": mdp.state_count, "actions": list(mdp.actions) or mdp.action_count,
        "discount": mdp.discount, "method": method, "start_value": start_value(mdp, solution.values),
        "sweeps": solution.sweeps, "residual": solution.residual, "horizon": mdp.horizon, **scores,
        "policy": solution.policy.tolist(), "values": solution.values.tolist(),
    }  # fmt: skip
    if json_:
        print_json(result)
    else:
        _tell(mdp, solution, result)
    if out is not None:
        _draw(mdp, solution, world, out)


def _open(world: str, discount: float | None, settings: str) -> "MDP":
    from pendio.reinforcement.processes.mdp import MDP
    from pendio.reinforcement.worlds.settings import parse_settings

    if world.lower().endswith(".json"):
        if settings:
            raise InputError(f"--settings are for Gymnasium's environments; '{world}' is a file")
        mdp = MDP.from_json(Path(world))
        return mdp if discount is None else replace(mdp, discount=discount)
    env = _make(world, parse_settings(settings))
    try:
        return MDP.from_environment(env, 0.99 if discount is None else discount)
    finally:
        env.close()


def _make(world: str, options: dict[str, Any]) -> Any:
    try:
        import gymnasium
    except ImportError as error:
        raise InputError("Gymnasium is not installed: pip install gymnasium") from error

    try:
        gymnasium.spec(world)
    except (gymnasium.error.Error, ImportError) as error:
        raise InputError(f"there is no environment '{world}': {did_you_mean(world, SOLVABLE)}") from error
    try:
        return gymnasium.make(world, disable_env_checker=True, **options)
    except Exception as error:  # an environment may refuse its options in any way
        given = " with " + ", ".join(f"{name}={value!r}" for name, value in options.items()) if options else ""
        raise InputError(f"Gymnasium cannot make '{world}'{given}: {type(error).__name__}: {error}") from error


def _scores(mdp: "MDP", solution: "Solution") -> dict[str, float]:
    """Undiscounted, as scores are counted."""
    from pendio.reinforcement.processes.planning import finite_horizon, policy_at_limit, start_value

    if mdp.horizon is None:
        return {}
    counted = replace(mdp, discount=1.0)
    best = finite_horizon(counted, mdp.horizon).values[0]
    return {
        "score_at_limit": policy_at_limit(counted, solution.policy, mdp.horizon),
        "best_at_limit": start_value(counted, best),
    }


def _tell(mdp: "MDP", solution: "Solution", result: dict[str, Any]) -> None:
    kind = "sweeps of value iteration" if result["method"] == "value" else "rounds of policy iteration"
    print(f"{mdp.state_count} states, {mdp.action_count} actions, γ = {mdp.discount:g}")
    print(f"the start is worth {result['start_value']:.6g}: {solution.sweeps} {kind}, residual {solution.residual:.1e}")
    signs = [ARROWS.get(name.lower(), name[:1]) for name in mdp.actions] or list(map(str, range(mdp.action_count)))
    if mdp.grid is not None and mdp.grid[1] <= WIDEST and mdp.grid[0] <= WIDEST:
        cells = [
            mark if mark in ("G", "H", "#") else signs[action]
            for mark, action in zip(mdp.letters, solution.policy.tolist(), strict=True)
        ]
        width = max(map(len, cells))
        print()
        for row in range(mdp.grid[0]):
            print("  " + " ".join(cell.rjust(width) for cell in cells[row * mdp.grid[1] : (row + 1) * mdp.grid[1]]))
        print()
    elif mdp.state_count <= WIDEST:
        for state, action in enumerate(solution.policy.tolist()):
            value = solution.values[state]
            print(f"  {mdp.state_name(state):>12}  {value:>12.6g}  {mdp.action_name(action)}")
    else:
        print("--json prints the policy, --out draws it")
    if mdp.horizon is not None:
        print(
            f"within {mdp.horizon:,} steps this policy scores {result['score_at_limit']:.6g} without discount; "
            f"the best possible is {result['best_at_limit']:.6g}"
        )


def _draw(mdp: "MDP", solution: "Solution", world: str, out: Path) -> None:
    from pendio.pictures.worlds import LARGEST_WRITTEN, Panel, draw_table, draw_world, has_directions
    from pendio.runs.files import replacing

    name = Path(world).stem if world.lower().endswith(".json") else world
    about = f"{name}, γ = {mdp.discount:g}"
    if mdp.grid is None:
        picture = draw_table(solution.q, mdp.actions, mdp.states, f"{about}: action values and best actions")
    else:
        panels = [Panel(f"{about}: values and best actions", solution.values, solution.policy)]
        if has_directions(mdp.actions) and max(mdp.grid) <= LARGEST_WRITTEN:
            panels.append(Panel("action values", solution.values, q=solution.q))
        picture = draw_world(panels, mdp.grid, mdp.actions, mdp.letters)
    with replacing(out) as file:
        file.write(picture)
    say(f"wrote {out}")
