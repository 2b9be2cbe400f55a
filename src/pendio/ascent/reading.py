"""Reading what layers of a network put out, and leaving the network as it was found."""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from pendio.errors import InputError, did_you_mean
from pendio.nn.network import Network

__all__ = ["LOGITS", "Precision", "Reader", "Readings", "channels_first", "fingerprint", "frozen", "wide"]

LOGITS = "logits"
"""The name under which a network's own output is read."""

Precision = Literal["float32", "bf16"]


@dataclass(frozen=True)
class Readings:
    """What a network makes of images.

    Attributes:
        images: ``(N, C, H, W)`` in [0, 1].
        outputs: layer → what it put out, one row an image.
        rows: ``(N,)`` which of the climb's images these are: some may have left it already.
    """

    images: Tensor
    outputs: Mapping[str, Tensor]
    rows: Tensor

    def __getitem__(self, layer: str) -> Tensor:
        return self.outputs[layer]


@contextlib.contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """A network in evaluation mode whose weights need no gradient; afterwards each of its parts is as it was before."""
    modes = [(module, module.training) for module in network.modules()]
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for module, _ in modes:
        module.training = False
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for parameter in learning:
            parameter.requires_grad_(True)


def fingerprint(network: nn.Module) -> tuple[Any, ...]:
    """Numbers that change when a network does: its weights, buffers, modes, gradients and hooks."""
    tensors = (*network.parameters(), *network.buffers())
    sums = torch.stack([value.detach().double().sum().cpu() for value in tensors]) if tensors else torch.zeros(0)
    flags = tuple(module.training for module in network.modules())
    learning = tuple((p.requires_grad, p.grad is None) for p in network.parameters())
    hooks = sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in network.modules())
    return (*sums.tolist(), flags, learning, hooks)


def channels_first(output: Tensor) -> Tensor:
    """What a layer put out as ``(N, channels, places)``: maps, vectors, or tokens ``(N, T, channels)``."""
    if output.ndim == 3:
        return output.transpose(1, 2)
    return output.flatten(2) if output.ndim > 3 else output[:, :, None]


def wide(values: Tensor) -> Tensor:
    """Numbers in float32 at least, whatever a network computed in: sums of squares overflow or vanish in less."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


class _Enough(Exception):  # noqa: N818  (no error: the way out of a forward pass)
    """All that was asked for has been read."""


class Reader:
    """Runs a network on images and reads some of its layers.

    The forward pass ends at the deepest of them. A layer that runs several times in a pass is read at its last. What is
    read is safe from in-place operations that follow. Hooks are there only during a call.

    Args:
        network: its module is run on normalised images of their own size.
        layers: names as ``pendio summary`` lists them; "logits" is the network's output.
        precision: number format of the forward and backward pass.

    Raises:
        InputError: there is no layer of a name.
    """

    def __init__(self, network: Network, layers: Iterable[str], precision: Precision = "float32") -> None:
        self._network = network
        self._parts = {name: _part(network.module, name) for name in sorted(set(layers)) if name != LOGITS}
        self._to_the_end = LOGITS in set(layers) or not self._parts
        self._precision = precision
        self._runs: Counter[str] | None = None  # how often each layer runs in a pass: known after the first

    def __call__(self, images: Tensor, rows: Tensor | None = None) -> Readings:
        """What the layers put out for ``(N, C, H, W)`` images in [0, 1].

        Raises:
            InputError: the network or a layer gives no tensor.
        """
        outputs: dict[str, Tensor] = {}
        seen: Counter[str] = Counter()
        handles = [part.register_forward_hook(self._keep(name, outputs, seen)) for name, part in self._parts.items()]
        try:
            with torch.autocast(images.device.type, torch.bfloat16, enabled=self._precision == "bf16"):
                outputs[LOGITS] = _tensor(self._network.module(self._network.normalize(images)), "this network")
            self._check(seen)
        except _Enough:
            pass
        finally:
            for handle in handles:
                handle.remove()
        self._runs = self._runs or seen
        return Readings(images, outputs, torch.arange(len(images)) if rows is None else rows)

    def _keep(self, name: str, outputs: dict[str, Tensor], seen: Counter[str]) -> Callable[..., None]:
        def keep(module: nn.Module, inputs: Any, output: Any) -> None:
            seen[name] += 1
            found = _tensor(output, f"layer '{name}'")
            last = not self._to_the_end and seen == self._runs
            # Only what nothing follows is safe without a copy.
            outputs[name] = found if last else found.clone()
            if last:
                raise _Enough

        return keep

    def _check(self, seen: Counter[str]) -> None:
        for name in self._parts:
            if not seen[name]:
                raise InputError(f"layer '{name}' does not run when this network does; choose one of those that do")


def _part(module: nn.Module, name: str) -> nn.Module:
    parts: dict[str, nn.Module] = dict(module.named_modules())
    if not name or name not in parts:
        known = did_you_mean(name, [LOGITS, *filter(None, parts)])
        known = known if len(known) < 200 else "pendio summary lists them"
        raise InputError(f"this network has no layer '{name}'; {known}")
    return parts[name]


def _tensor(output: Any, whose: str) -> Tensor:
    if isinstance(output, Tensor):
        return output
    raise InputError(
        f"{whose} returns a {type(output).__name__} instead of a tensor; wrap the module so that it returns the one "
        "that is meant"
    )
