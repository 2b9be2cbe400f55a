"""A network's layers: output shapes, parameters, multiply-adds, memory and receptive fields, without computing them."""

import copy
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pendio.anatomy.operations import multiply_adds, without_values
from pendio.anatomy.receptive import Axis, Field, propagate

__all__ = ["Layer", "Summary", "summarize"]


@dataclass(frozen=True)
class Layer:
    """A layer of a network, or a part that holds several.

    Attributes:
        name: its path in the module tree.
        kind: its class.
        output: shape of its output without the batch; empty where that is no tensor.
        parameters: its trainable and frozen numbers, each counted where it is used first.
        multiply_adds: for one input; those of convolutions, linear layers, matrix products and attention.
        bytes: of what it puts out, for one input.
        field: what its output values see of an image; None where there is no image to see.
        unknown: its operations whose cost is not known; they are not in ``multiply_adds``.
    """

    name: str
    kind: str
    output: tuple[int, ...]
    parameters: int
    multiply_adds: int
    bytes: int
    field: Field | None
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True)
class Summary:
    """All layers in the order they ran, and the totals over the whole network.

    Attributes:
        input: shape of the input without the batch.
        layers: those that hold no others, and what runs outside of any.
        parts: those that hold others, under their names.
        parameters, trainable, multiply_adds, unknown: of the whole network.
        bytes: of all layers' outputs: what a forward pass keeps for the backward pass, at most, for one input.
    """

    input: tuple[int, ...]
    layers: tuple[Layer, ...]
    parts: dict[str, Layer]
    parameters: int
    trainable: int
    multiply_adds: int
    bytes: int
    unknown: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The summary in plain values, without the parts."""
        return {name: value for name, value in asdict(self).items() if name != "parts"}

    def to_depth(self, depth: int) -> list[Layer]:
        """The layers down to a depth of the module tree, those below added up under the part that holds them."""
        rows: dict[str, Layer] = {}
        for layer in self.layers:
            name = ".".join(layer.name.split(".")[:depth])
            if name == layer.name and name not in self.parts:
                rows[f"{name} {len(rows)}"] = layer  # a row for each time a layer runs
                continue
            # A list of modules holds others without ever running itself.
            whole = self.parts.get(name, replace(layer, name=name, kind="ModuleList"))
            part = rows.get(name, replace(whole, parameters=0, multiply_adds=0, bytes=0, unknown=()))
            rows[name] = replace(
                part,
                parameters=part.parameters + layer.parameters,
                multiply_adds=part.multiply_adds + layer.multiply_adds,
                bytes=part.bytes + layer.bytes,
                unknown=tuple(dict.fromkeys(part.unknown + layer.unknown)),
            )
        return list(rows.values())


def summarize(module: nn.Module, shape: Sequence[int]) -> Summary:
    """Count ``module`` for one input of ``shape`` (without the batch).

    The forward pass runs on torch's meta device, where tensors have shapes but no values, on a copy: a network of any
    size is counted in the time its Python takes.

    Raises:
        ValueError: the module cannot take such an input.
    """
    ghost = _ghost(module)
    count = _Count(ghost)
    try:
        with torch.no_grad():
            example = torch.zeros(1, *shape, device="meta")
            count.set_field(example, _start(shape))
            with count:
                ghost(example)
    except (RuntimeError, ValueError, TypeError, NotImplementedError, IndexError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"this network cannot take an input of shape {tuple(shape)}: {reason}") from error
    finally:
        count.remove_hooks()
    return Summary(
        input=tuple(shape),
        layers=tuple(count.layers),
        parts=count.parts,
        parameters=sum(p.numel() for p in module.parameters()),
        trainable=sum(p.numel() for p in module.parameters() if p.requires_grad),
        multiply_adds=sum(layer.multiply_adds for layer in count.layers),
        bytes=sum(layer.bytes for layer in count.layers),
        unknown=tuple(dict.fromkeys(name for layer in count.layers for name in layer.unknown)),
    )


def _start(shape: Sequence[int]) -> Field | None:
    return Field((Axis(), Axis())) if len(shape) == 3 else None


def _ghost(module: nn.Module) -> nn.Module:
    """A copy of a module without its values, in evaluation mode: ``deepcopy`` is told what stands for each tensor."""
    memo: dict[int, Any] = {}
    for tensor in (*module.parameters(), *module.buffers()):
        empty = torch.empty_like(tensor, device="meta")
        memo[id(tensor)] = nn.Parameter(empty, requires_grad=False) if isinstance(tensor, nn.Parameter) else empty
    return copy.deepcopy(module, memo).eval()


def _tensors(values: Sequence[Any]) -> list[Tensor]:
    """The tensors among values, also within lists of them and deeper."""
    found = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, list | tuple | dict):
            found += [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]
    return found


class _Count(TorchDispatchMode):
    """Watches every operation of a forward pass, and knows by hooks in which layer it happens."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.layers: list[Layer] = []
        self.parts: dict[str, Layer] = {}
        self._fields: dict[int, tuple[Tensor, Field | None]] = {}
        self._open: list[str] = []
        self._cost: dict[str, int] = {}
        self._unknown: dict[str, dict[str, None]] = {}
        self._counted: set[int] = set()
        self._handles = []
        for name, part in module.named_modules():
            is_leaf = not any(True for _ in part.children())
            watch = _Watch(self, name or "network", is_leaf)
            self._handles += [
                part.register_forward_pre_hook(watch.before), part.register_forward_hook(watch.after)
            ]  # fmt: skip
        self._kinds = {name or "network": type(part).__name__ for name, part in module.named_modules()}

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count an operation and follow what its result sees."""
        output = without_values(operation, args, kwargs or {})
        results = _tensors((output,))
        if not results:
            return output
        cost = multiply_adds(operation, args, results[0])
        where = self._open[-1] if self._open else "network"
        if cost is None:
            self._unknown.setdefault(where, {})[operation.overloadpacket.__name__] = None
        self._cost[where] = self._cost.get(where, 0) + (cost or 0)
        fields = [self.field_of(tensor) for tensor in _tensors(args)]
        for result in results:
            field = propagate(operation, args, fields, result)
            if field is not None:
                self.set_field(result, field)
        return output

    def set_field(self, tensor: Tensor, field: Field | None) -> None:
        """Remember what a tensor sees, and the tensor too: without values it costs nothing, and its id stays its own."""
        self._fields[id(tensor)] = (tensor, field)

    def field_of(self, tensor: Tensor) -> Field | None:
        """What a tensor sees."""
        return self._fields.get(id(tensor), (None, None))[1]

    def enter(self, name: str) -> None:
        """A layer begins."""
        self._open.append(name)

    def leave(self, name: str, part: nn.Module, output: Any, is_leaf: bool) -> None:
        """A layer ends: write it down, and what ran in it outside of any layer below as a row of its own."""
        self._open.pop()
        tensor = next(iter(_tensors((output,))), None)
        fresh = [p for p in part.parameters(recurse=False) if id(p) not in self._counted]
        self._counted.update(id(p) for p in fresh)
        row = Layer(
            name,
            self._kinds[name],
            () if tensor is None else tuple(tensor.shape[1:]),
            sum(p.numel() for p in fresh),
            self._cost.pop(name, 0),
            0 if tensor is None else tensor.numel() * tensor.element_size(),
            None if tensor is None else self.field_of(tensor),
            tuple(self._unknown.pop(name, {})),
        )
        if is_leaf:
            self.layers.append(row)
            return
        self.parts[name] = row
        if row.parameters or row.multiply_adds or row.unknown:
            # Attention's matrix products, or a class token, belong to a part itself; its output is counted below.
            self.layers.append(replace(row, bytes=0))

    def remove_hooks(self) -> None:
        """Leave the module as it was."""
        for handle in self._handles:
            handle.remove()


class _Watch:
    """Hooks around one layer's forward pass."""

    def __init__(self, count: _Count, name: str, is_leaf: bool) -> None:
        self.count, self.name, self.is_leaf = count, name, is_leaf

    def before(self, part: nn.Module, inputs: Any) -> None:
        """The layer begins."""
        self.count.enter(self.name)

    def after(self, part: nn.Module, inputs: Any, output: Any) -> None:
        """The layer ends."""
        self.count.leave(self.name, part, output, self.is_leaf)
