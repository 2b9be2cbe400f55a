"""A network's layers: output shapes, parameters and multiply-adds, counted without computing or storing anything."""

import copy
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

__all__ = ["Layer", "Summary", "summarize"]


@dataclass(frozen=True)
class Layer:
    """A layer of a network.

    Attributes:
        name: its path in the module tree.
        kind: its class.
        output: shape of its output without the batch.
        parameters: its own trainable and frozen numbers.
        multiply_adds: for one input; those of convolutions, linear layers and matrix products.
    """

    name: str
    kind: str
    output: tuple[int, ...]
    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class Summary:
    """All layers in the order they ran, and the totals over the whole network."""

    input: tuple[int, ...]
    layers: tuple[Layer, ...]
    parameters: int
    trainable: int
    multiply_adds: int

    def to_dict(self) -> dict[str, Any]:
        """The summary in plain values."""
        return asdict(self)


def summarize(module: nn.Module, shape: Sequence[int]) -> Summary:
    """Count ``module`` for one input of ``shape`` (without the batch).

    The forward pass runs on torch's meta device, where tensors have shapes but no values, on a copy.

    Raises:
        ValueError: the module cannot take such an input.
    """
    ghost = _ghost(module)
    layers: list[Layer] = []
    counter = FlopCounterMode(display=False)
    handles = []
    for name, part in ghost.named_modules():
        if not any(True for _ in part.children()):
            watch = _Watch(name or "network", layers, counter)
            handles += [part.register_forward_pre_hook(watch.before), part.register_forward_hook(watch.after)]
    try:
        with torch.no_grad(), counter:
            # Normalisation by one value a channel needs two examples only in training; one suffices here.
            ghost(torch.zeros(1, *shape, device="meta"))
    except (RuntimeError, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"this network cannot take an input of shape {tuple(shape)}: {reason}") from error
    finally:
        for handle in handles:
            handle.remove()
    return Summary(
        input=tuple(shape),
        layers=tuple(layers),
        parameters=sum(p.numel() for p in module.parameters()),
        trainable=sum(p.numel() for p in module.parameters() if p.requires_grad),
        multiply_adds=counter.get_total_flops() // 2,
    )


def _ghost(module: nn.Module) -> nn.Module:
    """A copy of a module without its values, in evaluation mode: ``deepcopy`` is told what stands for each tensor."""
    memo: dict[int, Any] = {}
    for tensor in (*module.parameters(), *module.buffers()):
        empty = torch.empty_like(tensor, device="meta")
        memo[id(tensor)] = nn.Parameter(empty, requires_grad=False) if isinstance(tensor, nn.Parameter) else empty
    return copy.deepcopy(module, memo).eval()


class _Watch:
    """Hooks around one layer's forward pass."""

    def __init__(self, name: str, layers: list[Layer], counter: FlopCounterMode) -> None:
        self.name, self.layers, self.counter = name, layers, counter
        self.start = 0
        self.ran = False

    def before(self, part: nn.Module, inputs: Any) -> None:
        """Remember how much was counted so far."""
        self.start = self.counter.get_total_flops()

    def after(self, part: nn.Module, inputs: Any, output: Any) -> None:
        """Write the layer down. A layer that runs twice gets two lines, its parameters only in the first."""
        shape = tuple(output.shape[1:]) if isinstance(output, Tensor) else ()
        parameters = 0 if self.ran else sum(p.numel() for p in part.parameters())
        self.ran = True
        counted = (self.counter.get_total_flops() - self.start) // 2
        self.layers.append(Layer(self.name, type(part).__name__, shape, parameters, counted))
