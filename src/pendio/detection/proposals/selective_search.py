"""Selective search: boxes that may hold an object, of whatever class (Uijlings et al., 2013)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from skimage import color as spaces
from skimage.segmentation import felzenszwalb
from torch import Tensor

from pendio.data.randomness import uniforms
from pendio.detection.proposals.grouping import Measure, describe, group, neighbors

__all__ = ["STRATEGIES", "Proposals", "SearchMode", "Strategy", "propose"]

SearchMode = Literal["single", "fast", "quality"]
"""How many ways of looking at an image are taken together: 1, 8 or 80."""

_Image = NDArray[np.float64]


@dataclass(frozen=True)
class Strategy:
    """Every colour space with every threshold gives first regions; every one of ``measures`` groups each of those.

    Attributes:
        colors: names of colour spaces.
        measures: by what regions are alike, for each grouping.
        thresholds: Felzenszwalb's k: the larger, the larger the first regions.
    """

    colors: tuple[str, ...]
    measures: tuple[tuple[Measure, ...], ...]
    thresholds: tuple[float, ...]


_ALL: tuple[Measure, ...] = ("color", "texture", "size", "fill")

STRATEGIES: dict[SearchMode, Strategy] = {
    "single": Strategy(("hsv",), (_ALL,), (100,)),
    "fast": Strategy(("hsv", "lab"), (_ALL, _ALL[1:]), (50, 100)),
    "quality": Strategy(
        ("hsv", "lab", "rgi", "hue", "intensity"), (_ALL, _ALL[1:], ("fill",), ("size",)), (50, 100, 150, 300)
    ),
}
"""Those of the paper's table 4. On photographs they give some 400, 2,000 and 10,000 boxes."""

_COLOR_BINS = 25
_TEXTURE_BINS = 10
_SMOOTHING = 0.8
_USUAL_PIXELS = 500 * 375

_STEEPEST = 1 / np.sqrt(2 * np.pi)
"""The greatest derivative that a Gaussian filter of σ = 1 can give of values in [0, 1]: that of a step from 0 to 1."""


class Proposals(NamedTuple):
    """Boxes that may hold an object, the likeliest first.

    Attributes:
        boxes: ``(K, 4)`` float32 x1, y1, x2, y2 in pixels, no two alike.
        regions: how many regions the groupings had in all, before equal boxes were joined.
    """

    boxes: Tensor
    regions: int


def propose(image: Tensor, mode: SearchMode = "fast", seed: int = 0, *, smallest: float = 0) -> Proposals:
    """Boxes around the regions of hierarchical groupings.

    First regions are Felzenszwalb's (2004). A grouping merges the two most similar neighbours until one region is left;
    all regions on the way are proposed. Of a grouping of n first regions these are 2n − 1. They are ordered by their
    place in the hierarchy, from the top, times a random number in [0, 1): large ones mostly come first.

    Args:
        image: uint8 ``(3, H, W)``.
        mode: ways of looking at the image; see ``STRATEGIES``.
        seed: of the order.
        smallest: boxes with a side below it, in pixels, are left out.
    """
    boxes, places = [], []
    for hierarchy in _hierarchies(_unit(image), STRATEGIES[mode]):
        boxes.append(hierarchy[::-1])
        places.append(np.arange(1, len(hierarchy) + 1))
    found, place = np.concatenate(boxes), np.concatenate(places)
    draws = uniforms(seed, 0, torch.arange(len(found)), 1)[:, 0].numpy()
    found = found[np.argsort(place * draws, kind="stable")]
    _, first = np.unique(found, axis=0, return_index=True)
    chosen = torch.from_numpy(found[np.sort(first)]).float()
    large = (chosen[:, 2:] - chosen[:, :2]).amin(1) >= smallest
    return Proposals(chosen[large], len(found))


def _unit(image: Tensor) -> _Image:
    return image.permute(1, 2, 0).cpu().numpy().astype(np.float64) / 255


def _hierarchies(image: _Image, strategy: Strategy) -> Iterator[NDArray[np.int64]]:
    """The boxes ``(2n − 1, 4)`` of each grouping, the whole image last."""
    for name in strategy.colors:
        seen = _SPACES[name](image)
        colors, textures = _color_codes(seen), _texture_codes(seen)
        for threshold in strategy.thresholds:
            labels = _first_regions(seen, threshold)
            regions = describe(labels, colors, _COLOR_BINS, textures, _TEXTURE_BINS)
            pairs = neighbors(labels)
            for measures in strategy.measures:
                yield group(regions, pairs, measures).boxes


def _first_regions(image: _Image, threshold: float) -> NDArray[np.int64]:
    # The paper's own code has no region of fewer pixels than the threshold's number, in images of about this size.
    least = max(1, round(threshold * image.shape[0] * image.shape[1] / _USUAL_PIXELS))
    found = felzenszwalb(image, scale=threshold, sigma=_SMOOTHING, min_size=least)
    return found.astype(np.int64)  # type: ignore[no-any-return]


def _color_codes(image: _Image) -> list[NDArray[np.int64]]:
    """Of each channel, which of 25 bins of [0, 1] a value is in."""
    return [_binned(image[..., channel], _COLOR_BINS) for channel in range(image.shape[2])]


def _texture_codes(image: _Image) -> list[NDArray[np.int64]]:
    """Of each channel and of eight directions, which of 10 bins the slope of a pixel is in.

    A slope is the derivative of a Gaussian of σ = 1 in its direction; one that falls there is in the first bin, and
    rises in the opposite direction.
    """
    codes = []
    for channel in range(image.shape[2]):
        across, down = (ndimage.gaussian_filter(image[..., channel], 1.0, order=order) for order in ((0, 1), (1, 0)))
        for angle in np.arange(4) * np.pi / 4:
            slope = (np.cos(angle) * across + np.sin(angle) * down) / _STEEPEST
            codes += [_binned(slope, _TEXTURE_BINS), _binned(-slope, _TEXTURE_BINS)]
    return codes


def _binned(values: _Image, bins: int) -> NDArray[np.int64]:
    """The bin of each value among equal ones of [0, 1]; what lies outside is in the first or the last."""
    return np.clip((values * bins).astype(np.int64), 0, bins - 1)


def _lab(image: _Image) -> _Image:
    """CIE Lab, from 0 … 100 and −128 … 127 to [0, 1]."""
    values = spaces.rgb2lab(image)
    return np.stack([values[..., 0] / 100, (values[..., 1] + 128) / 255, (values[..., 2] + 128) / 255], axis=2)


def _intensity(image: _Image) -> _Image:
    return image.mean(axis=2, keepdims=True)  # type: ignore[no-any-return]


def _rgi(image: _Image) -> _Image:
    """Shares of red and green, and the intensity; black is grey."""
    total = image.sum(axis=2, keepdims=True)
    shares = np.divide(image[..., :2], total, out=np.full_like(image[..., :2], 1 / 3), where=total > 0)
    return np.concatenate([shares, total / 3], axis=2)


def _hue(image: _Image) -> _Image:
    return spaces.rgb2hsv(image)[..., :1]  # type: ignore[no-any-return]


_SPACES: dict[str, Callable[[_Image], _Image]] = {
    "hsv": spaces.rgb2hsv,
    "lab": _lab,
    "rgi": _rgi,
    "hue": _hue,
    "intensity": _intensity,
}
