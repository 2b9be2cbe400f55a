"""Several runs in one picture."""

import json
from collections.abc import Sequence
from typing import Any

from pendio.errors import InputError, did_you_mean
from pendio.pictures.learning import draw_seeds
from pendio.runs.run import Run

__all__ = ["draw_runs", "group_runs"]

_OWN = ("seed", "out", "resume")
"""Options in which runs of one group may differ."""
_FIRST = ("env", "data", "model")
"""Options that a name begins with."""
_MOST = 4
"""Options in a name."""


def draw_runs(runs: Sequence[Run], metric: str | None = None) -> bytes:
    """Curves over epochs, or over the steps that agents played; runs that differ in their seed alone are one group.

    Args:
        runs: of any tasks.
        metric: what of the evaluations to draw; by default ``val_return`` where all have it, else ``val_loss``.

    Raises:
        InputError: a run has no evaluations yet, or none of that name.
    """
    histories = [(run, run.history()) for run in runs]
    for run, history in histories:
        if not history:
            raise InputError(f"the run in '{run.folder}' has no evaluations yet")
    shared = set.intersection(*(set(record) for _, history in histories for record in history[-1:]))
    chosen = metric or ("val_return" if "val_return" in shared else "val_loss")
    if chosen not in shared:
        known = sorted(name for name in shared if name.startswith("val_"))
        raise InputError(f"not all runs have a metric '{chosen}': {did_you_mean(chosen, known)}")
    over = "env_steps" if "env_steps" in shared else "epoch"
    read = {id(run): history for run, history in histories}
    drawn = {name: [read[id(run)] for run in members] for name, members in group_runs(runs).items()}
    labels = ("steps played" if over == "env_steps" else "epoch", chosen.removeprefix("val_").replace("_", " "))
    return draw_seeds(drawn, over, chosen, labels)


def group_runs(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Runs that differ in their seed alone, by a name that tells their group from the others."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(_group(run), []).append(run)
    return dict(zip(_names([members[0] for members in groups.values()]), groups.values(), strict=True))


def _options(run: Run) -> dict[str, Any]:
    parts = (run.config.get("options"), run.config.get("plan"))
    return {name: value for part in parts if isinstance(part, dict) for name, value in part.items()}


def _group(run: Run) -> str:
    kept = {name: value for name, value in _options(run).items() if name not in _OWN}
    return json.dumps([run.recipe, kept], sort_keys=True, default=str)


def _names(runs: Sequence[Run]) -> list[str]:
    """A name for each group: its task, and the options in which it differs from other groups of that task."""
    found, everyone = [], [_options(run) for run in runs]
    for run in runs:
        own = _options(run)
        others = [_options(other) for other in runs if other.recipe == run.recipe]
        names = [name for name in _FIRST if _varies(name, everyone)]
        names += [name for name in sorted(own) if name not in (*_OWN, *_FIRST) and _varies(name, others)]
        parts = [f"{name} {own[name]}" for name in names if own.get(name) is not None][:_MOST]
        found.append(", ".join([run.recipe, *parts]))
    for told in (lambda run: run.folder.name, lambda run: run.folder):
        found = [
            name if found.count(name) == 1 else f"{name} ({told(run)})" for name, run in zip(found, runs, strict=True)
        ]
    return found


def _varies(name: str, options: Sequence[dict[str, Any]]) -> bool:
    return len({str(each.get(name)) for each in options}) > 1
