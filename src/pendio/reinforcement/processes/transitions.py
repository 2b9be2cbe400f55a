"""Rows of transitions: read from a file, and assembled into arrays."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pendio.errors import InputError, did_you_mean

__all__ = ["assemble", "read_rows"]

LARGEST = 20_000_000
"""Most branches S · A · K of a process: some 500 MB."""
LARGEST_FILE = 64 * 2**20
NEEDED, OPTIONAL = ("states", "actions", "transitions"), ("start", "discount", "horizon", "grid")


def assemble(
    table: NDArray[np.float64], shape: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Next states, probabilities, rewards and ends, ``(S, A, K)`` each, from rows ``(N, 6)``.

    A row is (s, a, next, probability, reward, done). Rows that differ in probability alone are merged, those of
    probability 0 dropped; unused branches stay where they are. Time and memory grow linearly with N and S · A · K.

    Raises:
        InputError: numbers that are not finite or name no state, a state and action without a row, too many branches.
    """
    _check(table, shape)
    table = table[table[:, 3] != 0]
    place = (table[:, 0] * shape[1] + table[:, 1]).astype(np.int64)
    order = np.lexsort((table[:, 5], table[:, 4], table[:, 2], place))
    table, place = table[order], place[order]
    keys = np.column_stack([place, table[:, 2], table[:, 4:]])
    first = np.flatnonzero(np.concatenate([[True], (keys[1:] != keys[:-1]).any(1)])[: len(keys)])
    counts = np.bincount(place[first], minlength=shape[0] * shape[1])
    if not counts.all():
        state, action = divmod(int(counts.argmin()), shape[1])
        raise InputError(f"there is no transition from state {state} with action {action}")
    branches = int(counts.max())
    if counts.size * branches > LARGEST:
        size = f"{shape[0]} states × {shape[1]} actions × {branches} branches"
        raise InputError(f"{size} are more than a table holds: at most {LARGEST:,} in all")
    where = place[first], np.arange(len(first)) - np.repeat(counts.cumsum() - counts, counts)
    next_states = np.repeat(np.arange(shape[0]), shape[1])[:, None].repeat(branches, 1)
    next_states[where] = table[first, 2].astype(np.int64)
    filled = np.zeros((3, counts.size, branches))
    for array, column in zip(filled, (np.add.reduceat(table[:, 3], first), *table[first, 4:].T), strict=True):
        array[where] = column
    probabilities, rewards, done = filled.reshape(3, *shape, branches)
    return next_states.reshape(*shape, branches), probabilities, rewards, done != 0


def _check(table: NDArray[np.float64], shape: tuple[int, int]) -> None:
    if shape[0] * shape[1] > LARGEST:
        raise InputError(f"{shape[0]} states × {shape[1]} actions are more than a table holds: at most {LARGEST:,}")
    if not np.isfinite(table).all():
        raise InputError("transitions must be finite numbers")
    for column, count, name in ((0, shape[0], "states"), (1, shape[1], "actions"), (2, shape[0], "states")):
        numbers = table[:, column]
        if not ((numbers >= 0) & (numbers < count) & (numbers == np.floor(numbers))).all():
            raise InputError(f"transitions name {name} that do not exist: their numbers are 0 to {count - 1}")


def read_rows(path: Path) -> dict[str, Any]:
    """The file that :meth:`MDP.from_json` describes, as the arguments of :meth:`MDP.from_rows`.

    Raises:
        InputError: the file is missing, larger than 64 MB, or anything in it is wrong.
    """
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST_FILE + 1)
        if len(text) > LARGEST_FILE:
            raise InputError(f"it is larger than {LARGEST_FILE >> 20} MB")
        return _arguments(json.loads(text))
    except InputError as error:
        raise InputError(f"'{path}': {error}") from error
    except FileNotFoundError as error:
        raise InputError(f"there is no file '{path}'") from error
    except OSError as error:
        raise InputError(f"'{path}' cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"'{path}' is no JSON file: {error}") from error


def _arguments(content: Any) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise InputError("expected an object with states, actions and transitions")
    for name in content:
        if name not in NEEDED + OPTIONAL:
            raise InputError(f"unknown entry '{name}': {did_you_mean(name, NEEDED + OPTIONAL)}")
    for name in NEEDED:
        if name not in content:
            raise InputError(f"'{name}' is missing")
    states, state_count = _names("states", content["states"])
    actions, action_count = _names("actions", content["actions"])
    discount, horizon, grid = content.get("discount", 1.0), content.get("horizon"), content.get("grid")
    if not _is_number(discount):
        raise InputError(f"'discount' must be a number in (0, 1], got {discount!r}")
    if horizon is not None and not _is_whole(horizon):
        raise InputError(f"'horizon' must be a whole number of steps, got {horizon!r}")
    if grid is not None and not (isinstance(grid, list) and len(grid) == 2 and all(map(_is_whole, grid))):
        raise InputError(f"'grid' must be [rows, columns], got {grid!r}")
    numbers = {name: number for number, name in enumerate(states)}
    rows = _rows(content["transitions"], numbers, {name: number for number, name in enumerate(actions)})
    return {
        "rows": rows + _ends(rows, state_count, action_count), "shape": (state_count, action_count),
        "start": _start(content.get("start"), numbers, state_count), "discount": discount, "horizon": horizon,
        "states": states, "actions": actions, "grid": grid and (grid[0], grid[1]),
    }  # fmt: skip


def _names(entry: str, value: Any) -> tuple[tuple[str, ...], int]:
    if _is_whole(value) and 1 <= value <= LARGEST:
        return (), value
    named = isinstance(value, list) and value and all(isinstance(name, str) and name.isprintable() for name in value)
    if named and len(set(value)) == len(value):
        return tuple(value), len(value)
    raise InputError(f"'{entry}' must be how many there are, or a list of different names")


def _rows(value: Any, states: dict[str, int], actions: dict[str, int]) -> list[tuple[Any, ...]]:
    if not isinstance(value, list):
        raise InputError("'transitions' must be a list of [state, action, next state, probability, reward, done]")
    rows = []
    for number, row in enumerate(value, 1):
        if not isinstance(row, list) or len(row) != 6 or not _is_number(row[3]) or not _is_number(row[4]):
            raise InputError(f"transition {number} is no [state, action, next state, probability, reward, done]")
        if not isinstance(row[5], bool):
            raise InputError(f"transition {number} ends with {row[5]!r}: expected true or false, whether it is over")
        s, a, following = (
            _number(known, name, number)
            for known, name in ((states, row[0]), (actions, row[1]), (states, row[2]))
        )  # fmt: skip
        rows.append((s, a, following, *row[3:]))
    return rows


def _number(known: dict[str, int], name: Any, row: int) -> int:
    if isinstance(name, str) and name in known:
        return known[name]
    if _is_whole(name) and abs(name) <= LARGEST:
        return int(name)
    raise InputError(f"transition {row} names {name!r}: {did_you_mean(str(name), known) if known else 'no number'}")


def _ends(rows: Sequence[tuple[Any, ...]], states: int, actions: int) -> list[tuple[Any, ...]]:
    """Rows for the states that have none: they are over."""
    if states * actions > LARGEST:
        return []
    ends = set(range(states)) - {row[0] for row in rows}
    for number, row in enumerate(rows, 1):
        if row[2] in ends and not row[5]:
            raise InputError(f"transition {number} goes on in state {row[2]}, from which there is no transition")
    return [(state, action, state, 1.0, 0.0, True) for state in sorted(ends) for action in range(actions)]


def _start(value: Any, states: dict[str, int], count: int) -> NDArray[np.float64] | None:
    if value is None:
        return None
    if isinstance(value, list) and len(value) == count and all(map(_is_number, value)):
        return np.array(value, dtype=float)
    number = states.get(value) if isinstance(value, str) else value
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < count:
        raise InputError(f"'start' must be a state, or a list of {count} probabilities, got {str(value)[:60]!r}")
    start = np.zeros(count)
    start[number] = 1.0
    return start


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, float) or (_is_whole(value) and abs(value) <= 1e300)
