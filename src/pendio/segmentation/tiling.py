"""Segmenting an image in tiles, for images larger than memory: the tiles' logits are those of the whole image.

A value of the output depends on a bounded part of the input, its receptive field. An unpadded network computes only values
whose field lies inside its input: its outputs on overlapping tiles are put side by side (Ronneberger, Fischer and Brox,
2015, figure 2), and the image is mirrored beyond its borders. A padded network puts zeros around every tile, which are felt
as far inwards as its field reaches: that much of a tile is thrown away at each seam, and none at the image's own borders.
Where a network halves its maps, tiles begin on multiples of its stride, or pooling windows would fall elsewhere.

Equal means the same sums: convolutions may add them in another order for another size of input, so that logits in float32
can differ in the last bits.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn

from pendio.errors import InputError

__all__ = ["Extent", "Pixels", "Tile", "measured", "mirrored", "tiled", "tiles"]

Prepare = Callable[[Tensor], Tensor]


class Pixels(Protocol):
    """An image read in parts: anything of shape ``(C, H, W)`` that slices, such as a tensor or a ``numpy.memmap``."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Channels, height and width."""
        ...

    def __getitem__(self, key: tuple[slice, slice, slice], /) -> Any:
        """A part of it."""
        ...


@dataclass(frozen=True)
class Extent:
    """Which of its input's pixels a network's output depends on, along both axes alike.

    Attributes:
        stride: of its coarsest maps, in pixels of the input.
        margin: pixels that an unpadded network loses at each border; 0 for a padded one.
        reach: how far a padded network looks beyond a seam that lies on a multiple of the stride; 0 for an unpadded one.
        rest: what an unpadded network's output has more than a multiple of the stride.
    """

    stride: int
    margin: int = 0
    reach: int = 0
    rest: int = 0

    def needed(self, side: int) -> int:
        """The side of an unpadded network's input that gives at least ``side`` pixels."""
        return max(side, 1) + (self.rest - max(side, 1)) % self.stride + 2 * self.margin

    def step(self, tile: int) -> int:
        """How far apart tiles of a side begin.

        Raises:
            InputError: a tile has no room for what is lost at its borders; the message names the smallest side.
        """
        lost = 2 * self.margin + self.rest + 2 * self.halo
        step = (tile - lost) // self.stride * self.stride
        if step < 1:
            raise InputError(
                f"tiles of {tile} pixels are smaller than what the network sees: use {lost + self.stride} or more"
            )
        return step

    @property
    def halo(self) -> int:
        """The reach in whole strides."""
        return -(-self.reach // self.stride) * self.stride


class Tile(NamedTuple):
    """A part of the output.

    Attributes:
        rows, columns: where it belongs in the image.
        logits: ``(K, h, w)``.
    """

    rows: slice
    columns: slice
    logits: Tensor


def tiled(
    network: nn.Module,
    image: Pixels,
    tile: int,
    extent: Extent,
    *,
    prepare: Prepare | None = None,
    out: "Tensor | np.ndarray[Any, Any] | None" = None,
) -> Tensor:
    """Logits ``(K, H, W)`` of an image of any size, computed a tile at a time.

    Args:
        network: in evaluation mode, ``(1, C, h, w)`` → logits.
        image: ``(C, H, W)``, or a tensor ``(1, C, H, W)``.
        tile: largest side of what the network is given at once, which bounds the memory taken beside ``out``.
        extent: of the network: ``UNet.extent``, or :func:`measured`.
        prepare: from the image's values to the network's; by pixel, such as a normalisation.
        out: where the logits are put, ``(K, H, W)``; a writable ``numpy.memmap`` for what is larger than memory.

    Raises:
        InputError: the tile is too small for the network.
        ValueError: the network is in training mode, where batch normalisation would make tiles differ, or ``out`` has
            another shape.

    >>> layer = nn.Conv2d(1, 1, 3, padding=1).eval()
    >>> tiled(layer, torch.zeros(1, 50, 70), 16, Extent(stride=1, reach=1)).shape
    torch.Size([1, 50, 70])
    """
    height, width = image.shape[-2:]
    into = torch.from_numpy(out) if isinstance(out, np.ndarray) else out
    for part in tiles(network, image, tile, extent, prepare=prepare):
        if into is None:
            into = part.logits.new_empty(part.logits.shape[0], height, width)
        if into.shape != (part.logits.shape[0], height, width):
            raise ValueError(f"out is {tuple(into.shape)}; the logits are {(part.logits.shape[0], height, width)}")
        into[:, part.rows, part.columns] = part.logits
    return cast(Tensor, into)


@torch.no_grad()
def tiles(
    network: nn.Module, image: Pixels, tile: int, extent: Extent, *, prepare: Prepare | None = None
) -> Iterator[Tile]:
    """The parts of :func:`tiled`, row by row, to be used and let go, such as by their classes alone."""
    if network.training:
        raise ValueError("tiles need a network in evaluation mode: call its .eval() first")
    if isinstance(image, Tensor) and image.ndim == 4 and len(image) == 1:
        image = image[0]
    if len(image.shape) != 3:
        raise ValueError(f"an image is (C, H, W), not {tuple(image.shape)}")
    device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
    rows, columns = (list(_spans(side, tile, extent)) for side in image.shape[1:])
    for row in rows:
        for column in columns:
            values = _read(image, row.given, column.given)[None].to(device)
            logits = network(prepare(values) if prepare else values)[0]
            yield Tile(row.kept, column.kept, logits[:, row.inside, column.inside])


def mirrored(images: Tensor, extent: Extent) -> Tensor:
    """Images ``(N, C, H, W)`` with so much of their mirror image around that an unpadded network's output covers them.

    The first H rows and W columns of the output are theirs.

    >>> mirrored(torch.arange(4.0).view(1, 1, 1, 4), Extent(stride=1, margin=1))[0, 0, 1].tolist()
    [1.0, 0.0, 1.0, 2.0, 3.0, 2.0]
    """
    for axis in (2, 3):
        side = images.shape[axis]
        places = _reflected(-extent.margin, extent.needed(side) - extent.margin, side)
        images = images.index_select(axis, places.to(images.device))
    return images


@torch.no_grad()
def measured(network: nn.Module, channels: int, stride: int, longest: int = 4096) -> Extent:
    """The extent of a padded network, by which of its logits are no numbers after some pixels were none.

    A not-a-number spreads to whatever depends on it. One stride of rows, then of columns, is marked in the middle of a strip
    as long as it takes. This is exact unless layers mix more than they need, as fast convolutions by transforms do: then
    it is too large, never too small.

    Args:
        network: in evaluation mode; its output has the size of its input, if that is a multiple of the stride.
        channels: of its input.
        stride: of its coarsest maps.
        longest: side of the longest strip.

    Raises:
        InputError: the network sees the whole image, as squeeze-and-excitation does, or more than the longest strip.

    >>> measured(nn.Conv2d(1, 1, 5, padding=2).eval(), 1, stride=1)
    Extent(stride=1, margin=0, reach=2, rest=0)
    """
    reach = 0
    for axis in (2, 3):
        length = 8 * stride
        while (seen := _seen(network, channels, stride, axis, length)) is None:
            length *= 2
            if length > longest:
                raise InputError(
                    "the network's output depends on the whole image, so that no tiles give the same: "
                    "let it see the image at once, or scale the image down"
                )
        reach = max(reach, seen)
    return Extent(stride, reach=reach)


def _seen(network: nn.Module, channels: int, stride: int, axis: int, length: int) -> int | None:
    """How far a stride of pixels reaches along an axis of a strip; None where that is to its ends."""
    shape = [1, channels, 2 * stride, 2 * stride]
    shape[axis] = length
    like = next(network.parameters())
    strip = torch.zeros(shape, dtype=like.dtype, device=like.device)
    start = length // stride // 2 * stride
    strip.narrow(axis, start, stride).fill_(torch.nan)
    touched = network(strip).isnan().any(dim=1).any(dim=4 - axis).flatten().nonzero()
    first, last = int(touched.min()), int(touched.max())
    if first == 0 or last == length - 1:
        return None
    return max(start - first, last + 1 - start - stride)


class _Span(NamedTuple):
    """Along one axis: what is given to the network, which of its output is kept, and where that belongs."""

    given: tuple[int, int]
    inside: slice
    kept: slice


def _spans(side: int, tile: int, extent: Extent) -> Iterator[_Span]:
    """Tiles along one axis."""
    padded = extent.margin == 0
    alone = side if padded else extent.needed(side)
    step = side if alone <= tile else extent.step(tile)
    for start in range(0, side, step):
        stop = min(side, start + step)
        if padded:
            given = max(0, start - extent.halo), min(side, stop + extent.halo)
            inside = slice(start - given[0], stop - given[0])
        else:
            given = start - extent.margin, start - extent.margin + extent.needed(stop - start)
            inside = slice(0, stop - start)
        yield _Span(given, inside, slice(start, stop))


def _reflected(start: int, stop: int, side: int) -> Tensor:
    """Places in [0, side) of start … stop − 1, which fold back at both ends as often as it takes."""
    period = max(1, 2 * (side - 1))
    places = torch.arange(start, stop) % period
    return torch.minimum(places, period - places) if side > 1 else torch.zeros_like(places)


def _read(image: Pixels, rows: tuple[int, int], columns: tuple[int, int]) -> Tensor:
    """A part of an image, mirrored where it lies outside; only what is needed is read."""
    places = [_reflected(*span, side) for span, side in zip((rows, columns), image.shape[1:], strict=True)]
    firsts = [int(place.min()) for place in places]
    first, second = (slice(low, int(place.max()) + 1) for low, place in zip(firsts, places, strict=True))
    block = image[slice(None), first, second]
    values = block if isinstance(block, Tensor) else torch.from_numpy(np.array(block))
    for axis, (low, place) in enumerate(zip(firsts, places, strict=True), 1):
        if len(place) != values.shape[axis] or place[0] != low:
            values = values.index_select(axis, (place - low).to(values.device))
    return values
