"""Environments by name: opened, checked, and made simple enough to learn in.

Whatever a Gymnasium environment shows is brought to one of three forms: the number of a state, a vector of float32, or
frames ``(C, H, W)`` of uint8. Its actions are numbers or vectors.
"""

import importlib
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker, RecordEpisodeStatistics, TimeLimit

from pendio.errors import InputError, did_you_mean
from pendio.reinforcement.processes.mdp import MDP
from pendio.reinforcement.worlds.checking import check, one_line, playing
from pendio.reinforcement.worlds.forms import Environment, is_atari, needed_package, own_limit, simplified
from pendio.reinforcement.worlds.settings import parse_settings
from pendio.reinforcement.worlds.tables import TableEnvironment

__all__ = ["Environment", "World", "action_names", "is_code", "open_world"]

_USUAL_LIMIT = 1_000
"""Steps after which an episode is cut where the environment would let it go on for ever."""
_ATARI_LIMIT = 27_000
"""The same for Atari: half an hour of play, 108,000 frames of which an agent sees each fourth."""
_PLAIN = (OrderEnforcing, PassiveEnvChecker, RecordEpisodeStatistics, TimeLimit)
"""Wrappers that leave what is seen, done and earned as it was."""
_TRIED = 200
"""Random steps that are compared with a transition table."""


@dataclass(frozen=True)
class World:
    """An environment by its name: how to make one of it, or as many as are wanted.

    Attributes:
        name: a Gymnasium id, module:factory, or a .json file.
        settings: keyword arguments for making it.
        limit: steps after which an episode is truncated.
        kind: whether it shows the number of a state, a vector, or frames.
        shape: of an observation: () of a state, (F,) of a vector, (C, H, W) of a frame.
        states: how many there are, where it shows their number.
        actions: how many there are, or 0 where they are vectors.
        low, high: bounds of an action that is a vector ``(D,)``; empty otherwise.
        dtype: of an observation.
        mdp: its transition table, where it is known.
    """

    name: str
    settings: Mapping[str, Any]
    limit: int
    kind: Literal["state", "vector", "frame"]
    shape: tuple[int, ...]
    states: int
    actions: int
    low: tuple[float, ...]
    high: tuple[float, ...]
    dtype: "np.dtype[Any]"
    mdp: MDP | None = field(repr=False)

    def make(self, render: str | None = None) -> Environment:
        """A new environment in its simple form.

        Args:
            render: how it shall be drawn: "rgb_array", "ansi", or not at all.

        Raises:
            InputError: it cannot be made, or not drawn so.
        """
        return simplified(_make(self.name, self.settings, render, self.limit), self.name, self.limit)

    @cached_property
    def action_names(self) -> tuple[str, ...]:
        """A name for each action, or for each component of one."""
        if self.mdp is not None and self.mdp.actions:
            return self.mdp.actions
        return action_names(self.name, self.actions or len(self.low))


_ACTIONS = {
    "CartPole": ("left", "right"),
    "Acrobot": ("torque -1", "no torque", "torque +1"),
    "MountainCar": ("left", "nothing", "right"),
    "LunarLander": ("nothing", "left engine", "main engine", "right engine"),
    "Blackjack": ("stick", "hit"),
}


def action_names(name: str, count: int) -> tuple[str, ...]:
    """What the actions of an environment are called, where that is known; their numbers otherwise.

    >>> action_names("CartPole-v1", 2)
    ('left', 'right')
    """
    known = _ACTIONS.get(name.rpartition("-")[0], ())
    return known if len(known) == count else tuple(str(number) for number in range(count))


def is_code(name: str) -> bool:
    """Whether opening an environment of this name runs code of the user's: it is named module:factory."""
    return ":" in name


def open_world(name: str, settings: str = "", *, limit: int | None = None, discount: float = 1.0) -> World:
    """An environment by its name, tried out.

    Args:
        name: a Gymnasium id such as "CartPole-v1"; or "module:factory", a function or class that makes an environment
            (modules are looked for in the current folder too); or "module:ID", an id that importing the module registers;
            or a decision process in a .json file.
        settings: keyword arguments for making it, as for :func:`parse_settings`.
        limit: steps after which an episode is truncated; by default the environment's own limit, or 1,000.
        discount: γ of its transition table, where it has one.

    Raises:
        InputError: there is none of that name, it cannot be made, or it breaks the rules of Gymnasium.
    """
    if limit is not None and limit < 1:
        raise InputError(f"--limit must be at least 1, got {limit}")
    if not 0 < discount <= 1:
        raise InputError(f"--discount must be in (0, 1], got {discount:g}")
    arguments = parse_settings(settings)
    raw = _make(name, arguments, None, limit)
    try:
        check(raw, name)
        mdp = _known(raw, name, discount)
        chosen = _limit(raw, name, limit, mdp)
        environment = simplified(raw, name, chosen)
        space, actions = environment.observation_space, environment.action_space
        states = int(space.n) if isinstance(space, spaces.Discrete) else 0
        shape = () if states else tuple(space.shape or ())
        vector = isinstance(actions, spaces.Box)
        return World(
            name=name, settings=arguments, limit=chosen,
            kind="state" if states else "frame" if len(shape) == 3 else "vector",
            shape=shape, states=states, actions=0 if vector else int(getattr(actions, "n", 0)),
            low=tuple(actions.low.tolist()) if isinstance(actions, spaces.Box) else (),
            high=tuple(actions.high.tolist()) if isinstance(actions, spaces.Box) else (),
            dtype=np.dtype(space.dtype), mdp=mdp,
        )  # fmt: skip
    finally:
        with playing(name, "in close()"):
            raw.close()


def _known(raw: Environment, name: str, discount: float) -> MDP | None:
    """The transition table of an environment that shows a whole one and plays by it."""
    inner, wrapper = raw.unwrapped, raw
    while isinstance(wrapper, _PLAIN):
        wrapper = wrapper.env
    if wrapper is not inner:
        return None
    if isinstance(inner, TableEnvironment):
        return replace(inner.mdp, discount=discount)
    if not isinstance(getattr(inner, "P", None), dict):
        return None
    try:
        mdp = MDP.from_environment(raw, discount)
    except (InputError, TypeError, ValueError):  # no table, or one with something left out: there is none to go by
        return None
    sizes = (spaces.Discrete(mdp.state_count), spaces.Discrete(mdp.action_count))
    fits = (inner.observation_space, inner.action_space) == sizes
    return mdp if fits and _plays_by(raw, name, mdp) else None


def _plays_by(raw: Environment, name: str, mdp: MDP) -> bool:
    """Whether random steps agree with a table: a subclass may give other rewards than the table it inherits."""
    with playing(name, "in a random episode"):
        state, over = raw.reset(seed=0)[0], False
        for _ in range(_TRIED):
            if over:
                state = raw.reset()[0]
            pair = state, raw.action_space.sample()
            state, reward, terminated, truncated, _ = raw.step(pair[1])
            branches = (mdp.next_states[pair] == state) & (mdp.probabilities[pair] > 0)
            branches &= np.isclose(mdp.rewards[pair], float(reward)) & (mdp.terminal[pair] == terminated)
            if not branches.any():
                return False
            over = terminated or truncated
    return True


def _limit(raw: Environment, name: str, given: int | None, mdp: MDP | None) -> int:
    """Steps after which an episode is truncated."""
    own = own_limit(raw)
    if own is not None and given is not None and own < given:
        raise InputError(
            f"--limit {given}: environment '{name}' itself cuts its episodes after {own} steps; give at most that"
        )
    usual = _ATARI_LIMIT if is_atari(raw) else _USUAL_LIMIT
    return given or own or (mdp.horizon if mdp is not None else None) or usual


def _make(name: str, settings: Mapping[str, Any], render: str | None, limit: int | None) -> Environment:
    arguments = dict(settings) | ({"render_mode": render} if render else {})
    if name.endswith(".json"):
        if settings:
            raise InputError(f"--settings do not apply to the file '{name}'")
        return TableEnvironment(MDP.from_json(Path(name)), render)
    module, colon, attribute = name.partition(":")
    with _here() if colon else nullcontext(), warnings.catch_warnings():
        # Gymnasium warns of its own later versions, which did_you_mean names where it matters.
        warnings.simplefilter("ignore")
        if colon:
            _import(name, module)
        try:
            if colon and attribute.isidentifier() and attribute not in gymnasium.registry:
                made = _factory(name, module, attribute)(**arguments)
            else:
                made = _registered(name, attribute if colon else name, arguments, limit)
        except InputError:
            raise
        except gymnasium.error.DependencyNotInstalled as error:
            raise InputError(f"environment '{name}' needs a package: {needed_package(str(error))}") from error
        except Exception as error:  # whatever a user's code, or Gymnasium's, may raise
            raise InputError(f"environment '{name}' cannot be made{_with(arguments)}: {one_line(error)}") from error
    if not isinstance(made, gymnasium.Env):
        raise InputError(f"'{name}' made a {type(made).__name__}; expected a gymnasium.Env")
    return made


def _registered(name: str, known: str, arguments: dict[str, Any], limit: int | None) -> Any:
    atari = known.startswith("ALE/")
    if atari:
        _register_atari()
        arguments = {"frameskip": 1} | arguments  # the preprocessing skips frames itself
    if known not in gymnasium.registry:
        raise InputError(f"unknown environment '{name}': {_nearest(known)}")
    if limit is not None and not atari:
        arguments = arguments | {"max_episode_steps": limit}
    try:
        # Gymnasium's own check is left out: each environment is checked once, when it is opened.
        return gymnasium.make(known, disable_env_checker=True, **arguments)
    except gymnasium.error.DeprecatedEnv as error:
        raise InputError(f"unknown environment '{name}': {_nearest(known)}") from error


def _with(arguments: Mapping[str, Any]) -> str:
    return f" with {', '.join(f'{key}={value}' for key, value in arguments.items())}" if arguments else ""


def _nearest(name: str) -> str:
    stem, version, _ = name.rpartition("-v")
    specs = [spec for spec in gymnasium.registry.values() if spec.version is not None]
    versions = [spec for spec in specs if spec.id.rpartition("-v")[0] == (stem if version else name)]
    if versions:
        return f"did you mean '{max(versions, key=lambda spec: spec.version or 0).id}'?"
    hint = did_you_mean(name, gymnasium.registry)
    return (
        hint
        if hint.startswith("did")
        else "see gymnasium.pprint_registry() for those there are, or give module:factory"
    )


@contextmanager
def _here() -> Iterator[None]:
    """Look for modules in the current folder first: someone who names one of their own has it there."""
    sys.path.insert(0, "")
    try:
        yield
    finally:
        if "" in sys.path:
            sys.path.remove("")


def _import(name: str, module: str) -> None:
    try:
        importlib.import_module(module)
    except (Exception, SystemExit) as error:
        hint = f"; leave out the '.py': {module[:-3]}:…" if module.endswith(".py") else ""
        raise InputError(
            f"environment '{name}': module '{module}' cannot be imported: {one_line(error)}{hint}"
        ) from error


def _factory(name: str, module: str, attribute: str) -> Callable[..., Any]:
    found = getattr(sys.modules[module], attribute, None)
    if not callable(found):
        known = [each for each, value in vars(sys.modules[module]).items()
                 if callable(value) and getattr(value, "__module__", None) == module]  # fmt: skip
        raise InputError(f"environment '{name}': module '{module}' has no function or class '{attribute}'; "
                         f"{did_you_mean(attribute, known)}")  # fmt: skip
    return found  # type: ignore[no-any-return]


def _register_atari() -> None:
    try:
        import ale_py
    except ModuleNotFoundError as error:
        raise InputError("Atari environments need a package: pip install 'pendio[atari]'") from error
    gymnasium.register_envs(ale_py)
