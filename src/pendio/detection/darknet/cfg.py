"""Darknet's description of networks: sections of ``key=value`` lines, read and written."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pendio.detection.darknet.sections import LAYERS, Activation, Anchors, Config, Layer, Net, section_name, sources
from pendio.errors import InputError, did_you_mean, excerpt

__all__ = ["format_cfg", "parse_cfg", "read_cfg"]

_MOST_BYTES = 1 << 20
_MOST_LAYERS = 2000

_ALIASES = {"network": "net", "conv": "convolutional", "max": "maxpool", "avg": "avgpool", "soft": "softmax"}

_KEYS = {"source": "from"}
"""Field → key, where they differ because Python keeps the word for itself."""

_TRAINING = frozenset(
    {"jitter", "random", "max", "max_boxes", "label_smooth_eps", "counters_per_class", "show_details"}
)
"""Keys of a [yolo] that change its training alone. Any other that is not known could change what it computes."""


def read_cfg(path: Path) -> Config:
    """The network that a ``.cfg`` file describes.

    Raises:
        InputError: the file cannot be read, or has a mistake; the message names file and line.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InputError(f"'{path}' is larger than {_MOST_BYTES >> 20} MiB: no .cfg file")
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"'{path}' is no text: a .cfg file is meant; did you give the .weights file?") from error
    except OSError as error:
        raise InputError(f"cannot read '{path}': {error.strerror or error}") from error
    return parse_cfg(text, str(path))


def parse_cfg(text: str, source: str = "cfg") -> Config:
    """The network that a text describes. Lines that begin with ``#`` or ``;`` are comments.

    Args:
        text: sections in brackets, each followed by lines ``key=value``; the first is [net].
        source: what messages call it.

    Raises:
        InputError: a line is neither, a section or key is unknown, a key is missing or stands twice, a value is none, or
            a layer reads one that does not come before it.
    """
    found = _sections(text, source)
    if not found or found[0].name != "net":
        raise InputError(f"{source}: the first section must be [net]")
    if len(found) - 1 > _MOST_LAYERS:
        raise InputError(f"{source}: {len(found) - 1} layers; at most {_MOST_LAYERS} are read")
    net = _filled(Net, found[0])
    layers: list[Layer] = []
    for number, section in enumerate(found[1:]):
        if section.name not in LAYERS:
            raise InputError(f"{section.place}: unknown section: {did_you_mean(section.name, LAYERS)}")
        layers.append(_filled(LAYERS[section.name], section))
        try:
            sources(layers[-1], number)
        except InputError as error:
            raise InputError(f"{section.place}: layer {number}: {error}") from error
    if not layers:
        raise InputError(f"{source}: there is no layer after [net]")
    return Config(net, tuple(layers), source, tuple(section.line for section in found[1:]))


@dataclass
class _Section:
    name: str
    source: str
    line: int
    pairs: dict[str, tuple[str, int]] = dataclasses.field(default_factory=dict)

    @property
    def place(self) -> str:
        return f"{self.source}:{self.line}: [{excerpt(self.name)}]"


def _sections(text: str, source: str) -> list[_Section]:
    found: list[_Section] = []
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        if line[0] == "[" and line[-1] == "]":
            name = line[1:-1].strip()
            found.append(_Section(_ALIASES.get(name, name), source, number))
            continue
        key, equals, value = (part.strip() for part in line.partition("="))
        if not equals or not key:
            raise InputError(f"{source}:{number}: neither [section] nor key=value: '{excerpt(line)}'")
        if not found:
            raise InputError(f"{source}:{number}: '{excerpt(key)}' stands before any section; begin with [net]")
        if key in found[-1].pairs:
            raise InputError(f"{source}:{number}: {excerpt(key)} stands twice in [{found[-1].name}]")
        found[-1].pairs[key] = (value, number)
    return found


def _filled(kind: Callable[..., Any], section: _Section) -> Any:
    """A section as its dataclass."""
    fields = {_KEYS.get(field.name, field.name): field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    keeps = fields.pop("others", None) is not None
    values: dict[str, Any] = {}
    others = []
    for key, (text, line) in section.pairs.items():
        if key in fields:
            try:
                values[fields[key].name] = _value(fields[key].type, text)
            except ValueError as error:
                raise InputError(f"{section.source}:{line}: {key} must be {error}, got '{excerpt(text)}'") from error
        elif keeps and (kind is Net or key in _TRAINING):
            others.append((key, text))
        else:
            raise InputError(f"{section.source}:{line}: [{section.name}] has no key that is read here by the name of "
                             f"'{excerpt(key)}': {did_you_mean(key, fields)}")  # fmt: skip
    for key, field in fields.items():
        if field.default is dataclasses.MISSING and field.name not in values:
            raise InputError(f"{section.place}: {key}=… is missing")
    try:
        return kind(**values, **({"others": tuple(others)} if keeps else {}))
    except InputError as error:
        raise InputError(f"{section.place}: {error}") from error


def _value(kind: Any, text: str) -> Any:
    """What a value's text means; the ValueError says what it should be."""
    if kind is bool:
        if text not in ("0", "1"):
            raise ValueError("0 or 1")
        return text == "1"
    if kind == Activation:
        if text not in get_args(Activation):
            raise ValueError(f"one of {', '.join(get_args(Activation))}")
        return text
    if kind is float:
        return _numbers([text], float, "a number")[0]
    parts = [part for part in text.replace(" ", "").replace("\t", "").split(",") if part]
    if kind == tuple[int, ...]:
        return tuple(_numbers(parts, int, "whole numbers with commas between"))
    if kind == Anchors:
        sides = _numbers(parts, float, "numbers with commas between")
        if len(sides) % 2:
            raise ValueError("pairs of width and height")
        return tuple(zip(sides[::2], sides[1::2], strict=True))
    return _numbers([text], int, "a whole number")[0]


def _numbers(parts: Sequence[str], kind: Callable[[str], Any], what: str) -> list[Any]:
    try:
        return [kind(part) for part in parts]
    except ValueError:
        raise ValueError(what) from None


def format_cfg(config: Config) -> str:
    """The network as the text of a ``.cfg`` file, which :func:`parse_cfg` reads to the same.

    >>> from pendio.detection.darknet.sections import Convolutional, Shortcut
    >>> print(format_cfg(Config(Net(64, 64), (Convolutional(8, 3, pad=True), Shortcut(-1)))).split("[convolutional]")[1])
    <BLANKLINE>
    filters=8
    size=3
    stride=1
    pad=1
    activation=logistic
    <BLANKLINE>
    [shortcut]
    from=-1
    activation=linear
    <BLANKLINE>
    """
    return "\n".join(_written(section) for section in (config.net, *config.layers))


_ALWAYS = frozenset(
    {"width", "height", "channels", "size", "stride", "classes", "activation", "ignore_thresh", "truth_thresh"}
)
"""Keys worth reading even where they have the value that a missing one stands for."""


def _written(section: Layer | Net) -> str:
    lines = [f"[{section_name(section)}]"]
    for field in dataclasses.fields(section):
        value = getattr(section, field.name)
        if field.name == "others":
            lines += [f"{key}={text}" for key, text in value]
        elif value is not None and (field.name in _ALWAYS or value != field.default):
            lines.append(f"{_KEYS.get(field.name, field.name)}={_text(value)}")
    return "\n".join(lines) + "\n"


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(",".join(map(_text, part)) if isinstance(part, tuple) else _text(part) for part in value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    return str(int(value)) if isinstance(value, bool) else str(value)
