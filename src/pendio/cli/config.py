"""Options from config files."""

from pathlib import Path
from typing import Any

import cyclopts
import yaml

from pendio.cli.app import say, train
from pendio.errors import InputError
from pendio.options import flag
from pendio.presets import preset

__all__ = ["take_config"]


def take_config(arguments: list[str]) -> list[str]:
    """The arguments without ``--config FILE``, whose options become the defaults of ``train``.

    ``--resume --out RUN`` takes the run's own config as if it were named. Without either, an agent gets the preset of its
    environment, a tagger that of its family, and what learns on the scenes theirs.
    """
    path = _option(arguments, "--config")
    rest = [text for text in arguments if not text.startswith("--config=")]
    if "--config" in rest:
        place = rest.index("--config")
        del rest[place : place + 2]
    if path is None and "--resume" in rest:
        own = Path(_option(rest, "--out") or "") / "config.yaml"
        path = str(own) if own.is_file() else None
    if path is not None:
        options, source = _config_options(Path(path)), path
    else:
        subject, known = _preset(rest)
        options, source = {name.replace("_", "-"): value for name, value in known.items()}, "presets"
        taken = [_spelt(name, value) for name, value in known.items() if not _names(rest, name)]
        if taken and "--help" not in rest:
            say(f"preset for {subject}: {' '.join(taken)}")
    if options:
        # Under their commands' names, because a flat option named as a command, such as style, would be left out.
        train.config = [cyclopts.config.Dict({"train": dict.fromkeys(train, options)}, source=source)]
    return rest


def _preset(arguments: list[str]) -> tuple[str, dict[str, Any]]:
    """What the arguments ask to train, and the options that are known to work for it."""
    named = {name: given for name in ("model", "data", "env") if (given := _option(arguments, flag(name)))}
    return preset((arguments[1:2] or [""])[0], named) if arguments[:1] == ["train"] else ("", {})


def _names(arguments: list[str], name: str) -> bool:
    """Whether an option is among the arguments."""
    spellings = (flag(name), flag(f"no_{name}"))
    return any(text.partition("=")[0] in spellings for text in arguments)


def _spelt(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return flag(name if value else f"no_{name}")
    return f"{flag(name)} {value}"


def _option(arguments: list[str], name: str) -> str | None:
    """What is given as ``name VALUE`` or ``name=VALUE``; an empty text where the value is missing."""
    for number, text in enumerate(arguments):
        if text == name:
            return (arguments[number + 1 :] or [""])[0]
        if text.startswith(f"{name}="):
            return text.partition("=")[2]
    return None


def _config_options(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"config '{path}' cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"config '{path}' is no YAML: {' '.join(str(error).split())}") from error
    if isinstance(content, dict) and isinstance(content.get("options"), dict):
        content = {**content["options"], **(content.get("plan") or {})}
    if not isinstance(content, dict):
        raise InputError(f"config '{path}' holds no options; expected name: value lines, or a run's config.yaml")
    return {str(name).replace("_", "-"): value for name, value in content.items() if value is not None}
