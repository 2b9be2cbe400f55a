"""Detectors as files for other programs: decoded boxes before suppression, or darknet's own form."""

from pathlib import Path
from typing import Literal, cast

from torch import Tensor, nn

from pendio.detection.darknet.cfg import format_cfg
from pendio.detection.darknet.network import DarknetNetwork
from pendio.detection.darknet.weights import write_weights
from pendio.detection.task import Detector
from pendio.detection.yolo.decoding import decode_all
from pendio.errors import InputError
from pendio.runs.export import Export, export
from pendio.runs.files import write_text

__all__ = ["DecodedNetwork", "export_detector"]


class DecodedNetwork(nn.Module):
    """Boxes and scores of all places; what overlaps is not yet suppressed.

    Args:
        task: whose network gives raw maps.
    """

    def __init__(self, task: Detector) -> None:
        super().__init__()
        self.network, self.scales = task.network, task.scales

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes ``(N, P, 4)`` x1, y1, x2, y2 in pixels, and scores ``(N, P, C)``, of images ``(N, 3, S, S)`` in [0, 1]."""
        maps = cast("tuple[Tensor, ...]", self.network(images))
        found = decode_all(maps, self.scales)
        return found.boxes, found.objectness.sigmoid().unsqueeze(-1) * found.classes.sigmoid()


def export_detector(task: Detector, to: Export | Literal["darknet"], path: Path) -> float:
    """Write a detector to a file, and check it; see :func:`pendio.runs.export.export`.

    darknet's form is three files of one name: layers in .cfg, weights in .weights, names of the classes in .names.

    Raises:
        InputError: the network has no layers of darknet's, or as there.
    """
    if to != "darknet":
        return export(DecodedNetwork(task), task.network.shape, to, path, ("boxes", "scores"))
    module = task.network.module
    if not isinstance(module, DarknetNetwork):
        raise InputError("--to darknet is for detectors with darknet's layers: yolov3, yolov3-tiny and .cfg files")
    write_weights(path.with_suffix(".weights"), module)
    write_text(path.with_suffix(".cfg"), format_cfg(module.config))
    write_text(path.with_suffix(".names"), "".join(f"{name}\n" for name in task.classes))
    return 0.0
