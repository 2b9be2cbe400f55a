"""Truths about darknet's networks and files, and about folded normalisation."""

import struct
import tempfile
from pathlib import Path

import torch
from torch import nn

from pendio.detection.darknet.catalogue import yolov3
from pendio.detection.darknet.network import DarknetNetwork
from pendio.detection.darknet.sections import Config, Convolutional, Net, Yolo
from pendio.detection.darknet.weights import read_weights, write_weights
from pendio.exact.check import Check
from pendio.nn.fusion import fused

__all__ = ["CHECKS"]

_LAYERS = (
    Convolutional(4, 3, 2, pad=True, batch_normalize=True, activation="leaky"),
    Convolutional(7, activation="linear"), Yolo(((4.0, 5.0),), 2),
)  # fmt: skip

_COUNT = 4 * 4 + 108 + 7 + 28
"""Numbers that the format stores of these layers, in the order of the names below."""

_NAMES = (
    "0.normalization.bias", "0.normalization.weight", "0.normalization.running_mean", "0.normalization.running_var",
    "0.convolution.weight", "1.convolution.bias", "1.convolution.weight",
)  # fmt: skip


def _weights() -> tuple[float, float]:
    """Wrong numbers and bytes, after reading what was packed number by number with either header, and writing it again.

    The n-th number stored is n, so that each tells where it must be found.
    """
    wrong = 0
    floats = b"".join(struct.pack("<f", value) for value in range(1, _COUNT + 1))
    for start in (struct.pack("<iiiI", 0, 1, 0, 7), struct.pack("<iiiQ", 0, 2, 5, 1 << 40)):
        network = DarknetNetwork(Config(Net(16, 16), _LAYERS))
        with tempfile.TemporaryDirectory() as folder:
            path, again = Path(folder) / "a.weights", Path(folder) / "b.weights"
            path.write_bytes(start + floats)
            write_weights(again, network, read_weights(path, network))
            content = again.read_bytes()
        wrong += sum(a != b for a, b in zip(content, start + floats, strict=True))
        state = network.state_dict()
        stored = [state[f"layers.{name}"] for name in _NAMES]
        wrong += int((torch.cat([part.flatten() for part in stored]) != torch.arange(1, _COUNT + 1)).sum())
    return wrong, 0


def _parameters() -> tuple[float, float]:
    return sum(parameter.numel() for parameter in DarknetNetwork(yolov3()).parameters()), 61_949_149


def _fused() -> tuple[float, float]:
    """The greatest difference that folding makes, of values near 1."""
    generator = torch.Generator().manual_seed(0)
    chain = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.LeakyReLU(0.1), nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8)
    )
    with torch.no_grad():
        for name, value in (*chain.named_parameters(), *chain.named_buffers()):
            if value.is_floating_point():
                value.copy_(0.5 * torch.randn(value.shape, generator=generator))
            if name.endswith("running_var"):
                value.copy_(0.5 + value.abs())
        images = torch.rand(2, 3, 16, 16, generator=generator)
        folded = fused(chain.eval())
        left = sum(isinstance(part, nn.BatchNorm2d) for part in folded.modules())
        return float((folded(images) - chain(images)).abs().max()) + left, 0


CHECKS = (
    Check("darknet-weights", "every byte of a .weights file goes where the format says, and comes back", _weights),
    Check("yolov3-parameters", "YOLOv3 for 80 classes has the published number of parameters", _parameters),
    Check("fused", "a convolution does the work of the batch normalisation after it", _fused, 1e-5, "≤"),
)
