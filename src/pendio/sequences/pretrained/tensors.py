"""The tensors of a ``model.safetensors``, compared with what a model needs before any of them is read."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import safetensors
import torch
from torch import Tensor, nn

from pendio.errors import InputError
from pendio.sequences.pretrained.folders import WEIGHTS

__all__ = ["Part", "load_weights"]

_OLD_NAMES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
"""What the first BERTs called them."""

_FLOATS = ("F64", "F32", "F16", "BF16")


class Part(NamedTuple):
    """Where a weight of pendio's stands in a file.

    Attributes:
        name: of the parameter.
        sources: tensors in the file that are joined along their first axis to make it.
        transposed: whether the file has it as ``(inputs, outputs)``.
    """

    name: str
    sources: tuple[str, ...]
    transposed: bool = False

    def shape(self, parameter: Tensor) -> tuple[int, ...]:
        """Of each source."""
        shape = (parameter.shape[0] // len(self.sources), *parameter.shape[1:])
        return shape[::-1] if self.transposed else shape


class _File:
    """An open file: the names, shapes and kinds of its tensors are known, their numbers not read yet."""

    def __init__(self, folder: Path, prefix: str) -> None:
        self.path = folder / WEIGHTS
        if not self.path.is_file():
            raise InputError(f"there is no '{self.path}'; expected the weights in this one file, as safetensors")
        try:
            self._file = safetensors.safe_open(str(self.path), "pt")
        except (OSError, safetensors.SafetensorError) as error:
            raise InputError(f"weights file '{self.path}' is damaged or no safetensors file: {error}") from error
        self.names: dict[str, str] = {}
        for name in self._file.keys():  # noqa: SIM118
            if self.names.setdefault(_plain(name, prefix), name) != name:
                raise InputError(f"'{self.path}' has {_plain(name, prefix)[:80]} twice, under two names")

    def check(self, name: str, shape: tuple[int, ...]) -> None:
        if name not in self.names:
            raise InputError(f"'{self.path}' lacks the tensor {name}, which its config.json implies")
        entry = self._file.get_slice(self.names[name])
        if tuple(entry.get_shape()) != shape or entry.get_dtype() not in _FLOATS:
            raise InputError(f"'{self.path}': the tensor {self.names[name]} is {entry.get_dtype()} "
                             f"{tuple(entry.get_shape())}, expected floating-point {shape} by its config.json")  # fmt: skip

    def read(self, name: str) -> Tensor:
        tensor: Tensor = self._file.get_tensor(self.names[name])
        return tensor.float()


def _plain(name: str, prefix: str) -> str:
    name = name.removeprefix(prefix)
    for old, new in _OLD_NAMES.items():
        if name.endswith(old):
            return name.removesuffix(old) + new
    return name


def load_weights(
    module: nn.Module,
    folder: Path,
    parts: Sequence[Part],
    *,
    prefix: str,
    unused: re.Pattern[str],
    besides: Mapping[str, tuple[int, ...]] = MappingProxyType({}),
    twins: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Tensor]:
    """Give a module on the meta device its weights, in float32.

    Args:
        module: whose parameters are all named by ``parts``.
        folder: that holds ``model.safetensors``.
        parts: where each stands in the file.
        prefix: that all names may have.
        unused: names of tensors that may stand there and are not needed.
        besides: shapes of tensors that are wanted and are no parameters.
        twins: names of tensors that may stand there, and of those that they must equal.

    Returns:
        Those wanted ``besides``.

    Raises:
        InputError: the file is missing or damaged; it lacks a tensor, or has one that nothing asks for, or one of another
            shape or without fractions, or twins that differ.
    """
    file = _File(folder, prefix)
    parameters = dict(module.named_parameters())
    for part in parts:
        for source in part.sources:
            file.check(source, part.shape(parameters[part.name]))
    for name, shape in besides.items():
        file.check(name, shape)
    known = {source for part in parts for source in part.sources} | set(besides) | set(twins)
    for name in sorted(file.names.keys() - known):
        if not unused.fullmatch(name):
            raise InputError(f"'{file.path}' has a tensor {name[:80]}, for which the model has no place")
    for twin, name in twins.items():
        if twin in file.names and not torch.equal(file.read(twin), file.read(name)):
            raise InputError(f"'{file.path}': {twin} differs from {name}; only a head tied to it is supported")
    weights = {}
    for part in parts:
        joined = torch.cat([file.read(source) for source in part.sources])
        weights[part.name] = joined.T.contiguous() if part.transposed else joined
    module.load_state_dict(weights, assign=True)
    return {name: file.read(name) for name in besides}
