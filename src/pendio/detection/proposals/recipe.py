"""Making the data and the task of the region-proposal detector."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from pendio.data.examples import Data
from pendio.data.streams import Stream
from pendio.detection.kinds import SuppressionKind
from pendio.detection.proposals.regions import Matched, overlaps_with, region_stream, search
from pendio.detection.proposals.task import RegionDetector, RegionNetwork
from pendio.errors import InputError

__all__ = ["RegionData", "region_data", "region_detector"]


@dataclass(frozen=True)
class RegionData:
    """Regions to learn from.

    Attributes:
        train, val: of the training and the validation images.
        notes: what to tell of them, a line each.
    """

    train: Stream
    val: Stream
    notes: list[str]


def region_data(data: Data, seed: int, progress: bool) -> RegionData:
    """Search the training and the validation images for regions, once, and draw batches of them.

    Args:
        data: annotated images.
        seed: of the proposals' order.
        progress: show on standard error how far the search is.

    Raises:
        InputError: no training image can be read.
    """
    found = {
        name: search(data.split(name), seed, progress, f"proposing regions of {name} images")
        for name in ("train", "val")
    }
    if not found["train"]:
        raise InputError(f"no training image of '{data.name}' can be read")
    train, val = (
        region_stream(data.split(name).reader, regions, len(data.classes))  # type: ignore[attr-defined]
        for name, regions in found.items()
    )
    return RegionData(train, val, _notes(data, found))


def _notes(data: Data, found: Mapping[str, Mapping[int, Matched]]) -> list[str]:
    regions = list(found["train"].values())
    mean = sum(its.proposed for its in regions) / len(regions)
    best = overlaps_with(regions)
    notes = [f"selective search proposes {mean:.0f} regions an image"]
    if len(best):
        notes[0] += (f"; they overlap {(best >= 0.5).float().mean():.1%} of the training objects by half or more, "
                     f"and on average by {best.mean():.3f}")  # fmt: skip
    if data.augmented:
        notes.append("rcnn does not augment: its regions are those of the images as they are")
    return notes


def region_detector(
    classes: Sequence[str], size: int, mean: Sequence[float], std: Sequence[float], seed: int,
    suppression: SuppressionKind = "hard", overlap: float = 0.3,
) -> RegionDetector:  # fmt: skip
    """The untrained task; the same seed gives the same weights.

    Args:
        classes: names.
        size: side of the square that images are fitted into, in pixels.
        mean, std: of the training images, a number for each channel in [0, 1].
        seed: of the weights.
        suppression, overlap: as of :class:`~pendio.detection.proposals.task.RegionDetector`.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = RegionNetwork(len(classes), _side(size), mean, std)
    return RegionDetector(network, classes, size, suppression, overlap)


def _side(size: int) -> int:
    """Pixels a side of what regions are warped to: three sixteenths of the image's, 24 to 64."""
    return min(64, max(24, size * 3 // 16 // 8 * 8))
