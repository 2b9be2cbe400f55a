"""Which layers of a network are worth looking at, from shallow to deep, and whether an image is large enough for them."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from pendio.anatomy.summary import summarize
from pendio.ascent.reading import LOGITS, Reader, frozen
from pendio.errors import InputError
from pendio.nn.network import Network

__all__ = ["PLACES", "check_size", "levels", "painting_layers"]

PLACES = 8
"""Side of the smallest map whose Gram matrix is taken for a style."""


def levels(network: Network, shape: tuple[int, int, int] | None = None) -> list[str]:
    """One layer for each resolution that the network's maps have, from fine to coarse.

    Of the parts that end at a resolution, those nearest to the root of the module tree are whole stages; the last of them
    has seen all that happens at this resolution.
    """
    ended: dict[tuple[int, ...], dict[str, int]] = {}

    def note(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.ndim == 4 and output.shape[2] * output.shape[3] > 1:
                ended.setdefault(tuple(output.shape[2:]), {})[name] = name.count(".")

        return hook

    handles = [part.register_forward_hook(note(name)) for name, part in network.module.named_modules() if name]
    try:
        with frozen(network), torch.no_grad():
            network.module(torch.zeros(1, *(shape or network.shape)).to(network.mean))
    finally:
        for handle in handles:
            handle.remove()
    if not ended:
        raise InputError("this network has no layer with a map (N, C, H, W); name its layers yourself")
    chosen = []
    for parts in ended.values():
        shallowest = min(parts.values())
        chosen.append([name for name, depth in parts.items() if depth == shallowest][-1])
    return chosen


def painting_layers(network: Network, shape: tuple[int, ...]) -> tuple[str, list[str]]:
    """Where content is compared, and where style, of images ``(C, H, W)``.

    Content is compared at the layer of the third resolution; style at those of the first five, but only where an image has
    a map of ``PLACES`` × ``PLACES`` or more: a Gram matrix of fewer places depends on which few things the image shows.

    Raises:
        InputError: the image is too small for any.
    """
    found = levels(network)[:5]
    with frozen(network), torch.no_grad():
        readings = Reader(network, found)(torch.zeros(1, *shape).to(network.mean))
    sides = {layer: min(readings[layer].shape[2:]) for layer in found}
    chosen = [layer for layer in found if sides[layer] >= PLACES]
    if not chosen:
        raise InputError(
            f"images of {shape[1]}×{shape[2]} are too small: the network's first maps of them have {sides[found[0]]} places "
            f"a side, and a style needs {PLACES}; give a larger --size"
        )
    return found[min(2, len(found) - 1)], chosen


def check_size(network: Network, layers: Iterable[str], shape: tuple[int, ...]) -> None:
    """Whether images of a shape can be seen by some layers.

    Raises:
        InputError: the image has other channels, is smaller than the distance between two places of a layer, or the
            network refuses its size.
    """
    if len(network.shape) != 3:
        raise InputError(f"this network takes {network.shape[0]} numbers an example; looking into it needs images")
    channels, height, width = shape
    if channels != network.shape[0]:
        raise InputError(f"the image has {channels} channels; this network takes {network.shape[0]}")
    try:
        counted = summarize(network.module, shape)
    except ValueError as error:
        raise InputError(f"{error}; its own size is {'×'.join(map(str, network.shape[1:]))}") from error
    known = {layer.name: layer for layer in counted.layers} | counted.parts
    for name in layers:
        if name == LOGITS or name not in known:
            continue
        field = known[name].field
        stride = max((axis.stride for axis in field.axes), default=1) if field is not None else 1
        if min(height, width) < stride:
            raise InputError(
                f"an image of {height}×{width} is smaller than the stride of layer '{name}', {stride} pixels: "
                "give a larger one, or a shallower layer"
            )
