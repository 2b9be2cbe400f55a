"""Folders as Hugging Face's ``transformers`` writes them: a ``config.json`` beside a ``model.safetensors``."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from pendio.data.text.tokenizer_files import FileTokenizer, from_pretrained_json
from pendio.errors import InputError
from pendio.nn.kinds import Activation

__all__ = [
    "ACTIVATIONS",
    "CONFIG",
    "WEIGHTS",
    "Config",
    "Pretrained",
    "is_pretrained",
    "load_tokenizer",
    "read_config",
]

Pretrained = Literal["gpt2", "bert"]
"""A decoder of GPT-2's kind, or an encoder of BERT's."""

CONFIG, WEIGHTS = "config.json", "model.safetensors"

ACTIVATIONS: dict[str, Activation] = {
    "gelu": "gelu",
    "gelu_new": "gelu-tanh",
    "gelu_pytorch_tanh": "gelu-tanh",
    "relu": "relu",
}
"""What a config calls the functions of the dense networks."""

_MAX_CONFIG = 1 << 20


@dataclass(frozen=True)
class Config:
    """A ``config.json``, of which nothing is believed.

    Attributes:
        path: of the file, for messages.
        values: what it says.
    """

    path: Path
    values: Mapping[str, Any]

    def whole(self, name: str, most: int) -> int:
        """A whole number from 1 to ``most``.

        Raises:
            InputError: it is missing or anything else.
        """
        value = self._value(name)
        if type(value) is not int or not 1 <= value <= most:
            raise InputError(f"'{self.path}': {name} must be a whole number from 1 to {most:,}, got {_short(value)}")
        return value

    def fraction(self, name: str) -> float:
        """A number above 0 and below 1.

        Raises:
            InputError: it is missing or anything else.
        """
        value = self._value(name)
        if not isinstance(value, float) or not 0 < value < 1:
            raise InputError(f"'{self.path}': {name} must be a number between 0 and 1, got {_short(value)}")
        return value

    def activation(self, name: str) -> Activation:
        """The function of the dense networks.

        Raises:
            InputError: it is missing, or none that pendio has.
        """
        value = self._value(name)
        if not isinstance(value, str) or value not in ACTIVATIONS:
            raise InputError(f"'{self.path}': {name} must be one of {', '.join(ACTIVATIONS)}, got {_short(value)}")
        return ACTIVATIONS[value]

    def demand(self, expected: Mapping[str, Any]) -> None:
        """Check what changes the model's formula and has one value that pendio builds; what is not said has it.

        Raises:
            InputError: something has another value.
        """
        for name, value in expected.items():
            if self.values.get(name, value) != value:
                raise InputError(f"'{self.path}': {name} is {_short(self.values[name])}, and only {json.dumps(value)} "
                                 "is supported")  # fmt: skip

    def _value(self, name: str) -> Any:
        if name not in self.values:
            raise InputError(f"'{self.path}' lacks {name}; expected a config.json as transformers writes it")
        return self.values[name]


def _short(value: object) -> str:
    return json.dumps(value)[:60]


def is_pretrained(folder: str | Path) -> Pretrained | None:
    """Which kind of model a folder holds; None where there is no ``config.json``.

    Raises:
        InputError: there is one, and it is damaged or of a model that is not supported.
    """
    path = Path(folder) / CONFIG
    if not path.is_file():
        return None
    kind = _read(path).values.get("model_type")
    if kind not in ("gpt2", "bert"):
        raise InputError(f"'{path}' is of a model of type {_short(kind)}; supported are gpt2 (decoders) and bert "
                         "(encoders such as MiniLM)")  # fmt: skip
    return cast(Pretrained, kind)


def read_config(folder: str | Path, kind: Pretrained) -> Config:
    """The ``config.json`` of a folder with a model of a kind.

    Raises:
        InputError: it is missing or damaged, or of another kind.
    """
    found = is_pretrained(folder)
    if found is None:
        raise InputError(f"there is no '{Path(folder) / CONFIG}'; expected a folder with {CONFIG} and {WEIGHTS}")
    if found != kind:
        raise InputError(f"'{folder}' holds a model of type {found}, expected {kind}")
    return _read(Path(folder) / CONFIG)


def _read(path: Path) -> Config:
    try:
        if path.stat().st_size > _MAX_CONFIG:
            raise InputError(f"'{path}' is larger than {_MAX_CONFIG >> 20} MiB, too large for a config")
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"'{path}' cannot be read as JSON: {error}") from error
    if not isinstance(values, dict):
        raise InputError(f"'{path}' holds a {type(values).__name__}, expected an object")
    return Config(path, values)


def load_tokenizer(folder: str | Path, vocabulary: int) -> FileTokenizer:
    """The tokenizer of a folder, from its ``tokenizer.json`` or BERT's ``vocab.txt``.

    Args:
        folder: that holds the model.
        vocabulary: how many tokens the model has.

    Raises:
        InputError: there is none, it is damaged, or it makes tokens that the model does not have.
    """
    for path in (Path(folder) / "tokenizer.json", Path(folder) / "vocab.txt"):
        if path.is_file():
            tokenizer = from_pretrained_json(path)
            if tokenizer.size > vocabulary:
                raise InputError(f"'{path}' has {tokenizer.size:,} tokens and the model beside it {vocabulary:,}: they "
                                 "do not belong together")  # fmt: skip
            return tokenizer
    raise InputError(f"'{folder}' has no tokenizer; expected a tokenizer.json or a vocab.txt in it")
